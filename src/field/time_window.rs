//! Times of day on days of the week.

use std::fmt;

/// A non-empty set of days of the week; bit 0 is Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weekdays(u8);

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

impl Weekdays {
    /// All seven days.
    pub const ALL: Weekdays = Weekdays(0b111_1111);

    /// Parses `mon-fri`, `sat,sun` or `Mon,Tue`; a range may wrap around Sunday.
    pub fn parse(text: &str) -> Option<Weekdays> {
        let day = |name: &str| {
            let known = |known: &&str| known.eq_ignore_ascii_case(name.trim());
            WEEKDAYS.iter().position(known)
        };
        let mut bits = 0;
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (mut at, last) = (day(first)?, day(last)?);
            bits |= 1 << at;
            while at != last {
                at = (at + 1) % WEEKDAYS.len();
                bits |= 1 << at;
            }
        }
        Some(Weekdays(bits))
    }

    /// The days of either.
    pub fn union(self, other: Weekdays) -> Weekdays {
        Weekdays(self.0 | other.0)
    }
}

impl fmt::Display for Weekdays {
    /// The iptables notation: `Mon,Tue`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = WEEKDAYS.iter().enumerate();
        let named: Vec<&str> = days
            .filter(|(bit, _)| self.0 >> bit & 1 == 1)
            .map(|(_, name)| *name)
            .collect();
        f.write_str(&named.join(","))
    }
}

/// A time of day on certain days of the week, in seconds from midnight. In UTC, as the
/// kernel's clock (iptables-extensions(8), time).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeWindow {
    start: u32,
    stop: u32,
    days: Weekdays,
}

/// 23:59:59, which the extension treats as having no end.
const LAST_SECOND: u32 = 86_399;

impl TimeWindow {
    /// From `start` to `stop`, such as `"08:00"` or `"08:00:30"`, both seconds
    /// included. Wraps around midnight if `stop` is before `start`. None if either is
    /// not a time of day or both are equal.
    pub fn new(start: &str, stop: &str, days: Weekdays) -> Option<TimeWindow> {
        let (start, stop) = (time_of_day(start)?, time_of_day(stop)?);
        (start != stop).then_some(TimeWindow { start, stop, days })
    }

    /// The whole day, on these days.
    pub fn on(days: Weekdays) -> TimeWindow {
        TimeWindow {
            start: 0,
            stop: LAST_SECOND,
            days,
        }
    }

    /// From the values that iptables prints, which omits those that do not restrict.
    pub fn as_printed(
        start: Option<&str>,
        stop: Option<&str>,
        days: Option<&str>,
    ) -> Option<TimeWindow> {
        Some(TimeWindow {
            start: start.map_or(Some(0), time_of_day)?,
            stop: stop.map_or(Some(LAST_SECOND), time_of_day)?,
            days: days.map_or(Some(Weekdays::ALL), Weekdays::parse)?,
        })
    }

    /// A unique and stable identifier; it must never change, because the names of
    /// kernel counters are derived from it.
    pub(crate) fn identity(self) -> String {
        let (start, stop, Weekdays(days)) = (self.start, self.stop, self.days);
        format!("Some(TimeWindow {{ start: {start}, stop: {stop}, days: Weekdays({days}) }})")
    }

    /// Whether it covers every second of every day.
    pub fn is_always(self) -> bool {
        (self.start, self.stop, self.days) == (0, LAST_SECOND, Weekdays::ALL)
    }

    /// Whether it wraps around midnight.
    pub fn is_over_midnight(self) -> bool {
        self.stop < self.start
    }
}

/// Whether a text is a time of day, such as `08:00` or `08:00:30`.
pub fn is_time_of_day(text: &str) -> bool {
    time_of_day(text).is_some()
}

fn time_of_day(text: &str) -> Option<u32> {
    let parts: Vec<&str> = text.split(':').collect();
    let number = |text: &str, below: u32| {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        let number: u32 = text.parse().ok()?;
        (digits && number < below).then_some(number)
    };
    match parts.as_slice() {
        [hours, minutes] => Some(number(hours, 24)? * 3600 + number(minutes, 60)? * 60),
        [hours, minutes, seconds] => {
            Some(number(hours, 24)? * 3600 + number(minutes, 60)? * 60 + number(seconds, 60)?)
        }
        _ => None,
    }
}

impl fmt::Display for TimeWindow {
    /// The iptables-save notation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<String> = Vec::new();
        if (self.start, self.stop) != (0, LAST_SECOND) {
            for (option, time) in [("--timestart", self.start), ("--timestop", self.stop)] {
                let (hours, minutes, seconds) = (time / 3600, time / 60 % 60, time % 60);
                words.push(format!("{option} {hours:02}:{minutes:02}:{seconds:02}"));
            }
        }
        if self.days != Weekdays::ALL {
            words.push(format!("--weekdays {}", self.days));
        }
        if self.is_over_midnight() {
            // The hours after midnight count as part of the day on which the window
            // began.
            words.push("--contiguous".into());
        }
        f.write_str(&words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times() {
        let days = |text| Weekdays::parse(text).map(|days| days.to_string());
        assert_eq!(days("mon-fri").as_deref(), Some("Mon,Tue,Wed,Thu,Fri"));
        assert_eq!(days("sat-mon,wed").as_deref(), Some("Mon,Wed,Sat,Sun"));
        for bad in ["", "mon-", "monday", "mon;tue"] {
            assert_eq!(days(bad), None, "{bad:?}");
        }
        let window = |start, stop| TimeWindow::new(start, stop, Weekdays::ALL);
        assert_eq!(
            window("22:00", "06:30").map(|w| w.to_string()).as_deref(),
            Some("--timestart 22:00:00 --timestop 06:30:00 --contiguous")
        );
        for (start, stop) in [("8:00", "9:00"), ("24:00", "01:00"), ("08:00", "08:00")] {
            assert_eq!(window(start, stop), None, "{start} {stop}");
        }
    }
}
