//! The data of a time zone: TZif of version 2 and later (RFC 9636).
//!
//! Owns how far local time is ahead of UTC at a second. Of what has to do with leap seconds,
//! names and what is daylight saving time nothing is looked at.

use crate::field;

const DAY: i64 = field::DAY as i64;

/// A zone's transitions, and the rule for what comes after them.
#[derive(Debug)]
pub struct ZoneData {
    /// Before the first transition.
    first: i32,
    /// When each begins, and how far ahead local time is from then on.
    transitions: Vec<(i64, i32)>,
    rule: Option<ZoneRule>,
}

/// A POSIX TZ string: `CET-1CEST,M3.5.0,M10.5.0/3`.
#[derive(Debug)]
struct ZoneRule {
    standard: i32,
    summer: Option<Summer>,
}

#[derive(Debug)]
struct Summer {
    ahead: i32,
    start: YearDay,
    end: YearDay,
}

/// A day of each year, with a time of day that may be of another day.
#[derive(Debug)]
struct YearDay {
    day: DayRule,
    time: i32,
}

#[derive(Debug)]
enum DayRule {
    /// From 1 to 365; 29 February is never counted.
    Julian(i64),
    /// From 0 to 365.
    Ordinal(i64),
    /// Month, week and day of the week; week 5 is the last.
    Month(i64, i64, i64),
}

impl ZoneData {
    /// Parses a zone's file; None if it is none of version 2 or later.
    pub fn parse(data: &[u8]) -> Option<ZoneData> {
        let mut data = Bytes(data);
        let first = data.header()?;
        data.take(first.block(4)?)?;
        let counts = data.header()?;
        let times = data.take(counts.times.checked_mul(8)?)?;
        let kinds = data.take(counts.times)?;
        let types = data.take(counts.types.checked_mul(6)?)?;
        data.take(counts.after(8)?)?;
        let ahead = |kind: u8| {
            let at = usize::from(kind) * 6;
            Some(i32::from_be_bytes(types.get(at..at + 4)?.try_into().ok()?))
        };
        let mut transitions = Vec::new();
        for (time, kind) in times.chunks_exact(8).zip(kinds) {
            let time = i64::from_be_bytes(time.try_into().ok()?);
            transitions.push((time, ahead(*kind)?));
        }
        let rule = std::str::from_utf8(data.0).ok()?;
        let rule = rule.strip_prefix('\n')?.strip_suffix('\n')?;
        Some(ZoneData {
            first: ahead(0)?,
            rule: match rule {
                "" => None,
                rule => Some(ZoneRule::parse(rule)?),
            },
            transitions,
        })
    }

    /// How far ahead of UTC local time is, in seconds; None if that is not told.
    pub fn ahead(&self, second: i64) -> Option<i32> {
        let before = self.transitions.partition_point(|it| it.0 <= second);
        match (before.checked_sub(1), &self.rule) {
            (_, Some(rule)) if before == self.transitions.len() => Some(rule.ahead(second)),
            (None, _) => Some(self.first),
            (Some(_), None) if before == self.transitions.len() => None,
            (Some(last), _) => Some(self.transitions[last].1),
        }
    }
}

impl ZoneRule {
    fn parse(text: &str) -> Option<ZoneRule> {
        let mut text = RuleText(text);
        text.name()?;
        let standard = -text.time()?;
        if text.0.is_empty() {
            return Some(ZoneRule {
                standard,
                summer: None,
            });
        }
        text.name()?;
        let ahead = match text.0.starts_with(',') {
            true => standard + 3600,
            false => -text.time()?,
        };
        let (start, end) = (text.day()?, text.day()?);
        text.0.is_empty().then_some(ZoneRule {
            standard,
            summer: Some(Summer { ahead, start, end }),
        })
    }

