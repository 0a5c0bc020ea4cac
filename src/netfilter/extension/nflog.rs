//! `-j NFLOG`: passes the start of a packet to a program, by netlink.

use super::words::quoted;
use super::{Extension, Target, Words};
use crate::name::LogPrefix;

pub(super) const NFLOG: Extension<Target> = Extension {
    name: "NFLOG",
    kernel_option: Some("CONFIG_NETFILTER_XT_TARGET_NFLOG"),
    read,
};

/// The group that camfw listens to. ulogd's examples use 0 to 32.
pub const NFLOG_GROUP: u16 = 8677;

/// How much of a packet is passed on, in bytes: the headers, with room for IPv6 extension
/// headers.
const SIZE: u32 = 128;

pub(super) fn print(prefix: &LogPrefix) -> String {
    let prefix = quoted(prefix.as_str());
    format!(" --nflog-prefix {prefix} --nflog-group {NFLOG_GROUP} --nflog-size {SIZE}")
}

fn read(words: &mut Words<'_>) -> Option<Target> {
    let prefix = LogPrefix::try_from(words.option("--nflog-prefix")?).ok()?;
    let group: u16 = words.option("--nflog-group")?.parse().ok()?;
    let size: u32 = words.option("--nflog-size")?.parse().ok()?;
    (group == NFLOG_GROUP && size == SIZE).then_some(Target::Nflog(prefix))
}
