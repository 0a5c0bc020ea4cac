//! Checks that the box's other programs leave the zones' interfaces to camfw, and that it
//! has the one that camfw needs: a DHCP client.

use super::error::StepError;
use crate::host::{dhcp, network_programs};
use crate::net::other_programs;
use crate::plan::Plan;

/// Refuses a plan if another program configures one of its interfaces, or if nothing can
/// ask for its address.
pub(crate) fn check_network_programs(plan: &Plan) -> Result<(), StepError> {
    let found = other_programs(&network_programs::active(), plan.network.names());
    if !found.is_empty() {
        return Err(StepError::OtherPrograms(found));
    }
    let by_dhcp = plan.network.links.iter().find(|link| link.dhcp);
    match by_dhcp {
        Some(link) if !dhcp::is_there() => Err(StepError::NoDhcpClient(link.name.to_string())),
        _ => Ok(()),
    }
}
