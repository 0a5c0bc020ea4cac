//! The matches of a service: its protocols, ports and types.

use crate::family::IpFamily;
use crate::field::PortRange;
use crate::netfilter::{MULTIPORT_MAX, Match, Multiport, Negatable, PortSide, Protocol, TcpFlags};
use crate::policy::Service;
use crate::registry::icmpv6::counterpart;
use crate::registry::protocol;

/// The protocol and matches of each rule for a service: one rule per protocol, or several
/// if it has more ports than one multiport match takes.
pub(super) fn service_matches(
    service: &Service,
    family: IpFamily,
) -> Vec<(Negatable<Protocol>, Vec<Match>)> {
    let mut matches = Vec::new();
    for ports in port_groups(&service.tcp) {
        let opening = Some(Negatable::is(TcpFlags::OPENING));
        let extensions = match ports.as_slice() {
            [port] => vec![tcp(Some(*port), opening)],
            _ => vec![several(ports, PortSide::Destination), tcp(None, opening)],
        };
        matches.extend(from_ports(service, Protocol::Tcp, extensions));
    }
    if service.everything {
        // UDP is in it: no forward keeps any of its ports (see `resolve::forward`).
        matches.push((Negatable::not(Protocol::Tcp), Vec::new()));
        return matches;
    }
    for ports in port_groups(&service.udp) {
        // A single port too: iptables-restore asks getaddrinfo for each port of `-m udp`
        // (xtopt_parse_port), and reads those of multiport and of `-m tcp` as numbers.
        let extensions = vec![several(ports, PortSide::Destination)];
        matches.extend(from_ports(service, Protocol::Udp, extensions));
    }
    for icmp in &service.icmp {
        match family {
            IpFamily::V4 => matches.push((
                Negatable::is(Protocol::Icmp),
                vec![Match::Icmp(Negatable::is(*icmp))],
            )),
            IpFamily::V6 => matches.extend(counterpart(*icmp).map(|icmp| {
                (
                    Negatable::is(Protocol::Icmpv6),
                    vec![Match::Icmpv6(Negatable::is(icmp))],
                )
            })),
        }
    }
    let asked_for = service.protocols.iter();
    let asked_for = asked_for.filter(|number| protocol::is_asked_for(**number, family));
    matches.extend(asked_for.map(|number| (Negatable::is(Protocol::Number(*number)), Vec::new())));
    matches
}

/// The same from each of the service's source ports.
fn from_ports(
    service: &Service,
    protocol: Protocol,
    extensions: Vec<Match>,
) -> Vec<(Negatable<Protocol>, Vec<Match>)> {
    let from = port_groups(&service.source_ports).into_iter();
    let from =
        from.map(|ports| [extensions.clone(), vec![several(ports, PortSide::Source)]].concat());
    let mut each: Vec<Vec<Match>> = from.collect();
    if each.is_empty() {
        each.push(extensions);
    }
    let each = each.into_iter();
    each.map(|each| (Negatable::is(protocol), each)).collect()
}

pub(super) fn tcp(dport: Option<PortRange>, flags: Option<Negatable<TcpFlags>>) -> Match {
    Match::Tcp {
        sport: None,
        dport: dport.map(Negatable::is),
        flags,
    }
}

pub(super) fn several(ports: Vec<PortRange>, side: PortSide) -> Match {
    let ports = ports.into();
    Match::Multiport(Negatable::is(Multiport { side, ports }))
}

/// Ports in groups that fit into one multiport match.
pub(super) fn port_groups(ports: &[PortRange]) -> Vec<Vec<PortRange>> {
    let mut groups: Vec<Vec<PortRange>> = Vec::new();
    let mut room = 0;
    for port in ports {
        let size = if port.is_range() { 2 } else { 1 };
        match groups.last_mut() {
            Some(group) if room >= size => group.push(*port),
            _ => {
                groups.push(vec![*port]);
                room = MULTIPORT_MAX;
            }
        }
        room -= size;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_grouped_as_multiport_takes_them() {
        let range = PortRange::new(10, 20);
        let ports: Vec<PortRange> = (1..=14).map(PortRange::port).chain(range).collect();
        let sizes: Vec<usize> = port_groups(&ports).iter().map(Vec::len).collect();
        assert_eq!(sizes, [14, 1]);
        assert_eq!(port_groups(&ports[..13]).len(), 1);
        assert!(port_groups(&[]).is_empty());
    }
}
