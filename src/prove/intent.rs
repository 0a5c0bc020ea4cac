//! The packets that a policy means to let through, straight from its lines.
//!
//! Owns the meaning of zones, cameras and allow lines as sets. Knows nothing of
//! rules: what the compiler makes of the same policy is held against this.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::condition::{address, network_range};
use super::diagram::Set;
use super::packet::{Field, Interfaces, NO_INTERFACE, Space, State, Three};
use super::reach::Way;
use crate::family::IpFamily;
use crate::field::PortRange;
use crate::netfilter::{Protocol, TcpFlags};
use crate::policy::{
    Addresses, Allow, Camera, Egress, Endpoint, Flow, Forward, Policy, ProxyWay, Role, Service,
    Zone, ZoneIndex,
};
use crate::registry::{group, icmpv6, port, special_purpose};

/// A policy's meaning in one family.
pub struct Intent<'a, 's> {
    pub(super) policy: &'a Policy,
    /// Its packets.
    pub space: &'s mut Space,
    known: &'s mut Known,
}

/// What was made once: the sources of zones, and the packets of services.
#[derive(Default)]
pub struct Known {
    sources: BTreeMap<ZoneIndex, Set>,
    services: Vec<(bool, Vec<Service>, Set)>,
}

/// Which way a flow takes; none inside one zone.
pub fn way_of(flow: Flow) -> Option<Way> {
    match (flow.from, flow.to) {
        (Endpoint::Zone(from), Endpoint::Zone(to)) => (from != to).then_some(Way::Forward),
        (Endpoint::Zone(_), Endpoint::Router) => Some(Way::Input),
        (Endpoint::Router, Endpoint::Zone(_)) => Some(Way::Output),
        (Endpoint::Router, Endpoint::Router) => None,
    }
}

/// The place of a zone's interface.
pub fn place(space: &Space, zone: &Zone) -> u128 {
    // It is there: a proof names every zone's interface.
    space
        .interfaces
        .place(zone.interface.as_str())
        .unwrap_or(u128::MAX)
}

/// The networks of both families that a zone's hosts are in.
pub fn networks_of(policy: &Policy, zone: &Zone) -> Vec<IpNet> {
    let ipv4 = policy.networks_of(zone).into_iter().map(IpNet::V4);
    let ipv6 = policy.networks6_of(zone).into_iter().map(IpNet::V6);
    ipv4.chain(ipv6).collect()
}

impl<'a, 's> Intent<'a, 's> {
    /// A policy's packets in a space.
    pub fn new(policy: &'a Policy, space: &'s mut Space, known: &'s mut Known) -> Intent<'a, 's> {
        Intent {
            policy,
            space,
            known,
        }
    }

