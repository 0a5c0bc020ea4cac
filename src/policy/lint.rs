//! Warnings about what is valid but probably unintended, and notes about what the reader
//! should know although the file does not say it.
//!
//! Owns the warnings and notes of `check`. Refuses nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    Addresses, Allow, Egress, Endpoint, Flow, Origin, Policy, Role, Service, Zone, ZoneIndex,
};
use super::{effect_lint, unreachable, ways_lint};
use crate::field::{PortRange, PortSet};
use crate::local_time::UTC;
use crate::name::{CameraName, InterfaceName};
use crate::net::Device;
use crate::netfilter::Protocol;
use crate::registry::port;

/// A warning or note, with the line that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    origin: Origin,
    kind: WarningKind,
    what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WarningKind {
    /// Probably a mistake.
    Warning,
    /// Correct, but good to know.
    Note,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            WarningKind::Warning => "warning",
            WarningKind::Note => "note",
        };
        write!(f, "{}: {kind}: {}", self.origin, self.what)
    }
}

/// The warnings and notes, in the order of the file.
pub fn warnings(policy: &Policy) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let lines = Lines::of(policy);
    let written = policy.allows.iter().enumerate();
    for (place, allow) in written.filter(|(_, allow)| !allow.by_forward) {
        let mut add = |what: String| {
            warnings.push(Warning {
                origin: allow.origin.clone(),
                kind: WarningKind::Warning,
                what,
            });
        };
        if let Some(why) = unreachable::whole(policy, allow) {
            add(format!("no packet can match this line: {why}"));
        } else {
            if let Some(wider) = lines.wider(policy, allow, place) {
                add(format!(
                    "all of this line is allowed by {} already; remove one of the two",
                    wider.origin
                ));
            }
            unreachable::partly(policy, allow)
                .into_iter()
                .for_each(&mut add);
        }
        for host in &allow.hosts {
            if policy.egress == Egress::Listed && !may_ask(policy, port::DNS) {
                add(format!(
                    "{host} cannot be looked up, since the router may not send DNS; add an allow line from router with service dns"
                ));
            }
        }
        if let Some(what) = open_to_all(policy, allow) {
            add(what);
        }
        shadowed(policy, allow).into_iter().for_each(&mut add);
        let not_told = effect_lint::names_not_told(policy, allow);
        not_told.into_iter().for_each(&mut add);
    }
    warnings.extend(unmanaged(policy));
    warnings.extend(not_masqueraded(policy));
    warnings.extend(without_upstream(policy));
    let ways = ways_lint::ways_out(policy).into_iter();
    let ways = ways.chain(ways_lint::without_forward(policy));
    let idle = effect_lint::idle_denials(policy).into_iter();
    let idle = idle.chain(effect_lint::servers_of_nobody(policy));
    let on_ethernet = policy.zones.iter().filter_map(|zone| {
        let what = effect_lint::device_on_ethernet(zone)?;
        Some((zone.origin.clone(), what))
    });
    warnings.extend(
        ways.chain(idle)
            .chain(on_ethernet)
            .map(|(origin, what)| Warning {
                origin,
                kind: WarningKind::Warning,
                what,
            }),
    );
    let elsewhere = effect_lint::cameras_elsewhere(policy).into_iter();
    warnings.extend(elsewhere.map(|(origin, what)| Warning {
        origin,
        kind: WarningKind::Note,
        what,
    }));
    warnings.extend(hours_in_utc(policy));
    warnings.extend(policy.zones.iter().filter_map(bogons_left_out));
    warnings.extend(policy.zones.iter().filter_map(bogons6_left_out));
    let zones = policy.indexed_zones();
    warnings.extend(zones.filter_map(|(index, zone)| ports_without_host(policy, index, zone)));
    for zone in &policy.zones {
        warnings.extend(
            unreachable::without_gateway(policy, zone).map(|what| Warning {
                origin: zone.origin.clone(),
                kind: WarningKind::Warning,
                what,
            }),
        );
    }
    warnings.sort_by_key(|warning| (warning.origin.number, warning.origin.line));
    // A list in `from` or `to` is several lines at one place.
    warnings.dedup();
    warnings
}

