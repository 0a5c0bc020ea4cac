//! A resolved policy together with its plan.
//!
//! Owns where a policy comes from: the configuration file or a stored snapshot.

use std::path::Path;

use super::record::Record;
use super::{names, once_offered, unrecordable, ways};
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
    /// Reads the configuration file, to load it.
    pub(super) fn read(config: &Path) -> Result<PlannedPolicy, Refusal> {
        PlannedPolicy::read_for(config, Purpose::Load)
    }

    fn read_for(config: &Path, purpose: Purpose) -> Result<PlannedPolicy, Refusal> {
        PlannedPolicy::new(PolicySnapshot {
            source: config_file::read(config, purpose)?,
        })
    }

    /// From a stored policy, with the stored addresses of its host names.
    pub(super) fn new(snapshot: PolicySnapshot) -> Result<PlannedPolicy, Refusal> {
        let once_offered = once_offered::known();
        let mut plan = crate::plan_with_past(
            &snapshot.source,
            &names::known(),
            &once_offered,
            !unrecordable::is_known(),
        )?;
        ways::set_aside(&mut plan.network);
        Ok(PlannedPolicy { snapshot, plan })
    }

    /// The policy, if its `[mail]` is good.
    pub(super) fn with_good_mail(self) -> Result<PlannedPolicy, Refusal> {
        match &self.plan.policy.mail {
            Err(refusal) => Err(refusal.clone()),
            Ok(_) => Ok(self),
        }
    }

    /// The policy in force if it is stored, else the file's: a command that maintains
    /// the box must not apply a file that was merely edited.
    pub(super) fn in_force(config: &Path) -> Result<PlannedPolicy, Refusal> {
        match Record::read().policy() {
            Some(snapshot) => PlannedPolicy::new(snapshot),
            None => PlannedPolicy::read(config),
        }
    }
}

/// What is told of a file that cannot be read, or is refused, while its policy is in force.
pub(super) fn unused(config: &Path, refusal: &Refusal) -> String {
    let what = match config_file::is_gone(config) {
        true => format!("the file is gone: {}", config.display()),
        false => format!("the file is refused: {refusal}"),
    };
    format!("{what}; the policy in force stays, and a boot takes the last good one")
}

/// Reads the configuration file and derives its plan; `[mail]` has to be good too.
///
/// # Errors
/// Returns the first refusal, with its position in the file.
pub(crate) fn read_plan(config: &Path, purpose: Purpose) -> Result<Plan, Refusal> {
    PlannedPolicy::read_for(config, purpose)?
        .with_good_mail()
        .map(|policy| policy.plan)
}
