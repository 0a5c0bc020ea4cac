//! Warnings about several ways out: what is only good while one of them is in use.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Addresses, Endpoint, Forward, Origin, Policy, Role, Zone, ZoneIndex};
use crate::netfilter::Protocol;

/// Each with the line that it is about.
pub(super) fn ways_out(policy: &Policy) -> Vec<(Origin, String)> {
    let zones = policy.indexed_zones();
    let mut ways: Vec<(ZoneIndex, &Zone)> = zones.collect();
    ways.retain(|(_, zone)| zone.gateway.is_some());
    if ways.len() < 2 {
        return Vec::new();
    }
    ways.sort_by_key(|(_, zone)| zone.metric);
    let mut warnings = Vec::new();
    let mut told: Vec<(Endpoint, ZoneIndex)> = Vec::new();
    let flows = policy.allows.iter().filter(|allow| !allow.by_forward);
    let flows = flows.flat_map(|allow| allow.flows.iter().map(move |flow| (allow, flow)));
    for (allow, flow) in flows {
        let is_way = |to: Endpoint| ways.iter().any(|(way, _)| to == Endpoint::Zone(*way));
        if flow.from == Endpoint::Router || !is_way(flow.to) || is_way(flow.from) {
            continue;
        }
        for (way, zone) in &ways {
            let mut all = policy.allows.iter().flat_map(|allow| &allow.flows);
            let to = Endpoint::Zone(*way);
            let is_known = all.any(|other| other.from == flow.from && other.to == to);
            if is_known || told.contains(&(flow.from, *way)) {
                continue;
            }
            told.push((flow.from, *way));
            warnings.push((
                allow.origin.clone(),
                format!(
                    "no line lets the same hosts out by {0}, so that they are cut off while that way out is in use; add one to {0}, or let it be so on purpose",
                    zone.name
                ),
            ));
        }
    }
    for forward in policy.forwards.iter().filter(|it| !it.is_loopback()) {
        warnings.extend(of_standby(policy, &ways, forward));
    }
    warnings
}

/// Lines from one network outside to a host to which only another one's forward leads: without
/// a forward of its own, such a line is for packets to the host's address itself.
pub(super) fn without_forward(policy: &Policy) -> Vec<(Origin, String)> {
    let mut warnings = Vec::new();
    for allow in policy.allows.iter().filter(|allow| !allow.by_forward) {
        let is_named = |forward: &&Forward| {
            let host = IpNet::from(IpAddr::from(forward.address));
            !forward.is_loopback()
                && matches!(&allow.destinations, Addresses::Only(hosts) if hosts.contains(&host))
                && !allow.ranges.contains(&host)
                && allow.services.iter().any(|service| {
                    forward.ports.is_none_or(|ports| {
                        let own = match ports.protocol {
                            Protocol::Udp => &service.udp,
                            _ => &service.tcp,
                        };
                        own.iter().any(|own| own.common(ports.to).is_some())
                    })
                })
        };
        let forwards: Vec<&Forward> = policy.forwards.iter().filter(is_named).collect();
        for flow in &allow.flows {
            let Endpoint::Zone(from) = flow.from else {
                continue;
            };
            let zone = policy.zone(from);
            let mut to = forwards
                .iter()
                .filter(|it| flow.to == Endpoint::Zone(it.to));
            let is_own = |forward: &&Forward| forward.from == from;
            if zone.role != Role::External || forwards.iter().any(is_own) {
                continue;
            }
            warnings.extend(to.next().map(|forward| {
                let what = format!(
                    "no forward from {0} leads there, so this line lets in who asks {1} itself; add one, or leave {0} out",
                    zone.name, forward.address
                );
                (allow.origin.clone(), what)
            }));
        }
    }
    warnings
}

/// The answers of the host behind a forward go by the default route: only the router's own are
/// told by their address.
fn of_standby(
    policy: &Policy,
    ways: &[(ZoneIndex, &Zone)],
    forward: &Forward,
) -> Option<(Origin, String)> {
    let (preferred, first) = ways.first()?;
    let is_standby = forward.at != *preferred && ways.iter().any(|(way, _)| *way == forward.at);
    is_standby.then(|| {
        let at = &policy.zone(forward.at).name;
        (
            forward.origin.clone(),
            format!(
                "while {} is in use, answers to what comes in here by {at} leave by that and are lost: this forward works while {at} is the way out in use",
                first.name
            ),
        )
    })
}
