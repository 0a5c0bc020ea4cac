//! Who is where on a link, as the kernel is told: permanent neighbour entries, and the
//! forwarding entries of bridges.

use std::fmt;
use std::net::IpAddr;

use crate::name::MacAddress;

/// A permanent neighbour entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Neighbour {
    /// The IP address.
    pub address: IpAddr,
    /// The hardware address.
    pub mac: MacAddress,
    /// The link it is on.
    pub link: String,
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "neighbour {} is {} on {}",
            self.address, self.mac, self.link
        )
    }
}

/// An entry of a bridge's forwarding database: which port a hardware address is on. A locked
/// port drops the frames of every other source (Documentation/networking/bridge.rst).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ForwardingEntry {
    /// The hardware address.
    pub mac: MacAddress,
    /// The port.
    pub port: String,
    /// The bridge.
    pub bridge: String,
}

impl fmt::Display for ForwardingEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ForwardingEntry { mac, port, bridge } = self;
        write!(f, "hardware address {mac} is on port {port} of {bridge}")
    }
}
