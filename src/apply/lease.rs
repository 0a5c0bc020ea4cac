//! What a DHCP lease brings, checked against the other zones and put in.

use std::path::Path;

use ipnet::IpNet;

use super::{Outcome, in_force};
use crate::host::netlink;
use crate::network;

/// What a DHCP client's hook does: address and default route of the lease. A
/// lease in a network of another zone is not taken.
pub fn take_lease(config: &Path, link: &str, event: &str) -> Outcome {
    let plan = match in_force(config) {
        Ok(plan) => plan,
        Err(refusal) => return Outcome::Refused(refusal.to_string()),
    };
    let others = plan
        .network
        .links
        .iter()
        .filter(|other| other.name.as_str() != link);
    let networks: Vec<_> = others
        .flat_map(|other| {
            other.addresses.iter().filter_map(|own| match own {
                IpNet::V4(own) => Some((own.trunc(), other.zone.clone())),
                IpNet::V6(_) => None,
            })
        })
        .collect();
    let lease = network::lease(event, |name| std::env::var(name).ok())
        .and_then(|lease| lease.apart_from(&networks));
    let done = match lease {
        Ok(lease) => netlink::set_lease(link, &lease).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match done {
        Ok(()) => Outcome::Applied(1),
        Err(error) => Outcome::Failed(error),
    }
}
