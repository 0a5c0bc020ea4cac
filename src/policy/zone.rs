//! Zones: a network on one interface, with the router's own addresses in it.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Bound, OnDeny, Origin};
use crate::config::Role;
use crate::name::{InterfaceName, ZoneName};
use crate::net::{AddressSource, Device};
use crate::netfilter::SegmentSize;

/// A zone, as its index in [`Policy::zones`](super::Policy::zones).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ZoneIndex(pub(crate) usize);

/// A zone: one network on one interface.
#[derive(Debug, Clone)]
pub struct Zone {
    /// The name.
    pub name: ZoneName,
    /// The interface.
    pub interface: InterfaceName,
    /// How the interface is identified or created.
    pub device: Device,
    /// The router's own addresses in the zone, with their networks' prefix lengths; the
    /// first is its source address. Empty if the file does not say them.
    pub addresses: Vec<Ipv4Net>,
    /// Who sets the IPv4 addresses.
    pub address_source: AddressSource,
    /// The router's own IPv6 addresses in the zone; there may be none.
    pub addresses6: Vec<Ipv6Net>,
    /// Whether the IPv6 address and default route come by router advertisement instead
    /// (SLAAC), on an external zone.
    pub slaac: bool,
    /// In bytes; None leaves it unchanged.
    pub mtu: Option<u32>,
    /// The largest segment of TCP connections across the zone; None leaves it alone.
    pub segments: Option<SegmentSize>,
    /// Where the IPv4 default route leads, if it is by this zone, which is then external.
    pub gateway: Option<Gateway>,
    /// The metric of that route: of several ways out the lowest is preferred.
    pub metric: u32,
    /// The next IPv6 router, for an external zone: in its network or link-local.
    pub gateway6: Option<Ipv6Addr>,
    /// The role.
    pub role: Role,
    /// Whether only listed cameras may send from the zone.
    pub known_only: bool,
    /// Whether what its hosts try and may not is recorded.
    pub record: bool,
    /// Whether its interface may be absent, such as that of a VPN or a modem.
    pub optional: bool,
    /// The limits on the connections that it may open; None if there are none.
    pub bound: Option<Bound>,
    /// What becomes of packets from the zone that no line allows.
    pub on_deny: OnDeny,
    /// Reserved networks that an external zone accepts as sources nevertheless.
    pub accept_bogons: Vec<IpNet>,
    /// The position in the file.
    pub origin: Origin,
}

/// Where a default route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gateway {
    /// To this next router.
    Router(Ipv4Addr),
    /// To the other end of the interface.
    Device,
    /// To where whoever sets the address says, who sets the route as well.
    Given,
}

impl Zone {
    /// Whether DHCP assigns its IPv4 address and gateway.
    pub fn by_dhcp(&self) -> bool {
        self.address_source == AddressSource::Dhcp
    }

    /// Whether the file does not say which addresses of this family the router has there.
    pub fn is_unknown(&self, ipv6: bool) -> bool {
        match ipv6 {
            false => self.address_source.is_unknown(),
            true => self.slaac,
        }
    }

    /// Whether it is an IPv6 way out, whoever says who the next router is.
    pub fn has_gateway6(&self) -> bool {
        self.slaac || self.gateway6.is_some()
    }

    /// Whether its interface only carries others, and nobody is there.
    pub fn is_carrier(&self) -> bool {
        self.address_source == AddressSource::Nobody
    }

    /// The zone's IPv4 networks, each once.
    pub fn networks(&self) -> Vec<Ipv4Net> {
        distinct(self.addresses.iter().map(Ipv4Net::trunc))
    }

    /// The zone's IPv6 networks, each once, without the link-local one.
    pub fn networks6(&self) -> Vec<Ipv6Net> {
        distinct(self.addresses6.iter().map(Ipv6Net::trunc))
    }

    /// The router's own addresses in the zone, of both families, IPv4 first.
    pub fn own(&self) -> impl Iterator<Item = IpNet> {
        let ipv4 = self.addresses.iter().copied().map(IpNet::V4);
        ipv4.chain(self.addresses6.iter().copied().map(IpNet::V6))
    }

    /// Whether the file has the router use IPv6 there, beyond what the kernel does on every
    /// link.
    pub fn has_ipv6(&self) -> bool {
        !self.addresses6.is_empty() || self.has_gateway6()
    }
}

/// The networks without duplicates, in the order of their first occurrence.
pub(super) fn distinct<N: Copy + Into<IpNet>>(networks: impl Iterator<Item = N>) -> Vec<N> {
    let mut known: BTreeSet<IpNet> = BTreeSet::new();
    networks
        .filter(|network| known.insert((*network).into()))
        .collect()
}