/// Whether the router may ask others at this UDP port.
fn may_ask(policy: &Policy, port: u16) -> bool {
    let from_router = |allow: &&Allow| allow.flows.iter().any(|flow| flow.from == Endpoint::Router);
    let mut from_router = policy.allows.iter().filter(from_router);
    from_router.any(|allow| {
        let mut udp = allow.services.iter().flat_map(|service| &service.udp);
        udp.any(|ports| ports.contains(PortRange::port(port)))
    })
}

/// Warns of the first line by which the router answers for others and may ask none of them.
fn without_upstream(policy: &Policy) -> Vec<Warning> {
    let servers = [("dns", port::DNS), ("ntp", port::NTP)].into_iter();
    let servers = servers.filter(|(_, port)| !may_ask(policy, *port));
    let servers = servers.filter(|_| policy.egress == Egress::Listed);
    let told = servers.filter_map(|(name, port)| {
        let is_offered = |allow: &&Allow| {
            let mut udp = allow.services.iter().flat_map(|service| &service.udp);
            // Who opens all ports does not say that a server is there.
            udp.any(|ports| *ports == PortRange::port(port))
                && allow.flows.iter().any(|flow| match (flow.from, flow.to) {
                    // Cameras that are told local names alone need nobody behind it.
                    (Endpoint::Zone(from), Endpoint::Router) => {
                        port != port::DNS || policy.forwards_names(from)
                    }
                    _ => false,
                })
        };
        let allow = policy.allows.iter().find(is_offered)?;
        let outside = |zone: &&Zone| zone.role == Role::External;
        let outside = policy.zones.iter().find(outside);
        let to = outside.map_or("the zone of its server".into(), |zone| {
            format!("\"{}\"", zone.name)
        });
        Some(Warning {
            origin: allow.origin.clone(),
            kind: WarningKind::Warning,
            what: format!(
                "the router answers {name} here and may ask no server itself; add [[allow]] from = \"router\", to = {to}, service = \"{name}\""
            ),
        })
    });
    told.collect()
}

/// Allow lines, indexed by camera: a camera's line never covers another camera's, and there
/// may be thousands.
struct Lines<'a> {
    of_cameras: BTreeMap<&'a CameraName, Vec<usize>>,
    others: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(policy: &'a Policy) -> Lines<'a> {
        let mut lines = Lines {
            of_cameras: BTreeMap::new(),
            others: Vec::new(),
        };
        let written = policy.allows.iter().enumerate();
        for (place, allow) in written.filter(|(_, allow)| !allow.by_forward) {
            match &allow.camera {
                Some(camera) => lines.of_cameras.entry(camera).or_default().push(place),
                None => lines.others.push(place),
            }
        }
        lines
    }

    /// Another line that allows everything that this one does.
    fn wider<'p>(&self, policy: &'p Policy, allow: &Allow, place: usize) -> Option<&'p Allow> {
        let own = allow
            .camera
            .as_ref()
            .and_then(|camera| self.of_cameras.get(camera));
        let places = self.others.iter().chain(own.into_iter().flatten());
        places
            .filter(|other| **other != place)
            .map(|other| (*other, &policy.allows[*other]))
            // If two lines allow the same, the later one is redundant.
            .find(|(other, wider)| holds(wider, allow) && (*other < place || !holds(allow, wider)))
            .map(|(_, wider)| wider)
    }
}

/// Whether one line allows everything that another does.
fn holds(wider: &Allow, allow: &Allow) -> bool {
    let unlimited = wider.limit.is_none()
        && wider.connections.is_none()
        && wider.block_after.is_none()
        && wider.when.is_none_or(|when| allow.when == Some(when));
    unlimited
        && allow.flows.iter().all(|flow| wider.flows.contains(flow))
        && wider.sources.contains(&allow.sources)
        && wider.destinations.contains(&allow.destinations)
        && allow
            .services
            .iter()
            .all(|service| wider.services.iter().any(|wider| wider.contains(service)))
}

