//! What refused attempts mean by a policy: by names, with what the file says about them and
//! the line that would allow them.
//!
//! Works from the policy, the record and what names of the file resolved to. All that it tells of packets are numbers,
//! addresses and names of the file.

use std::cmp::Reverse;
use std::net::IpAddr;

use super::listed_hosts::{ListedHosts, RefusedSender};
use super::presence::MOST_ADDRESSES;
use super::refusals::RefusedAttempt;
use crate::field::PortRange;
use crate::json::json_object;
use crate::name::{CameraName, HostName, MacAddress, ZoneName};
use crate::policy::{
    Allow, Camera, Endpoint, Flow, Policy, RefusalReason, RefusalTag, Service, ZoneIndex, never,
};
use crate::registry::{protocol, service};
use crate::resolved_hosts::ResolvedHosts;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// What one host tried and may not.
#[derive(Debug)]
pub(crate) struct BlockedHost {
    /// The zone; None for the router.
    pub(crate) zone: Option<String>,
    /// The camera's name, if the file lists this address in this zone.
    pub(crate) camera: Option<String>,
    /// Its address: of a device that has many, the first of these.
    pub(crate) address: IpAddr,
    /// Its addresses, those of listed cameras first, then IPv4, then the latest.
    pub(crate) addresses: Vec<IpAddr>,
    /// How many more of them there are.
    pub(crate) more_addresses: usize,
    /// Its hardware address, when last seen.
    pub(crate) hardware: Option<String>,
    /// The camera whose hardware address that is in the file, where it is not `camera`.
    pub(crate) hardware_of: Option<String>,
    /// What it tried, the latest first.
    pub(crate) tried: Vec<Tried>,
}

json_object!(BlockedHost {
    zone,
    camera,
    address,
    addresses,
    more_addresses,
    hardware,
    hardware_of,
    tried
});

/// One thing that a host tried.
#[derive(Debug)]
pub(crate) struct Tried {
    /// Its destination.
    pub(crate) to: IpAddr,
    /// The destination's name: a camera, a zone, or the router; of what the router tried, the
    /// name of the file that it resolved.
    pub(crate) name: Option<String>,
    /// The number of the protocol.
    pub(crate) protocol: u8,
    /// The port or ICMP type.
    pub(crate) port: u16,
    /// The service, or protocol and port.
    pub(crate) service: String,
    /// Why it was refused.
    pub(crate) reason: &'static str,
    /// How many packets, at least.
    pub(crate) count: u64,
    /// When first and last, in seconds since 1970.
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// The keys of the `[[allow]]` that would allow it, a line each; None where there is
    /// none, or a role forbids it.
    pub(crate) allow: Option<String>,
}

json_object!(Tried {
    to,
    name,
    protocol,
    port,
    service,
    reason,
    count,
    first,
    last,
    allow
});

impl Tried {
    /// Why it was refused, for people.
    pub(crate) fn why(&self) -> &'static str {
        match self.reason {
            "spoofed" => "a source that its zone cannot have",
            "unknown" => "no listed camera",
            "bogon" => "a source that nobody on the internet has",
            "too many" => "over its zone's bound",
            "other zone's camera" => "a listed camera of another zone on this wire",
            reason => reason,
        }
    }
}

/// A host in words.
pub(crate) fn who(
    tag: &RefusalTag,
    source: IpAddr,
    hardware: Option<MacAddress>,
    name: Option<&str>,
) -> String {
    let zone = match &tag.zone {
        Some(zone) => zone.to_string(),
        None => return format!("the router ({source})"),
    };
    match (
        name.filter(|_| !tag.reason.has_unchecked_source()),
        hardware,
    ) {
        (Some(name), _) => format!("{name} ({source}, {zone})"),
        (None, Some(hardware)) => format!("{source} {hardware} ({zone})"),
        (None, None) => format!("{source} ({zone})"),
    }
}

