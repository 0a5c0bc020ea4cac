//! Checks that the kernel supports a plan, before anything is changed.

use super::error::StepError;
use super::machine::Machine;
use crate::family::IpFamily;
use crate::host::iptables::{self, TableSnapshot};
use crate::host::{self, netlink};
use crate::netfilter::{Feature, features, sample};
use crate::plan::Plan;
use crate::plan::kernel_options::{describe, devices, has_locked_ports};

/// Whether the kernel can carry out a plan.
pub(super) enum KernelSupport {
    /// All of it.
    Whole,
    /// All but that it records what is refused.
    WithoutRecording,
}

/// Refuses a plan with locked bridge ports if the kernel has none.
pub(super) fn insist_on_locked_ports(plan: &Plan) -> Result<(), StepError> {
    let mut cameras = plan.policy.cameras.iter();
    let Some(camera) = cameras.find(|camera| camera.port.is_some()) else {
        return Ok(());
    };
    let release = host::kernel_release();
    match has_locked_ports(&release) {
        true => Ok(()),
        false => Err(StepError::NoLockedPorts {
            origin: camera.origin.clone(),
            release,
        }),
    }
}

/// Refuses a plan that this kernel does not support. A feature counts as supported if
/// it is in the loaded tables or in the kernel's own lists. For any other, which may be
/// in a module, iptables-restore tests a rule that uses only this feature.
pub(super) fn check(
    machine: &Machine,
    plan: &Plan,
    before: &[TableSnapshot],
) -> Result<KernelSupport, StepError> {
    insist_on_locked_ports(plan)?;
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
    let wanted = lacking.len();
    // That something is refused does not depend on its being recorded.
    lacking.retain(|(feature, _)| *feature != Feature::Target("NFLOG"));
    let support = match lacking.len() == wanted {
        true => KernelSupport::Whole,
        false => KernelSupport::WithoutRecording,
    };
    let mut missing = describe(&lacking);
    let links = devices(&plan.network);
    let options = netlink::missing_options(&links, plan.network.has_rules())?;
    missing.extend(options.into_iter().map(str::to_owned));
    if missing.is_empty() {
        return Ok(support);
    }
    Err(StepError::NoKernelSupport(missing.join(", ")))
}
