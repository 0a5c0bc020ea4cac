//! Judges which open connections could no longer be opened under a ruleset.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::claim;
use super::condition::address;
use super::hook_path::HookPath;
use super::judge::{Verdict, judge};
use super::networks::{self, InterfaceNetworks};
use super::packet::{Field, Packet, State};
use super::program::Program;
use super::space::Space;
use crate::family::Families;
use crate::netfilter::{Ruleset, TcpFlags, TrackedConnection};
use crate::policy::{Policy, ProxyWay};

/// Judges tracked connections under the rules of a policy, each by the packet that would
/// open it now.
pub struct FlowJudge<'a> {
    policy: &'a Policy,
    behind: Vec<InterfaceNetworks>,
    /// The router's addresses, including those assigned by DHCP.
    own: BTreeSet<IpAddr>,
    /// The router's link-local addresses, each with its interface.
    link_local: Vec<(IpAddr, String)>,
    families: Families<(Space, Program<'a>)>,
}

impl<'a> FlowJudge<'a> {
    /// Prepares the rules of IPv4 and IPv6.
    pub fn new(
        policy: &'a Policy,
        rules: &'a Families<Ruleset>,
        own: impl IntoIterator<Item = IpAddr>,
    ) -> FlowJudge<'a> {
        let families = Families::from_fn(|family| {
            let rules = rules.get(family);
            let mut space = claim::space(policy, &[rules], family);
            let program = Program::new(rules, &mut space);
            (space, program)
        });
        FlowJudge {
            policy,
            behind: networks::behind(policy),
            own: own.into_iter().collect(),
            link_local: Vec::new(),
            families,
        }
    }

    /// Adds the router's link-local addresses with their interfaces. A conntrack entry does
    /// not record the interface; these addresses tell which it was.
    pub fn with_link_local(mut self, own: impl IntoIterator<Item = (IpAddr, String)>) -> Self {
        self.link_local.extend(own);
        self.own.extend(self.link_local.iter().map(|(own, _)| *own));
        self
    }

    /// Whether the router itself answers the connection.
    pub fn is_served(&self, flow: &TrackedConnection) -> bool {
        self.own.contains(&flow.reaches) && !self.own.contains(&flow.source)
    }

    /// Whether the rules certainly do not let this connection be opened. A connection is
    /// not forbidden if that depends on more than the packet (a limit, or the time of day),
    /// or if it never leaves the router.
    pub fn forbids(&self, flow: &TrackedConnection, conntrack_zone: u16) -> bool {
        let is_local = |address: &IpAddr| address.is_loopback() || self.own.contains(address);
        // The router is a member of a multicast or broadcast group.
        let to_router = is_local(&flow.reaches)
            || flow.reaches.is_multicast()
            || self.is_broadcast(flow.reaches);
        let way = match (is_local(&flow.source), to_router) {
            (true, true) => return false,
            (true, false) => HookPath::Output,
            (false, true) => HookPath::Input,
            (false, false) => HookPath::Forward,
        };
        if is_link_local(&flow.source) || is_link_local(&flow.reaches) {
            return self.forbids_on_every_link(flow, way, conntrack_zone);
        }
        let (space, program) = self.families.get(flow.family());
        let Some(from) = networks::interface_of(&self.behind, flow.source) else {
            return false;
        };
        let forbids = |out| {
            let Some(mut packet) = opening(space, way, flow, from, out) else {
                return false;
            };
            // With the addresses that come by DHCP.
            let own = self.own.contains(&flow.destination);
            packet.set(Field::AnyLocal, own.into());
            let judged = judge(program, space, way, packet);
            let reaches = address(flow.reaches);
            // Which of its own addresses the router connects to does not matter.
            let goes_to = judged.packet.get(Field::Destination);
            let elsewhere = goes_to.is_some_and(|goes_to| goes_to != reaches);
            let elsewhere = elsewhere && way == HookPath::Forward;
            // A forward or a proxy that leads to another port now.
            let port = judged.packet.get(port_fields(flow.protocol).1);
            let elsewhere = elsewhere || port.is_some_and(|port| port != flow.reaches_port.into());
            judged.verdict == Verdict::Drop || elsewhere
        };
        // It leaves towards the host that answers, or towards the proxy that stands in for
        // it.
        if way == HookPath::Input {
            return forbids("");
        }
        let Some(towards) = networks::interface_of(&self.behind, flow.reaches) else {
            return false;
        };
        let proxies = self.policy.proxies.iter();
        let proxies = proxies.filter_map(|proxy| match proxy.way {
            ProxyWay::Host { zone, .. } => Some(self.policy.zone(zone).interface.as_str()),
            ProxyWay::Here(_) => None,
        });
        [towards].into_iter().chain(proxies).all(forbids)
    }

    /// The same for a connection on one link, which is never forwarded (RFC 4291, 2.5.6).
    /// Its conntrack zone says which link; for an entry older than camfw's rules the
    /// router's own address does. If neither does, because several interfaces have that
    /// address or only the other end is link-local, then the connection is not certainly
    /// forbidden as long as some zone allows it.
    fn forbids_on_every_link(
        &self,
        flow: &TrackedConnection,
        way: HookPath,
        conntrack_zone: u16,
    ) -> bool {
        // An address that the router no longer has was once the address of one of the ends.
        let ways: &[HookPath] = match way {
            HookPath::Forward => &[HookPath::Input, HookPath::Output],
            HookPath::Input => &[HookPath::Input],
            HookPath::Output => &[HookPath::Output],
        };
        let (space, program) = self.families.get(flow.family());
        let forbids = |way: HookPath, interface: &str| {
            let packet = opening(space, way, flow, interface, interface);
            packet.is_some_and(|packet| judge(program, space, way, packet).verdict == Verdict::Drop)
        };
        ways.iter().all(|way| {
            let (own, other) = match way {
                HookPath::Output => (flow.source, flow.reaches),
                HookPath::Input | HookPath::Forward => (flow.reaches, flow.source),
            };
            let links = match self.link_of(conntrack_zone) {
                Some(link) => vec![link],
                None => self.links_of(own, other),
            };
            links.into_iter().all(|interface| forbids(*way, interface))
        })
    }

    /// The interface whose link-local connections are kept in this conntrack zone.
    fn link_of(&self, conntrack_zone: u16) -> Option<&str> {
        let mut zones = self.policy.indexed_zones();
        let (_, zone) =
            zones.find(|(index, _)| self.policy.conntrack_zone(*index) == conntrack_zone)?;
        Some(zone.interface.as_str())
    }

    /// The interfaces of zones on which the router's own address can talk to the other end.
    fn links_of(&self, own: IpAddr, other: IpAddr) -> Vec<&str> {
        let zones = self.policy.zones.iter();
        let all = zones.map(|zone| zone.interface.as_str());
        let with_own: Vec<&str> = all
            .clone()
            .filter(|zone| {
                let mut own_links = self.link_local.iter();
                own_links.any(|(address, link)| *address == own && link == zone)
            })
            .collect();
        if !with_own.is_empty() {
            return with_own;
        }
        if is_link_local(&other) {
            return all.collect();
        }
        networks::interface_of(&self.behind, other)
            .into_iter()
            .collect()
    }

    fn is_broadcast(&self, address: IpAddr) -> bool {
        let IpAddr::V4(address) = address else {
            return false;
        };
        let own = self.policy.zones.iter().flat_map(|zone| zone.own());
        let mut own = own.filter_map(|own| match own {
            ipnet::IpNet::V4(own) => Some(own),
            ipnet::IpNet::V6(_) => None,
        });
        address.is_broadcast() || own.any(|own| own.broadcast() == address)
    }
}

fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// The packet that would open the connection now. Its hardware address and mark are
/// unknown.
fn opening(
    space: &Space,
    way: HookPath,
    flow: &TrackedConnection,
    from: &str,
    out: &str,
) -> Option<Packet> {
    let mut packet = Packet::ZERO;
    if way != HookPath::Output {
        packet.set(Field::In, space.interfaces.place(from)?);
    }
    if way != HookPath::Input {
        packet.set(Field::Out, space.interfaces.place(out)?);
    }
    packet.set(Field::State, State::New as u128);
    packet.set(Field::Source, address(flow.source));
    packet.set(Field::Destination, address(flow.destination));
    packet.set(Field::Protocol, flow.protocol.into());
    let (from, to) = port_fields(flow.protocol);
    packet.set(from, flow.from.into());
    packet.set(to, flow.to.into());
    packet.set(Field::Flags, TcpFlags::OPENING.set.into());
    packet.set(Field::Hops, 64);
    if way == HookPath::Input {
        let inward = packet.value(Field::In);
        match space.is_local(inward, packet.value(Field::Destination)) {
            Some(local) => packet.set(Field::Local, local.into()),
            None => packet.forget(Field::Local),
        }
    }
    packet.forget(Field::Mac);
    packet.forget(Field::Mark);
    Some(packet)
}

