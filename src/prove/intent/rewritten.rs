//! Packets whose destination a forward or a proxy rewrites.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::{Intent, place};
use crate::family::IpFamily;
use crate::field::PortRange;
use crate::netfilter::{Protocol, Rule, Target, rule_text};
use crate::policy::{
    Addresses, Allow, Endpoint, Flow, Forward, ProxyWay, RedirectToRouter, ZoneIndex,
};
use crate::prove::bounds::Bounds;
use crate::prove::condition::{address, network_range};
use crate::prove::packet::{Field, State};
use camfw_diagrams::Set;

/// A forward, or a proxy or another server that runs on the router.
pub(super) struct Redirect {
    pub(super) to: SentTo,
    /// Whether its target can also be reached directly.
    pub(super) direct: bool,
    /// Whether it has lines of its own, so that it makes no other line narrower.
    pub(super) has_lines: bool,
    /// All packets to its target.
    pub(super) there: Set,
    /// Where these packets were going before.
    pub(super) came: Set,
}

/// The target of a redirect.
pub(super) enum SentTo {
    /// A host in a zone.
    Host(Endpoint, Ipv4Addr),
    /// A TCP port of the router itself.
    Port(u16),
    /// The same port of the router, which is open anyway.
    SamePort,
}

/// Whether a line lists this host individually, and in no wider network or range.
pub(super) fn names(allow: &Allow, host: Ipv4Addr) -> bool {
    let host = IpNet::from(IpAddr::V4(host));
    match &allow.destinations {
        Addresses::Any => false,
        Addresses::Only(networks) => {
            let mut holding = networks.iter().filter(|network| network.contains(&host));
            let listed =
                holding.clone().next().is_some() && holding.all(|network| *network == host);
            listed && !allow.ranges.contains(&host)
        }
    }
}

impl<'a, 's> Intent<'a, 's> {
    /// The packets of a set, without connections that a forward redirected.
    pub(super) fn not_sent_on(&mut self, set: Set) -> Set {
        let as_is = self.space.equal(Field::Dnat, 0);
        let new = self.space.states(&[State::New]);
        let real = self.space.diagrams.or(as_is, !new);
        self.space.diagrams.and(set, real)
    }

    pub(super) fn as_they_came(&mut self, packets: Bounds) -> Bounds {
        let as_is = self.space.equal(Field::Dnat, 0);
        self.space.and(packets, Bounds::exactly(as_is))
    }

    /// The forwards, and the proxies on the router, that redirect packets of a flow's
    /// source zone. Routing is left open: a redirected packet may take any path.
    pub(super) fn redirects(&mut self, flow: Flow) -> Vec<Redirect> {
        let mut all = Vec::new();
        let Endpoint::Zone(from) = flow.from else {
            return all;
        };
        let policy = self.policy;
        // IPv6 has enough addresses, and so has no redirects.
        let rewrites = self.space.family == IpFamily::V4;
        let here = |it: &&Forward| it.from == from && rewrites;
        for forward in policy.forwards.iter().filter(here) {
            let own = self.forwarded_at(forward, Field::OriginalDestination);
            let ports = match forward.ports {
                Some(ports) => self.ports(Field::OriginalPort, ports.at),
                None => Set::FULL,
            };
            // Of a range, and of a whole address, each port leads to its own.
            let same = match forward.other_port() {
                None => self.space.twins_equal(Field::DestinationPort),
                Some(_) => Set::FULL,
            };
            let came = self.space.all(&[own, ports, same]);
            let parts = [
                self.ports_behind(forward),
                self.host(Field::Destination, forward.address),
            ];
            all.push(Redirect {
                to: SentTo::Host(Endpoint::Zone(forward.to), forward.address),
                direct: forward.direct,
                has_lines: forward.is_loopback(),
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
                    has_lines: false,
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
                has_lines: false,
                there: self.space.all(&parts),
                came: self.space.diagrams.minus(ports, others),
            });
        }
        for redirect in policy.redirects.iter().filter(|it| it.from == from) {
            let (mut there, mut came) = (Set::EMPTY, Set::EMPTY);
            if let Some(address) = own.filter(|_| rewrites) {
                let own = self.space.equal(Field::Destination, address);
                let ports = self.answered_here(redirect);
                there = self.space.diagrams.and(ports, own);
                let zone = policy.zone(from);
                let others: Vec<IpNet> = policy
                    .not_for_one_host(zone)
                    .into_iter()
                    .map(IpNet::V4)
                    .collect();
                let others = self.networks(Field::OriginalDestination, &others);
                // What goes there already is not rewritten.
                let already = self.space.equal(Field::OriginalDestination, address);
                let same = self.space.twins_equal(Field::DestinationPort);
                came = self.space.all(&[same, !others, !already]);
            }
            all.push(Redirect {
                to: SentTo::SamePort,
                direct: true,
                has_lines: false,
                there,
                came,
            });
        }
        all
    }