fn open_to_all(policy: &Policy, allow: &Allow) -> Option<String> {
    let from_anywhere = allow.flows.iter().find(|flow| match flow.from {
        Endpoint::Zone(zone) => policy.zone(zone).role == Role::External,
        Endpoint::Router => false,
    })?;
    let unguarded = allow.is_from_anywhere()
        && allow.limit.is_none()
        && allow.block_after.is_none()
        && allow.services.iter().any(|service| {
            // Who has no key gets no answer, and a phone has no fixed address.
            let is_wireguard = service.udp == [PortRange::port(port::WIREGUARD)]
                && service.tcp.is_empty()
                && service.protocols.is_empty();
            let ports = !service.tcp.is_empty() || !service.udp.is_empty();
            !is_wireguard && (ports || !service.protocols.is_empty())
        });
    let services: Vec<String> = allow.services.iter().map(ToString::to_string).collect();
    let target = match from_anywhere.to {
        Endpoint::Router => "the router".to_owned(),
        Endpoint::Zone(zone) => told_hosts(policy.zone(zone), &allow.destinations),
    };
    unguarded.then(|| {
        format!(
            "{} of {target} is open to every address of the external network; give source, limit or block-after",
            services.join(", ")
        )
    })
}

/// The hosts of a zone that a line is to, if it names few, or the zone.
fn told_hosts(zone: &Zone, to: &Addresses) -> String {
    let Addresses::Only(hosts) = to else {
        return format!("zone {}", zone.name);
    };
    let hosts: Vec<String> = hosts.iter().map(|it| unreachable::shown(*it)).collect();
    match hosts.len() {
        1..=3 => format!("{} in {}", hosts.join(" and "), zone.name),
        many => format!("{many} hosts and networks in {}", zone.name),
    }
}

/// The ports of a line to another zone that a redirect takes: nothing of them goes on.
fn shadowed(policy: &Policy, allow: &Allow) -> Vec<String> {
    let mut told = Vec::new();
    for redirect in &policy.redirects {
        let takes = |flow: &Flow| {
            let from = Endpoint::Zone(redirect.from);
            flow.from == from && flow.to != Endpoint::Router && flow.to != from
        };
        if !allow.flows.iter().any(takes) {
            continue;
        }
        for (protocol, taken) in redirect.ports() {
            let (word, of): (_, fn(&Service) -> &Vec<PortRange>) = match protocol {
                Protocol::Udp => ("udp", |service| &service.udp),
                _ => ("tcp", |service| &service.tcp),
            };
            let own = allow.services.iter().flat_map(of);
            // Of a wider range the rest goes on, and is meant.
            let common: PortSet = own
                .filter(|own| taken.iter().any(|taken| taken.contains(**own)))
                .copied()
                .collect();
            told.extend(common.ranges().iter().map(|ports| {
                format!(
                    "{word} {ports} of this line is answered by the router ({}), and nothing of it goes on; remove it from one of the two",
                    redirect.origin
                )
            }));
        }
    }
    told
}

/// Warns of the first line of each zone with private addresses whose connections go out with
/// those: no answer from the internet finds its way back. Behind another router, which may
/// know the way or rewrite them, this is not known.
fn not_masqueraded(policy: &Policy) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut told: Vec<(ZoneIndex, ZoneIndex)> = Vec::new();
    for allow in &policy.allows {
        for flow in &allow.flows {
            let (Endpoint::Zone(from), Endpoint::Zone(to)) = (flow.from, flow.to) else {
                continue;
            };
            let (zone, outside) = (policy.zone(from), policy.zone(to));
            let is_out = outside.role == Role::External && zone.role != Role::External;
            let own = outside.networks();
            let behind = own.iter().any(|own| own.network().is_private());
            let networks = zone.networks();
            let private = networks.iter().any(|own| own.network().is_private());
            let mut rewritten = policy.masquerades.iter().map(|it| (it.from, it.to));
            let mut fixed = policy.snats.iter().map(|it| (it.from, it.to));
            let has_own = |host: &IpNet| {
                let mut forwards = policy.forwards.iter().filter(|it| it.at == to);
                forwards.any(|it| {
                    it.seen_as().is_some() && IpNet::from(IpAddr::V4(it.address)) == *host
                })
            };
            let alone =
                matches!(&allow.sources, Addresses::Only(hosts) if hosts.iter().all(has_own));
            let known = alone
                || rewritten.any(|pair| pair == (from, to))
                || fixed.any(|pair| pair == (from, to))
                || policy.unmasqueraded.contains(&(from, to))
                || told.contains(&(from, to));
            if !is_out || behind || !private || known {
                continue;
            }
            told.push((from, to));
            warnings.push(Warning {
                origin: allow.origin.clone(),
                kind: WarningKind::Warning,
                what: format!(
                    "zone {from} has private addresses, which go out to {to} as they are, so that no answer comes back; add [[masquerade]] from = \"{from}\", to = \"{to}\", with enabled = false if another router rewrites them",
                    from = zone.name,
                    to = outside.name
                ),
            });
        }
    }
    warnings
}

