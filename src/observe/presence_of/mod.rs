//! Finds out who is there, from what the kernel, dnsmasq and `camfw watch` know.
//!
//! Works from values that were read and a policy alone. What a host sent is evidence of a
//! hardware address on a zone's wire and no more: it may have made up all of it.

mod others;

use std::net::IpAddr;

use super::accounting::CameraCount;
use super::leased_host::LeasedHost;
use super::presence::{
    CameraPresence, CameraState, HostProblem, HostProblemKind, InterfacePresence, Presence,
    ZonePresence, role_name,
};
use super::refusals::RefusedAttempt;
use super::sightings::Sightings;
use crate::config::Role;
use crate::family::IpFamily;
use crate::name::MacAddress;
use crate::net::SeenOnLinks;
use crate::policy::{Camera, Policy, Zone, ZoneIndex};
use others::others;

/// Two devices use one address if both did so lately, in seconds.
const LATELY: u64 = 600;

/// The most unlisted hosts of a zone.
const MOST_HOSTS: usize = 256;

/// What was read.
pub(crate) struct HostFacts<'a> {
    /// Links and neighbours.
    pub(crate) seen: &'a SeenOnLinks,
    /// dnsmasq's leases.
    pub(crate) leases: &'a [LeasedHost],
    /// What was refused.
    pub(crate) refused: &'a [RefusedAttempt],
    /// What was counted of each camera; None if that cannot be read.
    pub(crate) counts: Option<&'a [CameraCount]>,
    /// What `watch` has found out.
    pub(crate) sightings: &'a Sightings,
    /// How old what `watch` found out may be while it runs, in seconds.
    pub(crate) patience: u64,
    /// Seconds since 1970.
    pub(crate) now: u64,
}

/// A hardware address on a zone's wire, with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Evidence {
    zone: ZoneIndex,
    mac: Option<MacAddress>,
    address: IpAddr,
    /// None of a lease.
    last: Option<u64>,
}

/// Who is there by a policy.
pub(crate) fn presence(policy: &Policy, facts: &HostFacts<'_>) -> Presence {
    let evidence = evidence(policy, facts);
    let mut presence = Presence {
        now: facts.now,
        watching: is_fresh(facts),
        silent_after: policy.watch.silent_after.as_secs(),
        ..Presence::default()
    };
    for camera in &policy.cameras {
        let last = last_seen(policy, facts, camera);
        let problems = problems(policy, camera, last, &evidence, facts);
        presence.problems.extend(problems);
    }
    for (index, zone) in policy.indexed_zones() {
        let (named, mut others): (Vec<_>, Vec<_>) = others(policy, index, &evidence, facts)
            .into_iter()
            .partition(|host| host.line.is_some());
        let others_left_out = others.len().saturating_sub(MOST_HOSTS);
        others.truncate(MOST_HOSTS);
        let cameras = policy.cameras_of(index);
        presence.zones.push(ZonePresence {
            name: zone.name.to_string(),
            role: role_name(zone.role),
            interface: interface(zone, facts.seen),
            cameras: cameras.map(|it| camera(policy, facts, it)).collect(),
            named: named.into_iter().take(MOST_HOSTS).collect(),
            others,
            others_left_out,
        });
    }
    presence
}

/// Whether `watch` runs, so that a counter that has grown since it looked grew just now.
fn is_fresh(facts: &HostFacts<'_>) -> bool {
    let compared = facts.sightings.compared.unwrap_or_default();
    facts.now.abs_diff(compared) <= facts.patience
}