    /// The packets to the router's addresses that a forward takes, by the destination that they
    /// came with, which is in this field.
    fn forwarded_at(&mut self, forward: &Forward, field: Field) -> Set {
        let policy = self.policy;
        let zone = policy.zone(forward.at);
        if let Some(own) = forward.own {
            return self.host(field, own);
        }
        let own: Vec<IpNet> = zone.own().map(|own| IpNet::from(own.addr())).collect();
        match (zone.address_source.is_unknown(), forward.is_loopback()) {
            (false, _) => self.networks(field, &own),
            (true, false) => Set::FULL,
            // From inside not what is for somebody else, nor for a known address.
            (true, true) => {
                let known = policy.zones.iter().flat_map(|zone| zone.own());
                let mut known: Vec<IpNet> = known.map(|own| IpNet::from(own.addr())).collect();
                known.push(IpNet::new_assert(Ipv4Addr::LOCALHOST.into(), 8));
                let known = self.networks(field, &known);
                let local = self.space.equal(Field::AnyLocal, 1);
                self.space.diagrams.minus(local, known)
            }
        }
    }

    /// The packets to the ports on the host of a forward.
    fn ports_behind(&mut self, forward: &Forward) -> Set {
        self.of_ports(forward.ports.map(|ports| (ports.protocol, ports.to)))
    }

    /// The packets to ports of a protocol, or all.
    fn of_ports(&mut self, ports: Option<(Protocol, PortRange)>) -> Set {
        let Some((protocol, ports)) = ports else {
            return Set::FULL;
        };
        let ports = self.ports(Field::DestinationPort, ports);
        let of = self.of(protocol);
        self.space.diagrams.and(ports, of)
    }

    fn host(&mut self, field: Field, host: Ipv4Addr) -> Set {
        self.networks(field, &[IpNet::from(IpAddr::V4(host))])
    }

    /// The packets to the ports of a redirect.
    fn answered_here(&mut self, redirect: &RedirectToRouter) -> Set {
        let mut sets = Vec::new();
        for (protocol, ports) in redirect.ports() {
            for ports in ports {
                let ports = self.ports(Field::DestinationPort, *ports);
                let of = self.of(protocol);
                sets.push(self.space.diagrams.and(ports, of));
            }
        }
        self.space.diagrams.union(&sets)
    }

