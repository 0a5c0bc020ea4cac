//! Resolves an allow line's limits: how often, how many and when.

use toml::Spanned;

use super::{Resolver, span_in};
use crate::config::{self, Strings};
use crate::field::{TimeWindow, Weekdays, duration};
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
                        "{:?} are not days; write them as \"mon-fri\" or \"sat,sun\"",
                        days.get_ref()
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
                TimeWindow::new(from.get_ref(), to.get_ref(), days).ok_or_else(|| {
                    self.source.refuse(
                        from.span(),
                        format_args!(
                            "{:?} to {:?} is no part of a day; write it as from = \"08:00\", to = \"18:00\", in UTC",
                            from.get_ref(),
                            to.get_ref()
                        ),
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
