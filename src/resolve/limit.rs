//! Resolves an allow line's limits: how often, how many and when.

use super::{Resolver, span_in};
use crate::config::{self, Spanned, Strings};
use crate::field::{TimeWindow, Weekdays, duration, is_time_of_day};
use crate::policy::BlockAfter;
use crate::source::{Refusal, Source};

/// The most attempts: the recent match keeps 20 time stamps for a source (ip_pkt_list_tot
/// in net/netfilter/xt_recent.c), and the attempt that is blocked counts too.
const MOST_ATTEMPTS: u8 = 19;

/// The longest time that a source is remembered: 30 days.
const LONGEST: u64 = 30 * 86_400;

/// A length of time up to [`LONGEST`], in seconds.
pub(super) fn seconds(text: &str) -> Option<u32> {
    let seconds = duration(text).filter(|seconds| *seconds <= LONGEST)?;
    u32::try_from(seconds).ok()
}

/// What to write instead of what are no days: the first three letters of their names.
fn instead_of_days(text: &str) -> String {
    let letters = |name: &str| {
        name.trim()
            .get(..3)
            .unwrap_or_default()
            .to_ascii_lowercase()
    };
    let parts = text.split(',').map(|part| {
        let ends: Vec<String> = part.split('-').map(letters).collect();
        ends.join("-")
    });
    let short = parts.collect::<Vec<_>>().join(",");
    match Weekdays::parse(&short) {
        Some(_) => format!("write {short:?}"),
        None => "write them as \"mon-fri\" or \"sat,sun\"".into(),
    }
}

/// What to write instead of what is not a time of day of this clock.
fn instead_of_time(text: &str, clock: &str) -> String {
    let lower = text.trim().to_ascii_lowercase();
    let (digits, afternoon) = match (lower.strip_suffix("am"), lower.strip_suffix("pm")) {
        (Some(digits), _) => (digits.trim(), Some(false)),
        (_, Some(digits)) => (digits.trim(), Some(true)),
        _ => (
            lower
                .trim_end_matches("utc")
                .trim_end_matches(['z', 'h'])
                .trim(),
            None,
        ),
    };
    let (hours, minutes) = digits.split_once([':', '.', 'h']).unwrap_or((digits, "0"));
    let time = hours.parse::<u32>().ok().zip(minutes.parse::<u32>().ok());
    let time = time.filter(|(hours, minutes)| *hours <= 24 && *minutes < 60);
    match (time, afternoon) {
        (Some((24, 0)), None) => "write \"23:59:59\" for the end of the day".into(),
        (Some((hours @ 1..=12, minutes)), Some(afternoon)) => {
            let hours = hours % 12 + if afternoon { 12 } else { 0 };
            format!("write it as \"{hours:02}:{minutes:02}\", in {clock}")
        }
        (Some((hours @ 0..=23, minutes)), None) => {
            format!("write it as \"{hours:02}:{minutes:02}\", in {clock}")
        }
        _ => format!("write it as \"08:00\", in {clock}"),
    }
}

/// Checks the limit on open connections.
pub(super) fn connections(written: &Spanned<i64>, source: &Source) -> Result<u32, Refusal> {
    u32::try_from(*written.get_ref())
        .ok()
        .filter(|most| (1..=65535).contains(most))
        .ok_or_else(|| {
            source.refuse(
                written.span(),
                format_args!(
                    "{} is not a number of connections; use 1 to 65535",
                    written.get_ref()
                ),
            )
        })
}

impl Resolver<'_> {
    pub(super) fn block_after(
        &self,
        written: &config::BlockAfterEntry,
    ) -> Result<BlockAfter, Refusal> {
        let attempts = u8::try_from(*written.attempts.get_ref())
            .ok()
            .filter(|attempts| (1..=MOST_ATTEMPTS).contains(attempts))
            .ok_or_else(|| {
                self.source.refuse(
                    written.attempts.span(),
                    format_args!(
                        "{} is not a number of attempts; use 1 to {MOST_ATTEMPTS}",
                        written.attempts.get_ref()
                    ),
                )
            })?;
        let within = seconds(written.within.get_ref()).filter(|seconds| *seconds > 0);
        let within = within.ok_or_else(|| {
            self.source.refuse(
                written.within.span(),
                format_args!(
                    "{:?} is not a length of time; write it as \"10 minutes\": seconds, minutes, hours or days, 30 days at most",
                    written.within.get_ref()
                ),
            )
        })?;
        Ok(BlockAfter { attempts, within })
    }

    fn days(&self, written: &Spanned<Strings>) -> Result<Weekdays, Refusal> {
        let mut all: Option<Weekdays> = None;
        for days in &written.get_ref().0 {
            let span = span_in(days, written.span());
            let days = Weekdays::parse(days.get_ref()).ok_or_else(|| {
                self.source.refuse(
                    span,
                    format_args!(
                        "{:?} is not a list of days; {}",
                        days.get_ref(),
                        instead_of_days(days.get_ref())
                    ),
                )
            })?;
            all = Some(all.map_or(days, |all| all.union(days)));
        }
        all.ok_or_else(|| {
            self.source.refuse(
                written.span(),
                "the list is empty, which would mean never; name a day or remove the key",
            )
        })
    }

    pub(super) fn when(&self, written: &Spanned<config::WhenEntry>) -> Result<TimeWindow, Refusal> {
        let config::WhenEntry { from, to, days } = written.get_ref();
        let days = match days {
            None => None,
            Some(days) => Some(self.days(days)?),
        };
        match (from, to, days) {
            (Some(from), Some(to), days) => {
                let days = days.unwrap_or(Weekdays::ALL);
                let clock = match self.has_timezone {
                    true => "local time",
                    false => "UTC",
                };
                for time in [from, to] {
                    if !is_time_of_day(time.get_ref()) {
                        return Err(self.source.refuse(
                            time.span(),
                            format_args!(
                                "{:?} is not a time of day; {}",
                                time.get_ref(),
                                instead_of_time(time.get_ref(), clock)
                            ),
                        ));
                    }
                }
                TimeWindow::new(from.get_ref(), to.get_ref(), days).ok_or_else(|| {
                    self.source.refuse(
                        to.span(),
                        "from and to are the same time; give two, or days alone for whole days",
                    )
                })
            }
            (None, None, Some(days)) => Ok(TimeWindow::on(days)),
            _ => Err(self.source.refuse(
                written.span(),
                "a time has from and to, or days, or all three; add what is missing",
            )),
        }
    }
}
