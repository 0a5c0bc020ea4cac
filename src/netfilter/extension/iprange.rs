//! `-m iprange`: a range of addresses.

use std::net::IpAddr;

use super::words::not;
use super::{Extension, Match, Negatable, Words};

pub(super) const IPRANGE: Extension<Match> = Extension {
    name: "iprange",
    kernel_option: Some("CONFIG_NETFILTER_XT_MATCH_IPRANGE"),
    read,
};

type Range = Option<Negatable<(IpAddr, IpAddr)>>;

/// Ranges of addresses: beside each other far larger than any other match, and in none of
/// camfw's own rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressRanges {
    /// The first and the last source address.
    pub source: Option<Negatable<(IpAddr, IpAddr)>>,
    /// The first and the last destination address.
    pub destination: Option<Negatable<(IpAddr, IpAddr)>>,
}

pub(super) fn print(source: Range, destination: Range) -> String {
    let mut text = String::new();
    for (option, range) in [("--src-range", source), ("--dst-range", destination)] {
        if let Some(Negatable { negated, value }) = range {
            let (first, last) = value;
            text += &format!(" {}{option} {first}-{last}", not(negated));
        }
    }
    text
}

fn read(words: &mut Words<'_>) -> Option<Match> {
    let range = |text: &str, _: &mut Words<'_>| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    Some(Match::Addresses(Box::new(AddressRanges {
        source: words.negatable("--src-range", range)?,
        destination: words.negatable("--dst-range", range)?,
    })))
}
