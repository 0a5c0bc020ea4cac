//! Packets that pass without an allow line of their own: loopback, DHCP, neighbour
//! discovery, packets of the router, and packets of connections that exist.

use ipnet::IpNet;

use super::{DHCP_CLIENT, DHCP_SERVER, Intent};
use crate::family::IpFamily;
use crate::field::PortRange;
use crate::netfilter::{Protocol, TcpFlags};
use crate::policy::{Allow, Egress, Endpoint};
use crate::prove::bounds::Bounds;
use crate::prove::hook_path::HookPath;
use crate::prove::packet::{Field, Interfaces, State};
use crate::registry::{group, icmpv6, special_purpose};
use camfw_diagrams::Set;

/// Packets from zones by what is known of their sources.
#[derive(Clone, Copy)]
pub(super) struct Unfit {
    /// Their zone cannot have them.
    spoofed: Set,
    /// It depends on what the packet does not show.
    unsure: Set,
}

impl<'a, 's> Intent<'a, 's> {
    pub(super) fn udp_between(&mut self, from: PortRange, to: PortRange) -> Set {
        let sets = [
            self.of(Protocol::Udp),
            self.ports(Field::DestinationPort, to),
            self.ports(Field::SourcePort, from),
        ];
        self.space.all(&sets)
    }

