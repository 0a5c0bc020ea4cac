//! A connection in conntrack's table.

use std::net::IpAddr;

use crate::family::IpFamily;

/// A connection in conntrack's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrackedConnection {
    /// The host that opened it.
    pub source: IpAddr,
    /// The address that it was opened to, before any rewriting.
    pub destination: IpAddr,
    /// The protocol number.
    pub protocol: u8,
    /// The source port; for ICMP the type.
    pub from: u16,
    /// The destination port; for ICMP the code.
    pub to: u16,
    /// The host that answers, after any rewriting.
    pub reaches: IpAddr,
    /// The port that it answers from; for ICMP the code that it was opened with.
    pub reaches_port: u16,
}

impl TrackedConnection {
    /// The address family.
    pub fn family(&self) -> IpFamily {
        match self.source {
            IpAddr::V4(_) => IpFamily::V4,
            IpAddr::V6(_) => IpFamily::V6,
        }
    }
}
