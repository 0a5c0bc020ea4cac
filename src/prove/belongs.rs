//! Packets that belong to a connection without being part of it, computed from the policy:
//! ICMP errors about a connection, the router's own errors, and what a conntrack helper
//! expects.
//!
//! Owns the rule for which end of a connection an error's sender must be near. Knows
//! nothing of rules. ESTABLISHED packets need no such rule, for three reasons: every source
//! is checked against its interface, which is a claim about the same rules; connections
//! that a new policy forbids are ended; and when an interface goes away, its traffic has no
//! other route to follow.

use ipnet::IpNet;

use super::hook_path::HookPath;
use super::intent::Intent;
use super::packet::{Field, Packet, State, helper_code};
use super::space::Space;
use crate::family::IpFamily;
use crate::netfilter::{CtDirection, Protocol, TcpFlags};
use crate::policy::{Addresses, Allow, Endpoint, Flow, Role, Zone, ZoneIndex};
use crate::registry::icmp_error;
use crate::registry::special_purpose::LINK_LOCAL;
use camfw_diagrams::Set;

/// For each direction of a connection, the field with the sender's address as it appears on
/// the wire outside the router.
const SENDERS: [(CtDirection, Field); 2] = [
    (CtDirection::Original, Field::CtOriginalSource),
    (CtDirection::Reply, Field::CtReplySource),
];

/// Example packets that show a stranger's packet passing as part of a connection: an ICMP
/// error such as anyone can forge, about a connection opened by the packet's receiver.
pub(super) fn example(space: &mut Space) -> Vec<Set> {
    let (protocol, kind, code) = match space.family {
        // Destination unreachable, port unreachable.
        IpFamily::V4 => (Protocol::Icmp, 3, 3),
        IpFamily::V6 => (Protocol::Icmpv6, 1, 4),
    };
    vec![
        space.states(&[State::Related]),
        space.equal(Field::Protocol, protocol.number().into()),
        space.equal(Field::IcmpType, kind),
        space.equal(Field::IcmpCode, code),
        space.equal(Field::CtDirection, CtDirection::Reply as u128),
        space.equal(Field::CtExpected, 0),
        space.equal(Field::CtHelper, 0),
    ]
}

/// Picks a packet of the set that meets as many of the wishes as possible; an ICMP error is
/// about a connection between its receiver and a host outside every private network.
pub(super) fn pick(space: &mut Space, set: Set, wishes: &[Set]) -> Option<Packet> {
    let packet = space.pick_like(set, wishes)?;
    let is_error = packet.value(Field::State) == State::Related as u128
        && packet.value(Field::CtDirection) == CtDirection::Reply as u128;
    if !is_error {
        return Some(packet);
    }
    let receiver = packet.value(Field::Destination);
    let server = match space.family {
        IpFamily::V4 => 0x0101_0101,
        IpFamily::V6 => 0x2606_4700_4700 << 80 | 0x1111,
    };
    let mut sets = Vec::new();
    for field in Field::ALL {
        // Every other field stays as it is.
        sets.extend((!Field::OF_CONNECTION.contains(&field)).then(|| space.like(field, &packet)));
    }
    let same = space.all(&sets);
    let mut wishes = wishes.to_vec();
    for (field, address) in [
        (Field::CtOriginalSource, receiver),
        (Field::CtReplyDestination, receiver),
        (Field::CtReplySource, server),
        (Field::CtOriginalDestination, server),
    ] {
        wishes.push(space.equal(field, address));
    }
    let alike = space.diagrams.and(set, same);
    space.pick_like(alike, &wishes).or(Some(packet))
}

