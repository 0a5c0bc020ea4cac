//! `-m udp`: ports.

use super::{Extension, Match, Words};

pub(super) const UDP: Extension<Match> = Extension {
    name: "udp",
    kernel_option: None,
    read,
};

fn read(words: &mut Words<'_>) -> Option<Match> {
    Some(Match::Udp {
        sport: words.ports("--sport")?,
        dport: words.ports("--dport")?,
    })
}