/// Notes the ports of a bridge that are locked and have no camera.
fn ports_without_host(policy: &Policy, index: ZoneIndex, zone: &Zone) -> Option<Warning> {
    let used: Vec<&InterfaceName> = policy
        .cameras_of(index)
        .filter_map(|camera| camera.port.as_ref())
        .collect();
    let Device::Bridge { ports, .. } = &zone.device else {
        return None;
    };
    let unused = ports.iter().filter(|port| !used.contains(port));
    let unused: Vec<&str> = unused.map(InterfaceName::as_str).collect();
    (!used.is_empty() && !unused.is_empty()).then(|| Warning {
        origin: zone.origin.clone(),
        kind: WarningKind::Note,
        what: format!(
            "no camera has port {}, so whoever is there gets nothing",
            unused.join(" or ")
        ),
    })
}

/// Notes at the first line with hours or days that they are not local ones.
fn hours_in_utc(policy: &Policy) -> Option<Warning> {
    let mut lines = policy.allows.iter();
    let line = lines.find(|allow| allow.when.is_some())?;
    let local = policy.local_time.as_ref()?;
    (local.zone == UTC).then(|| Warning {
        origin: line.origin.clone(),
        kind: WarningKind::Note,
        what: "the times of when are UTC; for local ones write timezone = \"Europe/Berlin\" under [router], or \"Etc/UTC\" if they are meant".into(),
    })
}

/// Notes which reserved networks an external zone accepts as sources, and why.
fn bogons_left_out(zone: &Zone) -> Option<Warning> {
    let private = |network: &ipnet::Ipv4Net| network.network().is_private();
    let own: Vec<String> = zone
        .networks()
        .iter()
        .filter(|own| private(own))
        .map(ToString::to_string)
        .collect();
    let from = if zone.by_dhcp() {
        "by DHCP"
    } else {
        "from another program"
    };
    let what = match (zone.role, zone.address_source.is_unknown(), own.is_empty()) {
        (Role::External, true, _) => format!(
            "the address of {} comes {from} and may be a private one, so new connections from 10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12 and 192.168.0.0/16 are not taken for bogons there",
            zone.name
        ),
        (Role::External, false, false) => format!(
            "{} is behind another router: its own network {} is not taken for bogons, the other private ones are, unless accept-bogons names them",
            zone.name,
            own.join(", ")
        ),
        _ => return None,
    };
    Some(Warning {
        origin: zone.origin.clone(),
        kind: WarningKind::Note,
        what,
    })
}

/// The same of IPv6.
fn bogons6_left_out(zone: &Zone) -> Option<Warning> {
    zone.slaac.then(|| Warning {
        origin: zone.origin.clone(),
        kind: WarningKind::Note,
        what: format!(
            "the IPv6 address of {} comes by router advertisement and may be a unique local one, so new connections from fc00::/7 and 64:ff9b:1::/48 are not taken for bogons there",
            zone.name
        ),
    })
}

/// Warns that no line allows SSH or HTTPS to the router.
fn unmanaged(policy: &Policy) -> Option<Warning> {
    let to_router = |flow: &Flow| flow.to == Endpoint::Router;
    let managed = policy.allows.iter().any(|allow| {
        allow.flows.iter().any(to_router)
            && allow.services.iter().any(|service| {
                let https = service.tcp.iter();
                https.clone().any(|ports| {
                    [22, 443]
                        .iter()
                        .any(|port| ports.first() <= *port && *port <= ports.last())
                })
            })
    });
    let zone = policy
        .zones
        .iter()
        .find(|zone| zone.role == Role::Private)
        .or(policy.zones.first())?;
    (!managed).then(|| Warning {
        origin: zone.origin.clone(),
        kind: WarningKind::Warning,
        what: "the router cannot be managed from any zone, neither by ssh nor by https; add an allow line to router if its console is not enough".into(),
    })
}
