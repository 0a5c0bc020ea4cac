//! Finds allow lines that no packet can match, entirely or in part.
//!
//! Owns what the router never forwards, and which addresses cannot be where a line expects
//! them. Refuses nothing.

use ipnet::IpNet;

use super::{Addresses, Allow, Endpoint, Flow, Policy, Remainder, Role, Zone, ZoneIndex};
use crate::net::NextHop;
use crate::registry::protocol;

/// The settings by which the kernel passes on what comes in by an interface and is sent to a
/// broadcast address: it asks for both (`IN_DEV_BFORWARD`, include/linux/inetdevice.h).
pub fn broadcast_settings(interface: &str) -> [String; 2] {
    let of = |scope: &str| format!("net.ipv4.conf.{scope}.bc_forwarding");
    // A dot in the name of an interface is a slash in the key of its setting.
    [of("all"), of(&interface.replace('.', "/"))]
}

/// Why no packet can match a line.
pub(super) fn whole(policy: &Policy, allow: &Allow) -> Option<String> {
    let nobody = |addresses: &Addresses, of: &Option<Box<Remainder>>| {
        let none = Addresses::Only(Vec::new());
        let some = of.as_ref().is_some_and(|of| of.written != none);
        some && *addresses == none
    };
    if nobody(&allow.sources, &allow.sources_of)
        || nobody(&allow.destinations, &allow.destinations_of)
    {
        return Some("all of its addresses are denied".into());
    }
    if let (Addresses::Only(networks), false) = (&allow.destinations, allow.hosts.is_empty())
        && networks.is_empty()
    {
        let names: Vec<&str> = allow.hosts.iter().map(|host| host.as_str()).collect();
        return Some(format!(
            "{} did not resolve yet; camfw apply looks names up, and camfw refresh again",
            names.join(", ")
        ));
    }
    let mut first = None;
    for flow in &allow.flows {
        let why =
            by_sources(policy, allow, *flow).or_else(|| by_destinations(policy, allow, *flow));
        first = Some(first.unwrap_or(why?));
    }
    first
}

/// The parts of a line that no packet can match, each in words; other parts can be matched.
pub(super) fn partly(policy: &Policy, allow: &Allow) -> Vec<String> {
    let mut told = Vec::new();
    if let Addresses::Only(networks) = &allow.destinations
        && allow.hosts.is_empty()
        && allow.destinations_of.is_none()
    {
        for network in networks {
            let mut flows = allow.flows.iter();
            let whys: Option<Vec<String>> = flows
                .by_ref()
                .map(|flow| never_arrives(policy, *flow, *network))
                .collect();
            let why = whys.and_then(|whys| whys.into_iter().next());
            told.extend(why.map(|why| format!("no packet can match a part of this line: {why}")));
        }
    }
    told.extend(sent_to_groups(allow));
    told
}

/// An external zone without a route to the internet, and the line that needs one.
pub(super) fn without_gateway(policy: &Policy, zone: &Zone) -> Option<String> {
    if zone.role != Role::External || has_default(policy, zone, true) {
        return None;
    }
    let wanted = policy.allows.iter().find(|allow| {
        let mut flows = allow.flows.iter();
        let leads_there = |flow: &Flow| match flow.to {
            Endpoint::Zone(to) => policy.zone(to).name == zone.name,
            Endpoint::Router => false,
        };
        let anywhere = allow.is_to_anywhere() || !allow.hosts.is_empty();
        anywhere && flows.any(leads_there)
    })?;
    let (networks, gateway) = match zone.address_source.is_unknown() {
        true => ("its own network".into(), "gateway = \"device\""),
        false => (listed(policy, zone), "gateway"),
    };
    Some(format!(
        "{} has no gateway, so {} reaches nobody beyond {networks}; give it {gateway}, or the line address",
        zone.name, wanted.origin
    ))
}

fn by_sources(policy: &Policy, allow: &Allow, flow: Flow) -> Option<String> {
    let Endpoint::Zone(from) = flow.from else {
        return None;
    };
    let zone = policy.zone(from);
    if zone.role == Role::External || allow.camera.is_some() || may_send(policy, allow, from, zone)
    {
        return None;
    }
    Some("its sources are not let in by their zone".into())
}

/// Whether a line has a source that its zone lets in.
fn may_send(policy: &Policy, allow: &Allow, from: ZoneIndex, zone: &Zone) -> bool {
    let Addresses::Only(sources) = &allow.sources else {
        return !zone.known_only || policy.cameras_of(from).next().is_some();
    };
    let own = policy.networks_of(zone);
    sources.iter().any(|source| {
        let mut near = own.iter().map(|own| IpNet::V4(*own));
        let known = || {
            let mut cameras = policy.cameras_of(from);
            cameras.any(|camera| camera.addresses().any(|own| source.contains(&own)))
        };
        source.addr().is_ipv6()
            || near.any(|own| overlap(own, *source)) && (!zone.known_only || known())
    })
}

fn by_destinations(policy: &Policy, allow: &Allow, flow: Flow) -> Option<String> {
    let Addresses::Only(networks) = &allow.destinations else {
        return None;
    };
    let mut first = None;
    for network in networks {
        let why = never_arrives(policy, flow, *network)?;
        first = first.or(Some(why));
    }
    first
}

