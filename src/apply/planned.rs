//! A policy that was read and resolved, with the plan that it gives.
//!
//! Owns where a policy comes from: the file, or what is kept of one.

use std::path::Path;

use super::record::Record;
use super::{names, once_offered};
use crate::host::config_file::{self, Purpose};
use crate::plan::Plan;
use crate::snapshot::PolicySnapshot;
use crate::source::Refusal;

/// A policy and its plan.
#[derive(Debug, Clone)]
pub(super) struct PlannedPolicy {
    pub(super) snapshot: PolicySnapshot,
    pub(super) plan: Plan,
}

impl PlannedPolicy {
    /// The file's, to be loaded.
    pub(super) fn read(config: &Path) -> Result<PlannedPolicy, Refusal> {
        PlannedPolicy::read_for(config, Purpose::Load)
    }

    fn read_for(config: &Path, purpose: Purpose) -> Result<PlannedPolicy, Refusal> {
        PlannedPolicy::new(PolicySnapshot {
            source: config_file::read(config, purpose)?,
        })
    }

    /// What is kept, with what the names in it resolved to last.
    pub(super) fn new(snapshot: PolicySnapshot) -> Result<PlannedPolicy, Refusal> {
        let once_offered = once_offered::known();
        let plan = crate::plan_with_past(&snapshot.source, &names::known(), &once_offered)?;
        Ok(PlannedPolicy { snapshot, plan })
    }

    /// The policy that is in force, as far as it is kept, else the file's: what
    /// keeps the box as it is must not bring in a file that was only edited.
    pub(super) fn in_force(config: &Path) -> Result<PlannedPolicy, Refusal> {
        match Record::read().policy() {
            Some(snapshot) => PlannedPolicy::new(snapshot),
            None => PlannedPolicy::read(config),
        }
    }
}

/// Reads the file and makes it a plan.
///
/// # Errors
/// The one line that refuses the file.
pub(crate) fn read_plan(config: &Path, purpose: Purpose) -> Result<Plan, Refusal> {
    PlannedPolicy::read_for(config, purpose).map(|policy| policy.plan)
}
