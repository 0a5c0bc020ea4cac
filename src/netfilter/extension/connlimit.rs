//! `-m connlimit`: how many connections of one source address are open.

use super::{Extension, Match, Words};
use crate::family::IpFamily;

pub(super) const CONNLIMIT: Extension<Match> = Extension {
    name: "connlimit",
    kernel_option: Some("CONFIG_NETFILTER_XT_MATCH_CONNLIMIT"),
    read,
};

pub(super) fn print(most: u32, family: IpFamily) -> String {
    let mask = match family {
        IpFamily::V4 => 32,
        IpFamily::V6 => 128,
    };
    format!(" --connlimit-upto {most} --connlimit-mask {mask} --connlimit-saddr")
}

fn read(words: &mut Words<'_>) -> Option<Match> {
    let most = words.option("--connlimit-upto")?.parse().ok()?;
    let family = match words.option("--connlimit-mask")? {
        "32" => IpFamily::V4,
        "128" => IpFamily::V6,
        _ => return None,
    };
    words.next_if_eq("--connlimit-saddr")?;
    Some(Match::ConnectionsPerSource { most, family })
}
