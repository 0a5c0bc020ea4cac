//! `-m addrtype`: only the form that matches packets to one of this host's addresses on the
//! incoming interface.

use super::{Extension, Match, Words};

pub(super) const ADDRTYPE: Extension<Match> = Extension {
    name: "addrtype",
    kernel_option: Some("CONFIG_NETFILTER_XT_MATCH_ADDRTYPE"),
    read,
};

pub(super) const OPTIONS: &str = " --dst-type LOCAL --limit-iface-in";

fn read(words: &mut Words<'_>) -> Option<Match> {
    for word in OPTIONS.split_whitespace() {
        words.next_if_eq(word)?;
    }
    Some(Match::OwnAddress)
}
