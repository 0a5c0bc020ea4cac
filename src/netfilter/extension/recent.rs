//! `-m recent`: a list of source addresses that the kernel maintains.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Extension, Match, Words};
use crate::family::IpFamily;
use crate::name::ChainName;

/// What a `recent` match does with its list of source addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecentCheck {
    /// Adds the address to the list; always matches.
    Set(IpFamily),
    /// Matches if the address was seen this often within this many seconds, and then
    /// records that it was seen again.
    Update {
        /// The time, in seconds.
        seconds: u32,
        /// How often it must have been seen.
        hits: u8,
        /// The family, which determines how the mask is written.
        family: IpFamily,
    },
}

pub(super) const RECENT: Extension<Match> = Extension {
    name: "recent",
    kernel_option: Some("CONFIG_NETFILTER_XT_MATCH_RECENT"),
    read,
};

pub(super) fn print(check: RecentCheck, name: &ChainName) -> String {
    let (what, family) = match check {
        RecentCheck::Set(family) => ("--set".into(), family),
        RecentCheck::Update {
            seconds,
            hits,
            family,
        } => (
            format!("--update --seconds {seconds} --hitcount {hits}"),
            family,
        ),
    };
    let mask: IpAddr = match family {
        IpFamily::V4 => Ipv4Addr::BROADCAST.into(),
        IpFamily::V6 => Ipv6Addr::from(u128::MAX).into(),
    };
    format!(" {what} --name {name} --mask {mask} --rsource")
}

fn read(words: &mut Words<'_>) -> Option<Match> {
    let update = words.next_if_eq("--set").is_none();
    let (mut seconds, mut hits) = (0, 0);
    if update {
        words.next_if_eq("--update")?;
        seconds = words.option("--seconds")?.parse().ok()?;
        hits = words.option("--hitcount")?.parse().ok()?;
    }
    let name = ChainName::try_from(words.option("--name")?).ok()?;
    let family = family_of_mask(words.option("--mask")?)?;
    words.next_if_eq("--rsource")?;
    let check = match update {
        false => RecentCheck::Set(family),
        true => RecentCheck::Update {
            seconds,
            hits,
            family,
        },
    };
    Some(Match::Recent { check, name })
}

/// The family of a mask that covers the whole address.
fn family_of_mask(text: &str) -> Option<IpFamily> {
    match text.parse().ok()? {
        IpAddr::V4(mask) => (mask == Ipv4Addr::BROADCAST).then_some(IpFamily::V4),
        IpAddr::V6(mask) => (u128::from(mask) == u128::MAX).then_some(IpFamily::V6),
    }
}
