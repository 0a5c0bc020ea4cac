//! Rates: a count per second, minute, hour or day.

use std::fmt;

/// A time unit of a rate, longest first, like the tables in the iptables extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// 86,400 seconds
    Day,
    /// 3,600 seconds
    Hour,
    /// 60 seconds
    Minute,
    /// 1 second
    Second,
}

impl Unit {
    const ALL: [Unit; 4] = [Unit::Day, Unit::Hour, Unit::Minute, Unit::Second];

    /// Parses `minute`, `min` or `m`, and so for each unit.
    pub fn by_name(name: &str) -> Option<Unit> {
        match name {
            "second" | "sec" | "s" => Some(Unit::Second),
            "minute" | "min" | "m" => Some(Unit::Minute),
            "hour" | "h" => Some(Unit::Hour),
            "day" | "d" => Some(Unit::Day),
            _ => None,
        }
    }

    /// The length of the unit in seconds.
    pub fn seconds(self) -> u64 {
        match self {
            Unit::Day => 86_400,
            Unit::Hour => 3_600,
            Unit::Minute => 60,
            Unit::Second => 1,
        }
    }

    fn short(self) -> &'static str {
        match self {
            Unit::Day => "day",
            Unit::Hour => "hour",
            Unit::Minute => "min",
            Unit::Second => "sec",
        }
    }
}

/// Parses a length of time such as `90s`, `5 minutes` or `1h` into seconds.
pub fn duration(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at(split);
    let unit = unit.trim();
    let unit = Unit::by_name(unit).or_else(|| Unit::by_name(unit.strip_suffix('s')?))?;
    let count: u64 = count.parse().ok()?;
    count.checked_mul(unit.seconds())
}

/// A count per unit of time, such as `6/minute`; never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    // Thousands of matches have one, and in short numbers: iptables takes 32 bits.
    count: u32,
    unit: Unit,
    /// The burst, if it is not the default for this rate.
    burst: Option<u32>,
}

impl Rate {
    /// The highest count: XT_LIMIT_SCALE. With more, the period of the limit match
    /// would be 0 (include/uapi/linux/netfilter/xt_limit.h).
    pub const COUNT_MAX: u64 = 10_000;

    /// The default burst of the limit and hashlimit matches.
    pub const BURST: u64 = 5;

    /// A count per unit; None for 0 or more than [`Rate::COUNT_MAX`].
    pub const fn new(count: u64, unit: Unit) -> Option<Rate> {
        if count == 0 || count > Rate::COUNT_MAX {
            None
        } else {
            Some(Rate {
                count: count as u32,
                unit,
                burst: None,
            })
        }
    }

    /// A count per second, for constants in the code: at least 1.
    pub const fn a_second(count: u8) -> Rate {
        Rate {
            count: if count == 0 { 1 } else { count as u32 },
            unit: Unit::Second,
            burst: None,
        }
    }

    /// The same rate with another burst.
    pub fn with_burst(self, burst: u64) -> Rate {
        let usual = Rate {
            burst: None,
            ..self
        };
        match usual.burst() == burst {
            true => usual,
            false => Rate {
                burst: Some(burst.try_into().unwrap_or(u32::MAX)),
                ..self
            },
        }
    }

    /// The count, if the unit is a second.
    pub fn per_second(self) -> Option<u64> {
        (self.unit == Unit::Second).then_some(self.count.into())
    }

    /// The most packets that the limit match lets through in so many seconds, once its
    /// burst is used up. The kernel rounds the interval between two packets down to
    /// whole ticks, so that it is never longer than the rate says (xt_limit.h).
    pub fn most_within(self, seconds: u64) -> u64 {
        let ticks = Rate::COUNT_MAX;
        let period = ticks * self.unit.seconds() / u64::from(self.count);
        (ticks * seconds).div_ceil(period)
    }

    /// Parses `6/minute`, `6/min` or `6/m`.
    pub fn parse(text: &str) -> Option<Rate> {
        let (count, unit) = text.split_once('/')?;
        if count.is_empty() || !count.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Rate::new(count.parse().ok()?, Unit::by_name(unit)?)
    }

