//! `-m mac`: the source hardware address.

use super::{Extension, Match, Words};
use crate::name::MacAddress;

pub(super) const MAC: Extension<Match> = Extension {
    name: "mac",
    kernel_option: Some("CONFIG_NETFILTER_XT_MATCH_MAC"),
    read,
};

fn read(words: &mut Words<'_>) -> Option<Match> {
    let address = |text: &str, _: &mut Words<'_>| MacAddress::try_from(text).ok();
    words.negatable("--mac-source", address)?.map(Match::Mac)
}
