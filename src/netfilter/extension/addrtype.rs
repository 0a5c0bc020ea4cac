//! `-m addrtype`: only the forms that match packets to one of this host's addresses, on the
//! incoming interface or on any.

use super::{Extension, Match, Words};

pub(super) const ADDRTYPE: Extension<Match> = Extension {
    name: "addrtype",
    kernel_option: Some("CONFIG_NETFILTER_XT_MATCH_ADDRTYPE"),
    read,
};

pub(super) const ON_ANY_INTERFACE: &str = " --dst-type LOCAL";

pub(super) const OPTIONS: &str = " --dst-type LOCAL --limit-iface-in";

fn read(words: &mut Words<'_>) -> Option<Match> {
    for word in ON_ANY_INTERFACE.split_whitespace() {
        words.next_if_eq(word)?;
    }
    if words.next_if_eq("--limit-iface-in").is_some() {
        return Some(Match::OwnAddress);
    }
    // Another option of it follows, which is unknown here.
    let mut ahead = *words;
    ahead.next_if_eq("!");
    let goes_on = ahead.peek().is_some_and(|word| word.starts_with("--"));
    (!goes_on).then_some(Match::AnyOwnAddress)
}
