//! Recovery after a policy could not be enforced.
//!
//! The result depends on where it failed: nothing was changed; the previous rules are
//! restored or the box is closed; or the rules are loaded and nothing is forwarded. If
//! that fails too, the links go down.

use super::bypass;
use super::close::{self, close, down_instead};
use super::error::{CloseError, CommandError, Failure, StateBefore, StepError};
use super::machine::Machine;
use super::outcome::{Ending, Outcome};
use super::record;
use super::seal_mark::Mark;
use super::state::InForce;
use crate::error::with_causes;
use crate::family::IpFamily;
use crate::host::iptables::TableSnapshot;
use crate::host::netlink;
use crate::net::NetworkChange;
use crate::netfilter::Ruleset;
use crate::plan::Plan;

/// Recovers from a failure on the way to `intended` by `plan`.
pub(super) fn recover(plan: &Plan, intended: InForce, failure: Failure, mark: &Mark) -> Ending {
    match failure {
        Failure::Nothing(error) if error.is_refusal() => {
            Outcome::Refused(CommandError::NothingChanged(error)).into()
        }
        Failure::Nothing(error) => Outcome::Failed(CommandError::NothingChanged(error)).into(),
        // The previous state must not be restored on a box that has been sealed since.
        Failure::Rules(..) | Failure::Network(_) if !mark.is_unchanged() => close_again(Some(plan)),
        Failure::Rules(error, before) => {
            let ending = roll_back(plan, &before, &intended, error);
            match mark.is_unchanged() {
                true => ending,
                false => close_again(Some(plan)),
            }
        }
        Failure::Network(error) => stop_forwarding(plan, intended, error, mark),
        Failure::Sealed => close_again(Some(plan)),
    }
}

/// Recovers a box that was sealed before the command started.
pub(super) fn recover_sealed(
    plan: &Plan,
    intended: InForce,
    failure: Failure,
    mark: &Mark,
) -> Ending {
    match failure {
        Failure::Network(_) if !mark.is_unchanged() => close_again(Some(plan)),
        Failure::Nothing(error) | Failure::Rules(error, _) => close_because(plan, &intended, error),
        Failure::Network(error) => stop_forwarding(plan, intended, error, mark),
        Failure::Sealed => close_again(Some(plan)),
    }
}

/// The box was sealed while its policy was being enforced: closes it again.
pub(super) fn close_again(plan: Option<&Plan>) -> Ending {
    let (outcome, state) = match close() {
        Ok(_) => (
            Outcome::Sealed(CommandError::SealedMeanwhile),
            InForce::sealed(),
        ),
        Err(error) => down_instead(
            error.into(),
            InForce::sealed(),
            plan.map(|plan| &plan.network),
        ),
    };
    Ending::from(outcome).noting(record::write(&state))
}

/// The rules are not in force: restores the previous ones, and sets up what was set down, if
/// they keep the box closed, else closes it.
fn roll_back(
    plan: &Plan,
    StateBefore { tables, shut }: &StateBefore,
    intended: &InForce,
    error: StepError,
) -> Ending {
    let before = tables.as_slice();
    let sealed = Ruleset::sealed();
    let is_policy = |found: &TableSnapshot| found.rules.is_closed() && found.rules != sealed;
    if !before.iter().any(is_policy) || !before.iter().all(|found| found.rules.is_closed()) {
        return close_because(plan, intended, error);
    }
    let back = || {
        let machine = Machine::find()?;
        let old = |family: IpFamily| {
            let place = machine.families.iter().position(|t| t.family() == family);
            let found = place.and_then(|place| before.get(place));
            found.map_or(&sealed, |found| &found.rules)
        };
        machine.load(&machine.read()?, old)
    };
    match back() {
        Ok(_) => {
            let names = shut.iter().cloned();
            let ups: Vec<_> = names.map(|name| NetworkChange::SetUp { name }).collect();
            Ending::from(Outcome::RolledBack(error.into())).noting(netlink::carry_out(&ups))
        }
        Err(_) => close_because(plan, intended, error),
    }
}

fn close_because(plan: &Plan, intended: &InForce, error: StepError) -> Ending {
    let why = with_causes(&error);
    let closed = close().and_then(|_| match &error {
        StepError::Bypassed(found) => bypass::shut_these(found).map_err(CloseError::from),
        _ => Ok(()),
    });
    let (outcome, state) = match closed {
        Ok(()) => (Outcome::Sealed(error.into()), intended.sealed_because(&why)),
        Err(close) => {
            let problems = with_causes(&close);
            let error = match problems == why {
                true => close.into(),
                false => CommandError::StepAndClose {
                    step: Box::new(error.into()),
                    close,
                },
            };
            down_instead(error, intended.clone(), Some(&plan.network))
        }
    };
    Ending::from(outcome).noting(record::write(&state))
}

/// The rules are in force but the network is not as the file says: stops forwarding, so
/// that nothing passes between zones while the box can still be managed.
fn stop_forwarding(plan: &Plan, intended: InForce, error: StepError, mark: &Mark) -> Ending {
    let why = with_causes(&error);
    if let Err(problem) = close::stop_forwarding() {
        let error = CommandError::StepAndClose {
            step: Box::new(error.into()),
            close: problem.into(),
        };
        let (outcome, state) = down_instead(error, intended, Some(&plan.network));
        return Ending::from(outcome).noting(record::write(&state));
    }
    // Turning forwarding off makes the kernel accept redirects again
    // (inet_forward_change in net/ipv4/devinet.c).
    let kept = Machine::find().and_then(|machine| machine.keep_settings(plan));
    // The rules are in force and what is missing may still appear: `watch` waits for
    // it.
    let state = intended.not_forwarding(&why);
    Ending::from(Outcome::NotForwarding(error.into()))
        .noting(mark.settle(&state))
        .noting(kept)
}
