//! `-m helper`: connections that this conntrack helper expected.

use super::{Extension, Match, Words};
use crate::name::ServiceName;

pub(super) const HELPER: Extension<Match> = Extension {
    name: "helper",
    kernel_option: Some("CONFIG_NETFILTER_XT_MATCH_HELPER"),
    read,
};

fn read(words: &mut Words<'_>) -> Option<Match> {
    let helper = ServiceName::try_from(words.option("--helper")?).ok()?;
    Some(Match::ExpectedBy(helper))
}
