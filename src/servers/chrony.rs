//! chrony.conf(5): an NTP server for the zones that may query the router.

use std::fmt::Write;

use super::NothingToServe;
use crate::policy::Policy;
use crate::registry::port;

/// The lines for chrony.conf.
///
/// # Errors
/// Returns an error if no allow line lets NTP reach the router.
pub fn chrony(policy: &Policy) -> Result<String, NothingToServe> {
    let mut allowed = String::new();
    for (index, zone) in policy.indexed_zones() {
        let Some(line) = policy.offers_udp(index, port::NTP).next() else {
            continue;
        };
        let _ = writeln!(allowed, "# {} zone {}", line.origin, zone.name);
        for network in policy.networks_of(zone) {
            let _ = writeln!(allowed, "allow {network}");
        }
        for network in policy.networks6_of(zone) {
            let _ = writeln!(allowed, "allow {network}");
        }
    }
    if allowed.is_empty() {
        return Err(NothingToServe(
            "no allow line lets NTP reach the router; add [[allow]] from the cameras' zone, to = \"router\", service = \"ntp\"".into(),
        ));
    }
    Ok(format!(
        "# for chrony.conf: the time for those who may ask, also while no server answers the router\nlocal stratum 10\n{allowed}"
    ))
}
