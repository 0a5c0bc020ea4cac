//! Checks that the box's other programs leave the zones' interfaces to camfw, and that it
//! has the one that camfw needs: a DHCP client.

use super::error::StepError;
use crate::host::{dhcp, network_programs};
use crate::net::{keeps_others_routes, other_programs};
use crate::plan::Plan;

/// Refuses a plan if another program configures one of its interfaces, or if nothing can
/// ask for its address.
pub(super) fn check_network_programs(plan: &Plan) -> Result<(), StepError> {
    match network_program_errors(plan).0.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// What is wrong although nothing is refused for it: `status` tells what was taken away.
const REMOVES_ROUTES: &str = "warning: systemd-networkd removes routes and rules that are not its own, and so camfw's; write ManageForeignRoutes=no and ManageForeignRoutingPolicyRules=no under [Network] in /etc/systemd/networkd.conf.d/camfw.conf, and restart it";

/// Everything for which that refuses it, and a warning.
pub(crate) fn network_program_errors(plan: &Plan) -> (Vec<StepError>, Option<&'static str>) {
    let mut errors = Vec::new();
    // Another program gives these their addresses, and configures them for that.
    let given = |name: &&str| {
        let mut links = plan.network.links.iter();
        links.any(|link| link.name.as_str() == *name && link.is_given())
    };
    let links = plan.network.names().filter(|name| !given(name));
    let active = network_programs::active();
    let found = other_programs(&active, links);
    if !found.is_empty() {
        errors.push(StepError::OtherPrograms(found));
    }
    let mut links = plan.network.links.iter();
    if let Some(link) = links.find(|link| link.by_dhcp())
        && !dhcp::is_there()
    {
        errors.push(StepError::NoDhcpClient(link.name.to_string()));
    }
    let keeps = keeps_others_routes(&active, !plan.policy.mark_rules.is_empty());
    (errors, (!keeps).then_some(REMOVES_ROUTES))
}
