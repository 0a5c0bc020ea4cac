//! The packets that a policy intends to let through, computed from its allow lines.
//!
//! Owns the meaning of zones, cameras and allow lines as sets of packets. Knows nothing of
//! rules: the rules that the compiler makes of the same policy are checked against these
//! sets.

mod carried;
mod rewritten;
mod sources;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::bounds::Bounds;
use super::condition::network_range;
use super::hook_path::HookPath;
use super::packet::{Field, NO_INTERFACE, State};
use super::space::Space;
use crate::family::IpFamily;
use crate::field::PortRange;
use crate::netfilter::{Protocol, TcpFlags};
use crate::policy::{
    Addresses, Allow, Endpoint, Flow, Policy, Remainder, Service, Zone, ZoneIndex,
};
use crate::registry::{group, icmpv6, port, protocol};
use camfw_diagrams::Set;
use carried::Unfit;

/// The meaning of a policy for one address family.
pub struct Intent<'a, 's> {
    pub(super) policy: &'a Policy,
    /// The space of its packets.
    pub space: &'s mut Space,
    pub(super) known: &'s mut KnownSets<'a>,
}

/// Results of one policy that are needed repeatedly: the networks and the sources of zones,
/// the cameras that belong to others, the packets of services, what belongs to connections.
pub struct KnownSets<'a> {
    networks: BTreeMap<&'a str, Vec<IpNet>>,
    sources: BTreeMap<ZoneIndex, Set>,
    misplaced: BTreeMap<ZoneIndex, Set>,
    services: Vec<(bool, Vec<Service>, Set)>,
    pub(super) about_somebody: BTreeMap<ZoneIndex, Set>,
    pub(super) own_errors: Option<Set>,
    unfit: Option<Unfit>,
}

impl<'a> KnownSets<'a> {
    /// Only what the policy itself says.
    pub fn new(policy: &'a Policy) -> KnownSets<'a> {
        KnownSets {
            networks: policy.networks_by_interface(),
            sources: BTreeMap::new(),
            misplaced: BTreeMap::new(),
            services: Vec::new(),
            about_somebody: BTreeMap::new(),
            own_errors: None,
            unfit: None,
        }
    }
}

/// The path that a flow takes; None within the router. Within a zone it is what a forward
/// turns back.
pub fn way_of(flow: Flow) -> Option<HookPath> {
    match (flow.from, flow.to) {
        (Endpoint::Zone(_), Endpoint::Zone(_)) => Some(HookPath::Forward),
        (Endpoint::Zone(_), Endpoint::Router) => Some(HookPath::Input),
        (Endpoint::Router, Endpoint::Zone(_)) => Some(HookPath::Output),
        (Endpoint::Router, Endpoint::Router) => None,
    }
}

/// The number of a zone's interface.
pub fn place(space: &Space, zone: &Zone) -> u128 {
    // It is always found: a proof's space has the interface of every zone.
    space
        .interfaces
        .place(zone.interface.as_str())
        .unwrap_or(u128::MAX)
}

/// The networks, of both families, that a zone's hosts are in.
pub fn networks_of(policy: &Policy, zone: &Zone) -> Vec<IpNet> {
    let ipv4 = policy.networks_of(zone).into_iter().map(IpNet::V4);
    let ipv6 = policy.networks6_of(zone).into_iter().map(IpNet::V6);
    ipv4.chain(ipv6).collect()
}

impl<'a, 's> Intent<'a, 's> {
    /// The meaning of a policy in a packet space.
    pub fn new(
        policy: &'a Policy,
        space: &'s mut Space,
        known: &'s mut KnownSets<'a>,
    ) -> Intent<'a, 's> {
        Intent {
            policy,
            space,
            known,
        }
    }

