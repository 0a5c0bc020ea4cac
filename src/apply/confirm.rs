//! `apply --confirm` and `confirm`: applies a policy for a limited time, and restores
//! the last good one unless someone confirms that the box is still reachable.
//!
//! If the power fails, the next boot opens what the last good policy allows: the new
//! policy is recorded as unconfirmed before any of it is in force. The restore is done
//! by the two processes of `waiter`, or by whichever command, `watch` or boot takes the
//! lock first after the deadline.

use super::apply_file::enforce_with_names;
use super::bypass;
use super::enforce::{Missing, enforce};
use super::error::{CommandError, StepError};
use super::exclusive::{Turn, exclusively};
use super::last_good::{self, Earlier};
use super::outcome::{Ending, Outcome};
use super::planned::PlannedPolicy;
use super::record::{self, Record};
use super::recover::recover;
use super::seal_mark::Mark;
use super::state::{InForce, Trial};
use super::waiter;
use crate::host::{clock, netlink, process};
use crate::net;

/// Applies a policy for `seconds`; the caller holds the lock. The waiters are ready
/// before anything is changed.
pub(super) fn apply(mut policy: PlannedPolicy, seconds: u64, replace: bool, mark: &Mark) -> Ending {
    let refused = |error: CommandError| Outcome::Refused(error).into();
    let good = match last_good::last() {
        Ok(good) => good,
        Err(none) => return refused(CommandError::NothingToGoBackTo(none)),
    };
    // What cannot be read is refused below.
    if let Ok(current) = netlink::read() {
        let left = net::left_behind(&current, &policy.plan.network, &good.plan.network);
        if !left.is_empty() {
            return refused(CommandError::CannotTakeBack(left));
        }
    }
    let good = good.snapshot;
    let token = process::unique_name();
    let hash = policy.snapshot.hash();
    let pending = || {
        let trial = Trial {
            token: token.clone(),
            deadline: clock::uptime() + seconds as f64,
            seconds,
        };
        InForce::pending(hash.clone(), trial)
    };
    let earlier = Earlier::read();
    let unconfirmed = match last_good::note_unconfirmed(&policy) {
        Ok(problem) => problem,
        Err(error) => return refused(CommandError::CannotKeepTrial(error)),
    };
    let before = Record::read();
    // An earlier trial goes on: its own waiters may have taken it for replaced.
    let give_up = || {
        earlier.put_back();
        let noted = before.put_back();
        if let Some(trial) = before.in_force.trial() {
            let left = trial.seconds_left(clock::uptime()).max(1);
            if let Err(error) = waiter::start_both(&trial.token, left, &good) {
                log::error!("nobody waits for the earlier trial any more: {error}");
            }
        }
        noted
    };
    let intended = pending();
    if let Err(error) = record::write(&intended) {
        earlier.put_back();
        return refused(CommandError::CannotKeepDeadline(error));
    }
    if let Err(error) = waiter::start_both(&token, seconds, &good) {
        return Ending::from(Outcome::Refused(CommandError::NoWaiter(error))).noting(give_up());
    }
    let missing = Missing::Refuse {
        replace,
        before: &before,
    };
    let done = enforce_with_names(&mut policy, missing, mark);
    match done {
        Ok(enforced) => {
            // The time to confirm starts once the policy is in force.
            let trial = pending().enforced(enforced.missing.clone());
            let outcome = Outcome::Pending {
                made: enforced.made,
                missing: enforced.missing,
                seconds,
            };
            Ending::from(outcome)
                .with_removed_rules(enforced.removed_rules)
                .with_unresolved(enforced.unresolved)
                .undone(enforced.undone)
                .undone(unconfirmed)
                .noting(mark.settle(&trial))
        }
        Err(failure) => {
            let ending = recover(&policy.plan, intended, failure, mark);
            match ending.outcome {
                // The box is closed even to its owner; the last good policy returns at
                // the deadline.
                Outcome::Sealed(_) | Outcome::NotForwarding(_) | Outcome::Unsealed(_) => ending,
                _ => ending.noting(give_up()),
            }
        }
    }
}

/// Makes the policy of a trial permanent.
pub(crate) fn confirm() -> Ending {
    let Turn {
        lock: _lock,
        mark,
        returned,
    } = match exclusively("confirm") {
        Ok(turn) => turn,
        Err(outcome) => return outcome.into(),
    };
    if let Some(ending) = returned {
        return ending;
    }
    let record = Record::read();
    let policy = record
        .policy()
        .and_then(|kept| PlannedPolicy::new(kept).ok());
    match (record.in_force.confirmed(), policy) {
        (Some(confirmed), Some(policy)) => {
            Ending::from(Outcome::Confirmed).settled(&policy, &confirmed, &mark)
        }
        _ => Outcome::Failed(CommandError::NothingToConfirm).into(),
    }
}

/// Why the last good policy should have been restored but has not been yet.
pub(crate) fn overdue() -> Option<String> {
    overdue_by(&Record::read())
}

/// The same as [`overdue`], for a record that was read before.
pub(super) fn overdue_by(record: &Record) -> Option<String> {
    match (&record.in_force, record.in_force.trial()) {
        (_, Some(trial)) if trial.is_over(clock::uptime()) => Some(not_confirmed(trial.seconds)),
        // A trial was started, but its deadline cannot be read.
        (InForce::Unknown { why }, _) if last_good::is_unconfirmed_now() => {
            let why = why.as_deref().unwrap_or("what is in force is not known");
            Some(format!("the file was not confirmed, and {why}"))
        }
        _ => None,
    }
}

pub(super) fn not_confirmed(seconds: u64) -> String {
    format!("the file was not confirmed within {seconds} s")
}

/// Restores the last good policy if that is overdue; the caller holds the lock.
pub(super) fn return_if_overdue(mark: &Mark) -> Option<Ending> {
    let why = overdue()?;
    Some(match last_good::last() {
        Ok(good) => go_back(&good, &why, mark),
        Err(none) => Outcome::Failed(CommandError::CannotGoBack { why, none }).into(),
    })
}

/// Restores the last good policy; the caller holds the lock.
pub(super) fn go_back(good: &PlannedPolicy, why: &str, mark: &Mark) -> Ending {
    let hash = good.snapshot.hash();
    let is_same = last_good::on_trial().is_some_and(|trial| trial.hash() == hash);
    let intended = match is_same {
        true => {
            log::info!("{why}: it is the last good policy itself, which stays");
            InForce::applied(hash)
        }
        false => {
            log::error!("{why}: goes back to the last good policy");
            InForce::last_good(hash, why)
        }
    };
    // If this fails, the trial stays recorded as overdue, so that the next command,
    // watch or boot tries again.
    let until_then = match Record::read().in_force.trial() {
        Some(trial) => InForce::pending(good.snapshot.hash(), trial.clone()),
        None => intended.clone(),
    };
    match enforce(&good.plan, Missing::Tolerate, mark) {
        Ok(enforced) if is_same => Ending::applied(enforced, good, intended, mark),
        Ok(enforced) => {
            let state = intended.enforced(enforced.missing.clone());
            // It is loaded in any case, but nobody may take it for the whole of what was.
            let network = netlink::read().map_err(StepError::from);
            let is_back = network.and_then(|it| bypass::check(&it, &good.plan.network));
            Ending::from(Outcome::LastGood(CommandError::Instead(why.to_owned())))
                .undone(enforced.missing)
                .undone(enforced.undone)
                .noting(is_back)
                .noting(mark.settle(&state))
        }
        Err(failure) => recover(&good.plan, until_then, failure, mark),
    }
}
