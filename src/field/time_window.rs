//! Times of day on days of the week.

use std::fmt;

use super::utc::{DAY, from_stamp, stamp};

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

    /// The days that come so many days after these; before them, if it is negative.
    fn later(self, days: i64) -> Weekdays {
        let by = days.rem_euclid(7);
        Weekdays((self.0 << by | self.0 >> (7 - by)) & Weekdays::ALL.0)
    }

    /// Whether a day is one of them, by its number since 1970, which began on a Thursday.
    fn has(self, day: i64) -> bool {
        self.0 >> (day + 3).rem_euclid(7) & 1 == 1
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

/// A time of day on certain days of the week, in seconds from midnight, between two dates.
/// In UTC, as the kernel's clock (iptables-extensions(8), time), unless it is yet to be
/// turned into that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeWindow {
    start: u32,
    stop: u32,
    days: Weekdays,
    /// The first and the last second since 1970.
    dates: (u32, u32),
}

/// The last second in which the extension matches anything: date_stop is 31 bits wide
/// (time_init in iptables' extensions/libxt_time.c).
pub const LAST_DATE: u32 = i32::MAX as u32;

const ANY_DATE: (u32, u32) = (0, LAST_DATE);

/// 23:59:59, which the extension treats as having no end.
const LAST_SECOND: u32 = 86_399;

impl TimeWindow {
    /// From `start` to `stop`, such as `"08:00"` or `"08:00:30"`, both seconds
    /// included. Wraps around midnight if `stop` is before `start`. None if either is
    /// not a time of day or both are equal.
    pub fn new(start: &str, stop: &str, days: Weekdays) -> Option<TimeWindow> {
        let (start, stop) = (time_of_day(start)?, time_of_day(stop)?);
        (start != stop).then_some(TimeWindow {
            start,
            stop,
            days,
            dates: ANY_DATE,
        })
    }

    /// The whole day, on these days.
    pub fn on(days: Weekdays) -> TimeWindow {
        TimeWindow {
            start: 0,
            stop: LAST_SECOND,
            days,
            dates: ANY_DATE,
        }
    }

    /// The same times in UTC while local time is so many seconds ahead of it, and between
    /// these dates alone. A time that is over midnight there and not here, or here and not
    /// there, is on the days on which it begins.
    pub fn in_utc(self, ahead: i32, dates: (u32, u32)) -> TimeWindow {
        let earlier = |time: u32| i64::from(time) - i64::from(ahead);
        let of_day = |time: u32| earlier(time).rem_euclid(DAY as i64) as u32;
        TimeWindow {
            start: of_day(self.start),
            stop: of_day(self.stop),
            days: self.days.later(earlier(self.start).div_euclid(DAY as i64)),
            dates,
        }
    }

    /// Whether a second since 1970 is in it, as the kernel decides it (time_mt in
    /// net/netfilter/xt_time.c).
    pub fn holds(self, second: i64) -> bool {
        let (first, last) = self.dates;
        self.is_at(second) && (i64::from(first)..=last.into()).contains(&second)
    }

    /// The same at any date.
    pub fn is_at(self, second: i64) -> bool {
        let (day, time) = (second.div_euclid(DAY as i64), second.rem_euclid(DAY as i64));
        let (after, before) = (time >= self.start.into(), time <= self.stop.into());
        match self.is_over_midnight() {
            false => after && before && self.days.has(day),
            true => after && self.days.has(day) || before && self.days.has(day - 1),
        }
    }

    /// The first and the last second since 1970.
    pub fn dates(self) -> (u32, u32) {
        self.dates
    }

    /// The seconds of a day at which it begins and at which it is over.
    pub fn edges(self) -> [u32; 2] {
        [self.start, self.stop + 1]
    }

    /// From the values that iptables prints, which omits those that do not restrict.
    pub fn as_printed(
        start: Option<&str>,
        stop: Option<&str>,
        days: Option<&str>,
        dates: [Option<&str>; 2],
    ) -> Option<TimeWindow> {
        let [first, last] = dates;
        Some(TimeWindow {
            start: start.map_or(Some(0), time_of_day)?,
            stop: stop.map_or(Some(LAST_SECOND), time_of_day)?,
            days: days.map_or(Some(Weekdays::ALL), Weekdays::parse)?,
            dates: (
                first.map_or(Some(ANY_DATE.0), from_stamp)?,
                last.map_or(Some(ANY_DATE.1), from_stamp)?,
            ),
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

    /// Its days and hours for people: `Mon,Tue 08:00:00-18:00:00`.
    pub fn in_words(self) -> String {
        let [start, stop] = [self.start, self.stop].map(clock);
        match self.days {
            Weekdays::ALL => format!("{start}-{stop}"),
            days => format!("{days} {start}-{stop}"),
        }
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

fn clock(time: u32) -> String {
    let (hours, minutes, seconds) = (time / 3600, time / 60 % 60, time % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}")
}

impl fmt::Display for TimeWindow {
    /// The iptables-save notation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<String> = Vec::new();
        if (self.start, self.stop) != (0, LAST_SECOND) {
            for (option, time) in [("--timestart", self.start), ("--timestop", self.stop)] {
                words.push(format!("{option} {}", clock(time)));
            }
        }
        if self.days != Weekdays::ALL {
            words.push(format!("--weekdays {}", self.days));
        }
        let (first, last) = self.dates;
        if first != ANY_DATE.0 {
            words.push(format!("--datestart {}", stamp(first.into())));
        }
        if last != ANY_DATE.1 {
            words.push(format!("--datestop {}", stamp(last.into())));
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