fn interface(zone: &Zone, seen: &SeenOnLinks) -> InterfacePresence {
    let mut links = seen.links.iter();
    let name = zone.interface.to_string();
    // A VPN that is off has none either, and needs nothing.
    let brought = zone.address_source.is_unknown() && zone.role == Role::External;
    let Some(link) = links.find(|link| link.name == name) else {
        return InterfacePresence {
            name,
            lease: brought.then_some(false),
            lease6: zone.slaac.then_some(false),
            ..InterfacePresence::default()
        };
    };
    InterfacePresence {
        name,
        exists: true,
        up: link.up,
        link: link.carrier,
        speed: link.speed,
        receive_errors: link.receive_errors,
        transmit_errors: link.transmit_errors,
        lease: brought.then_some(link.ipv4.is_some()),
        address: link.ipv4.filter(|_| brought).map(|own| own.to_string()),
        lease6: zone.slaac.then_some(link.ipv6.is_some()),
        address6: link.ipv6.filter(|_| zone.slaac).map(|own| own.to_string()),
    }
}

fn camera(policy: &Policy, facts: &HostFacts<'_>, camera: &Camera) -> CameraPresence {
    let last_seen = last_seen(policy, facts, camera);
    let packets = counted(facts, camera);
    let is_silent = |last| facts.now.saturating_sub(last) > policy.watch.silent_after.as_secs();
    let interface = policy.zone(camera.zone).interface.as_str();
    let mut neighbours = facts.seen.hosts.iter();
    let answers = neighbours.find(|it| it.link == interface && it.address == camera.address);
    let mut leases = facts.leases.iter();
    CameraPresence {
        name: camera.name.to_string(),
        address: camera.address,
        addresses6: camera.addresses_of(IpFamily::V6).collect(),
        mac: camera.mac.map(|mac| mac.to_string()),
        hardware: answers.map(|it| it.mac.to_string()),
        state: match (last_seen, packets) {
            (Some(last), _) if is_silent(last) => CameraState::Silent,
            (Some(_), _) => CameraState::Seen,
            (None, Some(0)) => CameraState::NeverSeen,
            (None, _) => CameraState::Unknown,
        },
        last_seen,
        packets,
        lease_until: leases
            .find(|lease| camera.has(lease.address))
            .map(|lease| lease.until),
    }
}

fn counted(facts: &HostFacts<'_>, camera: &Camera) -> Option<u64> {
    let mut counts = facts.counts?.iter();
    let count = counts.find(|count| count.name == camera.name.as_str());
    Some(count.map_or(0, |count| count.packets))
}

/// When a camera was there by its own address and hardware address, or later.
fn last_seen(policy: &Policy, facts: &HostFacts<'_>, camera: &Camera) -> Option<u64> {
    let now = facts.now;
    let sighting = facts.sightings.of(&camera.name);
    let mut last = sighting.and_then(|it| it.last).filter(|last| *last <= now);
    if let Some((sighting, compared)) = sighting.zip(facts.sightings.compared)
        && counted(facts, camera).is_some_and(|count| count > sighting.packets)
    {
        last = last.max(Some(match is_fresh(facts) {
            true => now,
            false => compared.min(now),
        }));
    }
    last.max(confirmed(policy, facts, camera))
}

/// When a camera was there for certain, or later: its counter has grown since `watch` looked,
/// or its packets have a time.
fn surely_seen(policy: &Policy, facts: &HostFacts<'_>, camera: &Camera) -> Option<u64> {
    let sighting = facts.sightings.of(&camera.name);
    let has_grown = |packets| counted(facts, camera).is_some_and(|count| count > packets);
    let grown = sighting.is_some_and(|it| has_grown(it.packets));
    let compared = facts.sightings.compared.filter(|_| grown);
    let compared = compared.filter(|at| *at <= facts.now);
    compared.max(confirmed(policy, facts, camera))
}

