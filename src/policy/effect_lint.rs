//! Warnings about what has no effect, or another one than it seems to have: denials of what
//! nobody sends, servers that nobody asks, names that nobody is told, a camera in the house.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::unreachable::{is_elsewhere, networks_of, overlap, shown};
use super::{Addresses, Allow, Camera, Endpoint, Gateway, Guarantee, Origin, Policy, Role, Zone};
use crate::net::{AddressSource, Device};

/// Entries of `[[deny]]` none of whose addresses can be at the end that they are about.
pub(super) fn idle_denials(policy: &Policy) -> Vec<(Origin, String)> {
    let denials: Vec<&Guarantee> = policy.guarantees.iter().filter(|it| it.is_denial).collect();
    let mut warnings = Vec::new();
    // Each pair of ends is one of its own, after the others of its entry.
    for entry in denials.chunk_by(|one, other| one.origin == other.origin) {
        if !entry.iter().all(|denial| is_idle(policy, denial)) {
            continue;
        }
        let Some(first) = entry.first() else { continue };
        let by_source = first.sources != Addresses::Any;
        let addresses = match by_source {
            true => &first.sources,
            false => &first.destinations,
        };
        let mut names: Vec<&str> = Vec::new();
        for denial in entry {
            let end = match by_source {
                true => denial.flow.from,
                false => denial.flow.to,
            };
            let name = match end {
                Endpoint::Zone(zone) => policy.zone(zone).name.as_str(),
                Endpoint::Router => "the router",
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let Addresses::Only(networks) = addresses else {
            continue;
        };
        let what = match networks.as_slice() {
            [one] => shown(*one),
            several => format!("one of these {} networks", several.len()),
        };
        let names = names.join(" or ");
        let why = match by_source {
            true => format!(
                "nothing that {names} sends comes from {what}, so that this denies nothing; for where it goes write address"
            ),
            false => format!(
                "nothing that is sent to {names} goes to {what}, so that this denies nothing; for where it comes from write source"
            ),
        };
        warnings.push((first.origin.clone(), why));
    }
    warnings
}

/// Whether nothing of a flow has the addresses that are denied on it.
fn is_idle(policy: &Policy, denial: &Guarantee) -> bool {
    let sent = |network: &IpNet| match denial.flow.from {
        Endpoint::Router => {
            let mut unknown = policy.zones.iter();
            let mut own = policy.zones.iter().flat_map(Zone::own);
            unknown.any(|zone| zone.is_unknown(network.addr().is_ipv6()))
                || own.any(|own| network.contains(&own.addr()))
        }
        Endpoint::Zone(from) => {
            let zone = policy.zone(from);
            let is_on_each_link = match network.network() {
                IpAddr::V4(address) => address.is_unspecified(),
                IpAddr::V6(address) => address.is_unicast_link_local(),
            };
            zone.role == Role::External
                || is_on_each_link
                || networks_of(policy, zone).any(|own| overlap(own, *network))
        }
    };
    let reached = |network: &IpNet| match denial.flow.to {
        Endpoint::Router => true,
        Endpoint::Zone(to) => {
            let is_on_each_link = match network.network() {
                IpAddr::V4(address) => address.is_multicast() || address.is_broadcast(),
                IpAddr::V6(address) => address.is_multicast() || address.is_unicast_link_local(),
            };
            is_on_each_link || is_elsewhere(policy, policy.zone(to), *network).is_none()
        }
    };
    match (&denial.sources, &denial.destinations) {
        (Addresses::Only(sources), _) => !sources.iter().any(sent),
        (_, Addresses::Only(destinations)) => !destinations.iter().any(reached),
        _ => false,
    }
}

/// The servers of `[names]`, if nobody's questions go on to them.
pub(super) fn servers_of_nobody(policy: &Policy) -> Option<(Origin, String)> {
    let origin = policy.name_servers_at.clone()?;
    let asking = || {
        let zones = policy.indexed_zones().map(|(index, _)| index);
        zones.filter(|index| policy.answers_names(*index))
    };
    if asking().any(|index| policy.forwards_names(index)) {
        return None;
    }
    let why = match asking().next() {
        None => "no line lets a zone ask the router for names",
        Some(_) => {
            "who may ask the router for names may not ask outside, and is told those of cameras alone"
        }
    };
    let mut private = policy.zones.iter().filter(|it| it.role == Role::Private);
    let from = private.next().map_or("home", |zone| zone.name.as_str());
    let what = format!(
        "{why}, so that nobody asks these servers; add [[allow]] from = \"{from}\", to = \"router\", service = \"dns\", or remove them"
    );
    Some((origin, what))
}

/// A line of cameras to hosts with names that nobody tells them.
pub(super) fn names_not_told(policy: &Policy, allow: &Allow) -> Option<String> {
    let host = allow.hosts.first()?;
    let from = allow.flows.iter().find_map(|flow| match flow.from {
        Endpoint::Zone(from) if policy.zone(from).role == Role::Camera => Some(from),
        _ => None,
    })?;
    if policy.may_look_up(from, allow) {
        return None;
    }
    let who = match &allow.camera {
        Some(camera) => camera.as_str(),
        None => policy.zone(from).name.as_str(),
    };
    let mut outside = policy.zones.iter().filter(|it| it.role == Role::External);
    let to = outside.next().map_or("external", |zone| zone.name.as_str());
    Some(format!(
        "nobody tells {who} the address of {host}, since no line lets it ask for names from outside; give the camera the address itself, or add [[allow]] and [[exceptions]] from = \"{who}\", to = \"{to}\", service = \"dns\""
    ))
}

/// A zone whose default route leads to every address by itself, on an Ethernet.
pub(super) fn device_on_ethernet(zone: &Zone) -> Option<String> {
    let name = zone.interface.as_str();
    // As the kernel and systemd name Ethernets; others may be tunnels and modems.
    let is_ethernet = match &zone.device {
        Device::Vlan { .. } | Device::Bridge { .. } => true,
        _ => name.starts_with("eth") || name.starts_with("en"),
    };
    let is_fixed = zone.address_source == AddressSource::File;
    (is_ethernet && is_fixed && zone.gateway == Some(Gateway::Device)).then(|| {
        format!(
            "{name} is an Ethernet, where with gateway = \"device\" each address outside would have to answer for itself; give the next router's address"
        )
    })
}

/// Listed cameras outside of the zones of cameras that no line says to be there on purpose, and
/// the addresses that may be meant.
pub(super) fn cameras_elsewhere(policy: &Policy) -> Vec<(Origin, String)> {
    let is_of_cameras = |zone: &&Zone| zone.role == Role::Camera;
    let mut told = Vec::new();
    for camera in &policy.cameras {
        let zone = policy.zone(camera.zone);
        if zone.role == Role::Camera || is_named_beside_cameras(policy, camera) {
            continue;
        }
        let others = policy.zones.iter().filter(is_of_cameras);
        let others = others.flat_map(|other| meant(other, camera.address));
        let nearest = others.min_by_key(|(_, meant)| {
            let pairs = meant.octets().into_iter().zip(camera.address.octets());
            pairs.filter(|(one, other)| one != other).count()
        });
        let Some((other, meant)) = nearest else {
            continue;
        };
        let role = match zone.role {
            Role::External => "external",
            Role::Camera | Role::Private => "private",
        };
        told.push((
            camera.origin.clone(),
            format!(
                "{} is in {}, whose role is {role}, so that it may what all hosts there may; for a camera in {} give its address there, such as {meant}",
                camera.name, zone.name, other.name
            ),
        ));
    }
    told
}

/// Whether a line has a camera at one end by its name, and cameras at the other.
fn is_named_beside_cameras(policy: &Policy, camera: &Camera) -> bool {
    let is_of_cameras = |end: Endpoint| match end {
        Endpoint::Zone(zone) => policy.zone(zone).role == Role::Camera,
        Endpoint::Router => false,
    };
    let own = camera.as_end();
    policy.allows.iter().any(|allow| {
        let is_from = allow.camera.as_ref() == Some(&camera.name);
        let is_to = allow.destinations == own;
        let mut flows = allow.flows.iter();
        flows.any(|flow| is_from && is_of_cameras(flow.to) || is_to && is_of_cameras(flow.from))
    })
}

/// The same host's address in each network of another zone.
fn meant(zone: &Zone, address: Ipv4Addr) -> impl Iterator<Item = (&Zone, Ipv4Addr)> {
    let networks = zone.networks().into_iter();
    networks.map(move |network| {
        let host = u32::from(address) & u32::from(network.hostmask());
        (zone, Ipv4Addr::from(u32::from(network.network()) | host))
    })
}