/// The fields that tell connections between two hosts apart: ports, or of ICMP its type and
/// code.
fn port_fields(protocol: u8) -> (Field, Field) {
    match protocol {
        1 | 58 => (Field::IcmpType, Field::IcmpCode),
        _ => (Field::SourcePort, Field::DestinationPort),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Answers;
    use crate::source::Source;

    /// Whether each of these TCP connections is forbidden: source, destination, port, and
    /// who answers, by another port after a colon.
    fn forbidden(case: &str, flows: &[(&str, &str, u16, &str)]) -> Vec<bool> {
        let path = format!(
            "{}/tests/golden/{case}/config.toml",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let plan = match crate::plan(&Source::new("config.toml", text), &Answers::new()) {
            Ok(plan) => plan,
            Err(refusal) => panic!("{refusal}"),
        };
        let own = plan.policy.zones.iter().flat_map(|zone| zone.own());
        let own: Vec<IpAddr> = own.map(|own| own.addr()).collect();
        let judge = FlowJudge::new(&plan.policy, &plan.rules, own);
        let any = IpAddr::from([0, 0, 0, 0]);
        let parse = |text: &str| text.parse().unwrap_or(any);
        let flows = flows.iter().map(|(source, destination, port, reaches)| {
            let (reaches, other) = reaches.split_once(':').unwrap_or((reaches, ""));
            TrackedConnection {
                source: parse(source),
                destination: parse(destination),
                protocol: 6,
                from: 40_000,
                to: *port,
                reaches: parse(reaches),
                reaches_port: other.parse().unwrap_or(*port),
            }
        });
        flows.map(|flow| judge.forbids(&flow, 0)).collect()
    }

    #[test]
    fn what_the_policy_lets_open_is_not_forbidden() {
        let server = "8.8.8.8";
        let judged = forbidden(
            "camera-router",
            &[
                ("192.168.5.10", "192.168.8.110", 80, "192.168.8.110"),
                ("192.168.5.10", "192.168.8.110", 443, "192.168.8.110"),
                ("192.168.5.10", "192.168.5.200", 22, "192.168.5.200"),
                ("192.168.8.110", "192.168.8.1", 22, "192.168.8.1"),
                ("192.168.8.110", server, 80, server),
                ("192.168.0.2", server, 443, server),
                ("127.0.0.1", "127.0.0.1", 9, "127.0.0.1"),
            ],
        );
        assert_eq!(judged, [false, true, false, true, true, false, false]);
    }

    #[test]
    fn a_flow_by_a_proxy_goes_where_the_proxy_is() {
        let server = "8.8.8.8";
        let judged = forbidden(
            "proxy",
            &[
                // Another host answers in its place, though not on this port.
                ("192.168.6.10", server, 80, server),
                ("192.168.6.10", server, 443, server),
                // The router answers in its place, at the proxy's port alone.
                ("192.168.5.10", server, 80, "192.168.5.200:3128"),
                ("192.168.5.10", server, 80, "192.168.5.200:3129"),
                ("192.168.5.10", server, 80, server),
            ],
        );
        assert_eq!(judged, [false, true, false, true, true]);
    }

    #[test]
    fn a_flow_into_a_forward_reaches_its_host() {
        let judged = forbidden(
            "forwards",
            &[
                ("8.8.8.8", "192.168.0.2", 8443, "192.168.8.110:443"),
                ("8.8.8.8", "192.168.0.2", 8443, "192.168.8.110:80"),
                ("8.8.8.8", "192.168.0.2", 8443, "192.168.8.111:443"),
                ("8.8.8.8", "192.168.0.2", 8444, "192.168.8.110:443"),
            ],
        );
        assert_eq!(judged, [false, true, true, true]);
    }

    #[test]
    fn a_flow_from_inside_into_a_forward_reaches_its_host_from_zones_that_may() {
        let (home, office, recorder) = ("192.168.5.10", "192.168.6.10", "192.168.5.20:443");
        let judged = forbidden(
            "loopback",
            &[
                (home, "203.0.113.2", 8443, recorder),
                (home, "203.0.113.3", 8443, recorder),
                (office, "203.0.113.2", 8443, recorder),
                (home, "203.0.113.2", 8443, "192.168.5.21:443"),
                (home, "203.0.113.2", 8000, "192.168.5.20"),
                (office, "203.0.113.2", 7000, "192.168.8.20"),
                (office, "192.168.5.20", 443, "192.168.5.20"),
            ],
        );
        assert_eq!(judged, [false, false, false, true, true, true, true]);
    }

    /// Whether each of these link-local connections is forbidden by tests/golden/ipv6-same.
    fn forbidden_on_a_link(own: &[(&str, &str)], flows: &[(&str, &str, u16)]) -> Vec<bool> {
        let path = format!(
            "{}/tests/golden/ipv6-same/config.toml",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let plan = match crate::plan(&Source::new("config.toml", text), &Answers::new()) {
            Ok(plan) => plan,
            Err(refusal) => panic!("{refusal}"),
        };
        let any = IpAddr::from([0; 16]);
        let parse = |text: &str| text.parse().unwrap_or(any);
        let zones = plan.policy.zones.iter().flat_map(|zone| zone.own());
        let zones: Vec<IpAddr> = zones.map(|own| own.addr()).collect();
        let judge = FlowJudge::new(&plan.policy, &plan.rules, zones).with_link_local(
            own.iter()
                .map(|(own, link)| (parse(own), (*link).to_owned())),
        );
        let flows = flows
            .iter()
            .map(|(source, destination, port)| TrackedConnection {
                source: parse(source),
                destination: parse(destination),
                protocol: 6,
                from: 40_000,
                to: *port,
                reaches: parse(destination),
                reaches_port: *port,
            });
        flows.map(|flow| judge.forbids(&flow, 0)).collect()
    }

    #[test]
    fn the_routers_own_address_tells_the_link_of_a_flow() {
        let (hall, external, gone) = ("fe80::4", "fe80::1", "fe80::77");
        let own = [(external, "eth0"), (hall, "eth3"), ("fe80::3", "eth2")];
        let host = "fe80::9";
        let judged = forbidden_on_a_link(
            &own,
            &[
                (host, hall, 21),
                (host, hall, 22),
                (host, external, 21),
                // An address that several links have, or that the router no longer has:
                // zone `hall` allows the first connection, and no zone the second.
                (host, gone, 21),
                (host, gone, 22),
                // From the router itself to a name server outside, and to one elsewhere.
                (external, host, 53),
                (external, host, 80),
                (hall, host, 53),
                (external, hall, 22),
            ],
        );
        assert_eq!(
            judged,
            [false, true, true, false, true, false, true, true, false]
        );
    }

    #[test]
    fn where_a_link_is_not_told_what_one_zone_allows_goes_on() {
        let bridge = [("fe80::4", "eth3"), ("fe80::4", "eth0")];
        let flows = [("fe80::9", "fe80::4", 21), ("fe80::9", "fe80::4", 80)];
        assert_eq!(forbidden_on_a_link(&bridge, &flows), [false, true]);
        // The router's address is of a zone's network, which does not tell the other end's
        // link.
        let flows = [("fe80::9", "fd00:9::1", 21), ("fe80::9", "fd00:9::1", 80)];
        assert_eq!(forbidden_on_a_link(&[], &flows), [false, true]);
    }
}