/// When a camera last answered the kernel, or sent a packet that was refused.
fn confirmed(policy: &Policy, facts: &HostFacts<'_>, camera: &Camera) -> Option<u64> {
    let now = facts.now;
    let zone = policy.zone(camera.zone);
    let neighbours = facts.seen.hosts.iter().filter(|host| {
        host.link == zone.interface.as_str() && super::sightings::is_of(camera, host)
    });
    let confirmed = neighbours.map(|host| now.saturating_sub(host.seconds));
    // Rules have checked that these are its own.
    let is_its = |refused: &&RefusedAttempt| {
        let mut own = camera.addresses();
        own.any(|own| refused.attempt.is_from(&zone.name, own))
    };
    let refused = facts.refused.iter().filter(is_its);
    let refused = refused.map(|refused| refused.last.min(now));
    confirmed.chain(refused).max()
}

/// Each hardware address on each zone's wire, sorted.
fn evidence(policy: &Policy, facts: &HostFacts<'_>) -> Vec<Evidence> {
    let mut all = Vec::new();
    let zones = || policy.indexed_zones();
    for host in &facts.seen.hosts {
        let zone = zones().find(|(_, zone)| zone.interface.as_str() == host.link);
        all.extend(zone.map(|(zone, _)| Evidence {
            zone,
            mac: Some(host.mac),
            address: host.address,
            last: Some(facts.now.saturating_sub(host.seconds)),
        }));
    }
    for refused in facts.refused {
        let name = refused.attempt.tag.zone.as_ref();
        let zone = zones().find(|(_, zone)| Some(&zone.name) == name);
        all.extend(zone.map(|(zone, _)| Evidence {
            zone,
            mac: refused.hardware,
            address: refused.attempt.source,
            last: Some(refused.last.min(facts.now)),
        }));
    }
    for lease in facts.leases {
        let zone = zones().find(|(_, zone)| zone.own().any(|own| own.contains(&lease.address)));
        all.extend(zone.map(|(zone, _)| Evidence {
            zone,
            mac: Some(lease.mac),
            address: lease.address,
            last: None,
        }));
    }
    // Of the same the latest, which is sorted last.
    all.sort_unstable_by(|a, b| b.cmp(a));
    all.dedup_by_key(|it| (it.zone, it.mac, it.address));
    all
}

