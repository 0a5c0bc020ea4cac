//! `camfw refresh`: looks up the host names of the policy in force again and applies
//! the changed answers. Never opens a closed box.

use std::path::Path;

use super::enforce::{Missing, enforce};
use super::error::CommandError;
use super::exclusive::exclusively;
use super::names;
use super::outcome::{Ending, Outcome};
use super::planned::PlannedPolicy;
use super::record::Record;
use super::recover::recover;

/// Looks up the host names again.
pub(crate) fn refresh(config: &Path) -> Ending {
    let turn = match exclusively("refresh") {
        Ok(turn) => turn,
        Err(outcome) => return outcome.into(),
    };
    let policy = match PlannedPolicy::in_force(config) {
        Ok(policy) => policy,
        Err(refusal) => return Outcome::Refused(refusal.into()).into(),
    };
    let names::LookupResult { unresolved, unkept } = names::ask(&policy.plan.policy);
    let in_force = Record::read().in_force;
    if !in_force.is_forwarding() {
        return Ending::from(Outcome::Failed(CommandError::NothingToRefresh)).undone(unkept);
    }
    let policy = match PlannedPolicy::in_force(config) {
        Ok(policy) => policy,
        Err(refusal) => return Outcome::Refused(refusal.into()).into(),
    };
    match enforce(&policy.plan, Missing::Tolerate, &turn.mark) {
        Err(failure) => recover(&policy.plan, in_force, failure, &turn.mark).undone(unkept),
        Ok(enforced) => {
            let state = in_force.enforced(enforced.missing.clone());
            let outcome = match unresolved.is_empty() {
                true => Outcome::Applied {
                    made: enforced.made,
                    missing: enforced.missing,
                },
                false => Outcome::Failed(CommandError::Names(unresolved)),
            };
            Ending::from(outcome)
                .undone(enforced.undone)
                .undone(unkept)
                .noting(turn.mark.settle(&state))
        }
    }
}
