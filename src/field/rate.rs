//! How often: so many a second, minute, hour or day.

use std::fmt;

/// A time unit of a rate, longest first, as the extensions' tables have them.
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

    /// By its name: `minute`, `min` or `m`.
    pub fn by_name(name: &str) -> Option<Unit> {
        match name {
            "second" | "sec" | "s" => Some(Unit::Second),
            "minute" | "min" | "m" => Some(Unit::Minute),
            "hour" | "h" => Some(Unit::Hour),
            "day" | "d" => Some(Unit::Day),
            _ => None,
        }
    }

    /// How long it is.
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

/// So many in a unit of time, `6/minute`; never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: u64,
    unit: Unit,
}

impl Rate {
    /// The highest count: XT_LIMIT_SCALE, over which the limit match's period
    /// is 0 (include/uapi/linux/netfilter/xt_limit.h).
    pub const COUNT_MAX: u64 = 10_000;

    /// The default burst of both matches.
    pub const BURST: u64 = 5;

    /// So many in a unit; None for 0 or more than [`Rate::COUNT_MAX`].
    pub const fn new(count: u64, unit: Unit) -> Option<Rate> {
        if count == 0 || count > Rate::COUNT_MAX {
            None
        } else {
            Some(Rate { count, unit })
        }
    }

    /// Reads `6/minute`, `6/min` or `6/m`.
    pub fn parse(text: &str) -> Option<Rate> {
        let (count, unit) = text.split_once('/')?;
        if count.is_empty() || !count.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Rate::new(count.parse().ok()?, Unit::by_name(unit)?)
    }

    /// In seven letters at most, for a name: `6m`.
    pub fn short(self) -> String {
        let unit: String = self.unit.short().chars().take(1).collect();
        format!("{}{unit}", self.count)
    }

    /// How many may come at once before the rate holds: 5, the extensions' own
    /// default, or what a day lets through where that is less. Both matches
    /// count in credits that a day's worth just fits (user2credits in
    /// net/netfilter/xt_limit.c, xt_hashlimit.c); more is ERANGE.
    pub fn burst(self) -> u64 {
        (self.count * Unit::Day.seconds() / self.unit.seconds()).min(Rate::BURST)
    }

    /// The rate as the kernel keeps it, a whole number of ticks between two
    /// packets, and as iptables-save prints that: in the longest unit that
    /// loses little (print_rate in extensions/libxt_limit.c, libxt_hashlimit.c).
    /// `ticks` is how many the match counts a second.
    pub fn canonical(self, ticks: u64) -> Rate {
        let period = ticks * self.unit.seconds() / self.count;
        let mut shown = Unit::Day;
        for unit in Unit::ALL.into_iter().skip(1) {
            let length = ticks * unit.seconds();
            if period > length || length / period < length % period {
                break;
            }
            shown = unit;
        }
        Rate {
            count: ticks * shown.seconds() / period,
            unit: shown,
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
    fn bursts_fit_in_a_day() {
        let burst = |text| Rate::parse(text).map(Rate::burst);
        assert_eq!(
            [burst("1/day"), burst("4/d"), burst("1/hour")],
            [Some(1), Some(4), Some(5)]
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
