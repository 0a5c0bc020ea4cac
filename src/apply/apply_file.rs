//! `camfw apply`: applies the configuration file to a running box.

use std::path::Path;

use super::confirm;
use super::enforce::{Enforced, Missing, enforce};
use super::error::{CommandError, Failure};
use super::exclusive::exclusively;
use super::names;
use super::network_programs::check_network_programs;
use super::outcome::{Ending, Outcome};
use super::planned::PlannedPolicy;
use super::record::Record;
use super::recover::recover;
use super::seal_mark::Mark;
use super::state::InForce;

/// Applies the file. With `seconds`, restores the last good policy after that time
/// unless the new one is confirmed. With `replace`, removes other programs' rules even
/// on a box's first apply.
pub(crate) fn apply(config: &Path, seconds: Option<u64>, replace: bool) -> Ending {
    let turn = match exclusively("apply") {
        Ok(turn) => turn,
        Err(outcome) => return outcome.into(),
    };
    let mut policy = match PlannedPolicy::read(config)
        .and_then(PlannedPolicy::with_good_mail)
        .and_then(PlannedPolicy::in_season)
    {
        Ok(policy) => policy,
        Err(refusal) => return Outcome::Refused(refusal.into()).into(),
    };
    if let Err(error) = check_network_programs(&policy.plan) {
        return Outcome::Refused(CommandError::NothingChanged(error)).into();
    }
    if let Some(seconds) = seconds {
        return confirm::apply(policy, seconds, replace, &turn.mark);
    }
    let intended = InForce::applied(policy.snapshot.hash());
    let before = Record::noted();
    let missing = Missing::Refuse {
        replace,
        before: &before,
    };
    match enforce_with_names(&mut policy, missing, &turn.mark) {
        Ok(enforced) => Ending::applied(enforced, &policy, intended, &turn.mark),
        Err(failure) => recover(&policy.plan, intended, failure, &turn.mark),
    }
}

/// Enforces a policy, looks up its host names, and enforces it again with the answers.
/// The lookup comes second because by then the network is up, and the policy itself may
/// be what lets the router query DNS.
pub(super) fn enforce_with_names(
    policy: &mut PlannedPolicy,
    missing: Missing<'_>,
    mark: &Mark,
) -> Result<Enforced, Failure> {
    let mut enforced = enforce(&policy.plan, missing, mark)?;
    if !policy.plan.policy.hosts.is_empty() {
        let asked = names::ask(&policy.plan.policy);
        enforced.undone.extend(asked.unkept);
        enforced.unresolved = asked.unresolved;
        // Host names affect rules only: if the rules are the same, they are in force
        // already.
        if let Ok(answered) = PlannedPolicy::new(policy.snapshot.clone())
            && answered.plan.rules != policy.plan.rules
        {
            *policy = answered;
            let again = enforce(&policy.plan, missing, mark)?;
            enforced.made.extend(again.made);
            enforced.undone.extend(again.undone);
            enforced.missing = again.missing;
        }
    }
    Ok(enforced)
}
