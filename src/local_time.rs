//! A zone's local time: how far it is ahead of UTC in the coming seasons.
//!
//! Owns how far ahead that is known, and its stored form.

use std::fmt::Write;

use crate::field::{DAY, LAST_DATE, minute, utc};
use crate::zone_data::ZoneData;

/// A date before this program was made is that of a clock that nobody has set: what a build
/// says (reproducible-builds.org, SOURCE_DATE_EPOCH), or the date of the release.
pub const BUILT: u64 = {
    let said = match option_env!("SOURCE_DATE_EPOCH") {
        Some(text) => match u64::from_str_radix(text, 10) {
            Ok(seconds) if seconds < LAST_DATE as u64 => seconds,
            _ => RELEASED,
        },
        None => RELEASED,
    };
    if said > RELEASED { said } else { RELEASED }
};
const RELEASED: u64 = 1_793_491_200;

/// The zone of hours for which the file names none; it needs no data.
pub const UTC: &str = "UTC";

/// The seasons that begin within this time are known, so that hours hold for longer than a
/// year on a box that nobody looks after.
const AHEAD: u64 = 400 * DAY;

/// They are computed anew when less than this is left of them.
const RENEWED: u64 = 300 * DAY;

/// It is told when less than this is left of them.
const TOLD: u64 = 200 * DAY;

/// The first second that the rules cannot have.
const END: u64 = LAST_DATE as u64 + 1;

/// No zone keeps an offset for less than this.
const STEP: u64 = DAY / 4;

/// The first line of the stored form.
const HEAD: &str = "camfw local time 1";

/// Gives the local time of a zone by its name, or says why not and what to do.
pub type LocalTimes<'a> = &'a dyn Fn(&str) -> Result<LocalTime, String>;

/// A time in which local time is ahead of UTC by the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Season {
    /// Its first second since 1970.
    pub from: u64,
    /// The first second after it.
    pub until: u64,
    /// In seconds; negative west of Greenwich.
    pub ahead: i32,
}

/// A zone's local time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalTime {
    /// Its name, such as `Europe/Berlin`.
    pub zone: String,
    /// One after the other, from the running one on, or from the one in which this program
    /// was built.
    pub seasons: Vec<Season>,
}

impl LocalTime {
    /// By the zone's data, at a time of the clock. What is before `built` is left out. None if
    /// they are not such data, or do not tell about that time.
    pub fn new(zone: &str, data: &[u8], now: u64, built: u64) -> Option<LocalTime> {
        let data = ZoneData::parse(data)?;
        let ahead = |second: u64| data.ahead(i64::try_from(second).ok()?);
        let now = now.max(built);
        let mut seasons = Vec::new();
        let mut from = match now < END {
            true => start(&ahead, now, built),
            false => END,
        };
        while from < END && from < now + AHEAD {
            let Some(of_season) = ahead(from) else { break };
            let until = end(&ahead, from);
            seasons.push(Season {
                from,
                until,
                ahead: of_season,
            });
            from = until;
        }
        (now >= END || !seasons.is_empty()).then(|| LocalTime {
            zone: zone.to_owned(),
            seasons,
        })
    }

    /// That of UTC. What is before `built` is left out.
    pub fn utc(built: u64) -> LocalTime {
        let all = Season {
            from: built,
            until: END,
            ahead: 0,
        };
        LocalTime {
            zone: UTC.to_owned(),
            seasons: vec![all],
        }
    }

    /// Until when it is known.
    pub fn until(&self) -> u64 {
        self.seasons.last().map_or(0, |season| season.until)
    }

    /// Its season at this time; none of a clock that nobody has set.
    pub fn season(&self, second: u64) -> Option<&Season> {
        let is_in = |season: &&Season| (season.from..season.until).contains(&second);
        self.seasons.iter().find(is_in)
    }

    /// Whether another one, computed now, is to take its place: this one ends before long, or
    /// differs from it.
    pub fn is_due(&self, new: &LocalTime, now: u64) -> bool {
        let now = now.max(BUILT);
        let until = self.until().min(new.until());
        let ends = self.until() < now + RENEWED && new.until() > self.until();
        ends || self.within(now, until) != new.within(now, until)
    }