/// A protocol and port in words: the built-in service's name, if there is one.
pub(crate) fn port_in_words(protocol: u8, port: u16) -> String {
    match (service::of(protocol, port), protocol) {
        (Some(name), _) => name.to_owned(),
        (None, TCP) => format!("tcp {port}"),
        (None, UDP) => format!("udp {port}"),
        (None, ICMP) => format!("icmp {port}"),
        (None, ICMPV6) => format!("icmpv6 {port}"),
        (None, number) => format!("protocol {}", protocol::shown(number)),
    }
}

/// Of whom a packet is: of a zone or the router; of a listed camera; of an address or device.
type Whose<'a> = (Option<&'a ZoneName>, Option<&'a CameraName>, RefusedSender);

/// What was refused since a time, by host. `camera` is one camera's name, which is told of by its
/// addresses and by its hardware address; None means every host.
pub(crate) fn blocked(
    refusals: &[RefusedAttempt],
    policy: &Policy,
    resolved: &ResolvedHosts,
    since: u64,
    camera: Option<&str>,
) -> Vec<BlockedHost> {
    let listed = ListedHosts::of(policy);
    let mut cameras = policy.cameras.iter();
    let mac = cameras.find(|it| Some(it.name.as_str()) == camera);
    let mac = mac.and_then(|it| it.mac);
    let mut all: Vec<(Whose<'_>, &RefusedAttempt)> = Vec::new();
    for refused in refusals.iter().filter(|refused| refused.last >= since) {
        let name = listed.camera(&refused.attempt).map(|camera| &camera.name);
        let is_its = name.map(CameraName::as_str) == camera;
        if camera.is_none() || is_its || mac.is_some() && refused.hardware == mac {
            let zone = refused.attempt.tag.zone.as_ref();
            all.push(((zone, name, listed.sender(refused)), refused));
        }
    }
    // A host's stand one after the other, and so does what it tried from many addresses.
    all.sort_unstable_by_key(|(whose, refused)| (*whose, what(refused)));
    let hosts = all.chunk_by(|(one, _), (other, _)| one == other);
    let mut hosts: Vec<BlockedHost> = hosts
        .filter_map(|its| host(policy, resolved, its))
        .collect();
    let place = |zone: &Option<String>| {
        let mut zones = policy.zones.iter();
        zones.position(|it| Some(it.name.as_str()) == zone.as_deref())
    };
    hosts.sort_by_key(|host| (place(&host.zone), host.camera.is_none(), host.address));
    hosts
}

/// What was tried, from whatever source.
fn what(refused: &RefusedAttempt) -> (IpAddr, u8, u16, RefusalReason) {
    let attempt = &refused.attempt;
    let reason = attempt.tag.reason;
    (attempt.destination, attempt.protocol, attempt.port, reason)
}

/// One host of the attempts of one.
fn host(
    policy: &Policy,
    resolved: &ResolvedHosts,
    its: &[(Whose<'_>, &RefusedAttempt)],
) -> Option<BlockedHost> {
    let ((zone, name, _), _) = *its.first()?;
    let newest = |some: &[(Whose<'_>, &RefusedAttempt)]| {
        let refused = some.iter().map(|(_, refused)| *refused);
        refused.max_by_key(|refused| refused.last).cloned()
    };
    let camera = policy.cameras.iter().find(|it| Some(&it.name) == name);
    let sources = its.iter();
    let mut sources: Vec<(IpAddr, Reverse<u64>)> = sources
        .map(|(_, refused)| (refused.attempt.source, Reverse(refused.last)))
        .collect();
    sources.sort_unstable();
    sources.dedup_by_key(|(source, _)| *source);
    let is_a_cameras = |source| policy.cameras.iter().any(|it| it.has(source));
    sources.sort_by_cached_key(|(source, last)| {
        (!is_a_cameras(*source), source.is_ipv6(), *last, *source)
    });
    let addresses = sources.iter().map(|(source, _)| *source);
    let addresses: Vec<IpAddr> = addresses.take(MOST_ADDRESSES).collect();
    let same = its.chunk_by(|(_, one), (_, other)| what(one) == what(other));
    let same = same.filter_map(|same| {
        let mut refused = newest(same)?;
        let all = || same.iter().map(|(_, refused)| refused);
        refused.count = all().fold(0, |sum, it| sum.saturating_add(it.count));
        refused.first = all().map(|it| it.first).min()?;
        Some(tried(policy, resolved, &refused, camera))
    });
    let mut all_tried: Vec<Tried> = same.collect();
    all_tried.sort_by_key(|tried| Reverse(tried.last));
    let hardware = newest(its)?.hardware;
    let mut cameras = policy.cameras.iter();
    let owner = cameras.find(|it| it.mac.is_some() && it.mac == hardware);
    let owner = owner.filter(|it| Some(&it.name) != name);
    Some(BlockedHost {
        zone: zone.map(ToString::to_string),
        camera: name.map(ToString::to_string),
        address: *addresses.first()?,
        more_addresses: sources.len() - addresses.len(),
        addresses,
        hardware: hardware.map(|hardware| hardware.to_string()),
        hardware_of: owner.map(|it| it.name.to_string()),
        tried: all_tried,
    })
}

fn tried(
    policy: &Policy,
    resolved: &ResolvedHosts,
    refused: &RefusedAttempt,
    camera: Option<&Camera>,
) -> Tried {
    let attempt = &refused.attempt;
    let flow = flow(policy, refused);
    // The name that the router asked for; what other hosts ask for is not looked at.
    let is_own = attempt.tag.zone.is_none();
    let asked = resolved.name_of(attempt.destination).filter(|_| is_own);
    let denied = |flow| {
        policy.guarantees.iter().any(|it| {
            it.is_denial
                && it.flow == flow
                && it.sources.holds(attempt.source)
                && it.destinations.holds(attempt.destination)
        })
    };
    let line = flow.filter(|flow| !denied(*flow)).and_then(|flow| {
        let mut lines = policy.allows_of(flow);
        lines.find(|line| covers(line, refused))
    });
    let reason = match (attempt.tag.reason, line) {
        (RefusalReason::NotAllowed, Some(line)) => {
            let is_counted =
                line.limit.is_some() || line.connections.is_some() || line.block_after.is_some();
            match (line.when.is_some(), is_counted) {
                (true, true) => "not its hours, or too often",
                (true, false) => "not its hours",
                (false, true) => "too often",
                (false, false) => "not allowed then",
            }
        }
        (RefusalReason::NotAllowed, None) if flow.is_some_and(denied) => "denied",
        (reason, _) => reason.in_words(),
    };
    // No line lets through what is denied.
    let hint = match (attempt.tag.reason, line, flow) {
        (RefusalReason::NotAllowed, None, Some(flow)) if !denied(flow) => {
            allow_line(policy, refused, flow, camera, asked)
        }
        _ => None,
    };
    Tried {
        to: attempt.destination,
        name: match asked {
            Some(asked) => Some(asked.to_string()),
            None => flow.map(|flow| name_of(policy, flow.to, attempt.destination).0),
        },
        protocol: attempt.protocol,
        port: attempt.port,
        service: port_in_words(attempt.protocol, attempt.port),
        reason,
        count: refused.count,
        first: refused.first,
        last: refused.last,
        allow: hint,
    }
}

/// The ends of an attempt; None if the policy has no such zones, or they are one.
fn flow(policy: &Policy, refused: &RefusedAttempt) -> Option<Flow> {
    let attempt = &refused.attempt;
    let from = match &attempt.tag.zone {
        None => Endpoint::Router,
        Some(name) => {
            let mut zones = policy.indexed_zones();
            Endpoint::Zone(zones.find(|(_, zone)| zone.name == *name)?.0)
        }
    };
    let to = destination(policy, attempt.destination)?;
    (from != to).then_some(Flow { from, to })
}

fn destination(policy: &Policy, address: IpAddr) -> Option<Endpoint> {
    let mut own = policy.zones.iter().flat_map(|zone| zone.own());
    let is_broadcast = match address {
        IpAddr::V4(address) => address.is_broadcast(),
        IpAddr::V6(_) => false,
    };
    if address.is_multicast() || is_broadcast || own.any(|own| own.addr() == address) {
        return Some(Endpoint::Router);
    }
    let holds = |index: ZoneIndex| {
        let zone = policy.zone(index);
        match address {
            IpAddr::V4(address) => {
                let mut networks = policy.networks_of(zone).into_iter();
                networks.any(|network| network.contains(&address))
            }
            IpAddr::V6(address) => {
                let mut networks = policy.networks6_of(zone).into_iter();
                networks.any(|network| network.contains(&address))
            }
        }
    };
    let mut zones = policy.indexed_zones().map(|(index, _)| index);
    let mut others = policy.indexed_zones();
    let found = zones.find(|index| holds(*index)).or_else(|| {
        let out = others.find(|(_, zone)| policy.has_default_route(zone, address.is_ipv6()));
        out.map(|(index, _)| index)
    });
    found.map(Endpoint::Zone)
}

/// Whether a line is about this attempt, at some hour and unless it is tried too often.
fn covers(line: &Allow, refused: &RefusedAttempt) -> bool {
    let attempt = &refused.attempt;
    !line.by_forward
        && line.sources.holds(attempt.source)
        && line.destinations.holds(attempt.destination)
        && line
            .services
            .iter()
            .any(|it| has(it, attempt.protocol, attempt.port))
}

fn has(service: &Service, protocol: u8, port: u16) -> bool {
    let one = PortRange::port(port);
    match protocol {
        _ if service.everything => true,
        TCP => service.tcp.iter().any(|ports| ports.contains(one)),
        UDP => service.udp.iter().any(|ports| ports.contains(one)),
        ICMP => service
            .icmp
            .iter()
            .any(|icmp| u16::from(icmp.number()) == port),
        _ => service.protocols.contains(&protocol),
    }
}

/// The name that an allow line has for an end, and whether it names this address alone.
fn name_of(policy: &Policy, end: Endpoint, address: IpAddr) -> (String, bool) {
    let Endpoint::Zone(index) = end else {
        return ("router".to_owned(), true);
    };
    let mut cameras = policy.cameras_of(index);
    match cameras.find(|camera| camera.has(address)) {
        Some(camera) => (camera.name.to_string(), true),
        None => (policy.zone(index).name.to_string(), false),
    }
}

/// The line that would allow an attempt. None if a role forbids it, or if no service can be
/// written for it.
fn allow_line(
    policy: &Policy,
    refused: &RefusedAttempt,
    flow: Flow,
    camera: Option<&Camera>,
    asked: Option<&HostName>,
) -> Option<String> {
    if let Flow {
        from: Endpoint::Zone(from),
        to: Endpoint::Zone(to),
    } = flow
        && never(policy.zone(from).role, policy.zone(to).role)
    {
        return None;
    }
    let attempt = &refused.attempt;
    if attempt.destination.is_multicast() {
        return None;
    }
    let service = match (
        service::of(attempt.protocol, attempt.port),
        attempt.protocol,
    ) {
        (Some(name), _) => format!("\"{name}\""),
        (None, TCP) => format!("{{ tcp = [{}] }}", attempt.port),
        (None, UDP) => format!("{{ udp = [{}] }}", attempt.port),
        (None, number) if protocol::number(&number.to_string()).is_some() => {
            format!("{{ protocol = \"{}\" }}", protocol::shown(number))
        }
        _ => return None,
    };
    let from = match (flow.from, camera) {
        (Endpoint::Router, _) => "router".to_owned(),
        (Endpoint::Zone(_), Some(camera)) => camera.name.to_string(),
        (Endpoint::Zone(zone), None) => policy.zone(zone).name.to_string(),
    };
    let (to, is_exact) = name_of(policy, flow.to, attempt.destination);
    let address = match (is_exact, asked) {
        (true, _) => String::new(),
        (false, Some(asked)) => format!("\nhost = \"{asked}\""),
        (false, None) => format!("\naddress = \"{}\"", attempt.destination),
    };
    Some(format!(
        "from = \"{from}\"\nto = \"{to}\"\nservice = {service}{address}"
    ))
}

#[cfg(test)]
mod tests;
