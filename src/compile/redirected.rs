//! Finds the ports of an allow line that only redirected packets may reach.
//!
//! A line that names the host of a forward allows, on the forwarded port, only connections
//! that the forward redirected, and none made to the host directly. The same holds for the
//! port of a proxy on the router. A line with a network, or without an address, is about
//! more than the forward and is left as it is.

use ipnet::IpNet;

use super::{Compiler, host};
use crate::family::IpFamily;
use crate::field::PortRange;
use crate::netfilter::Protocol;
use crate::policy::{Allow, Endpoint, Flow, Forward, ForwardedPorts, Proxy, ProxyWay, Service};

/// Ports that packets may reach only through a forward or a proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Redirected {
    tcp: Vec<PortRange>,
    udp: Vec<PortRange>,
    /// All of the host, whatever the protocol.
    whole: bool,
    /// Whether this family rewrites anything.
    comes: bool,
}

impl Redirected {
    fn add(&mut self, protocol: Protocol, ports: PortRange) {
        let known = match protocol {
            Protocol::Udp => &mut self.udp,
            _ => &mut self.tcp,
        };
        let new = without(&[ports], known);
        known.extend(new);
    }

    /// The services without these ports; services that become empty are left out.
    pub(super) fn left_of(&self, services: &[Service]) -> Vec<Service> {
        if self.whole {
            return Vec::new();
        }
        let services = services.iter().map(|service| Service {
            tcp: without(&service.tcp, &self.tcp),
            udp: without(&service.udp, &self.udp),
            ..service.clone()
        });
        services.filter(opens_something).collect()
    }

    /// The services with only these ports.
    pub(super) fn part_of(&self, services: &[Service]) -> Vec<Service> {
        match (self.comes, self.whole) {
            (false, _) => return Vec::new(),
            (true, true) => return services.to_vec(),
            (true, false) => {}
        }
        let part = |ranges: &[PortRange], ports: &[PortRange]| -> Vec<PortRange> {
            let mut part = Vec::new();
            for ports in ports {
                for common in ranges.iter().filter_map(|range| range.common(*ports)) {
                    part.extend(without(&[common], &part));
                }
            }
            part
        };
        let services = services.iter().map(|service| Service {
            tcp: part(&service.tcp, &self.tcp),
            udp: part(&service.udp, &self.udp),
            icmp: Vec::new(),
            protocols: Vec::new(),
            everything: false,
            ..service.clone()
        });
        services.filter(opens_something).collect()
    }
}

/// The ranges without others.
fn without(ranges: &[PortRange], others: &[PortRange]) -> Vec<PortRange> {
    let mut left = ranges.to_vec();
    for other in others {
        left = left
            .into_iter()
            .flat_map(|range| match range.common(*other) {
                Some(common) => range.without(common).collect(),
                None => vec![range],
            })
            .collect();
    }
    left
}

fn opens_something(service: &Service) -> bool {
    service.everything
        || !(service.tcp.is_empty()
            && service.udp.is_empty()
            && service.icmp.is_empty()
            && service.protocols.is_empty())
}

impl Compiler<'_> {
    /// The destinations of a line, grouped by the ports that only redirected packets may
    /// reach.
    pub(super) fn by_redirected(
        &self,
        flow: Flow,
        allow: &Allow,
    ) -> Vec<(Vec<Option<IpNet>>, Redirected)> {
        let mut groups: Vec<(Vec<Option<IpNet>>, Redirected)> = Vec::new();
        for destination in self.prefixes(&allow.destinations) {
            let redirected = match (destination, flow.to) {
                _ if allow.by_forward => Redirected {
                    whole: true,
                    ..self.nothing_redirected()
                },
                (Some(destination), Endpoint::Zone(_)) if !allow.ranges.contains(&destination) => {
                    self.forwarded_to(flow, destination)
                }
                (None, Endpoint::Router) => self.proxied_to(flow),
                _ => Redirected::default(),
            };
            match groups.iter_mut().find(|(_, known)| *known == redirected) {
                Some((destinations, _)) => destinations.push(destination),
                None => groups.push((vec![destination], redirected)),
            }
        }
        groups
    }

    fn nothing_redirected(&self) -> Redirected {
        Redirected {
            comes: self.family == IpFamily::V4,
            ..Redirected::default()
        }
    }

    fn forwarded_to(&self, flow: Flow, destination: IpNet) -> Redirected {
        let mut redirected = self.nothing_redirected();
        let here = |forward: &&Forward| {
            flow.from == Endpoint::Zone(forward.from)
                && flow.to == Endpoint::Zone(forward.to)
                && host(forward.address) == destination
                && !forward.is_loopback()
        };
        let forwards = || self.policy.forwards.iter().filter(here);
        for forward in forwards() {
            let Some(ForwardedPorts { protocol, to, .. }) = forward.ports else {
                // All forwards to its host are as direct as it is.
                redirected.whole = !forward.direct;
                continue;
            };
            let open = forwards().filter(|other| other.direct);
            let open = open.filter_map(|other| other.ports);
            let open = open.filter(|other| other.protocol == protocol);
            let open: Vec<PortRange> = open.map(|other| other.to).collect();
            for ports in without(&[to], &open) {
                redirected.add(protocol, ports);
            }
        }
        redirected
    }

    fn proxied_to(&self, flow: Flow) -> Redirected {
        let mut redirected = self.nothing_redirected();
        let here = |proxy: &&Proxy| flow.from == Endpoint::Zone(proxy.from);
        let port_of = |proxy: &Proxy| match proxy.way {
            ProxyWay::Here(port) => Some(port),
            ProxyWay::Host { .. } => None,
        };
        let proxies = || self.policy.proxies.iter().filter(here);
        for port in proxies().filter_map(port_of) {
            let mut open = proxies().filter(|other| other.direct);
            if !open.any(|other| port_of(other) == Some(port)) {
                redirected.add(Protocol::Tcp, PortRange::port(port));
            }
        }
        redirected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_left_on_both_sides_of_another() {
        let shown = |others: &[(u16, u16)]| -> Vec<String> {
            let range = |(first, last)| PortRange::new(first, last);
            let others: Vec<PortRange> = others.iter().copied().filter_map(range).collect();
            let all: Vec<PortRange> = range((8000, 8010)).into_iter().collect();
            let left = without(&all, &others);
            left.iter().map(ToString::to_string).collect()
        };
        assert_eq!(shown(&[(8005, 8005)]), ["8000:8004", "8006:8010"]);
        assert_eq!(shown(&[(8000, 8000)]), ["8001:8010"]);
        assert_eq!(shown(&[(8010, 8010)]), ["8000:8009"]);
        assert_eq!(
            shown(&[(1, 8001), (8004, 8005)]),
            ["8002:8003", "8006:8010"]
        );
        assert_eq!(shown(&[(8011, 65535), (1, 7999)]), ["8000:8010"]);
        assert!(shown(&[(8000, 8005), (8006, 9000)]).is_empty());
    }
}
