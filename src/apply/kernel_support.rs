//! Checks that the kernel supports a plan, before anything is changed.

use super::error::StepError;
use super::machine::Machine;
use crate::family::IpFamily;
use crate::host::iptables::{self, TableSnapshot};
use crate::host::netlink;
use crate::netfilter::{Feature, features, sample};
use crate::plan::Plan;
use crate::plan::kernel_options::{describe, devices};

/// Refuses a plan that this kernel does not support. A feature counts as supported if
/// it is in the loaded tables or in the kernel's own lists. For any other, which may be
/// in a module, iptables-restore tests a rule that uses only this feature.
pub fn check(machine: &Machine, plan: &Plan, before: &[TableSnapshot]) -> Result<(), StepError> {
    let mut lacking: Vec<(Feature, IpFamily)> = Vec::new();
    for (tables, before) in machine.families.iter().zip(before) {
        let family = tables.family();
        let wanted = plan.rules.get(family);
        let (listed, loaded) = (iptables::listed(family), features(&before.rules));
        let unknown = features(wanted)
            .into_iter()
            .filter(|feature| !loaded.contains(feature) && !listed.has(*feature));
        let fails = |feature: &Feature| {
            sample(wanted, *feature).is_some_and(|rules| tables.try_out(&rules).is_err())
        };
        lacking.extend(unknown.filter(fails).map(|feature| (feature, family)));
    }
    let mut missing = describe(&lacking);
    let links = devices(&plan.network);
    let options = netlink::missing_options(&links, !plan.network.rules.is_empty())?;
    missing.extend(options.into_iter().map(str::to_owned));
    if missing.is_empty() {
        return Ok(());
    }
    Err(StepError::NoKernelSupport(missing.join(", ")))
}
