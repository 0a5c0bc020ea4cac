//! The hours of lines, for people: as the file has them, and in UTC.

use std::fmt::Write;

use super::Policy;
use crate::field::{LAST_DATE, TimeWindow, utc};
use crate::local_time::UTC;

/// The most lines that are told of; others have the same hours, or are seen in the rules.
const MOST: usize = 20;

/// What local time is now, and what the hours of lines are in UTC now and after the coming
/// change; nothing if they are in UTC.
pub(crate) fn told_hours(policy: &Policy, now: u64) -> Vec<String> {
    let Some(local) = policy.local_time.as_ref().filter(|it| it.zone != UTC) else {
        return Vec::new();
    };
    let mut told = vec![local.in_words(now)];
    let mut known: Vec<TimeWindow> = Vec::new();
    for allow in &policy.allows {
        let Some(when) = allow.when.filter(|when| !known.contains(when)) else {
            continue;
        };
        known.push(when);
        let mut text = format!("{}: {} is ", allow.origin, when.in_words());
        let seasons = local.seasons.iter().filter(|it| now < it.until).take(2);
        for (place, season) in seasons.enumerate() {
            if place > 0 {
                let _ = write!(text, ", and from {} ", utc(season.from));
            }
            let in_utc = when.in_utc(season.ahead, (0, LAST_DATE));
            let _ = write!(text, "{} UTC", in_utc.in_words());
        }
        told.push(text);
        if told.len() > MOST {
            break;
        }
    }
    told
}

/// Why lines with hours of local time let nothing through now or before long.
pub(crate) fn hours_trouble(policy: &Policy, now: u64) -> Option<String> {
    let mut lines = policy.allows.iter();
    let has_hours = lines.any(|allow| allow.when.is_some());
    let local = policy.local_time.as_ref().filter(|_| has_hours);
    local.and_then(|local| local.trouble(now))
}
