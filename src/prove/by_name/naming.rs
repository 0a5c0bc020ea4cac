//! Names for what gets through: the services that cover it, and ports for what none covers.

use super::{MatrixEnds, all_but};
use crate::family::IpFamily;
use crate::name::ServiceName;
use crate::netfilter::Protocol;
use crate::policy::Service;
use crate::prove::intent;
use crate::prove::packet::Field;
use crate::prove::space::Space;
use crate::prove::witness;
use crate::registry::service;
use camfw_diagrams::Set;

/// A name, and what it stands for.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) set: Set,
}

/// The services that have a name: the file's, and those of the catalogue that the file does
/// not replace.
pub(super) struct ServiceNames {
    /// Each with its packets; those of the file first.
    services: Vec<(Service, Set)>,
}

/// Stands before what a cell does not have.
pub(super) const BUT: &str = " but ";

/// The most ranges of ports that are told of one protocol.
const RANGES: usize = 12;

impl ServiceNames {
    pub(super) fn new(space: &mut Space, of: MatrixEnds<'_>) -> ServiceNames {
        let own = match of {
            MatrixEnds::Policy(policy) => policy.services.as_slice(),
            MatrixEnds::Interfaces(_) => &[],
        };
        let mut services: Vec<(Service, Set)> = Vec::new();
        for service in own.iter().cloned().chain(Service::catalogue()) {
            let mut known = services.iter();
            if known.any(|(known, _)| known.name == service.name) {
                continue;
            }
            let port = Field::DestinationPort;
            let set = intent::service_packets(space, &service, port, false);
            let set = space.forget(set, &[Field::SourcePort]);
            if !set.is_empty() {
                services.push((service, set));
            }
        }
        ServiceNames { services }
    }

    /// Names for a set over protocols, ports and types. Those in `first` are tried before
    /// others, which are not picked out of longer ranges of ports. Where all that is possible
    /// can be opened but for a few services, and these are shorter to say, they are said.
    pub(super) fn of(
        &self,
        space: &mut Space,
        opened: Set,
        first: &[Service],
        possible: Option<Set>,
    ) -> Vec<Named> {
        let plain = self.each(space, opened, first);
        let Some(possible) = possible.filter(|_| plain.len() > 1) else {
            return plain;
        };
        let text = |named: &[Named]| {
            let names: Vec<&str> = named.iter().map(|it| it.name.as_str()).collect();
            names.join(", ")
        };
        let missing = space.diagrams.minus(possible, opened);
        let mut name = "everything".to_owned();
        if !missing.is_empty() {
            name += BUT;
            name += &text(&self.each(space, missing, first));
        }
        match name.len() < text(&plain).len() {
            true => vec![Named {
                name,
                set: !missing,
            }],
            false => plain,
        }
    }

    fn each(&self, space: &mut Space, opened: Set, first: &[Service]) -> Vec<Named> {
        let named = |name: &str, set| Named {
            name: name.to_owned(),
            set,
        };
        if opened == Set::FULL {
            return vec![named("everything", Set::FULL)];
        }
        let mut told = Vec::new();
        let mut left = opened;
        let icmp = match space.family {
            IpFamily::V4 => Protocol::Icmp,
            IpFamily::V6 => Protocol::Icmpv6,
        };
        let all = ServiceName::try_from(service::ALL)
            .ok()
            .as_ref()
            .and_then(Service::well_known)
            .map(|all| {
                let packets = intent::service_packets(space, &all, Field::DestinationPort, false);
                (all.to_string(), packets)
            });
        if let Some((name, all)) = all
            && space.diagrams.minus(all, opened).is_empty()
        {
            return vec![named(&name, Set::FULL)];
        }
        for (name, protocol) in [
            ("all tcp", Protocol::Tcp),
            ("all udp", Protocol::Udp),
            ("all icmp", icmp),
        ] {
            let all = space.equal(Field::Protocol, protocol.number().into());
            // No packet may use port 0.
            let ports = space.range(Field::DestinationPort, 1, u16::MAX.into());
            let needed = match protocol == icmp {
                true => all,
                false => space.diagrams.and(all, ports),
            };
            if space.diagrams.minus(needed, opened).is_empty() {
                told.push(named(name, all));
                left = space.diagrams.minus(left, all);
            }
        }
        let whole = [Protocol::Tcp, Protocol::Udp].map(|protocol| {
            let of = space.equal(Field::Protocol, protocol.number().into());
            let set = space.diagrams.and(left, of);
            values(space, set, Field::DestinationPort)
        });
        let mut preferred = Vec::new();
        for service in first {
            let port = Field::DestinationPort;
            let set = intent::service_packets(space, service, port, false);
            let set = space.forget(set, &[Field::SourcePort]);
            preferred.push((service, set, true));
        }
        let others = self.services.iter();
        let others = others.map(|(service, set)| (service, *set, is_whole(service, &whole)));
        for (service, set, is_whole) in preferred.into_iter().chain(others) {
            if left.is_empty() {
                break;
            }
            let covers = is_whole && space.diagrams.minus(set, opened).is_empty();
            if covers && !space.diagrams.and(set, left).is_empty() {
                // Of ports alone, as iptables has them.
                told.push(named(&service.to_string().replace(':', "-"), set));
                left = space.diagrams.minus(left, set);
            }
        }
        told.extend(by_numbers(space, left));
        told
    }