    /// The DHCP packets of zones whose address comes by DHCP, in state NEW: an answer may
    /// be broadcast, and then belongs to no connection.
    pub fn leases(&mut self, way: HookPath) -> Set {
        let mut sets = Vec::new();
        for (index, zone) in self.policy.indexed_zones() {
            if !zone.by_dhcp() || self.space.family == IpFamily::V6 {
                continue;
            }
            let end = Endpoint::Zone(index);
            let parts = match way {
                HookPath::Forward => continue,
                HookPath::Input => {
                    let misplaced = self.misplaced(index);
                    let sources = self.known_sources(index);
                    [
                        self.udp_between(DHCP_SERVER, DHCP_CLIENT),
                        self.by(Field::In, end),
                        self.space.diagrams.minus(sources, misplaced),
                    ]
                }
                HookPath::Output => [
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

    /// What a DHCP server on the router answers hosts without an address, in state NEW, where
    /// the router may not send everything.
    pub fn lease_answers(&mut self, way: HookPath) -> Set {
        if way != HookPath::Output || self.policy.egress == Egress::Open {
            return Set::EMPTY;
        }
        let answer = group::lease_answer(self.space.family);
        let mut zones = Vec::new();
        for (index, _) in self.policy.indexed_zones() {
            if self.policy.offers_udp(index, answer.from).next().is_some() {
                zones.push(self.by(Field::Out, Endpoint::Zone(index)));
            }
        }
        let (from, to) = (PortRange::port(answer.from), PortRange::port(answer.to));
        let sets = [
            self.space.diagrams.union(&zones),
            self.udp_between(from, to),
            self.networks(Field::Destination, &[answer.at]),
            self.space.states(&[State::New]),
        ];
        self.space.all(&sets)
    }

    /// The ICMPv6 messages that a link needs to work, from sources that can send them.
    pub fn neighbours(&mut self, way: HookPath) -> Set {
        if self.space.family == IpFamily::V4 || way == HookPath::Forward {
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
        if way == HookPath::Input {
            let mut spoofed = Vec::new();
            for (index, _) in self.policy.indexed_zones() {
                let here = self.by(Field::In, Endpoint::Zone(index));
                let sources = self.known_sources(index);
                spoofed.push(self.space.diagrams.minus(here, sources));
            }
            spoofed.push(self.by_another_interface());
            let spoofed = self.space.diagrams.union(&spoofed);
            neighbours = self.space.diagrams.minus(neighbours, spoofed);
        }
        neighbours
    }

    /// What the router tells hosts to make their IPv6 addresses of, where it may not send
    /// everything.
    pub(super) fn advertisements(&mut self, way: HookPath) -> Set {
        let is_output = self.space.family == IpFamily::V6 && way == HookPath::Output;
        if !is_output || self.policy.egress == Egress::Open {
            return Set::EMPTY;
        }
        let mut zones = Vec::new();
        for (index, _) in self.policy.indexed_zones() {
            if self.policy.advertises(index) {
                let here = self.by(Field::Out, Endpoint::Zone(index));
                zones.push(here);
            }
        }
        let zones = self.space.diagrams.union(&zones);
        let of = self.of_advertisements();
        self.space.diagrams.and(of, zones)
    }

    /// What passes without an allow line.
    pub fn without_a_line(&mut self, way: HookPath) -> [Set; 5] {
        [
            self.leases(way),
            self.lease_answers(way),
            self.neighbours(way),
            self.advertised(way),
            self.advertisements(way),
        ]
    }

    /// The advertisements that give a zone its IPv6 address and default route.
    pub(super) fn advertised(&mut self, way: HookPath) -> Set {
        if self.space.family == IpFamily::V4 || way != HookPath::Input {
            return Set::EMPTY;
        }
        let mut zones = Vec::new();
        for (index, _) in self.policy.indexed_zones().filter(|(_, zone)| zone.slaac) {
            let here = self.by(Field::In, Endpoint::Zone(index));
            let sources = self.known_sources(index);
            let misplaced = self.misplaced(index);
            let sources = self.space.diagrams.minus(sources, misplaced);
            zones.push(self.space.diagrams.and(here, sources));
        }
        let sets = [
            self.of_advertisements(),
            self.networks(Field::Source, &[special_purpose::LINK_LOCAL.into()]),
            self.space.states(&[State::Untracked]),
            self.space.diagrams.union(&zones),
        ];
        self.space.all(&sets)
    }

    /// RFC 4861, 6.1.2.
    fn of_advertisements(&mut self) -> Set {
        let kind = icmpv6::ROUTER_ADVERTISEMENT.into();
        let sets = [
            self.of(Protocol::Icmpv6),
            self.space.equal(Field::IcmpType, kind),
            self.space.equal(Field::Hops, 255),
        ];
        self.space.all(&sets)
    }

    /// What is for one zone and would leave by another, where an advertisement can say so.
    pub fn astray(&mut self, way: HookPath) -> Set {
        let mut all = Set::EMPTY;
        if self.space.family == IpFamily::V4 || way == HookPath::Input {
            return all;
        }
        for (index, zone) in self.policy.indexed_zones().filter(|(_, zone)| zone.slaac) {
            let others = self.policy.zones.iter();
            let others = others.filter(|other| other.name != zone.name);
            let others: Vec<IpNet> = others.flat_map(|other| self.networks_of(other)).collect();
            let others = self.networks(Field::Destination, &others);
            let by = self.by(Field::Out, Endpoint::Zone(index));
            let astray = self.space.diagrams.and(others, by);
            all = self.space.diagrams.or(all, astray);
        }
        all
    }

    /// What the router may send unless the file lists it (`egress = "listed"`).
    pub(super) fn egress(&mut self, way: HookPath) -> Set {
        match (way, self.policy.egress) {
            (HookPath::Output, Egress::Open) => {
                let invalid = self.space.states(&[State::Invalid]);
                let middle = self.picked_up_in_the_middle();
                let unasked = self.unasked();
                self.space.all(&[!invalid, !middle, !unasked])
            }
            _ => Set::EMPTY,
        }
    }

    /// TCP segments that open a connection, if their receiver takes them.
    fn opening_segments(&mut self) -> Set {
        let of_tcp = self.of(Protocol::Tcp);
        let TcpFlags { mask, set: flags } = TcpFlags::OPENING;
        let opening = self.space.masked(Field::Flags, mask.into(), flags.into());
        self.space.diagrams.and(of_tcp, opening)
    }

    /// Those of them that conntrack takes for a part of a known connection.
    pub fn opening_again(&mut self) -> Set {
        let opening = self.opening_segments();
        let established = self.space.states(&[State::Established]);
        self.space.diagrams.and(opening, established)
    }

    /// TCP segments that do not open a connection but have no connection either. Sending
    /// one would make conntrack pick up a connection that has ended.
    pub(super) fn picked_up_in_the_middle(&mut self) -> Set {
        let of_tcp = self.of(Protocol::Tcp);
        let opening = self.opening_segments();
        let middle = self.space.diagrams.minus(of_tcp, opening);
        let new = self.space.states(&[State::New]);
        self.space.diagrams.and(new, middle)
    }

    /// The same for UDP: datagrams in state NEW from the port of a service that the router
    /// offers, or once offered, as if in answer to a request that conntrack does not know.
    pub(super) fn unasked(&mut self) -> Set {
        let offers = |allow: &&Allow| allow.flows.iter().any(|flow| flow.to == Endpoint::Router);
        let services = self.policy.allows.iter().filter(offers);
        let services = services.flat_map(|allow| allow.services.iter());
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

    /// The packets of connections that were let through, as far as their sources are valid,
    /// and the router's packets to itself. A TCP segment that opens a connection is none of
    /// them, whatever conntrack takes it for, unless the router sends it.
    pub fn carried(&mut self, way: HookPath) -> Bounds {
        let carried = self.carried_anywhere(way);
        let astray = self.astray(way);
        self.space.minus(carried, Bounds::exactly(astray))
    }

    fn carried_anywhere(&mut self, way: HookPath) -> Bounds {
        let loopback = self.loopback();
        let loopback = self.not_sent_on(loopback);
        let expected = self.expected(way);
        if way == HookPath::Output {
            let established = self.space.states(&[State::Established]);
            let surely = self
                .space
                .diagrams
                .union(&[established, expected, loopback]);
            // Limited by a rate, so they may or may not pass.
            let answers = self.own_errors();
            return Bounds {
                may: self.space.diagrams.or(surely, answers),
                must: surely,
            };
        }
        let incoming = self.incoming();
        let expected = self.fitting(expected);
        let carried = self.space.or(incoming, expected);
        match way {
            HookPath::Input => self.space.or(carried, Bounds::exactly(loopback)),
            _ => carried,
        }
    }

    /// The packets of connections and the errors about them that come in, wherever they go.
    fn incoming(&mut self) -> Bounds {
        let established = self.space.states(&[State::Established]);
        let again = self.opening_again();
        let established = self.space.diagrams.minus(established, again);
        let errors = self.errors();
        let part = self.space.diagrams.or(established, errors);
        self.fitting(part)
    }

    /// Those of a set that have a source that their zone can have, or perhaps can.
    fn fitting(&mut self, set: Set) -> Bounds {
        let Unfit { spoofed, unsure } = self.unfit();
        let must = self.space.all(&[set, !spoofed, !unsure]);
        let perhaps = self.space.diagrams.and(set, unsure);
        let may = self.space.diagrams.or(perhaps, must);
        Bounds { may, must }
    }

    /// What comes in with a source that it cannot have, or perhaps cannot.
    fn unfit(&mut self) -> Unfit {
        if let Some(unfit) = self.known.unfit {
            return unfit;
        }
        let related = self.space.states(&[State::Related]);
        let none = self.space.equal(Field::Source, 0);
        let (mut spoofed, mut unsure) = (Vec::new(), Vec::new());
        for (index, _) in self.policy.indexed_zones() {
            let here = self.by(Field::In, Endpoint::Zone(index));
            let sources = self.sources(index);
            spoofed.push(self.space.diagrams.minus(here, sources));
            let misplaced = self.misplaced(index);
            spoofed.push(self.space.all(&[misplaced, related, here]));
            // The destination before NAT is not known, and whether a host may be without an
            // address depends on it.
            let fields = [Field::Destination, Field::DestinationPort];
            let wherever = self.space.forget(sources, &fields);
            let other = self.space.diagrams.minus(wherever, sources);
            let other = self.space.diagrams.or(other, none);
            unsure.push(self.space.diagrams.and(other, here));
        }
        if self.space.family == IpFamily::V6 {
            spoofed.push(self.by_another_interface());
        }
        let unfit = Unfit {
            spoofed: self.space.diagrams.union(&spoofed),
            unsure: self.space.diagrams.union(&unsure),
        };
        self.known.unfit = Some(unfit);
        unfit
    }

    /// Packets with a source in a zone's network that arrive by another interface, and all that
    /// arrive by one that only carries others. For IPv4 it is rp_filter, not a rule, that drops
    /// them.
    pub(super) fn by_another_interface(&mut self) -> Set {
        let loopback = self.space.equal(Field::In, Interfaces::LOOPBACK);
        let mut all = Vec::new();
        for (index, zone) in self.policy.indexed_zones() {
            let here = self.by(Field::In, Endpoint::Zone(index));
            let networks = self.networks_of(zone);
            let sources = self.networks(Field::Source, &networks);
            all.push(self.space.all(&[sources, !here, !loopback]));
        }
        for carrier in self.policy.carriers() {
            let places = self.space.interfaces.matching(carrier.as_str());
            all.push(self.space.one_of(Field::In, &places));
        }
        self.space.diagrams.union(&all)
    }

    /// The router's packets to itself.
    pub fn loopback(&mut self) -> Set {
        let inward = self.space.equal(Field::In, Interfaces::LOOPBACK);
        let outward = self.space.equal(Field::Out, Interfaces::LOOPBACK);
        self.space.diagrams.or(inward, outward)
    }
}