    fn ahead(&self, second: i64) -> i32 {
        let Some(Summer { ahead, start, end }) = &self.summer else {
            return self.standard;
        };
        let year = year_of((second + i64::from(self.standard)).div_euclid(DAY));
        // A change may be before or after its own year in UTC.
        for year in [year + 1, year, year - 1] {
            let start = start.second(year) - i64::from(self.standard);
            let end = end.second(year) - i64::from(*ahead);
            let mut changes = [(start, *ahead), (end, self.standard)];
            changes.sort_unstable();
            let last = changes.iter().rev().find(|(at, _)| *at <= second);
            if let Some((_, ahead)) = last {
                return *ahead;
            }
        }
        self.standard
    }
}

impl YearDay {
    /// In local time, as seconds since 1970.
    fn second(&self, year: i64) -> i64 {
        let first = days_before(year);
        let is_leap = days_before(year + 1) - first == 366;
        let day = match self.day {
            DayRule::Julian(day) => day - 1 + i64::from(is_leap && day > 59),
            DayRule::Ordinal(day) => day,
            DayRule::Month(month, week, weekday) => {
                let feb = 28 + i64::from(is_leap);
                let lengths = [31, feb, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
                let before: i64 = lengths.iter().take(month as usize - 1).sum();
                // 1970 began on a Thursday; Sunday is 0.
                let of_first = (first + before + 4).rem_euclid(7);
                let day = (weekday - of_first).rem_euclid(7) + 7 * (week - 1);
                let over = day >= lengths[month as usize - 1];
                before + day - if over { 7 } else { 0 }
            }
        };
        (first + day) * DAY + i64::from(self.time)
    }
}

/// The days between 1970 and a year.
fn days_before(year: i64) -> i64 {
    let past = year - 1;
    let leap = |year: i64| year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    (year - 1970) * 365 + leap(past) - leap(1969)
}

/// The year of a day since 1970.
fn year_of(day: i64) -> i64 {
    let near = 1970 + day.div_euclid(365);
    let mut year = near;
    while days_before(year) > day {
        year -= 1;
    }
    year
}

/// What is left of a file.
struct Bytes<'a>(&'a [u8]);

/// How many of each there are in a block.
struct Counts {
    others: [usize; 3],
    times: usize,
    types: usize,
    chars: usize,
}

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn header(&mut self) -> Option<Counts> {
        let start = self.take(20)?;
        let is_known = start.starts_with(b"TZif") && start[4] >= b'2';
        let mut count = || {
            let bytes = self.take(4)?.try_into().ok()?;
            usize::try_from(u32::from_be_bytes(bytes)).ok()
        };
        let counts = Counts {
            others: [count()?, count()?, count()?],
            times: count()?,
            types: count()?,
            chars: count()?,
        };
        is_known.then_some(counts)
    }
}

impl Counts {
    /// The bytes of a block whose times have so many.
    fn block(&self, of_time: usize) -> Option<usize> {
        let times = self.times.checked_mul(of_time + 1)?;
        let types = self.types.checked_mul(6)?;
        times.checked_add(types)?.checked_add(self.after(of_time)?)
    }

    /// Those after the types: names, leap seconds and two sets of flags.
    fn after(&self, of_time: usize) -> Option<usize> {
        let [universal, standard, leap] = self.others;
        let leap = leap.checked_mul(of_time + 4)?;
        let flags = universal.checked_add(standard)?;
        self.chars.checked_add(leap)?.checked_add(flags)
    }
}

/// What is left of a rule.
struct RuleText<'a>(&'a str);

