//! `-m connlimit`: the number of open connections, per source address or in total.

use super::{Extension, Match, Words};
use crate::family::IpFamily;

pub(super) const CONNLIMIT: Extension<Match> = Extension {
    name: "connlimit",
    kernel_option: Some("CONFIG_NETFILTER_XT_MATCH_CONNLIMIT"),
    read,
};

/// Which connections are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountedTogether {
    /// Those of one source address. The family determines how the mask is written.
    Source(IpFamily),
    /// All connections.
    All,
}

pub(super) fn print(most: u32, of: CountedTogether) -> String {
    let mask = match of {
        CountedTogether::Source(IpFamily::V4) => 32,
        CountedTogether::Source(IpFamily::V6) => 128,
        CountedTogether::All => 0,
    };
    format!(" --connlimit-upto {most} --connlimit-mask {mask} --connlimit-saddr")
}

fn read(words: &mut Words<'_>) -> Option<Match> {
    let most = words.option("--connlimit-upto")?.parse().ok()?;
    let of = match words.option("--connlimit-mask")? {
        "32" => CountedTogether::Source(IpFamily::V4),
        "128" => CountedTogether::Source(IpFamily::V6),
        "0" => CountedTogether::All,
        _ => return None,
    };
    words.next_if_eq("--connlimit-saddr")?;
    Some(Match::OpenConnections { most, of })
}