    /// The packets that may open a connection on a path, and those that certainly can.
    pub fn opened(&mut self, way: HookPath) -> Bounds {
        let zones = self.policy.indexed_zones();
        let endpoints = zones.map(|(index, _)| Endpoint::Zone(index));
        let endpoints: Vec<Endpoint> = endpoints.chain([Endpoint::Router]).collect();
        let mut sets: Vec<Bounds> = Vec::new();
        let mut again: Vec<Bounds> = Vec::new();
        for from in &endpoints {
            for to in &endpoints {
                let flow = Flow {
                    from: *from,
                    to: *to,
                };
                if way_of(flow) != Some(way) {
                    continue;
                }
                let allows: Vec<&Allow> = self.policy.allows_of(flow).collect();
                if allows.is_empty() {
                    continue;
                }
                let lines = self.lines(flow.to, &allows);
                let lines = self.union(&lines);
                let ends = self.ends(flow);
                let source = self.opening_sources(flow.from);
                let denied = self.denied_first(flow);
                let between = self.space.all(&[ends, source, !denied]);
                let mut known = self.space.and(lines, Bounds::exactly(between));
                if !self.redirects(flow).is_empty() {
                    known.must = Set::EMPTY;
                }
                again.push(known);
                let lines = self.opened_by(flow, &allows, lines);
                sets.push(self.space.and(lines, Bounds::exactly(between)));
            }
        }
        let new = self.space.states(&[State::New]);
        let mut opened = self.union(&sets);
        opened = self.space.and(opened, Bounds::exactly(new));
        if way != HookPath::Output {
            // Where a forward redirects a connection is decided by its first packet alone.
            let again = self.union(&again);
            let opening = self.opening_again();
            let again = self.space.and(again, Bounds::exactly(opening));
            opened = self.space.or(opened, again);
        }
        let leases = self.leases(way);
        let advertised = self.advertised(way);
        let more = [
            leases,
            advertised,
            self.lease_answers(way),
            self.neighbours(way),
            self.advertisements(way),
            self.egress(way),
        ];
        let more = self.space.diagrams.union(&more);
        let may = self.not_sent_on(more);
        let must = match way {
            // At a rate, so that they may pass and need not.
            HookPath::Input => {
                let limited = self.space.diagrams.or(leases, advertised);
                self.space.diagrams.minus(may, limited)
            }
            HookPath::Forward | HookPath::Output => may,
        };
        let all = self.space.or(opened, Bounds { may, must });
        let astray = self.astray(way);
        self.space.minus(all, Bounds::exactly(astray))
    }

    /// The packets of these allow lines on a flow: those that arrive as they are, and those
    /// that a forward or a proxy redirected. A destination that only a redirect leads to,
    /// because the line names just that host, counts for redirected packets alone. `lines` are
    /// the packets of the lines wherever they go.
    fn opened_by(&mut self, flow: Flow, allows: &[&Allow], lines: Bounds) -> Bounds {
        let redirects = self.redirects(flow);
        if redirects.is_empty() {
            return self.as_they_came(lines);
        }
        let mut sent_on = Vec::new();
        for redirect in redirects {
            let set = self.space.diagrams.and(redirect.there, redirect.came);
            sent_on.push(set);
        }
        let sent_on = self.space.diagrams.union(&sent_on);
        let mut direct = Vec::new();
        for allow in allows {
            let line = self.lines(flow.to, &[allow]);
            let line = self.union(&line);
            let alone = self.sent_on_alone(flow, allow);
            direct.push(self.space.minus(line, Bounds::exactly(alone)));
        }
        let direct = self.union(&direct);
        let direct = self.as_they_came(direct);
        let rewritten = self.space.equal(Field::Dnat, 1);
        let sent_on = self.space.diagrams.and(sent_on, rewritten);
        let redirected = self.space.and(lines, Bounds::exactly(sent_on));
        self.space.or(direct, redirected)
    }

    fn union(&mut self, sets: &[Bounds]) -> Bounds {
        match sets {
            [] => Bounds::NONE,
            [one] => *one,
            _ => {
                let (left, right) = sets.split_at(sets.len() / 2);
                let (left, right) = (self.union(left), self.union(right));
                self.space.or(left, right)
            }
        }
    }

