//! Who may send from each zone: hosts in its networks, its cameras, and hosts that have no
//! address yet.

use std::net::Ipv4Addr;

use ipnet::IpNet;

use super::{DHCP_CLIENT, DHCP_SERVER, Intent};
use crate::family::IpFamily;
use crate::netfilter::Protocol;
use crate::policy::{Camera, Endpoint, Flow, ProxyWay, Role, Zone, ZoneIndex};
use crate::prove::condition::address;
use crate::prove::packet::{Field, State};
use crate::registry::{icmpv6, special_purpose};
use camfw_diagrams::Set;

impl<'a, 's> Intent<'a, 's> {
    /// The packets whose source an endpoint can have when it opens a connection.
    pub fn opening_sources(&mut self, end: Endpoint) -> Set {
        let Endpoint::Zone(index) = end else {
            return !self.picked_up_in_the_middle();
        };
        let zone = self.policy.zone(index);
        let known = self.known_sources(index);
        let misplaced = self.misplaced(index);
        let known = self.space.diagrams.minus(known, misplaced);
        if zone.role != Role::External {
            return known;
        }
        let reserved = self.reserved(zone);
        self.space.diagrams.minus(known, reserved)
    }

    /// The packets that no line of a flow lets through: those of long lists, which are not taken
    /// away from the lines.
    pub(super) fn denied_first(&mut self, flow: Flow) -> Set {
        let mut denied = Set::EMPTY;
        for denial in self.policy.denied_first(flow) {
            let sources = self.addresses(Field::Source, &denial.sources);
            let destinations = self.addresses(Field::Destination, &denial.destinations);
            let both = self.space.diagrams.and(sources, destinations);
            denied = self.space.diagrams.or(denied, both);
        }
        denied
    }

    /// The packets with the hardware address of a camera that the file lists in another zone,
    /// by whatever interface they come in: in this zone they open nothing.
    pub fn misplaced(&mut self, index: ZoneIndex) -> Set {
        if let Some(set) = self.known.misplaced.get(&index) {
            return *set;
        }
        let cameras = self.policy.cameras.iter();
        let elsewhere = cameras.filter(|camera| camera.zone != index);
        let macs: Vec<u128> = elsewhere
            .filter_map(|camera| camera.mac)
            .map(|mac| mac.number())
            .collect();
        let set = self.space.one_of(Field::Mac, &macs);
        self.known.misplaced.insert(index, set);
        set
    }

    /// The packets whose source a zone can have. The answer of a transparent proxy has the
    /// address of the server that it stands in for.
    pub fn sources(&mut self, index: ZoneIndex) -> Set {
        let mut sets = vec![self.known_sources(index)];
        if self.space.family == IpFamily::V4 {
            for proxy in &self.policy.proxies {
                if matches!(proxy.way, ProxyWay::Host { zone, .. } if zone == index) {
                    let part = self.space.states(&[State::Established, State::Related]);
                    let of = self.of(Protocol::Tcp);
                    let others = self.outside_networks_and_cameras(index);
                    for ports in &proxy.ports {
                        let ports = self.ports(Field::SourcePort, *ports);
                        sets.push(self.space.all(&[ports, of, part, others]));
                    }
                }
            }
        }
        self.space.diagrams.union(&sets)
    }

    /// Sources outside a zone's networks, except for the cameras that the file lists in
    /// that zone.
    pub(super) fn outside_networks_and_cameras(&mut self, index: ZoneIndex) -> Set {
        let near = self.networks_of(self.policy.zone(index));
        let near = self.networks(Field::Source, &near);
        let macs = self.policy.cameras_of(index).filter_map(|it| it.mac);
        let macs: Vec<u128> = macs.map(|mac| mac.number()).collect();
        let macs = self.space.one_of(Field::Mac, &macs);
        self.space.diagrams.minus(!near, macs)
    }

    /// Sources in one of the zone's networks; for an external zone, every source that is in
    /// no other zone's networks and is not the router's own.
    pub(super) fn known_sources(&mut self, index: ZoneIndex) -> Set {
        if let Some(set) = self.known.sources.get(&index) {
            return *set;
        }
        let set = self.sources_anew(index);
        self.known.sources.insert(index, set);
        set
    }