    /// The packets that may open a connection on a way, and those that surely can.
    pub fn opened(&mut self, way: Way) -> Three {
        let zones = self.policy.indexed_zones();
        let endpoints = zones.map(|(index, _)| Endpoint::Zone(index));
        let endpoints: Vec<Endpoint> = endpoints.chain([Endpoint::Router]).collect();
        let mut sets: Vec<Three> = Vec::new();
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
                let lines = self.opened_by(flow, &allows);
                let ends = self.ends(flow);
                let source = self.opening_sources(flow.from);
                let between = self.space.diagrams.and(ends, source);
                sets.push(self.space.and(lines, Three::exactly(between)));
            }
        }
        let new = self.space.states(&[State::New]);
        let mut opened = self.union(&sets);
        opened = self.space.and(opened, Three::exactly(new));
        let more = [self.leases(way), self.neighbours(way), self.egress(way)];
        let more = self.space.diagrams.union(&more);
        let more = self.not_sent_on(more);
        self.space.or(opened, Three::exactly(more))
    }

    /// Those of a set that no forward has sent on to open a connection.
    fn not_sent_on(&mut self, set: Set) -> Set {
        let as_is = self.space.equal(Field::Dnat, 0);
        let new = self.space.states(&[State::New]);
        let real = self.space.diagrams.or(as_is, !new);
        self.space.diagrams.and(set, real)
    }

    /// The packets of allow lines on a flow. What a forward or a proxy sent on is
    /// there beside what came as it is; where it was sent to goes by that alone if
    /// the line names just that.
    fn opened_by(&mut self, flow: Flow, allows: &[&Allow]) -> Three {
        let lines = self.lines(flow.to, allows);
        let lines = self.union(&lines);
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
            direct.push(self.space.minus(line, Three::exactly(alone)));
        }
        let direct = self.union(&direct);
        let direct = self.as_they_came(direct);
        let rewritten = self.space.equal(Field::Dnat, 1);
        let sent_on = self.space.diagrams.and(sent_on, rewritten);
        let redirected = self.space.and(lines, Three::exactly(sent_on));
        self.space.or(direct, redirected)
    }

    fn as_they_came(&mut self, packets: Three) -> Three {
        let as_is = self.space.equal(Field::Dnat, 0);
        self.space.and(packets, Three::exactly(as_is))
    }

    /// The forwards and the proxies on the router that send on the packets of a zone.
    /// Routing is left open, so that each may go any way.
    fn redirects(&mut self, flow: Flow) -> Vec<Redirect> {
        let mut all = Vec::new();
        let Endpoint::Zone(from) = flow.from else {
            return all;
        };
        let policy = self.policy;
        // What IPv6 has addresses enough for is not sent on.
        let rewrites = self.space.family == IpFamily::V4;
        let here = |it: &&Forward| it.from == from && rewrites;
        for forward in policy.forwards.iter().filter(here) {
            let zone = policy.zone(from);
            let own: Vec<IpNet> = zone.own().map(|own| IpNet::from(own.addr())).collect();
            let own = match zone.dhcp {
                true => Set::FULL,
                false => self.networks(Field::OriginalDestination, &own),
            };
            let port = self.ports(Field::OriginalPort, PortRange::port(forward.port));
            let came = self.space.diagrams.and(own, port);
            let host = IpNet::from(IpAddr::V4(forward.address));
            let parts = [
                self.ports(Field::DestinationPort, PortRange::port(forward.to_port)),
                self.of(forward.protocol),
                self.networks(Field::Destination, &[host]),
            ];
            all.push(Redirect {
                to: SentTo::Host(Endpoint::Zone(forward.to), forward.address),
                direct: forward.direct,
                there: self.space.all(&parts),
                came,
            });
        }
        let here = place(self.space, policy.zone(from));
        let own = self.space.own_addresses.get(&here).copied();
        for proxy in policy.proxies.iter().filter(|it| it.from == from) {
            let ProxyWay::Here(port) = &proxy.way else {
                continue;
            };
            let Some(own) = own.filter(|_| rewrites) else {
                all.push(Redirect {
                    to: SentTo::Port(*port),
                    direct: proxy.direct,
                    there: Set::EMPTY,
                    came: Set::EMPTY,
                });
                continue;
            };
            let others: Vec<IpNet> = policy
                .indexed_zones()
                .flat_map(|(index, zone)| match index == proxy.to {
                    true => zone.own().map(|own| IpNet::from(own.addr())).collect(),
                    false => self.networks_of(zone),
                })
                .collect();
            let others = self.networks(Field::OriginalDestination, &others);
            let ports: Vec<Set> = proxy
                .ports
                .iter()
                .map(|ports| self.ports(Field::OriginalPort, *ports))
                .collect();
            let ports = self.space.diagrams.union(&ports);
            let parts = [
                self.ports(Field::DestinationPort, PortRange::port(*port)),
                self.of(Protocol::Tcp),
                self.space.equal(Field::Destination, own),
            ];
            all.push(Redirect {
                to: SentTo::Port(*port),
                direct: proxy.direct,
                there: self.space.all(&parts),
                came: self.space.diagrams.minus(ports, others),
            });
        }
        all
    }

    /// What of a line is there only for what is sent on: it names the host of a
    /// forward, or is for the router's port of a proxy.
    fn sent_on_alone(&mut self, flow: Flow, allow: &Allow) -> Set {
        let mut alone = Vec::new();
        let mut open = Vec::new();
        for redirect in self.redirects(flow) {
            let set = match redirect.to {
                // At whichever address of the router.
                SentTo::Port(port)
                    if flow.to == Endpoint::Router && allow.destinations == Addresses::Any =>
                {
                    let ports = self.ports(Field::DestinationPort, PortRange::port(port));
                    let of = self.of(Protocol::Tcp);
                    self.space.diagrams.and(ports, of)
                }
                SentTo::Host(to, host) if to == flow.to && names(&allow.destinations, host) => {
                    redirect.there
                }
                _ => continue,
            };
            match redirect.direct {
                true => open.push(set),
                false => alone.push(set),
            }
        }
        let alone = self.space.diagrams.union(&alone);
        let open = self.space.diagrams.union(&open);
        self.space.diagrams.minus(alone, open)
    }

    fn union(&mut self, sets: &[Three]) -> Three {
        match sets {
            [] => Three::NONE,
            [one] => *one,
            _ => {
                let (left, right) = sets.split_at(sets.len() / 2);
                let (left, right) = (self.union(left), self.union(right));
                self.space.or(left, right)
            }
        }
    }

    /// The packets of allow lines, on whatever flow: those with the same services
    /// and destinations together, since a thousand cameras differ by their source.
    fn lines(&mut self, to: Endpoint, allows: &[&Allow]) -> Vec<Three> {
        let alike = |a: &Allow, b: &Allow| {
            always(a) == always(b) && a.destinations == b.destinations && a.services == b.services
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
            let destinations = match (to, &allow.destinations) {
                (Endpoint::Router, Addresses::Any) => self.routers_own(),
                (_, destinations) => self.addresses(Field::Destination, destinations),
            };
            let sources = self.addresses(Field::Source, &sources);
            let others = self.unaddressed_others(&members);
            let sources = self.space.diagrams.minus(sources, others);
            let may = self.space.all(&[services, destinations, sources]);
            let must = if always(allow) { may } else { Set::EMPTY };
            lines.push(Three { may, must });
        }
        lines
    }

    /// Packets from 0.0.0.0 of others than the cameras whose own lines these are, where
    /// all of them are known by a hardware address.
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

    /// The packets to the router where a line to it says no more: to its address on
    /// the interface that they came in by, or to a group at which their service is
    /// asked.
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

    /// The packets of any of these services; of TCP those that open a connection,
    /// or all.
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
            for (protocol, ports) in [(Protocol::Tcp, &service.tcp), (Protocol::Udp, &service.udp)]
            {
                let ranges: Vec<Set> = ports
                    .iter()
                    .map(|ports| self.ports(Field::DestinationPort, *ports))
                    .collect();
                let ports = self.space.diagrams.union(&ranges);
                let of = self.of(protocol);
                let mut set = self.space.diagrams.and(of, ports);
                if protocol == Protocol::Tcp && opening {
                    let TcpFlags { mask, set: flags } = TcpFlags::OPENING;
                    let opening = self.space.masked(Field::Flags, mask.into(), flags.into());
                    set = self.space.diagrams.and(set, opening);
                }
                sets.push(set);
            }
            for icmp in &service.icmp {
                let (protocol, icmp) = match self.space.family {
                    IpFamily::V4 => (Protocol::Icmp, *icmp),
                    IpFamily::V6 => match icmpv6::counterpart(*icmp) {
                        Some(icmp) => (Protocol::Icmpv6, icmp),
                        None => continue,
                    },
                };
                let of = self.of(protocol);
                let kind = self.space.equal(Field::IcmpType, icmp.number().into());
                let code = match icmp.code() {
                    None => Set::FULL,
                    Some(code) => self.space.equal(Field::IcmpCode, code.into()),
                };
                sets.push(self.space.all(&[code, kind, of]));
            }
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

    /// The packets with one of these addresses.
    pub fn addresses(&mut self, field: Field, addresses: &Addresses) -> Set {
        match addresses {
            Addresses::Any => Set::FULL,
            Addresses::Only(networks) => self.networks(field, networks),
        }
    }

    /// The packets with an address in one of these networks, of this family.
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

    /// The packets by an end's interface; the router has none.
    pub fn by(&mut self, field: Field, end: Endpoint) -> Set {
        let place = match end {
            Endpoint::Router => NO_INTERFACE,
            Endpoint::Zone(zone) => place(self.space, self.policy.zone(zone)),
        };
        self.space.range(field, place, place)
    }

    fn networks_of(&self, zone: &Zone) -> Vec<IpNet> {
        networks_of(self.policy, zone)
    }

    /// The packets with a source that an end can have when it opens a connection.
    pub fn opening_sources(&mut self, end: Endpoint) -> Set {
        let Endpoint::Zone(index) = end else {
            return !self.picked_up_in_the_middle();
        };
        let zone = self.policy.zone(index);
        let known = self.known_sources(index);
        if zone.role != Role::External {
            return known;
        }
        let reserved = self.reserved(zone);
        self.space.diagrams.minus(known, reserved)
    }

    /// The packets with a source that a zone can have. An answer of a transparent
    /// proxy has that of the server it stands for.
    pub fn sources(&mut self, index: ZoneIndex) -> Set {
        let mut sets = vec![self.known_sources(index)];
        if self.space.family == IpFamily::V4 {
            for proxy in &self.policy.proxies {
                if matches!(proxy.way, ProxyWay::Host { zone, .. } if zone == index) {
                    let part = self.space.states(&[State::Established, State::Related]);
                    let of = self.of(Protocol::Tcp);
                    let others = self.neither_near_nor_a_cameras(index);
                    for ports in &proxy.ports {
                        let ports = self.ports(Field::SourcePort, *ports);
                        sets.push(self.space.all(&[ports, of, part, others]));
                    }
                }
            }
        }
        self.space.diagrams.union(&sets)
    }

    /// Sources beyond a zone's networks, from no camera that the file lists in it.
    fn neither_near_nor_a_cameras(&mut self, index: ZoneIndex) -> Set {
        let near = self.networks_of(self.policy.zone(index));
        let near = self.networks(Field::Source, &near);
        let macs = self.policy.cameras_of(index).filter_map(|it| it.mac);
        let macs: Vec<u128> = macs.map(|mac| mac.number()).collect();
        let macs = self.space.one_of(Field::Mac, &macs);
        self.space.diagrams.minus(!near, macs)
    }

    /// In one of the zone's networks; in an external zone, in none of another's
    /// and none of the router's own.
    fn known_sources(&mut self, index: ZoneIndex) -> Set {
        if let Some(set) = self.known.sources.get(&index) {
            return *set;
        }
        let set = self.sources_anew(index);
        self.known.sources.insert(index, set);
        set
    }

    fn sources_anew(&mut self, index: ZoneIndex) -> Set {
        let zone = self.policy.zone(index);
        if zone.role == Role::External {
            let others = self.policy.zones.iter();
            let others = others.filter(|other| other.name != zone.name);
            let mut networks: Vec<IpNet> =
                others.flat_map(|other| self.networks_of(other)).collect();
            networks.extend(zone.own().map(|own| IpNet::from(own.addr())));
            let spoofed = self.networks(Field::Source, &networks);
            let nobody = match self.space.family {
                IpFamily::V4 => Set::EMPTY,
                IpFamily::V6 => {
                    let none = self.space.equal(Field::Source, 0);
                    let unnumbered = self.without_address(index);
                    self.space.diagrams.minus(none, unnumbered)
                }
            };
            let elsewhere = self.link_local_elsewhere(index);
            return !self.space.diagrams.union(&[spoofed, elsewhere, nobody]);
        }
        let ipv4 = self.space.family == IpFamily::V4;
        if zone.known_only && !ipv4 {
            // No camera is known by an IPv6 address.
            return Set::EMPTY;
        }
        let cameras: Vec<&Camera> = match ipv4 {
            true => self.policy.cameras_of(index).collect(),
            false => Vec::new(),
        };
        let mut networks: Vec<IpNet> = Vec::new();
        if !zone.known_only {
            networks.extend(self.networks_of(zone));
        }
        // Address and hardware address of a camera belong together, and to no
        // other camera: policy refuses that.
        let mut bound = Vec::new();
        let mut taken = [Vec::new(), Vec::new()];
        for camera in cameras {
            networks.push(IpNet::from(IpAddr::V4(camera.address)));
            if let Some(mac) = camera.mac {
                let (address, mac) = (u128::from(u32::from(camera.address)), mac.number());
                bound.push((address, address, self.space.equal(Field::Mac, mac)));
                taken[0].push(address);
                taken[1].push(mac);
            }
        }
        let inside = self.networks(Field::Source, &networks);
        let bound = self.space.by_value(Field::Source, bound);
        let addresses = self.space.one_of(Field::Source, &taken[0]);
        let macs = self.space.one_of(Field::Mac, &taken[1]);
        let others = self.space.all(&[inside, !addresses, !macs]);
        let mut inside = self.space.diagrams.or(bound, others);
        if !ipv4 {
            // The router's own address is nobody's else.
            let own: Vec<IpNet> = zone.own().map(|own| IpNet::from(own.addr())).collect();
            let own = self.networks(Field::Source, &own);
            let claims = self.claims_of_an_address();
            let spoofed = self.space.diagrams.minus(own, claims);
            inside = self.space.diagrams.minus(inside, spoofed);
        }
        let unnumbered = self.without_address(index);
        self.space.diagrams.or(inside, unnumbered)
    }

    /// What a host says to all when the router asks who has its address.
    fn claims_of_an_address(&mut self) -> Set {
        let kind = icmpv6::NEIGHBOUR_ADVERTISEMENT.into();
        let parts = [
            self.of(Protocol::Icmpv6),
            self.space.equal(Field::IcmpType, kind),
            self.networks(Field::Destination, &[special_purpose::GROUPS.into()]),
        ];
        self.space.all(&parts)
    }

    /// From a link-local address to where its link does not lead.
    fn link_local_elsewhere(&mut self, index: ZoneIndex) -> Set {
        if self.space.family == IpFamily::V4 {
            return Set::EMPTY;
        }
        let zone = self.policy.zone(index);
        let link = self.networks(Field::Source, &[special_purpose::LINK_LOCAL.into()]);
        let mut reached: Vec<IpNet> = zone.own().map(|own| IpNet::from(own.addr())).collect();
        reached.push(special_purpose::LINK_LOCAL.into());
        reached.push(special_purpose::GROUPS.into());
        let reached = self.networks(Field::Destination, &reached);
        self.space.diagrams.minus(link, reached)
    }

    /// What hosts send before they have an address, or on their link alone.
    fn without_address(&mut self, zone: ZoneIndex) -> Set {
        if self.space.family == IpFamily::V6 {
            let link = self.networks(Field::Source, &[special_purpose::LINK_LOCAL.into()]);
            // Duplicate address detection asks from :: (RFC 4862, 5.4.2).
            let none = self.space.equal(Field::Source, 0);
            let icmp = self.of(Protocol::Icmpv6);
            let groups = self.networks(Field::Destination, &[special_purpose::GROUPS.into()]);
            let asks = self.space.all(&[icmp, none, groups]);
            let elsewhere = self.link_local_elsewhere(zone);
            let link = self.space.diagrams.minus(link, elsewhere);
            return self.space.diagrams.or(link, asks);
        }
        let flow = Flow {
            from: Endpoint::Zone(zone),
            to: Endpoint::Router,
        };
        let mut services = self
            .policy
            .allows_of(flow)
            .flat_map(|allow| &allow.services);
        let serves = services.any(|service| {
            let mut udp = service.udp.iter();
            udp.any(|ports| ports.contains(DHCP_SERVER))
        });
        if !serves {
            return Set::EMPTY;
        }
        // From 0.0.0.0 (RFC 2131, 4.1).
        let everybody = address(Ipv4Addr::BROADCAST.into());
        // Where cameras alone send that are listed, each by its hardware address, no
        // other one asks.
        let macs: Option<Vec<u128>> = self
            .policy
            .cameras_of(zone)
            .map(|camera| camera.mac.map(|mac| mac.number()))
            .collect();
        let by = match macs {
            Some(macs) if self.policy.zone(zone).known_only => self.space.one_of(Field::Mac, &macs),
            _ => Set::FULL,
        };
        let sets = [
            self.space.equal(Field::Source, 0),
            by,
            self.space.equal(Field::Destination, everybody),
            self.udp_between(DHCP_CLIENT, DHCP_SERVER),
        ];
        self.space.all(&sets)
    }

    /// Sources that nobody on the internet has, but for those that the file takes.
    fn reserved(&mut self, zone: &Zone) -> Set {
        let listed = match self.space.family {
            IpFamily::V4 => special_purpose::IPV4,
            IpFamily::V6 => special_purpose::IPV6,
        };
        let ipv4 = self.space.family == IpFamily::V4;
        // Behind another router the zone's own network is one of them.
        let own = self.networks_of(zone).into_iter();
        let own = own.filter(|own| listed.iter().any(|row| row.network.contains(own)));
        let accepted: Vec<IpNet> = own.chain(zone.accept_bogons.iter().copied()).collect();
        let dropped: Vec<IpNet> = listed
            .iter()
            .filter(|row| !(zone.dhcp && row.private && ipv4))
            .map(|row| row.network)
            .collect();
        let accepted = self.networks(Field::Source, &accepted);
        let dropped = self.networks(Field::Source, &dropped);
        self.space.diagrams.minus(dropped, accepted)
    }

    fn udp_between(&mut self, from: PortRange, to: PortRange) -> Set {
        let sets = [
            self.of(Protocol::Udp),
            self.ports(Field::DestinationPort, to),
            self.ports(Field::SourcePort, from),
        ];
        self.space.all(&sets)
    }

    /// What the zones whose address comes by DHCP take and ask: what belongs to
    /// no connection yet, since answers may be broadcast.
    pub fn leases(&mut self, way: Way) -> Set {
        let mut sets = Vec::new();
        for (index, zone) in self.policy.indexed_zones() {
            if !zone.dhcp || self.space.family == IpFamily::V6 {
                continue;
            }
            let end = Endpoint::Zone(index);
            let parts = match way {
                Way::Forward => continue,
                Way::Input => [
                    self.udp_between(DHCP_SERVER, DHCP_CLIENT),
                    self.by(Field::In, end),
                    self.known_sources(index),
                ],
                Way::Output => [
                    self.udp_between(DHCP_CLIENT, DHCP_SERVER),
                    self.by(Field::Out, end),
                    Set::FULL,
                ],
            };
            sets.push(self.space.all(&parts));
        }
        let leases = self.space.diagrams.union(&sets);
        let new = self.space.states(&[State::New]);
        self.space.diagrams.and(leases, new)
    }

    /// The ICMPv6 without which there is no link, from where it can be.
    fn neighbours(&mut self, way: Way) -> Set {
        if self.space.family == IpFamily::V4 || way == Way::Forward {
            return Set::EMPTY;
        }
        let of = self.of(Protocol::Icmpv6);
        let mut kinds = Vec::new();
        for message in icmpv6::NEIGHBOURS {
            let kind = self.space.equal(Field::IcmpType, message.number.into());
            let hops = self.space.equal(Field::Hops, message.hop_limit.into());
            kinds.push(self.space.all(&[hops, kind, of]));
        }
        let mut neighbours = self.space.diagrams.union(&kinds);
        if way == Way::Input {
            for (index, _) in self.policy.indexed_zones() {
                let here = self.by(Field::In, Endpoint::Zone(index));
                let sources = self.known_sources(index);
                let spoofed = self.space.diagrams.minus(here, sources);
                neighbours = self.space.diagrams.minus(neighbours, spoofed);
            }
            let by_another = self.by_another_interface();
            neighbours = self.space.diagrams.minus(neighbours, by_another);
        }
        neighbours
    }

    /// What the router may send if the file does not list it.
    fn egress(&mut self, way: Way) -> Set {
        match (way, self.policy.egress) {
            (Way::Output, Egress::Open) => {
                let invalid = self.space.states(&[State::Invalid]);
                let middle = self.picked_up_in_the_middle();
                let unasked = self.unasked();
                self.space.all(&[!invalid, !middle, !unasked])
            }
            _ => Set::EMPTY,
        }
    }

    /// What would bring a TCP connection back to life that has ended, if the router
    /// sent it: a segment that opens none.
    fn picked_up_in_the_middle(&mut self) -> Set {
        let of_tcp = self.of(Protocol::Tcp);
        let TcpFlags { mask, set: flags } = TcpFlags::OPENING;
        let opening = self.space.masked(Field::Flags, mask.into(), flags.into());
        let middle = self.space.diagrams.minus(of_tcp, opening);
        let new = self.space.states(&[State::New]);
        self.space.diagrams.and(new, middle)
    }

    /// The same of UDP: a datagram to nobody who asked, from the port of a service
    /// that the router offers, or once did.
    fn unasked(&mut self) -> Set {
        let offers = |allow: &&Allow| allow.flows.iter().any(|flow| flow.to == Endpoint::Router);
        let services = self.policy.allows.iter().filter(offers);
        let services = services.flat_map(|allow| &allow.services);
        let offered: Vec<PortRange> = services.flat_map(|service| service.udp.clone()).collect();
        let once = self.policy.udp_once_offered.ranges();
        let ports: Vec<Set> = offered
            .iter()
            .chain(once)
            .map(|ports| self.ports(Field::SourcePort, *ports))
            .collect();
        let ports = self.space.diagrams.union(&ports);
        let of_udp = self.of(Protocol::Udp);
        let mut served = self.space.diagrams.and(of_udp, ports);
        let is_offered = |port| {
            let port = PortRange::port(port);
            offered.iter().any(|offered| offered.contains(port))
        };
        for (from, to) in group::sent_unasked(is_offered) {
            let to = to.map_or(Set::FULL, |to| {
                self.ports(Field::DestinationPort, PortRange::port(to))
            });
            let from = self.ports(Field::SourcePort, PortRange::port(from));
            let passes = self.space.all(&[from, to, of_udp]);
            served = self.space.diagrams.minus(served, passes);
        }
        let new = self.space.states(&[State::New]);
        self.space.diagrams.and(new, served)
    }

    /// What belongs to a connection that was let through, wherever it comes from
    /// that it can come from; and everything of the router to itself.
    pub fn carried(&mut self, way: Way) -> Three {
        let loopback = self.loopback();
        let loopback = self.not_sent_on(loopback);
        let established = self.space.states(&[State::Established]);
        let expected = self.expected(way);
        if way == Way::Output {
            let surely = self
                .space
                .diagrams
                .union(&[established, expected, loopback]);
            // At a rate, so that they may pass and need not.
            let answers = self.own_errors();
            return Three {
                may: self.space.diagrams.or(surely, answers),
                must: surely,
            };
        }
        let errors = self.errors();
        let part = self.space.diagrams.union(&[established, expected, errors]);
        let (mut spoofed, mut unsure) = (Set::EMPTY, Set::EMPTY);
        for (index, _) in self.policy.indexed_zones() {
            let here = self.by(Field::In, Endpoint::Zone(index));
            let sources = self.sources(index);
            let other = self.space.diagrams.minus(here, sources);
            spoofed = self.space.diagrams.or(spoofed, other);
            // Where it was going before nat is not known, and whether a host may
            // be without an address depends on it.
            let fields = [Field::Destination, Field::DestinationPort];
            let wherever = self.space.forget(sources, &fields);
            let other = self.space.diagrams.minus(wherever, sources);
            let other = self.space.diagrams.and(other, here);
            let none = self.space.equal(Field::Source, 0);
            let none = self.space.diagrams.and(none, here);
            let other = self.space.diagrams.or(other, none);
            unsure = self.space.diagrams.or(unsure, other);
        }
        if self.space.family == IpFamily::V6 {
            let by_another = self.by_another_interface();
            spoofed = self.space.diagrams.or(spoofed, by_another);
        }
        let surely = self.space.all(&[part, !spoofed, !unsure]);
        let perhaps = self.space.diagrams.and(part, unsure);
        let perhaps = self.space.diagrams.or(perhaps, surely);
        let loopback = match way {
            Way::Input => loopback,
            _ => Set::EMPTY,
        };
        Three {
            may: self.space.diagrams.or(perhaps, loopback),
            must: self.space.diagrams.or(surely, loopback),
        }
    }

    /// Sources of zones by an interface that is not theirs. For IPv4 rp_filter keeps
    /// them out, which no rule says.
    fn by_another_interface(&mut self) -> Set {
        let loopback = self.space.equal(Field::In, Interfaces::LOOPBACK);
        let mut all = Set::EMPTY;
        for (index, zone) in self.policy.indexed_zones() {
            let here = self.by(Field::In, Endpoint::Zone(index));
            let networks = self.networks_of(zone);
            let sources = self.networks(Field::Source, &networks);
            let elsewhere = self.space.all(&[sources, !here, !loopback]);
            all = self.space.diagrams.or(all, elsewhere);
        }
        all
    }

    /// The packets of the router to itself.
    pub fn loopback(&mut self) -> Set {
        let inward = self.space.equal(Field::In, Interfaces::LOOPBACK);
        let outward = self.space.equal(Field::Out, Interfaces::LOOPBACK);
        self.space.diagrams.or(inward, outward)
    }

    /// The packets that a forward or a transparent proxy on the router sends
    /// elsewhere than where they were going.
    pub fn redirected(&mut self) -> Set {
        let mut sets = Vec::new();
        if self.space.family == IpFamily::V6 {
            return Set::EMPTY;
        }
        for forward in &self.policy.forwards {
            let zone = self.policy.zone(forward.from);
            let own: Vec<IpNet> = zone.own().map(|own| IpNet::from(own.addr())).collect();
            let own = match zone.dhcp {
                true => Set::FULL,
                false => self.networks(Field::Destination, &own),
            };
            let parts = [
                self.ports(Field::DestinationPort, PortRange::port(forward.port)),
                self.of(forward.protocol),
                own,
                self.by(Field::In, Endpoint::Zone(forward.from)),
            ];
            sets.push(self.space.all(&parts));
        }
        for proxy in &self.policy.proxies {
            let ProxyWay::Here(_) = proxy.way else {
                continue;
            };
            for ports in &proxy.ports {
                let parts = [
                    self.ports(Field::DestinationPort, *ports),
                    self.of(Protocol::Tcp),
                    self.by(Field::In, Endpoint::Zone(proxy.from)),
                ];
                sets.push(self.space.all(&parts));
            }
        }
        self.space.diagrams.union(&sets)
    }

    /// Hosts of the zones, the router not among them: what a packet that shows
    /// something should be from or to.
    pub fn hosts(&mut self, field: Field) -> Set {
        let side = match field {
            Field::Source => Field::In,
            _ => Field::Out,
        };
        let mut hosts = Vec::new();
        for (index, zone) in self.policy.indexed_zones() {
            let by = self.by(side, Endpoint::Zone(index));
            for own in zone.own() {
                if own.addr().is_ipv4() != (self.space.family == IpFamily::V4) {
                    continue;
                }
                let (mut first, mut last) = network_range(own);
                if own.max_prefix_len() - own.prefix_len() > 1 {
                    (first, last) = (first + 1, last - 1);
                }
                let inside = self.space.range(field, first, last);
                let own = self.space.equal(field, address(own.addr()));
                hosts.push(self.space.all(&[inside, !own, by]));
            }
        }
        self.space.diagrams.union(&hosts)
    }
}