/// What is wrong with a camera that was `last` seen where it should be.
fn problems(
    policy: &Policy,
    camera: &Camera,
    last: Option<u64>,
    evidence: &[Evidence],
    facts: &HostFacts<'_>,
) -> Vec<HostProblem> {
    let is_mac = |it: &Evidence| camera.mac.is_some() && it.mac == camera.mac;
    let is_address = |it: &Evidence| camera.has(it.address);
    let is_here = |it: &Evidence| it.zone == camera.zone;
    // What is older than the camera's own packets is over, but for the time between two
    // looks, in which nobody knows what came first.
    let surely = surely_seen(policy, facts, camera);
    let goes_on = |it: &Evidence| {
        let at = it.last.map(|at| at.saturating_add(facts.patience));
        at.is_some() && at > last && it.last > surely
    };
    let lately = |at: Option<u64>| at.is_some_and(|at| facts.now.saturating_sub(at) <= LATELY);
    let zone = policy.zone(camera.zone);
    let (name, address, eth) = (&camera.name, camera.address, &zone.interface);
    let mut found = Vec::new();
    let mut note = |kind, all: &[Evidence], text: String| {
        let latest = all.iter().filter_map(|it| Some((it.last?, it.zone))).max();
        found.extend(latest.map(|(last, zone)| HostProblem {
            kind,
            camera: name.to_string(),
            zone: policy.zone(zone).name.to_string(),
            last,
            text,
        }));
    };
    let about = evidence.iter().filter(|it| is_mac(it) || is_address(it));
    let about: Vec<Evidence> = about.copied().collect();
    let those = |wanted: &dyn Fn(&Evidence) -> bool| -> Vec<Evidence> {
        about.iter().copied().filter(|it| wanted(it)).collect()
    };

    // From outside, an address alone may be forged from afar.
    let elsewhere = those(&|it| {
        let by_address = camera.mac.is_none() && policy.zone(it.zone).role != Role::External;
        !is_here(it) && goes_on(it) && (is_mac(it) || by_address && is_address(it))
    });
    for (index, other) in policy.indexed_zones() {
        let there: Vec<Evidence> = elsewhere
            .iter()
            .copied()
            .filter(|it| it.zone == index)
            .collect();
        let what = match camera.mac {
            Some(mac) => format!("camera {name} ({mac})"),
            None => format!("a host with the address of camera {name} ({address})"),
        };
        let (other, its) = (&other.name, &other.interface);
        note(
            HostProblemKind::OtherZone,
            &there,
            format!("{what} is on the wire of zone {other} ({its}); plug it into {eth}"),
        );
    }

    let other_address = those(&|it| {
        let is_one = match it.address {
            IpAddr::V4(_) => true,
            IpAddr::V6(own) => !own.is_unicast_link_local() && !camera.addresses6.is_empty(),
        };
        let is_one = is_one && !it.address.is_unspecified();
        is_here(it) && goes_on(it) && is_mac(it) && is_one && !is_address(it)
    });
    let its = match one(other_address.iter().map(|it| it.address)) {
        Some(other) => other.to_string(),
        None => "other addresses".to_owned(),
    };
    let is_ipv6 = other_address.iter().all(|it| it.address.is_ipv6());
    let mut files = camera.addresses().filter(|own| own.is_ipv6() == is_ipv6);
    let files = files.next().unwrap_or(IpAddr::V4(address));
    let uses_own = about.iter().any(|it| {
        let is_own = is_mac(it) && is_address(it) && is_here(it);
        is_own && it.address.is_ipv6() == is_ipv6 && lately(it.last)
    });
    let advice = match (uses_own, is_ipv6) {
        (false, _) => format!("and not {files}; set its address, or correct the file's"),
        (true, false) => format!("beside {files}; set its address, or list that one too"),
        (true, true) => format!(
            "beside {files}; turn off temporary addresses at the camera, or list that one too"
        ),
    };
    note(
        HostProblemKind::OtherAddress,
        &other_address,
        format!("camera {name} uses {its} {advice}"),
    );

    let others = those(&|it| {
        is_here(it) && is_address(it) && camera.mac.is_some() && it.mac.is_some() && !is_mac(it)
    });
    let device = match one(others.iter().filter_map(|it| it.mac)) {
        Some(other) => other.to_string(),
        None => "others".to_owned(),
    };
    let newest = others.iter().filter_map(|it| it.last).max();
    let used = others.iter().max_by_key(|it| it.last);
    let used = used.map_or(IpAddr::V4(address), |it| it.address);
    if let Some(mac) = camera.mac {
        if lately(newest) && lately(last) {
            note(
                HostProblemKind::TwoDevices,
                &others,
                format!(
                    "{used} of camera {name} ({mac}) is used by {device} as well; unplug it, or give it another address"
                ),
            );
        } else if newest.is_some() && newest > last {
            note(
                HostProblemKind::OtherDevice,
                &others,
                format!(
                    "{used} of camera {name} is used by {device} and not by {mac}; unplug it, or correct the camera's mac in the file"
                ),
            );
        }
    }
    let contested = facts.sightings.of(name);
    if let Some((at, mac, before)) =
        contested.and_then(|it| Some((it.contested?, it.hardware?, it.before?)))
        && camera.mac.is_none()
        && lately(Some(at))
    {
        let seen = Evidence {
            zone: camera.zone,
            mac: Some(mac),
            address: address.into(),
            last: Some(at),
        };
        // In one order, whoever answered last.
        let (one, other) = (mac.min(before), mac.max(before));
        note(
            HostProblemKind::TwoDevices,
            &[seen],
            format!(
                "{address} of camera {name} is used by {one} and {other}; unplug one, or give it another address"
            ),
        );
    }
    found
}

/// The value, if all are the same.
fn one<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

#[cfg(test)]
mod tests;
