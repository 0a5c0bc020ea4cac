//! `camfw apply`: brings a running box to what the file says.

use std::path::Path;

use super::confirm;
use super::enforce::{Enforced, Missing, enforce};
use super::error::Failure;
use super::exclusive::exclusively;
use super::in_force::InForce;
use super::names;
use super::outcome::{Ending, Outcome};
use super::planned::PlannedPolicy;
use super::recover::recover;

/// Applies the file. With `seconds`, takes it back after so many unless it is
/// confirmed.
pub(crate) fn apply(config: &Path, seconds: Option<u64>) -> Ending {
    let _turn = match exclusively("apply") {
        Ok(turn) => turn,
        Err(outcome) => return outcome.into(),
    };
    let mut policy = match PlannedPolicy::read(config) {
        Ok(policy) => policy,
        Err(refusal) => return Outcome::Refused(refusal.into()).into(),
    };
    if let Some(seconds) = seconds {
        return confirm::apply(policy, seconds);
    }
    let intended = InForce::applied(policy.snapshot.hash());
    match enforce_with_names(&mut policy) {
        Ok(enforced) => Ending::applied(enforced, &policy.snapshot, intended),
        Err(failure) => recover(&policy.plan, intended, failure),
    }
}

/// Carries a policy out, and then once more with what the names in it resolve
/// to: by then the network is up, and the policy may be the one that lets the
/// router ask.
pub(super) fn enforce_with_names(policy: &mut PlannedPolicy) -> Result<Enforced, Failure> {
    let mut enforced = enforce(&policy.plan, Missing::Refuse)?;
    if !policy.plan.policy.hosts.is_empty() {
        names::ask(&policy.plan.policy);
        // Nothing but rules comes of names: the same rules are in force already.
        if let Ok(answered) = PlannedPolicy::new(policy.snapshot.clone())
            && (&answered.plan.ipv4, &answered.plan.ipv6) != (&policy.plan.ipv4, &policy.plan.ipv6)
        {
            *policy = answered;
            let again = enforce(&policy.plan, Missing::Refuse)?;
            enforced.made.extend(again.made);
            enforced.undone.extend(again.undone);
            enforced.missing = again.missing;
        }
    }
    Ok(enforced)
}