    /// Names for packets whose destination was rewritten, each with the ports that they were
    /// opened to.
    pub(super) fn sent_on(&self, space: &mut Space, set: Set) -> Vec<(Named, String)> {
        let mut each = Vec::new();
        let mut rest = set;
        for (protocol, _) in values(space, set, Field::Protocol) {
            let of = space.equal(Field::Protocol, protocol);
            let set = space.diagrams.and(set, of);
            for ports in values(space, set, Field::OriginalPort) {
                let opened = space.range(Field::OriginalPort, ports.0, ports.1);
                let set = space.diagrams.and(set, opened);
                if values(space, set, Field::DestinationPort) != [ports] {
                    rest = space.diagrams.minus(rest, set);
                    each.push(set);
                }
            }
        }
        // A service may be of several protocols, and keeps its name where each keeps its ports.
        each.push(rest);
        let mut told = Vec::new();
        for set in each {
            let kept = [Field::Protocol, Field::DestinationPort, Field::IcmpType];
            let opened = space.forget(set, &all_but(&kept));
            for named in self.each(space, opened, &[]) {
                let set = space.diagrams.and(set, named.set);
                let ports = values(space, set, Field::OriginalPort);
                let ports = match ports.as_slice() {
                    // Of a protocol without ports.
                    [(0, 0xffff)] => "all".to_owned(),
                    ports => ranges_text(ports),
                };
                told.push((Named { set, ..named }, ports));
            }
        }
        told
    }
}

/// Whether each of its ranges of ports is a whole one.
fn is_whole(service: &Service, whole: &[Vec<(u128, u128)>; 2]) -> bool {
    let all = [&service.tcp, &service.udp].into_iter().zip(whole);
    all.into_iter().all(|(ports, whole)| {
        let mut ports = ports.iter();
        ports.all(|it| whole.contains(&(it.first().into(), it.last().into())))
    })
}

/// A set by protocols and ports, one entry for each protocol.
fn by_numbers(space: &mut Space, left: Set) -> Vec<Named> {
    let mut told = Vec::new();
    for (first, last) in values(space, left, Field::Protocol) {
        if first != last {
            let set = space.range(Field::Protocol, first, last);
            let name = format!("protocols {first}-{last}");
            told.push(Named { name, set });
            continue;
        }
        let of = space.equal(Field::Protocol, first);
        let field = match first {
            1 | 58 => Field::IcmpType,
            6 | 17 | 33 | 132 | 136 => Field::DestinationPort,
            _ => {
                let name = format!("protocol {first}");
                told.push(Named { name, set: of });
                continue;
            }
        };
        let set = space.diagrams.and(left, of);
        let ranges = values(space, set, field);
        let protocol = witness::protocol_name(first)
            .map_or_else(|| format!("protocol {first}"), str::to_owned);
        told.push(Named {
            name: format!("{protocol} {}", ranges_text(&ranges)),
            set,
        });
    }
    told
}

/// The values of a field in a set.
fn values(space: &mut Space, set: Set, field: Field) -> Vec<(u128, u128)> {
    let set = space.forget(set, &all_but(&[field]));
    // Of at most 16 bits, so that there are never more.
    space.ranges(set, field, 1 << 16).unwrap_or_default()
}

fn ranges_text(ranges: &[(u128, u128)]) -> String {
    let shown = ranges.iter().take(RANGES).map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    });
    let mut text = shown.collect::<Vec<_>>().join(",");
    if ranges.len() > RANGES {
        text += &format!(" and {} more ranges", ranges.len() - RANGES);
    }
    text
}
