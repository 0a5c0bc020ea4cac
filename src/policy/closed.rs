//! Which connections that TCP has closed are kept in the kernel's table past a zone's bound.
//!
//! Owns the count for each source address and for each zone. Each packet of a closed
//! connection keeps its entry for as long again (nf_conntrack_tcp_packet in
//! net/netfilter/nf_conntrack_proto_tcp.c), before any rule sees the packet, and connlimit
//! does not count the entry.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Bound, Policy, ZoneIndex};
use crate::netfilter::TrackedConnection;

/// How many seconds the kernel keeps a connection after a reset: the default of
/// nf_conntrack_tcp_timeout_close.
pub const RESET_STAYS: u32 = 10;

/// The key of that time, as a path below /proc/sys.
pub const RESET_STAYS_KEY: &str = "net/netfilter/nf_conntrack_tcp_timeout_close";

impl Policy {
    /// The same with this policy, which may set another time.
    pub fn reset_stays(&self) -> u32 {
        match self.sysctls.get(&RESET_STAYS_KEY.replace('/', ".")) {
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
    /// The entries that were counted. The kernel begins a part of its table again if the
    /// entry at which it stopped is gone (ctnetlink_dump_table in
    /// net/netfilter/nf_conntrack_netlink.c).
    counted: BTreeSet<u32>,
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
            counted: BTreeSet::new(),
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

    /// Counts a closed connection once, by the number that the kernel gives its entry, and
    /// returns its zone if it is past the bound of its source address or of the zone. A host
    /// that does not send on in closed connections never has one past it: the kernel removes
    /// them as fast as the rate lets new ones in.
    pub(crate) fn is_past(
        &mut self,
        flow: &TrackedConnection,
        conntrack_zone: u16,
        entry: Option<u32>,
    ) -> Option<ZoneIndex> {
        if self.own.contains(&flow.source) {
            return None;
        }
        if entry.is_some_and(|entry| !self.counted.insert(entry)) {
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

    /// The zone whose network is the narrowest that the source is in: a route may lead into a
    /// part of what another one leads to.
    fn in_a_network(&self, source: IpAddr) -> Option<ZoneIndex> {
        let zones = self.networks.iter();
        let holding = zones.flat_map(|(index, networks)| {
            let holding = networks.iter().filter(|network| network.contains(&source));
            holding.map(|network| (network.prefix_len(), *index))
        });
        let narrowest = holding.max_by_key(|(length, _)| *length);
        narrowest.map(|(_, index)| index)
    }

    /// Of several zones with a default route one that has a bound: by its source alone a
    /// connection may be any one's.
    fn behind_default(&self, source: IpAddr) -> Option<ZoneIndex> {
        let zones = self.policy.indexed_zones();
        let mut zones =
            zones.filter(|(_, zone)| self.policy.has_default_route(zone, source.is_ipv6()));
        zones
            .find(|(_, zone)| zone.bound.is_some())
            .map(|(index, _)| index)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::net::Ipv4Addr;

    use super::*;
    use crate::policy::Answers;
    use crate::source::Source;

    /// The line is reached by way of two zones, and so is the internet. Zones are written in
    /// either order.
    fn policy(zones: [&str; 4]) -> Result<Policy, Box<dyn Error>> {
        const ROUTES: &str = r#"
            [[routes]]
            to = "10.0.0.0/8"
            via = "192.168.1.2"
            [[routes]]
            to = "10.1.0.0/16"
            via = "192.168.2.2"
            [[routes]]
            to = "0.0.0.0/0"
            via = "192.168.3.2"
            metric = 10
            [[routes]]
            to = "0.0.0.0/0"
            via = "192.168.4.2"
            metric = 20
        "#;
        let source = Source::new("c.toml", zones.concat() + ROUTES);
        Ok(crate::policy(&source, &Answers::new())?)
    }

    fn zone(name: &str, number: u8, more: &str) -> String {
        format!(
            "[zones.{name}]\ninterface = \"eth{number}\"\naddress = \"192.168.{number}.1/24\"\n{more}\n"
        )
    }

    fn from(source: [u8; 4]) -> TrackedConnection {
        let source = IpAddr::from(Ipv4Addr::from(source));
        TrackedConnection {
            source,
            destination: Ipv4Addr::new(192, 168, 1, 1).into(),
            protocol: 6,
            from: 1000,
            to: 22,
            reaches: Ipv4Addr::new(192, 168, 1, 1).into(),
            reaches_port: 22,
        }
    }

    /// The zone that a source which sends on without end is charged to.
    fn charged(policy: &Policy, source: [u8; 4]) -> Option<String> {
        let mut closed = ClosedConnections::new(policy, std::iter::empty());
        let past = (0..10_000).find_map(|entry| closed.is_past(&from(source), 0, Some(entry)));
        past.map(|zone| policy.zone(zone).name.to_string())
    }

    #[test]
    fn a_connection_is_of_the_narrowest_network_and_of_an_uplink_with_a_bound()
    -> Result<(), Box<dyn Error>> {
        let wide = zone("wide", 1, "role = \"private\"\nbound = true");
        let narrow = zone("narrow", 2, "role = \"camera\"");
        let cable = zone("cable", 3, "role = \"external\"");
        let radio = zone("radio", 4, "role = \"external\"\nbound = true");
        for zones in [
            [&*wide, &*narrow, &*cable, &*radio],
            [&*radio, &*cable, &*narrow, &*wide],
        ] {
            let policy = policy(zones)?;
            let found = |source| charged(&policy, source);
            assert_eq!(found([10, 1, 2, 3]).as_deref(), Some("narrow"), "{zones:?}");
            assert_eq!(found([10, 2, 2, 3]).as_deref(), Some("wide"));
            assert_eq!(found([9, 9, 9, 9]).as_deref(), Some("radio"));
        }
        Ok(())
    }

    #[test]
    fn an_entry_that_the_kernel_names_twice_is_counted_once() -> Result<(), Box<dyn Error>> {
        let camera = zone(
            "camera",
            1,
            "role = \"camera\"\nbound = { limit = \"1/second\" }",
        );
        let source = Source::new("c.toml", camera);
        let policy = crate::policy(&source, &Answers::new())?;
        let mut closed = ClosedConnections::new(&policy, std::iter::empty());
        let mut past = |entry| closed.is_past(&from([192, 168, 1, 7]), 0, Some(entry));
        for entry in 0..220 {
            assert_eq!(past(entry), None, "{entry}");
            assert_eq!(past(entry), None, "{entry} again");
        }
        assert!(past(220).is_some());
        Ok(())
    }
}