/// Why no packet with these addresses as its destination reaches a flow's zone.
fn never_arrives(policy: &Policy, flow: Flow, network: IpNet) -> Option<String> {
    let Endpoint::Zone(to) = flow.to else {
        return None;
    };
    let zone = policy.zone(to);
    // The router itself may send to multicast and broadcast addresses.
    if flow.from != Endpoint::Router {
        if network.network().is_multicast() {
            return Some(format!(
                "{} is a multicast group, which is forwarded by a multicast routing daemon alone; run one on the router, or give the addresses of hosts",
                shown(network)
            ));
        }
        if is_broadcast(policy, flow, zone, network) {
            return Some(format!(
                "{} is a broadcast address of {}, which the router does not forward; have a program on the router send it, or give the addresses of hosts",
                shown(network),
                zone.name
            ));
        }
    } else if network.network().is_multicast() || is_broadcast(policy, flow, zone, network) {
        return None;
    }
    is_elsewhere(policy, zone, network)
}

/// Whether it is the limited broadcast address, or the first or last address of a network
/// that the kernel does not pass on to.
fn is_broadcast(policy: &Policy, flow: Flow, zone: &Zone, network: IpNet) -> bool {
    let IpNet::V4(network) = network else {
        return false;
    };
    let address = network.addr();
    let ends = policy.networks_of(zone).into_iter().any(|own| {
        own.prefix_len() < 31 && (address == own.broadcast() || address == own.network())
    });
    let sends_on = || {
        let Endpoint::Zone(from) = flow.from else {
            return false;
        };
        let settings = broadcast_settings(policy.zone(from).interface.as_str());
        let mut values = settings.iter().map(|key| policy.sysctls.get(key));
        values.all(|value| value.is_some_and(|value| value != "0"))
    };
    network.prefix_len() == 32 && (address.is_broadcast() || ends && !sends_on())
}

/// Why addresses are not behind a zone.
pub(super) fn is_elsewhere(policy: &Policy, zone: &Zone, network: IpNet) -> Option<String> {
    if networks_of(policy, zone).any(|own| overlap(own, network)) {
        return None;
    }
    let others = policy.zones.iter().filter(|other| other.name != zone.name);
    let mut others =
        others.filter(|other| networks_of(policy, other).any(|theirs| theirs.contains(&network)));
    let ipv4 = network.addr().is_ipv4();
    let leads_on = has_default(policy, zone, ipv4) || zone.address_source.is_unknown() && ipv4;
    let (shown, name) = (shown(network), &zone.name);
    match (others.next(), leads_on) {
        (Some(other), _) => Some(format!(
            "{shown} is in the network of {}, not of {name}",
            other.name
        )),
        (None, true) => None,
        (None, false) if zone.role == Role::External => Some(format!(
            "{name} has no gateway, and {shown} is in none of its networks ({}); give it gateway or a route",
            listed(policy, zone)
        )),
        (None, false) => Some(format!(
            "{shown} is in no network of {name} ({}); correct it, or add a route",
            listed(policy, zone)
        )),
    }
}

/// A line to the router's own address for a protocol whose packets go to groups.
fn sent_to_groups(allow: &Allow) -> Option<String> {
    let to_router = allow.flows.iter().any(|flow| flow.to == Endpoint::Router);
    if !to_router || !allow.is_to_anywhere() {
        return None;
    }
    let mut protocols = allow.services.iter().flat_map(|service| &service.protocols);
    let number = protocols.find(|number| protocol::TO_GROUPS.contains(number))?;
    Some(format!(
        "{} is sent to multicast groups, and this line is about what is sent to the router's own address; add address = \"224.0.0.0/24\"",
        protocol::shown(*number)
    ))
}

/// Whether a zone leads to more than its own networks.
fn has_default(policy: &Policy, zone: &Zone, ipv4: bool) -> bool {
    let routed = policy.routes.iter().any(|route| {
        let is_default = route.destination.prefix_len() == 0;
        let by =
            matches!(&route.way, NextHop::Link { link, .. } if *link == zone.interface.as_str());
        is_default && by && route.destination.addr().is_ipv4() == ipv4
    });
    let gateway = match ipv4 {
        true => zone.gateway.is_some(),
        false => zone.has_gateway6(),
    };
    routed || gateway
}

pub(super) fn networks_of(policy: &Policy, zone: &Zone) -> impl Iterator<Item = IpNet> {
    let ipv4 = policy.networks_of(zone).into_iter().map(IpNet::V4);
    ipv4.chain(policy.networks6_of(zone).into_iter().map(IpNet::V6))
}

fn listed(policy: &Policy, zone: &Zone) -> String {
    let networks: Vec<String> = networks_of(policy, zone).map(|it| it.to_string()).collect();
    networks.join(", ")
}

pub(super) fn overlap(one: IpNet, other: IpNet) -> bool {
    one.contains(&other) || other.contains(&one)
}

/// A network, or a single address without its prefix length.
pub(super) fn shown(network: IpNet) -> String {
    match network.prefix_len() == network.max_prefix_len() {
        true => network.addr().to_string(),
        false => network.to_string(),
    }
}