    /// The packets of allow lines, whatever their flow. Lines with the same services and
    /// destinations are handled together, since a thousand cameras differ only by their
    /// source.
    fn lines(&mut self, to: Endpoint, allows: &[&Allow]) -> Vec<Bounds> {
        let alike = |a: &Allow, b: &Allow| {
            always(a) == always(b)
                && a.destinations == b.destinations
                && a.destinations_of == b.destinations_of
                && a.services == b.services
                && a.sources_of.is_none()
                && b.sources_of.is_none()
        };
        let mut groups: Vec<(&Allow, Addresses, Vec<&Allow>)> = Vec::new();
        for allow in allows {
            match groups.iter_mut().find(|(first, ..)| alike(first, allow)) {
                Some((_, all, members)) => {
                    all.extend(&allow.sources);
                    members.push(allow);
                }
                None => groups.push((allow, allow.sources.clone(), vec![allow])),
            }
        }
        let mut lines = Vec::new();
        for (allow, sources, members) in groups {
            let services = self.services(&allow.services, true);
            let destinations = match (to, &allow.destinations, &allow.destinations_of) {
                (Endpoint::Router, Addresses::Any, _) => self.routers_own(),
                (.., Some(of)) => self.remainder(Field::Destination, of),
                (_, destinations, None) => self.addresses(Field::Destination, destinations),
            };
            let sources = match &allow.sources_of {
                Some(of) => self.remainder(Field::Source, of),
                None => self.addresses(Field::Source, &sources),
            };
            let others = self.unaddressed_others(&members);
            let sources = self.space.diagrams.minus(sources, others);
            let may = self.space.all(&[services, destinations, sources]);
            let must = if always(allow) { may } else { Set::EMPTY };
            lines.push(Bounds { may, must });
        }
        lines
    }

    /// Packets from 0.0.0.0 of hosts other than the cameras that these lines belong to, if
    /// all of these cameras have a hardware address in the file.
    fn unaddressed_others(&mut self, lines: &[&Allow]) -> Set {
        if self.space.family == IpFamily::V6 {
            return Set::EMPTY;
        }
        let unspecified = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let mut macs = Vec::new();
        for line in lines.iter().filter(|it| it.sources.holds(unspecified)) {
            let mut cameras = self.policy.cameras.iter();
            let own = cameras.find(|camera| Some(&camera.name) == line.camera.as_ref());
            match own.and_then(|camera| camera.mac) {
                Some(mac) => macs.push(mac.number()),
                None => return Set::EMPTY,
            }
        }
        let macs = self.space.one_of(Field::Mac, &macs);
        let none = self.space.equal(Field::Source, 0);
        self.space.diagrams.minus(none, macs)
    }

    /// The packets to the router that a line without an address covers: to its address on
    /// the incoming interface, or to the multicast group on which the service is
    /// discovered.
    pub fn routers_own(&mut self) -> Set {
        let mut sets = vec![self.space.equal(Field::Local, 1)];
        for service in group::services() {
            let groups = service.groups.iter().copied();
            let groups: Vec<IpNet> = groups.map(IpNet::from).collect();
            let parts = [
                self.ports(Field::DestinationPort, PortRange::port(service.port)),
                self.of(Protocol::Udp),
                self.networks(Field::Destination, &groups),
            ];
            sets.push(self.space.all(&parts));
        }
        self.space.diagrams.union(&sets)
    }

    /// The packets of any of these services; of TCP only those that open a connection, or
    /// all.
    pub fn services(&mut self, services: &[Service], opening: bool) -> Set {
        let mut known = self.known.services.iter();
        let same = known.find(|(how, of, _)| *how == opening && of == services);
        if let Some((.., set)) = same {
            return *set;
        }
        let set = self.services_anew(services, opening);
        let known = (opening, services.to_vec(), set);
        self.known.services.push(known);
        set
    }

    fn services_anew(&mut self, services: &[Service], opening: bool) -> Set {
        let mut sets = Vec::new();
        for service in services {
            sets.push(service_packets(
                self.space,
                service,
                Field::DestinationPort,
                opening,
            ));
        }
        self.space.diagrams.union(&sets)
    }

    fn ports(&mut self, field: Field, ports: PortRange) -> Set {
        self.space
            .range(field, ports.first().into(), ports.last().into())
    }

    fn of(&mut self, protocol: Protocol) -> Set {
        self.space.equal(Field::Protocol, protocol.number().into())
    }

    /// The packets whose field is one of these addresses.
    pub fn addresses(&mut self, field: Field, addresses: &Addresses) -> Set {
        match addresses {
            Addresses::Any => Set::FULL,
            Addresses::Only(networks) => self.networks(field, networks),
        }
    }