    pub(super) fn sources_anew(&mut self, index: ZoneIndex) -> Set {
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
        let cameras = self.policy.listed(index, self.space.family);
        let cameras: Vec<&Camera> = cameras.collect();
        let mut networks: Vec<IpNet> = Vec::new();
        if !zone.known_only {
            networks.extend(self.networks_of(zone));
        }
        // A camera's address and hardware address belong together, and to no other camera:
        // `resolve` refuses anything else.
        let mut bound = Vec::new();
        let mut taken = [Vec::new(), Vec::new()];
        for camera in cameras {
            let own = camera.addresses_of(self.space.family);
            let own: Vec<IpNet> = own.map(IpNet::from).collect();
            networks.extend(&own);
            let Some(mac) = camera.mac.map(|mac| mac.number()) else {
                continue;
            };
            taken[1].push(mac);
            for own in own {
                let address = address(own.addr());
                bound.push((address, address, self.space.equal(Field::Mac, mac)));
                taken[0].push(address);
            }
        }
        let inside = self.networks(Field::Source, &networks);
        let bound = self.space.by_value(Field::Source, bound);
        let addresses = self.space.one_of(Field::Source, &taken[0]);
        let macs = self.space.one_of(Field::Mac, &taken[1]);
        let others = self.space.all(&[inside, !addresses, !macs]);
        let mut inside = self.space.diagrams.or(bound, others);
        if !ipv4 && !zone.known_only {
            // No other host has the router's own address; a camera may claim it, too.
            let own: Vec<IpNet> = zone.own().map(|own| IpNet::from(own.addr())).collect();
            let own = self.networks(Field::Source, &own);
            let claims = self.claims_of_an_address();
            let claims = self.space.diagrams.and(own, claims);
            inside = self.space.diagrams.minus(inside, own);
            inside = self.space.diagrams.or(inside, claims);
        }
        let mut unnumbered = self.without_address(index);
        if zone.known_only && !ipv4 {
            // The cameras alone, and what a link cannot do without.
            let of = self.of(Protocol::Icmpv6);
            unnumbered = self.space.all(&[unnumbered, of, macs]);
        }
        self.space.diagrams.or(inside, unnumbered)
    }

    /// The messages by which a host claims an address, sent to all, when the router asks
    /// who has it.
    pub(super) fn claims_of_an_address(&mut self) -> Set {
        let kind = icmpv6::NEIGHBOUR_ADVERTISEMENT.into();
        let parts = [
            self.of(Protocol::Icmpv6),
            self.space.equal(Field::IcmpType, kind),
            self.networks(Field::Destination, &[special_purpose::GROUPS.into()]),
        ];
        self.space.all(&parts)
    }

    /// Packets from a link-local address to a destination beyond its link.
    pub(super) fn link_local_elsewhere(&mut self, index: ZoneIndex) -> Set {
        if self.space.family == IpFamily::V4 {
            return Set::EMPTY;
        }
        let zone = self.policy.zone(index);
        let link = self.networks(Field::Source, &[special_purpose::LINK_LOCAL.into()]);
        let mut reached: Vec<IpNet> = zone.own().map(|own| IpNet::from(own.addr())).collect();
        reached.push(special_purpose::LINK_LOCAL.into());
        reached.push(special_purpose::GROUPS.into());
        let mut reached = self.networks(Field::Destination, &reached);
        if zone.slaac {
            let own = self.space.equal(Field::Local, 1);
            reached = self.space.diagrams.or(reached, own);
        }
        self.space.diagrams.minus(link, reached)
    }

    /// Packets that hosts send before they have an address, or only on their link.
    pub(super) fn without_address(&mut self, zone: ZoneIndex) -> Set {
        if self.space.family == IpFamily::V6 {
            let link = self.networks(Field::Source, &[special_purpose::LINK_LOCAL.into()]);
            // Duplicate address detection is sent from :: (RFC 4862, 5.4.2).
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
            .flat_map(|allow| allow.services.iter());
        let serves = services.any(|service| {
            let mut udp = service.udp.iter();
            udp.any(|ports| ports.contains(DHCP_SERVER))
        });
        if !serves {
            return Set::EMPTY;
        }
        // DHCP requests are sent from 0.0.0.0 (RFC 2131, 4.1).
        let everybody = address(Ipv4Addr::BROADCAST.into());
        // If only listed cameras may send, and each has a hardware address, no other host
        // may ask.
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

    /// Sources that nobody on the internet has, without those that the file accepts.
    pub(super) fn reserved(&mut self, zone: &Zone) -> Set {
        let listed = match self.space.family {
            IpFamily::V4 => special_purpose::IPV4,
            IpFamily::V6 => special_purpose::IPV6,
        };
        let ipv6 = self.space.family == IpFamily::V6;
        // Behind another router the zone's own network may be one of them.
        let own = self.networks_of(zone).into_iter();
        let own = own.filter(|own| listed.iter().any(|row| row.network.contains(own)));
        let accepted: Vec<IpNet> = own.chain(zone.accept_bogons.iter().copied()).collect();
        let dropped: Vec<IpNet> = listed
            .iter()
            .filter(|row| !(zone.is_unknown(ipv6) && row.private))
            .map(|row| row.network)
            .collect();
        let accepted = self.networks(Field::Source, &accepted);
        let dropped = self.networks(Field::Source, &dropped);
        self.space.diagrams.minus(dropped, accepted)
    }
}
