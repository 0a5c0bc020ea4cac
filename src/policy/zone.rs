//! A zone: one network on one interface, with the router's own addresses in it.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Bound, Origin};
use crate::config::Role;
use crate::name::{InterfaceName, ZoneName};
use crate::net::Device;

/// Which zone, as its place in [`Policy::zones`](super::Policy::zones).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ZoneIndex(pub(crate) usize);

/// One network, on one interface.
#[derive(Debug, Clone)]
pub struct Zone {
    /// Its name.
    pub name: ZoneName,
    /// The interface it is on.
    pub interface: InterfaceName,
    /// How the interface is found or made.
    pub device: Device,
    /// The router's own addresses in it, with their networks' prefixes; the
    /// first is the one it sends from. None where they come by DHCP.
    pub addresses: Vec<Ipv4Net>,
    /// The same of IPv6; there may be none.
    pub addresses6: Vec<Ipv6Net>,
    /// Whether IPv4 address and gateway come by DHCP.
    pub dhcp: bool,
    /// Bytes; None leaves it as it is.
    pub mtu: Option<u32>,
    /// The next router, on an external zone.
    pub gateway: Option<Ipv4Addr>,
    /// The next IPv6 router, on an external zone: in its network or link-local.
    pub gateway6: Option<Ipv6Addr>,
    /// What it is.
    pub role: Role,
    /// Whether only the cameras that are listed may send from it.
    pub known_only: bool,
    /// Whether its interface may be absent, as that of a VPN or a modem.
    pub optional: bool,
    /// How many connections it may open; None where that has no bound.
    pub bound: Option<Bound>,
    /// Networks whose sources an external zone may have although they are
    /// reserved.
    pub accept_bogons: Vec<IpNet>,
    /// Where the file defines it.
    pub origin: Origin,
}

impl Zone {
    /// Its IPv4 networks, without the router's own part of the addresses, each
    /// once.
    pub fn networks(&self) -> Vec<Ipv4Net> {
        distinct(self.addresses.iter().map(Ipv4Net::trunc))
    }

    /// Its IPv6 networks, the same way; not the link-local one.
    pub fn networks6(&self) -> Vec<Ipv6Net> {
        distinct(self.addresses6.iter().map(Ipv6Net::trunc))
    }

    /// The router's own addresses in it, of both families, IPv4 first.
    pub fn own(&self) -> impl Iterator<Item = IpNet> {
        let ipv4 = self.addresses.iter().copied().map(IpNet::V4);
        ipv4.chain(self.addresses6.iter().copied().map(IpNet::V6))
    }

    /// Whether the file has the router speak IPv6 there, beyond what the kernel
    /// does on a link of its own accord.
    pub fn has_ipv6(&self) -> bool {
        !self.addresses6.is_empty() || self.gateway6.is_some()
    }
}

/// Each once, in the order in which they first came.
pub(super) fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = Vec::new();
    for value in values {
        if !all.contains(&value) {
            all.push(value);
        }
    }
    all
}