    fn within(&self, from: u64, until: u64) -> Vec<Season> {
        let cut = self.seasons.iter().map(|season| Season {
            from: season.from.max(from),
            until: season.until.min(until),
            ahead: season.ahead,
        });
        cut.filter(|season| season.from < season.until).collect()
    }

    /// What it is now, for people.
    pub fn in_words(&self, now: u64) -> String {
        let zone = &self.zone;
        let Some(season) = self.season(now) else {
            return format!("local time of {zone}: not known at {}", utc(now));
        };
        let local = now.saturating_add_signed(season.ahead.into());
        let mut text = format!(
            "local time of {zone}: {} (UTC{}), {}",
            minute(local),
            hours(season.ahead),
            utc(now)
        );
        let later = self.seasons.iter().find(|it| it.from == season.until);
        if let Some(later) = later {
            let _ = write!(text, "; UTC{} from {}", hours(later.ahead), utc(later.from));
        }
        text
    }

    /// What is to be done about it, if anything is.
    pub fn trouble(&self, now: u64) -> Option<String> {
        let lines = "lines with when";
        match now {
            _ if now < BUILT => Some(format!(
                "the clock says {}, before this program was built: {lines} let nothing through until it is set",
                utc(now)
            )),
            _ if now + TOLD < self.until() => None,
            _ if now + TOLD >= END => Some(format!(
                "the kernel's match for times ends at {}: from then on {lines} let nothing through",
                utc(END)
            )),
            _ => Some(format!(
                "local time is computed until {}, after which {lines} let nothing through; camfw watch computes it anew, and so does camfw apply",
                utc(self.until())
            )),
        }
    }

    /// The stored form.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEAD} {}\n", self.zone);
        for Season { from, until, ahead } in &self.seasons {
            let _ = writeln!(text, "{from} {until} {ahead}");
        }
        text
    }

    /// Parses the output of `to_text`.
    pub fn from_text(text: &str) -> Option<LocalTime> {
        let (zone, rest) = text
            .strip_prefix(HEAD)?
            .strip_prefix(' ')?
            .split_once('\n')?;
        let season = |line: &str| {
            let mut words = line.split(' ');
            Some(Season {
                from: words.next()?.parse().ok()?,
                until: words.next()?.parse().ok().filter(|until| *until <= END)?,
                ahead: words.next()?.parse().ok()?,
            })
        };
        Some(LocalTime {
            zone: zone.to_owned(),
            seasons: rest.lines().map(season).collect::<Option<_>>()?,
        })
    }
}

/// How far ahead local time is, `+05:30`.
fn hours(ahead: i32) -> String {
    let sign = if ahead < 0 { '-' } else { '+' };
    let minutes = ahead.unsigned_abs() / 60;
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

/// Where the season of `now` begins, or `built`.
fn start(ahead: &impl Fn(u64) -> Option<i32>, now: u64, built: u64) -> u64 {
    let of_season = ahead(now);
    let mut same = now;
    loop {
        let before = same.saturating_sub(STEP).max(built);
        if ahead(before) != of_season {
            return change(ahead, before, same);
        }
        if before == built {
            return built;
        }
        same = before;
    }
}

/// Where the season that is running at `from` ends, or `END`.
fn end(ahead: &impl Fn(u64) -> Option<i32>, from: u64) -> u64 {
    let of_season = ahead(from);
    let mut same = from;
    while same < END {
        let next = (same + STEP).min(END);
        if ahead(next) != of_season {
            return change(ahead, same, next);
        }
        same = next;
    }
    END
}

/// The first second of what `after` is in, between two that differ.
fn change(ahead: &impl Fn(u64) -> Option<i32>, mut before: u64, mut after: u64) -> u64 {
    let new = ahead(after);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        match ahead(middle) == new {
            true => after = middle,
            false => before = middle,
        }
    }
    after
}

#[cfg(test)]
mod tests;
