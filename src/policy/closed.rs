//! Which connections that TCP has closed are kept in the kernel's table past a zone's bound.
//!
//! Owns the count for each source address and for each zone. Each packet of a closed
//! connection keeps its entry for as long again (nf_conntrack_tcp_packet in
//! net/netfilter/nf_conntrack_proto_tcp.c), before any rule sees the packet, and connlimit
//! does not count the entry.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Bound, Policy, ZoneIndex};
use crate::netfilter::TrackedConnection;

/// How many seconds the kernel keeps a connection after a reset: the default of
/// nf_conntrack_tcp_timeout_close.
pub const RESET_STAYS: u32 = 10;

/// The key of that time.
pub const RESET_STAYS_KEY: &str = "net/netfilter/nf_conntrack_tcp_timeout_close";

impl Policy {
    /// The same with this policy, which may set another time.
    pub fn reset_stays(&self) -> u32 {
        match self.sysctls.get(RESET_STAYS_KEY) {
            // The kernel takes what is negative for a very long time.
            Some(seconds) => seconds.parse().unwrap_or(u32::MAX),
            None => RESET_STAYS,
        }
    }
}

/// Counts closed connections against the bounds of their zones.
pub(crate) struct ClosedConnections<'a> {
    policy: &'a Policy,
    /// The networks of each zone.
    networks: Vec<(ZoneIndex, Vec<IpNet>)>,
    /// The router's own addresses; what it opens is in no zone's bound.
    own: Vec<IpAddr>,
    of_address: BTreeMap<(ZoneIndex, IpAddr), u64>,
    of_zone: BTreeMap<(ZoneIndex, bool), u64>,
}

impl<'a> ClosedConnections<'a> {
    /// Counts from zero.
    pub(crate) fn new(policy: &'a Policy, own: impl Iterator<Item = IpAddr>) -> Self {
        let networks = policy.indexed_zones().map(|(index, zone)| {
            let ipv4 = policy.networks_of(zone).into_iter().map(IpNet::V4);
            let ipv6 = policy.networks6_of(zone).into_iter().map(IpNet::V6);
            (index, ipv4.chain(ipv6).collect())
        });
        ClosedConnections {
            policy,
            networks: networks.collect(),
            own: own.collect(),
            of_address: BTreeMap::new(),
            of_zone: BTreeMap::new(),
        }
    }

    /// The most entries in the whole table with which surely none is past a bound; None if
    /// no zone has one.
    pub(crate) fn none_is_past(policy: &Policy) -> Option<u64> {
        let bounds = policy.zones.iter().filter_map(|zone| zone.bound);
        bounds
            .map(|bound| bound.closed_of_an_address().min(bound.closed()))
            .min()
    }

    /// Counts a closed connection, and returns its zone if it is past the bound of its
    /// source address or of the zone. A host that does not send on in closed connections
    /// never has one past it: the kernel removes them as fast as the rate lets new ones in.
    pub(crate) fn is_past(
        &mut self,
        flow: &TrackedConnection,
        conntrack_zone: u16,
    ) -> Option<ZoneIndex> {
        if self.own.contains(&flow.source) {
            return None;
        }
        let (zone, bound) = self.bounded(flow.source, conntrack_zone)?;
        let of_address = self.of_address.entry((zone, flow.source)).or_default();
        let family = (zone, flow.source.is_ipv6());
        let of_zone = self.of_zone.entry(family).or_default();
        if *of_address >= bound.closed_of_an_address() || *of_zone >= bound.closed() {
            return Some(zone);
        }
        *of_address += 1;
        *of_zone += 1;
        None
    }

    /// The zone that a source address is in, if it has a bound.
    fn bounded(&self, source: IpAddr, conntrack_zone: u16) -> Option<(ZoneIndex, Bound)> {
        let zone = match source {
            // Each link has the same link-local network.
            IpAddr::V6(address) if address.is_unicast_link_local() => {
                let mut zones = self.policy.indexed_zones().map(|(index, _)| index);
                zones.find(|index| self.policy.conntrack_zone(*index) == conntrack_zone)
            }
            _ => self
                .in_a_network(source)
                .or_else(|| self.behind_default(source)),
        }?;
        Some((zone, self.policy.zone(zone).bound?))
    }

    fn in_a_network(&self, source: IpAddr) -> Option<ZoneIndex> {
        let holds = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&source));
        let mut zones = self.networks.iter();
        zones
            .find(|(_, networks)| holds(networks))
            .map(|(index, _)| *index)
    }

    fn behind_default(&self, source: IpAddr) -> Option<ZoneIndex> {
        let mut zones = self.policy.indexed_zones();
        zones
            .find(|(_, zone)| self.policy.has_default_route(zone, source.is_ipv6()))
            .map(|(index, _)| index)
    }
}