impl RuleText<'_> {
    fn skip(&mut self, start: char) -> bool {
        let rest = self.0.strip_prefix(start);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn name(&mut self) -> Option<()> {
        let end = match self.skip('<') {
            true => self.0.find('>')? + 1,
            false => self
                .0
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(self.0.len()),
        };
        self.0 = &self.0[end..];
        (end > 0).then_some(())
    }

    fn number(&mut self, most: i64) -> Option<i64> {
        let end = self
            .0
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        digits.parse().ok().filter(|number| *number <= most)
    }

    /// Hours, minutes and seconds, up to a week.
    fn time(&mut self) -> Option<i32> {
        let is_negative = self.skip('-');
        if !is_negative {
            self.skip('+');
        }
        let mut seconds = self.number(167)? * 3600;
        for unit in [60, 1] {
            if self.skip(':') {
                seconds += self.number(59)? * unit;
            }
        }
        let seconds = i32::try_from(seconds).ok()?;
        Some(if is_negative { -seconds } else { seconds })
    }

    fn day(&mut self) -> Option<YearDay> {
        if !self.skip(',') {
            return None;
        }
        let day = if self.skip('M') {
            let month = self.number(12).filter(|it| *it > 0)?;
            let week = (self.skip('.').then(|| self.number(5))?).filter(|it| *it > 0)?;
            let weekday = self.skip('.').then(|| self.number(6))??;
            DayRule::Month(month, week, weekday)
        } else if self.skip('J') {
            DayRule::Julian(self.number(365).filter(|it| *it > 0)?)
        } else {
            DayRule::Ordinal(self.number(365)?)
        };
        let time = match self.skip('/') {
            true => self.time()?,
            false => 7200,
        };
        Some(YearDay { day, time })
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use tz::TimeZone;

    use super::*;

    /// A zone of version 3 with a rule alone, as `zic -b slim` writes one that had no other.
    fn with_rule(rule: &str) -> Vec<u8> {
        let mut header = b"TZif3".to_vec();
        header.extend([0; 15 + 16]);
        header.extend([0, 0, 0, 1, 0, 0, 0, 4]);
        let block = b"\0\0\0\0\0\0UTC\0".to_vec();
        let footer = format!("\n{rule}\n").into_bytes();
        [header.clone(), block.clone(), header, block, footer].concat()
    }

    #[test]
    fn rules_are_what_the_library_says() -> Result<(), Box<dyn Error>> {
        for rule in [
            "CET-1CEST,M3.5.0,M10.5.0/3",
            "IST-1GMT0,M10.5.0,M3.5.0/1",
            "<-03>3<-02>,M3.5.0/-2,M10.5.0/-1",
            "EET-2EEST,J59,J300/25:30:10",
            "EST5EDT,0/3,364/-20",
            "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
            "IST-5:30",
        ] {
            let data = with_rule(rule);
            let library = TimeZone::from_tz_data(&data)?;
            let ours = ZoneData::parse(&data).ok_or(rule)?;
            for second in (1_700_000_000..5_000_000_000).step_by(10_007) {
                let ahead = library.find_local_time_type(second)?.ut_offset();
                assert_eq!(ours.ahead(second), Some(ahead), "{rule} at {second}");
            }
            for end in 0..data.len() {
                assert!(ZoneData::parse(&data[..end]).is_none(), "cut off at {end}");
            }
        }
        Ok(())
    }

    #[test]
    fn what_is_no_rule_is_no_zone() {
        for rule in [
            "1",
            "<A",
            "A168",
            "A1:60",
            "A1B,M13.1.0,M1.1.0",
            "A1B,M1.6.0,M1.1.0",
            "A1B,M1.1.7,M1.1.0",
            "A1B,J0,J1",
            "A1B,366,1",
            "A1B",
            "A1B,J1",
            "A1B,J1,J2,",
            "A1 ",
            "A1B,M0.1.0,M1.1.0",
            "A99999999999999999999",
            "\u{e9}1",
        ] {
            assert!(ZoneData::parse(&with_rule(rule)).is_none(), "{rule}");
        }
        assert!(ZoneData::parse(&with_rule("A1")).is_some());
        // Sizes that no file has.
        let mut large = with_rule("A1");
        large[20..44].fill(0xff);
        assert!(ZoneData::parse(&large).is_none());
    }
}
