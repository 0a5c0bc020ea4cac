//! Values that a packet's fields are compared with, and rates.
//!
//! Owns their text forms: as a configuration writes them and as iptables-save
//! prints them.

use std::fmt;

/// One TCP or UDP port, or several in a row; never empty, never port 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// One port, 1 to 65535.
    pub const fn port(port: u16) -> PortRange {
        PortRange {
            first: port,
            last: port,
        }
    }

    /// The ports `first` to `last`, both in it; None where it would be empty
    /// or hold port 0, which no packet may use (RFC 6335, section 6).
    pub const fn new(first: u16, last: u16) -> Option<PortRange> {
        if first == 0 || first > last {
            None
        } else {
            Some(PortRange { first, last })
        }
    }

    /// Reads `21`, or a range with `separator` between its ends.
    pub fn parse(text: &str, separator: char) -> Option<PortRange> {
        let (first, last) = text.split_once(separator).unwrap_or((text, text));
        let number = |text: &str| {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            if digits { text.parse().ok() } else { None }
        };
        PortRange::new(number(first.trim())?, number(last.trim())?)
    }

    /// Reads a port or a range as rules have them: `:` between its ends, of
    /// which one may be left out, and port 0 among them.
    pub fn parse_any(text: &str) -> Option<PortRange> {
        let (first, last) = text.split_once(':').unwrap_or((text, text));
        let number = |text: &str, missing: u16| match text {
            "" => Some(missing),
            _ if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        };
        let (first, last) = (number(first, 0)?, number(last, u16::MAX)?);
        (!text.is_empty() && first <= last).then_some(PortRange { first, last })
    }

    /// The first port.
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The last port.
    pub const fn last(self) -> u16 {
        self.last
    }

    /// Whether it is more than one port.
    pub fn is_range(self) -> bool {
        self.first != self.last
    }

    /// What is left of it without one port.
    pub fn without(self, port: u16) -> impl Iterator<Item = PortRange> {
        let before = PortRange::new(self.first, port.saturating_sub(1).min(self.last));
        let after = port
            .checked_add(1)
            .and_then(|next| PortRange::new(next.max(self.first), self.last));
        [before, after].into_iter().flatten()
    }

    /// Whether every port of `other` is in it.
    pub fn contains(self, other: PortRange) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// The range of both together; None where a port between them is in neither.
    pub fn joined_with(self, other: PortRange) -> Option<PortRange> {
        let apart = |low: PortRange, high: PortRange| low.last.saturating_add(1) < high.first;
        if apart(self, other) || apart(other, self) {
            return None;
        }
        PortRange::new(self.first.min(other.first), self.last.max(other.last))
    }
}

impl fmt::Display for PortRange {
    /// As iptables writes it: `21` or `50000:50100`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_range() {
            write!(f, "{}:{}", self.first, self.last)
        } else {
            write!(f, "{}", self.first)
        }
    }
}

/// An ICMP type, or just one code of it. Those with a name are the ones that a
/// service may name (RFC 792).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IcmpType {
    number: u8,
    code: Option<u8>,
}

const ICMP_TYPES: &[(&str, u8)] = &[
    ("echo-reply", 0),
    ("destination-unreachable", 3),
    ("redirect", 5),
    ("echo-request", 8),
    ("time-exceeded", 11),
    ("parameter-problem", 12),
    ("timestamp-request", 13),
    ("timestamp-reply", 14),
];

impl IcmpType {
    /// What `ping` sends.
    pub const ECHO_REQUEST: IcmpType = IcmpType::by_number(8);

    /// By the name that iptables has for it.
    pub fn by_name(name: &str) -> Option<IcmpType> {
        ICMP_TYPES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, number)| IcmpType::by_number(*number))
    }

    /// By its number.
    pub const fn by_number(number: u8) -> IcmpType {
        IcmpType { number, code: None }
    }

    /// Just this code of it.
    pub const fn with_code(self, code: u8) -> IcmpType {
        IcmpType {
            code: Some(code),
            ..self
        }
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.number
    }

    /// The one code that is meant, if not every one is.
    pub const fn code(self) -> Option<u8> {
        self.code
    }

    /// Every name, for a message.
    pub fn names() -> String {
        let names: Vec<&str> = ICMP_TYPES.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }
}

impl fmt::Display for IcmpType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            None => write!(f, "{}", self.number),
            Some(code) => write!(f, "{}/{code}", self.number),
        }
    }
}

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

/// Days of the week, the lowest bit Monday; never none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weekdays(u8);

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

impl Weekdays {
    /// Every day.
    pub const ALL: Weekdays = Weekdays(0b111_1111);

    /// Reads `mon-fri`, `sat,sun` or `Mon,Tue`; a range may go over Sunday.
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
}

impl fmt::Display for Weekdays {
    /// As iptables writes it: `Mon,Tue`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = WEEKDAYS.iter().enumerate();
        let named: Vec<&str> = days
            .filter(|(bit, _)| self.0 >> bit & 1 == 1)
            .map(|(_, name)| *name)
            .collect();
        f.write_str(&named.join(","))
    }
}

/// A part of each day, of some days of the week, in UTC as the kernel's own
/// clock counts (iptables-extensions(8), time). Seconds from midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeWindow {
    start: u32,
    stop: u32,
    days: Weekdays,
}

/// 23:59:59, which the extension takes for no end.
const LAST_SECOND: u32 = 86_399;

impl TimeWindow {
    /// From `start` to `stop`, `"08:00"` or `"08:00:30"`, the second of `stop` in
    /// it; over midnight where `stop` is before `start`. None where one is no time of day or both are the same.
    pub fn new(start: &str, stop: &str, days: Weekdays) -> Option<TimeWindow> {
        let (start, stop) = (time_of_day(start)?, time_of_day(stop)?);
        (start != stop).then_some(TimeWindow { start, stop, days })
    }

    /// Of these days, the whole day.
    pub fn on(days: Weekdays) -> TimeWindow {
        TimeWindow {
            start: 0,
            stop: LAST_SECOND,
            days,
        }
    }

    /// From the values that iptables prints, which leaves out what is no limit.
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

    /// Whether it is every second of every day.
    pub fn is_always(self) -> bool {
        (self.start, self.stop, self.days) == (0, LAST_SECOND, Weekdays::ALL)
    }

    /// Whether it goes over midnight.
    pub fn is_over_midnight(self) -> bool {
        self.stop < self.start
    }
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
    /// As iptables-save writes it.
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
            // The hours after midnight belong to the day on which it began.
            words.push("--contiguous".into());
        }
        f.write_str(&words.join(" "))
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
    fn ports() {
        assert_eq!(PortRange::parse("21", '-'), Some(PortRange::port(21)));
        assert_eq!(
            PortRange::parse("50000-50100", '-').map(|r| r.to_string()),
            Some("50000:50100".into())
        );
        for bad in ["0", "70000", "", "-", "5-", "9-5", "+5", "0-5", "a"] {
            assert_eq!(PortRange::parse(bad, '-'), None, "{bad:?}");
        }
    }

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