/// A forward, or a proxy on the router.
struct Redirect {
    to: SentTo,
    /// Whether where it sends packets is open to others as well.
    direct: bool,
    /// All packets there.
    there: Set,
    /// Where they were going before.
    came: Set,
}

/// Where packets are sent.
enum SentTo {
    /// To a host of a zone.
    Host(Endpoint, Ipv4Addr),
    /// To a TCP port of the router itself.
    Port(u16),
}

/// Whether addresses hold a host by itself and in no network of theirs.
fn names(addresses: &Addresses, host: Ipv4Addr) -> bool {
    let host = IpNet::from(IpAddr::V4(host));
    match addresses {
        Addresses::Any => false,
        Addresses::Only(networks) => {
            let mut holding = networks.iter().filter(|network| network.contains(&host));
            holding.clone().next().is_some() && holding.all(|network| *network == host)
        }
    }
}

/// Whether a line lets packets through whenever and however many they are.
fn always(allow: &Allow) -> bool {
    allow.limit.is_none()
        && allow.connections.is_none()
        && allow.block_after.is_none()
        && allow.when.is_none()
}

const DHCP_SERVER: PortRange = PortRange::port(port::DHCP_SERVER);
const DHCP_CLIENT: PortRange = PortRange::port(port::DHCP_CLIENT);
