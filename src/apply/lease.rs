//! Checks a DHCP lease against the rest of the configuration, and applies it.
//!
//! A refused lease is recorded, so that `status` can say why the interface has no
//! address.

use std::path::Path;

use ipnet::{IpNet, Ipv4Net};

use super::error::CommandError;
use super::name_servers;
use super::outcome::{Ending, Outcome};
use super::planned::PlannedPolicy;
use crate::error::with_causes;
use crate::host::dhcp::HookCall;
use crate::host::netlink;
use crate::host::store::{self, StorePlace};
use crate::net::{self, LAST_METRIC, NextHop, UsedNetwork, Wanted};
use crate::plan::Plan;
use crate::source::one_line;

/// Runs the DHCP client's hook: sets the address and default route of the lease.
/// Refuses a lease with an invalid address, or one whose network overlaps another
/// zone's.
pub(crate) fn take_lease(config: &Path, event: &str, call: &HookCall) -> Ending {
    let link = call.link.as_str();
    let plan = match PlannedPolicy::in_force(config) {
        Ok(policy) => policy.plan,
        Err(refusal) => return Outcome::Refused(refusal.into()).into(),
    };
    let lease = net::lease(event, |name| call.variable(name))
        .and_then(|lease| lease.apart_from(&used_networks(&plan.network, link)));
    let lease = match lease {
        Ok(lease) => lease,
        Err(error) => {
            let recorded = store::write(
                StorePlace::Run,
                &refusal_of(link),
                &one_line(&with_causes(&error)),
            );
            return Ending::from(Outcome::Failed(error.into())).noting(recorded);
        }
    };
    let metric = match (plan.network.lease_metric(link), &lease) {
        (None, net::Lease::Held { .. }) => {
            return Outcome::Failed(CommandError::NoZoneByDhcp(link.to_owned())).into();
        }
        (metric, _) => metric.unwrap_or(LAST_METRIC),
    };
    // Otherwise `status` would still report an earlier refused lease.
    let forgotten = match lease {
        net::Lease::Unchanged => Ok(()),
        _ => store::remove(StorePlace::Run, &refusal_of(link)),
    };
    let of_route = plan.network.leased_route_metric(link);
    let told = name_servers::keep(&plan.policy, link, &lease);
    let outcome = match netlink::set_lease(link, &lease, metric, of_route) {
        Ok(()) => Outcome::Applied {
            made: Vec::new(),
            missing: Vec::new(),
        },
        Err(error) => Outcome::Failed(error.into()),
    };
    Ending::from(outcome).noting(forgotten).noting(told)
}

/// Why the last lease of each DHCP zone was refused, if it was.
pub fn refusals(plan: &Plan) -> Vec<String> {
    let links = plan.network.links.iter().filter(|link| link.by_dhcp());
    let descriptions = links.filter_map(|link| {
        let why = match store::read(StorePlace::Run, &refusal_of(link.name.as_str())) {
            Ok(why) => why?,
            Err(error) => format!(
                "cannot tell whether a lease was refused: {}",
                with_causes(&error)
            ),
        };
        Some(format!("interface {}: {why}", link.name))
    });
    descriptions.collect()
}

fn refusal_of(link: &str) -> String {
    format!("lease-refused-{link}")
}

/// The networks that the file uses elsewhere: those of other zones, and those routed
/// through other zones. Blackhole routes do not count: they lead to no zone, and are
/// often wide on purpose.
fn used_networks(wanted: &Wanted, link: &str) -> Vec<UsedNetwork> {
    let others = || {
        wanted
            .links
            .iter()
            .filter(|other| other.name.as_str() != link)
    };
    let own = others().flat_map(|other| {
        let ipv4 = other.addresses.iter().copied().filter_map(ipv4);
        ipv4.map(|own| UsedNetwork {
            network: own.trunc(),
            zone: other.zone.clone(),
            by_route: false,
        })
    });
    let routed = wanted.routes.iter().filter_map(|route| match &route.way {
        NextHop::Link { link: by, .. } => {
            let zone = others()
                .find(|other| other.name.as_str() == by)?
                .zone
                .clone();
            let network = ipv4(route.destination).filter(|network| network.prefix_len() > 0)?;
            Some(UsedNetwork {
                network,
                zone,
                by_route: true,
            })
        }
        NextHop::Blackhole | NextHop::Unreachable => None,
    });
    own.chain(routed).collect()
}

fn ipv4(network: IpNet) -> Option<Ipv4Net> {
    match network {
        IpNet::V4(network) => Some(network),
        IpNet::V6(_) => None,
    }
}
