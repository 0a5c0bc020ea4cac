//! A connection as conntrack has it.

use std::net::IpAddr;

use crate::family::IpFamily;

/// A connection as conntrack has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrackedConnection {
    /// Who opened it.
    pub source: IpAddr,
    /// Whom it was opened to, before any rewriting.
    pub destination: IpAddr,
    /// Protocol number.
    pub protocol: u8,
    /// Source port; for ICMP the type.
    pub from: u16,
    /// Destination port; for ICMP the code.
    pub to: u16,
    /// Whom it reaches: who answers.
    pub reaches: IpAddr,
}

impl TrackedConnection {
    /// Which family.
    pub fn family(&self) -> IpFamily {
        match self.source {
            IpAddr::V4(_) => IpFamily::V4,
            IpAddr::V6(_) => IpFamily::V6,
        }
    }
}