impl Intent<'_, '_> {
    /// ICMP errors about a connection that has an end behind the interface that they came
    /// in by; from a camera zone, the sender itself must be that end.
    pub(super) fn errors(&mut self) -> Set {
        let mut all = Vec::new();
        for (index, _) in self.policy.indexed_zones() {
            let here = self.by(Field::In, Endpoint::Zone(index));
            let theirs = self.about_somebody_in(index);
            all.push(self.space.diagrams.and(theirs, here));
        }
        let all = self.space.diagrams.union(&all);
        let errors = error_types(self.space);
        let related = self.space.states(&[State::Related]);
        self.space.all(&[errors, related, all])
    }

    /// The packets about connections that have an end in the zone that the packets come
    /// from.
    pub(super) fn about_somebody_in(&mut self, index: ZoneIndex) -> Set {
        if let Some(set) = self.known.about_somebody.get(&index) {
            return *set;
        }
        let set = self.about_somebody_anew(index);
        self.known.about_somebody.insert(index, set);
        set
    }

    fn about_somebody_anew(&mut self, index: ZoneIndex) -> Set {
        let zone = self.policy.zone(index);
        let mut sets = Vec::new();
        for (direction, sender) in SENDERS {
            let way = self.space.equal(Field::CtDirection, direction as u128);
            let end = match zone.role {
                Role::Camera => {
                    let hosts = self.hosts_with_lines(index, direction);
                    let hosts = self.networks(Field::Source, &hosts);
                    let itself = self.space.source_is(sender);
                    self.space.diagrams.and(hosts, itself)
                }
                Role::Private | Role::External => self.reached(zone, sender),
            };
            sets.push(self.space.diagrams.and(way, end));
        }
        self.space.diagrams.union(&sets)
    }

    /// The packets whose `field` is an address that the zone's interface leads to: one in
    /// the zone's networks or, if the zone has the default route, one in no other zone's
    /// networks; never an address of the router.
    fn reached(&mut self, zone: &Zone, field: Field) -> Set {
        let own: Vec<IpNet> = zone.own().map(|own| IpNet::from(own.addr())).collect();
        let own = self.networks(field, &own);
        let ipv6 = self.space.family == IpFamily::V6;
        let inside = if self.policy.has_default_route(zone, ipv6) {
            let others = self.policy.zones.iter();
            let others = others.filter(|other| other.name != zone.name);
            let mut others: Vec<IpNet> = others.flat_map(|other| self.networks_of(other)).collect();
            others.push(LINK_LOCAL.into());
            !self.networks(field, &others)
        } else {
            let networks = self.networks_of(zone);
            self.networks(field, &networks)
        };
        self.space.diagrams.minus(inside, own)
    }

    /// The hosts of a camera zone that allow lines are for: the hosts that lines name
    /// individually, and the listed cameras within a line's networks.
    fn hosts_with_lines(&self, index: ZoneIndex, direction: CtDirection) -> Vec<IpNet> {
        let is_end = |flow: &Flow| {
            let end = match direction {
                CtDirection::Original => flow.from,
                CtDirection::Reply => flow.to,
            };
            end == Endpoint::Zone(index)
        };
        let lines = self.policy.allows.iter();
        let lines = lines.filter(|allow| allow.flows.iter().any(is_end));
        let lines: Vec<&Addresses> = lines
            .map(|allow| match direction {
                CtDirection::Original => &allow.sources,
                CtDirection::Reply => &allow.destinations,
            })
            .collect();
        let mut named: Vec<IpNet> = Vec::new();
        let mut wide: Vec<IpNet> = Vec::new();
        let mut anybody = false;
        for addresses in lines {
            match addresses {
                Addresses::Any => anybody = true,
                Addresses::Only(networks) => {
                    for network in networks {
                        match network.prefix_len() == network.max_prefix_len() {
                            true => named.push(*network),
                            false => wide.push(*network),
                        }
                    }
                }
            }
        }
        let cameras = self.policy.cameras_of(index);
        let cameras = cameras.flat_map(|camera| camera.addresses().map(IpNet::from));
        named.extend(
            cameras.filter(|camera| anybody || wide.iter().any(|wide| wide.contains(camera))),
        );
        let own: Vec<IpNet> = self
            .policy
            .zone(index)
            .own()
            .map(|own| IpNet::from(own.addr()))
            .collect();
        named.retain(|host| !own.contains(host));
        named
    }

