//! `-m hashlimit`: a rate limit per source address.

use super::{Extension, Match, Words};
use crate::field::Rate;
use crate::name::ChainName;

pub(super) const HASHLIMIT: Extension<Match> = Extension {
    name: "hashlimit",
    kernel_option: Some("CONFIG_NETFILTER_XT_MATCH_HASHLIMIT"),
    read,
};

/// Parts of a second in which the kernel keeps this match's rate: XT_HASHLIMIT_SCALE_v2.
const TICKS: u64 = 1_000_000;

pub(super) fn print(rate: Rate, name: &ChainName) -> String {
    let rate = rate.canonical(TICKS);
    format!(
        " --hashlimit-upto {rate} --hashlimit-burst {} --hashlimit-mode srcip --hashlimit-name {name}",
        rate.burst()
    )
}

fn read(words: &mut Words<'_>) -> Option<Match> {
    let rate = Rate::parse(words.option("--hashlimit-upto")?)?;
    let burst = words.option("--hashlimit-burst")?.parse().ok()?;
    let mode = words.option("--hashlimit-mode")?;
    let name = ChainName::try_from(words.option("--hashlimit-name")?).ok()?;
    let rate = rate.with_burst(burst);
    (mode == "srcip").then_some(Match::HashlimitPerSource { rate, name })
}