    /// The rate that a text most likely means, as it is to be written: `20/hour` for
    /// `20 per hour` or `20 new connections an hour`.
    pub(crate) fn meant(text: &str) -> Option<String> {
        let (count, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
        let unit = rest.rsplit([' ', '/']).find(|word| !word.is_empty())?;
        let unit = match Unit::by_name(unit) {
            Some(_) => unit,
            None => unit.strip_suffix('s')?,
        };
        // `20 in 2 hours` is none of these.
        let is_one = !rest.contains(|c: char| c.is_ascii_digit());
        let meant = format!("{count}/{unit}");
        (is_one && Rate::parse(&meant).is_some()).then_some(meant)
    }

    /// At most seven characters, for use in a name: `6m`.
    pub fn short(self) -> String {
        let unit: String = self.unit.short().chars().take(1).collect();
        format!("{}{unit}", self.count)
    }

    /// The burst: how many packets may pass at once before the rate applies. The
    /// default is 5, as in the extensions, or the count of one day if that is less.
    /// Both matches count in credits of which a day's worth just fits (user2credits in
    /// net/netfilter/xt_limit.c, xt_hashlimit.c); more is ERANGE.
    pub fn burst(self) -> u64 {
        if let Some(burst) = self.burst {
            return burst.into();
        }
        let a_day = u64::from(self.count) * Unit::Day.seconds() / self.unit.seconds();
        a_day.min(Rate::BURST)
    }

    /// The rate as the kernel stores it, a whole number of ticks between two packets,
    /// and as iptables-save prints that: in the longest unit that loses little
    /// (print_rate in extensions/libxt_limit.c, libxt_hashlimit.c). `ticks` is the
    /// resolution of the match, in ticks per second.
    pub fn canonical(self, ticks: u64) -> Rate {
        let period = ticks * self.unit.seconds() / u64::from(self.count);
        let mut shown = Unit::Day;
        for unit in Unit::ALL.into_iter().skip(1) {
            let length = ticks * unit.seconds();
            if period > length || length / period < length % period {
                break;
            }
            shown = unit;
        }
        Rate {
            count: (ticks * shown.seconds() / period)
                .try_into()
                .unwrap_or(u32::MAX),
            unit: shown,
            burst: self.burst,
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.unit.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_number_and_a_unit() {
        for (text, seconds) in [
            ("90s", Some(90)),
            ("5m", Some(300)),
            ("5 minutes", Some(300)),
            ("1 hour", Some(3_600)),
            ("90", None),
            ("m", None),
            ("5 fortnights", None),
            ("18446744073709551615d", None),
        ] {
            assert_eq!(duration(text), seconds, "{text}");
        }
    }

    #[test]
    fn a_rate_in_words_is_told_as_it_is_written() {
        for (text, meant) in [
            ("20 per hour", Some("20/hour")),
            ("6 connections a minute", Some("6/minute")),
            ("5 / seconds", Some("5/second")),
            ("20 in 2 hours", None),
            ("0 per hour", None),
            ("often", None),
            ("20", None),
            ("20 ü", None),
        ] {
            assert_eq!(Rate::meant(text).as_deref(), meant, "{text}");
        }
    }

    #[test]
    fn bursts_fit_in_a_day() {
        let burst = |text| Rate::parse(text).map(Rate::burst);
        assert_eq!(
            [burst("1/day"), burst("4/d"), burst("1/hour")],
            [Some(1), Some(4), Some(5)]
        );
    }

    #[test]
    fn a_rate_is_no_less_than_what_the_kernel_makes_of_it() {
        let within = |text| Rate::parse(text).map(|rate| rate.most_within(120));
        assert_eq!(
            [within("125/s"), within("150/s"), within("10000/s")],
            [Some(15_000), Some(18_182), Some(1_200_000)]
        );
    }

    #[test]
    fn rates() {
        for (text, shown) in [
            ("6/minute", "6/min"),
            ("60/minute", "1/sec"),
            ("24/day", "1/hour"),
        ] {
            let rate = Rate::parse(text).map(|r| r.canonical(10_000).to_string());
            assert_eq!(rate.as_deref(), Some(shown));
        }
        for bad in [
            "",
            "6",
            "0/minute",
            "6/week",
            "-1/minute",
            "10001/second",
            "/m",
        ] {
            assert_eq!(Rate::parse(bad), None, "{bad:?}");
        }
    }
}
