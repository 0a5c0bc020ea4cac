//! `-m hl`: the IPv6 hop limit.

use super::{Extension, Match, Words};

pub(super) const HL: Extension<Match> = Extension {
    name: "hl",
    kernel_option: Some("CONFIG_NETFILTER_XT_MATCH_HL"),
    read,
};

fn read(words: &mut Words<'_>) -> Option<Match> {
    let limit = words.option("--hl-eq")?.parse().ok()?;
    Some(Match::HopLimit(limit))
}
