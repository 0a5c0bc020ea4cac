//! `-m limit`: a rate limit for all sources together.

use super::{Extension, Match, Words};
use crate::field::Rate;

pub(super) const LIMIT: Extension<Match> = Extension {
    name: "limit",
    kernel_option: Some("CONFIG_NETFILTER_XT_MATCH_LIMIT"),
    read,
};

/// Parts of a second in which the kernel keeps this match's rate: XT_LIMIT_SCALE.
const TICKS: u64 = 10_000;

pub(super) fn print(rate: Rate) -> String {
    let rate = rate.canonical(TICKS);
    // The default burst is not printed.
    match rate.burst() {
        Rate::BURST => format!(" --limit {rate}"),
        burst => format!(" --limit {rate} --limit-burst {burst}"),
    }
}

fn read(words: &mut Words<'_>) -> Option<Match> {
    let rate = Rate::parse(words.option("--limit")?)?;
    let burst = words.option("--limit-burst");
    let burst = burst.map_or(Some(Rate::BURST), |burst| burst.parse().ok())?;
    Some(Match::Limit(rate.with_burst(burst)))
}
