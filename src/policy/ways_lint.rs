//! Warnings about several ways out: what is only good while one of them is in use.

use super::{Endpoint, Forward, Origin, Policy, Zone, ZoneIndex};

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
