//! `camfw refresh`: looks up the names in the policy that is in force, and
//! carries out what their answers change. Opens no box that is closed.

use std::path::Path;

use super::enforce::{Missing, enforce};
use super::error::CommandError;
use super::exclusive::exclusively;
use super::names;
use super::outcome::{Ending, Outcome};
use super::planned::PlannedPolicy;
use super::record::Record;
use super::recover::recover;

/// Looks the names up again.
pub(crate) fn refresh(config: &Path) -> Ending {
    let turn = match exclusively("refresh") {
        Ok(turn) => turn,
        Err(outcome) => return outcome.into(),
    };
    let policy = match PlannedPolicy::in_force(config) {
        Ok(policy) => policy,
        Err(refusal) => return Outcome::Refused(refusal.into()).into(),
    };
    let problems = names::ask(&policy.plan.policy);
    let in_force = Record::read().in_force;
    if !in_force.is_forwarding() {
        return Outcome::Failed(CommandError::NothingToRefresh).into();
    }
    let policy = match PlannedPolicy::in_force(config) {
        Ok(policy) => policy,
        Err(refusal) => return Outcome::Refused(refusal.into()).into(),
    };
    match enforce(&policy.plan, Missing::Tolerate, &turn.mark) {
        Err(failure) => recover(&policy.plan, in_force, failure, &turn.mark),
        Ok(enforced) => {
            let state = in_force.enforced(enforced.missing.clone());
            let outcome = match problems.is_empty() {
                true => Outcome::Applied {
                    made: enforced.made,
                    missing: enforced.missing,
                },
                false => Outcome::Failed(CommandError::Names(problems)),
            };
            Ending::from(outcome)
                .undone(enforced.undone)
                .noting(turn.mark.settle(&state))
        }
    }
}