    /// The part of a line that applies to redirected packets only: the line names the host
    /// of a forward, or is for the router's port of a proxy.
    pub(super) fn sent_on_alone(&mut self, flow: Flow, allow: &Allow) -> Set {
        if allow.by_forward {
            return Set::FULL;
        }
        let mut alone = Vec::new();
        let mut open = Vec::new();
        let redirects = self.redirects(flow).into_iter();
        for redirect in redirects.filter(|it| !it.has_lines) {
            let set = match redirect.to {
                // At any address of the router.
                SentTo::Port(port)
                    if flow.to == Endpoint::Router && allow.destinations == Addresses::Any =>
                {
                    let ports = self.ports(Field::DestinationPort, PortRange::port(port));
                    let of = self.of(Protocol::Tcp);
                    self.space.diagrams.and(ports, of)
                }
                SentTo::Host(to, host) if to == flow.to && names(allow, host) => redirect.there,
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

    /// The packets that a forward, or a transparent proxy on the router, sends to another
    /// destination.
    pub fn redirected(&mut self) -> Set {
        let mut sets = Vec::new();
        if self.space.family == IpFamily::V6 {
            return Set::EMPTY;
        }
        for forward in &self.policy.forwards {
            let own = self.forwarded_at(forward, Field::Destination);
            let ports = forward.ports.map(|ports| (ports.protocol, ports.at));
            let parts = [
                self.of_ports(ports),
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
        for redirect in &self.policy.redirects {
            let ports = self.answered_here(redirect);
            let by = self.by(Field::In, Endpoint::Zone(redirect.from));
            let here = place(self.space, self.policy.zone(redirect.from));
            let mut set = self.space.diagrams.and(ports, by);
            // What goes to the router as it is stays so.
            if let Some(own) = self.space.own_addresses.get(&here).copied() {
                let own = self.space.equal(Field::Destination, own);
                set = self.space.diagrams.minus(set, own);
            }
            sets.push(set);
        }
        self.space.diagrams.union(&sets)
    }

    /// For each rewriting of sources, as its target's text, the packets between hosts that it
    /// is for, as they leave. The first one that takes a packet counts.
    pub fn rewritten_sources(&mut self) -> Vec<(String, Set)> {
        let policy = self.policy;
        let mut all: Vec<(Target, Set)> = Vec::new();
        for forward in &policy.forwards {
            if let Some(own) = forward.seen_as() {
                let source = self.host(Field::Source, forward.address);
                let out = self.by(Field::Out, Endpoint::Zone(forward.at));
                let leaving = self.space.diagrams.and(source, out);
                all.push((Target::Snat(own.into()), leaving));
            }
        }
        let masquerades = policy.masquerades.iter();
        let masquerades = masquerades.map(|it| (it.from, it.to, Target::Masquerade));
        let snats = policy.snats.iter();
        let snats = snats.map(|it| (it.from, it.to, Target::Snat(it.address.into())));
        for (from, to, target) in masquerades.chain(snats) {
            let leaving = self.leaving(from, to);
            all.push((target, leaving));
        }
        for forward in policy.forwards.iter().filter(|it| it.turns_back()) {
            let parts = [
                self.ports_behind(forward),
                self.host(Field::Destination, forward.address),
                self.space.equal(Field::Dnat, 1),
                self.leaving(forward.from, forward.to),
            ];
            all.push((Target::Masquerade, self.space.all(&parts)));
        }
        let mut found: Vec<(String, Set)> = Vec::new();
        let mut taken = Set::EMPTY;
        for (target, set) in all {
            let text = rule_text(&Rule::new(target));
            let text = text.trim_start_matches("-j ").to_owned();
            let set = self.space.diagrams.minus(set, taken);
            taken = self.space.diagrams.or(taken, set);
            match found.iter_mut().find(|(known, _)| *known == text) {
                Some((_, known)) => *known = self.space.diagrams.or(*known, set),
                None => found.push((text, set)),
            }
        }
        found
    }

    /// The packets with a source of one zone that leave to another, or to the same.
    fn leaving(&mut self, from: ZoneIndex, to: ZoneIndex) -> Set {
        let networks = self.networks_of(self.policy.zone(from));
        let sources = self.networks(Field::Source, &networks);
        let to = self.by(Field::Out, Endpoint::Zone(to));
        self.space.diagrams.and(sources, to)
    }

    /// Addresses of hosts in the zones, without the router's: what a counterexample should
    /// have as its source or destination.
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