    /// ICMP errors and TCP resets that the router itself sends back to where the packet
    /// that they answer came from.
    pub(super) fn own_errors(&mut self) -> Set {
        if let Some(set) = self.known.own_errors {
            return set;
        }
        let set = self.own_errors_anew();
        self.known.own_errors = Some(set);
        set
    }

    fn own_errors_anew(&mut self) -> Set {
        let errors = error_types(self.space);
        let TcpFlags { mask, set } = TcpFlags::RESET;
        let reset = [
            self.space.masked(Field::Flags, mask.into(), set.into()),
            self.space
                .equal(Field::Protocol, Protocol::Tcp.number().into()),
        ];
        let reset = self.space.all(&reset);
        let what = self.space.diagrams.or(errors, reset);
        let related = self.space.states(&[State::Related]);
        let what = self.space.diagrams.and(what, related);
        let mut back = Vec::new();
        for (index, zone) in self.policy.indexed_zones() {
            let there = self.by(Field::Out, Endpoint::Zone(index));
            let ipv6 = self.space.family == IpFamily::V6;
            let to = match self.policy.has_default_route(zone, ipv6) {
                true => self.reached(zone, Field::Destination),
                false => {
                    let networks = self.networks_of(zone);
                    self.networks(Field::Destination, &networks)
                }
            };
            back.push(self.space.diagrams.and(to, there));
        }
        let back = self.space.diagrams.union(&back);
        self.space.diagrams.and(what, back)
    }

    /// The connections that conntrack's FTP helper expects, for allow lines that use the
    /// helper.
    pub(super) fn expected(&mut self, way: HookPath) -> Set {
        let mut sets = Vec::new();
        for allow in &self.policy.allows {
            if !allow.services.iter().any(|service| service.helper) {
                continue;
            }
            for flow in &allow.flows {
                sets.extend(self.expected_by(way, *flow, allow, CtDirection::Original));
                sets.extend(self.expected_by(way, *flow, allow, CtDirection::Reply));
            }
        }
        let between = self.space.diagrams.union(&sets);
        let parts = [
            self.space.equal(Field::CtHelper, helper_code("ftp")),
            self.space.equal(Field::CtExpected, 1),
            self.space
                .equal(Field::Protocol, Protocol::Tcp.number().into()),
            between,
            self.space.states(&[State::Related]),
        ];
        self.space.all(&parts)
    }

    /// Between the two ends of a line, in the line's direction or back.
    fn expected_by(
        &mut self,
        way: HookPath,
        flow: Flow,
        allow: &Allow,
        direction: CtDirection,
    ) -> Option<Set> {
        let (flow, sources, destinations) = match direction {
            CtDirection::Original => (flow, &allow.sources, &allow.destinations),
            CtDirection::Reply => {
                let back = Flow {
                    from: flow.to,
                    to: flow.from,
                };
                (back, &allow.destinations, &allow.sources)
            }
        };
        if super::intent::way_of(flow) != Some(way) {
            return None;
        }
        let sources = self.addresses(Field::Source, sources);
        let destinations = self.addresses(Field::Destination, destinations);
        let ends = self.ends(flow);
        Some(self.space.all(&[ends, sources, destinations]))
    }
}

/// The ICMP error types that a connection needs to receive.
pub(super) fn error_types(space: &mut Space) -> Set {
    let types = icmp_error::errors(space.family).iter();
    let types: Vec<u128> = types.map(|error| error.number.into()).collect();
    let kinds = space.one_of(Field::IcmpType, &types);
    let protocol = match space.family {
        IpFamily::V4 => Protocol::Icmp,
        IpFamily::V6 => Protocol::Icmpv6,
    };
    let of = space.equal(Field::Protocol, protocol.number().into());
    space.diagrams.and(kinds, of)
}
