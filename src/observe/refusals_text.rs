//! The record of what was refused as text, as it is stored.
//!
//! Owns the format: a line of the version, what was given up, what was lost, the number of
//! entries, and day and count of each day with packets; then for each entry a line of zone, reason, source, hardware address,
//! destination, protocol, port, count, first and last.

use std::fmt::Write;
use std::str::FromStr;

use super::attempt::Attempt;
use super::refusals::{Refusals, RefusedAttempt};
use crate::name::MacAddress;

const VERSION: u64 = 1;

impl Refusals {
    /// The record as it is stored.
    pub(crate) fn to_text(&self) -> String {
        let all = self.all();
        let mut text = format!("{VERSION} {} {} {}", self.given_up, self.lost, all.len());
        for (day, count) in self.days() {
            let _ = write!(text, " {day} {count}");
        }
        text.push('\n');
        for refused in all {
            let attempt = &refused.attempt;
            let _ = write!(text, "{} {} ", attempt.tag, attempt.source);
            let _ = match refused.hardware {
                Some(hardware) => write!(text, "{hardware}"),
                None => write!(text, "{NONE}"),
            };
            let _ = writeln!(
                text,
                " {} {} {} {} {} {}",
                attempt.destination,
                attempt.protocol,
                attempt.port,
                refused.count,
                refused.first,
                refused.last
            );
        }
        text
    }

    /// Reads a stored record.
    pub(crate) fn parse(text: &str) -> Result<Refusals, NotRefusals> {
        let mut lines = text.split_terminator('\n');
        let mut head = lines.next().unwrap_or_default().split(' ');
        let version = number(head.next()).ok_or(NotRefusals::Torn)?;
        if version != VERSION {
            return Err(NotRefusals::Version(version));
        }
        let mut refusals = Refusals::default();
        refusals.given_up = number(head.next()).ok_or(NotRefusals::Torn)?;
        refusals.lost = number(head.next()).ok_or(NotRefusals::Torn)?;
        let mut left: usize = number(head.next()).ok_or(NotRefusals::Torn)?;
        // A record from before days were counted ends here.
        while let Some(day) = head.next() {
            let day = day.parse().map_err(|_| NotRefusals::Torn)?;
            let count = number(head.next()).ok_or(NotRefusals::Torn)?;
            refusals.count_day(day, count);
        }
        for line in lines {
            refusals.insert(&entry(line).ok_or(NotRefusals::Torn)?);
            left = left.checked_sub(1).ok_or(NotRefusals::Torn)?;
        }
        if left > 0 || !text.ends_with('\n') {
            return Err(NotRefusals::Torn);
        }
        refusals.begin_to_tell();
        Ok(refusals)
    }
}

/// In place of a hardware address that is not known.
pub(super) const NONE: &str = "-";

pub(super) fn number<T: FromStr>(text: Option<&str>) -> Option<T> {
    text?.parse().ok()
}

fn entry(line: &str) -> Option<RefusedAttempt> {
    let (tag, rest) = line
        .match_indices(' ')
        .nth(1)
        .and_then(|(second, _)| Some((line.get(..second)?, line.get(second + 1..)?)))?;
    let mut words = rest.split(' ');
    let mut next = || words.next();
    let source = number(next())?;
    let hardware = match next()? {
        NONE => None,
        text => Some(hardware_address(text)?),
    };
    Some(RefusedAttempt {
        attempt: Attempt {
            tag: tag.parse().ok()?,
            source,
            destination: number(next())?,
            protocol: number(next())?,
            port: number(next())?,
        },
        hardware,
        count: number(next())?,
        first: number(next())?,
        last: number(next())?,
    })
}

/// Six bytes. A sender may have an address that no device has, which the file could not
/// name.
pub(super) fn hardware_address(text: &str) -> Option<MacAddress> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    Some(MacAddress::from(bytes))
}

/// Why a stored record cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRefusals {
    #[error("it is torn")]
    Torn,
    #[error("it has version {0}, not {VERSION}")]
    Version(u64),
}

#[cfg(test)]
mod tests {
    use super::super::attempt::an_attempt as attempt;
    use super::*;

    #[test]
    fn a_record_is_read_back_as_it_was_written() -> Result<(), Box<dyn std::error::Error>> {
        let mut refusals = Refusals::default();
        let hardware = Some(MacAddress::from([0xff; 6]));
        for to in 0..3 {
            let spoofed = attempt("spoofed", [9, 9, 9, 9], to).ok_or("an attempt")?;
            refusals.add(&spoofed, hardware, 7);
            let other = attempt("not-allowed", [192, 168, 8, 9], to).ok_or("an attempt")?;
            refusals.add(&other, None, 8);
        }
        let text = refusals.to_text();
        let again = Refusals::parse(&text)?;
        assert_eq!(again.all(), refusals.all());
        assert_eq!(again.days(), [(0, 6)]);
        // A record from before days were counted.
        let before = Refusals::parse(&text.replacen(" 6 0 6\n", " 6\n", 1))?;
        assert_eq!((before.all(), before.days()), (refusals.all(), &[] as &[_]));
        assert!(again.all().iter().all(|it| again.count_of(it) == 1));
        let cut = text.trim_end_matches('\n');
        let (most, _) = cut.rsplit_once('\n').ok_or("lines")?;
        for torn in [
            String::new(),
            cut.to_owned(),
            format!("{most}\n"),
            text.replacen("1 ", "2 ", 1),
            text.replacen(" 6 0 6\n", " 7 0 6\n", 1),
            text.replacen(" 6 0 6\n", " 6 0\n", 1),
            text.replace("camera", "Camera"),
            format!("{text}{text}"),
        ] {
            assert!(Refusals::parse(&torn).is_err(), "{torn}");
        }
        Ok(())
    }
}