    /// The packets whose field is one of the addresses that are left.
    fn remainder(&mut self, field: Field, of: &Remainder) -> Set {
        let written = self.addresses(field, &of.written);
        let without = self.networks(field, &of.without);
        self.space.diagrams.minus(written, without)
    }

    /// The packets whose field is in one of these networks, as far as they are of this
    /// family.
    pub fn networks(&mut self, field: Field, networks: &[IpNet]) -> Set {
        let ours = self.space.family == IpFamily::V4;
        let ours = networks.iter().filter(|net| net.addr().is_ipv4() == ours);
        self.space
            .in_ranges(field, ours.map(|it| network_range(*it)))
    }

    /// The packets between the interfaces of a flow.
    pub fn ends(&mut self, flow: Flow) -> Set {
        let inward = self.by(Field::In, flow.from);
        let outward = self.by(Field::Out, flow.to);
        self.space.diagrams.and(inward, outward)
    }

    /// The packets by the interface of an endpoint; for the router, those by none.
    pub fn by(&mut self, field: Field, end: Endpoint) -> Set {
        let place = match end {
            Endpoint::Router => NO_INTERFACE,
            Endpoint::Zone(zone) => place(self.space, self.policy.zone(zone)),
        };
        self.space.range(field, place, place)
    }

    /// The networks, of both families, that a zone's hosts are in.
    pub(super) fn networks_of(&self, zone: &Zone) -> Vec<IpNet> {
        let networks = self.known.networks.get(zone.interface.as_str());
        networks.cloned().unwrap_or_default()
    }
}

/// The packets of a service by the ports in this field; of TCP only those that open a
/// connection, or all.
pub(in crate::prove) fn service_packets(
    space: &mut Space,
    service: &Service,
    port: Field,
    opening: bool,
) -> Set {
    let mut sets = Vec::new();
    for (protocol, ports) in [(Protocol::Tcp, &service.tcp), (Protocol::Udp, &service.udp)] {
        let ranges = ports.iter();
        let ranges = ranges.map(|it| (it.first().into(), it.last().into()));
        let mut ports = space.in_ranges(port, ranges);
        if !service.source_ports.is_empty() {
            let from = service.source_ports.iter();
            let from = from.map(|it| (it.first().into(), it.last().into()));
            let from = space.in_ranges(Field::SourcePort, from);
            ports = space.diagrams.and(ports, from);
        }
        let of = space.equal(Field::Protocol, protocol.number().into());
        let mut set = space.diagrams.and(of, ports);
        if protocol == Protocol::Tcp && opening {
            let TcpFlags { mask, set: flags } = TcpFlags::OPENING;
            let opening = space.masked(Field::Flags, mask.into(), flags.into());
            set = space.diagrams.and(set, opening);
        }
        sets.push(set);
    }
    for icmp in &service.icmp {
        let (protocol, icmp) = match space.family {
            IpFamily::V4 => (Protocol::Icmp, *icmp),
            IpFamily::V6 => match icmpv6::counterpart(*icmp) {
                Some(icmp) => (Protocol::Icmpv6, icmp),
                None => continue,
            },
        };
        let of = space.equal(Field::Protocol, protocol.number().into());
        let kind = space.equal(Field::IcmpType, icmp.number().into());
        let code = match icmp.code() {
            None => Set::FULL,
            Some(code) => space.equal(Field::IcmpCode, code.into()),
        };
        sets.push(space.all(&[code, kind, of]));
    }
    for number in &service.protocols {
        if protocol::is_asked_for(*number, space.family) {
            sets.push(space.equal(Field::Protocol, (*number).into()));
        }
    }
    if service.everything {
        sets.push(!space.equal(Field::Protocol, Protocol::Tcp.number().into()));
    }
    space.diagrams.union(&sets)
}

/// Whether a line applies at any time and without a limit.
fn always(allow: &Allow) -> bool {
    allow.limit.is_none()
        && allow.connections.is_none()
        && allow.block_after.is_none()
        && allow.when.is_none()
}

const DHCP_SERVER: PortRange = PortRange::port(port::DHCP_SERVER);
const DHCP_CLIENT: PortRange = PortRange::port(port::DHCP_CLIENT);
