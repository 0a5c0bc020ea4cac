//! `apply --confirm` and `confirm`: a policy for a while, and then the old one
//! again unless somebody says that he can still reach the box.
//!
//! What is open if the power goes: what the last good policy opens, since the
//! new one is noted as unconfirmed before anything of it is in force.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::state::State;
use super::{
    Outcome, Patience, enforce, enforce_asking, failed, good, locked, plan_of, read_policy, recover,
};
use crate::host::{clock, lock, process};
use crate::kept::Kept;

/// How often the watchdog looks whether it is still needed.
const LOOK: Duration = Duration::from_millis(500);

/// How often it tries to put the policy back, and how long it waits between.
const ATTEMPTS: usize = 5;
const PAUSE: Duration = Duration::from_secs(2);

/// Applies the file for so many seconds; under the lock. The watchdog is at its
/// post before anything is changed.
pub fn apply(config: &Path, seconds: u64) -> Outcome {
    let refused = |why: String| Outcome::Refused(format!("{why}; nothing was changed"));
    let (kept, mut plan) = match read_policy(config) {
        Ok(file) => file,
        Err(refusal) => return Outcome::Refused(refusal.to_string()),
    };
    let good = match good::last() {
        Ok((good, _)) => good,
        Err(none) => {
            return refused(format!(
                "there is no policy to go back to ({none}); apply one without --confirm"
            ));
        }
    };
    let token = format!("{}-{:?}", std::process::id(), clock::uptime());
    let pending = |at: f64| State {
        token: token.clone(),
        deadline: at + seconds as f64,
        ..State::applied(&kept, "")
    };
    if let Err(error) = good::note_unconfirmed(&kept) {
        return refused(format!("cannot keep what is to be confirmed: {error}"));
    }
    let before = State::read();
    pending(clock::uptime()).write();
    let arguments = ["await-confirmation", &token, &seconds.to_string()];
    if let Err(error) = process::start_apart(&arguments, &good.to_text()) {
        good::forget_unconfirmed();
        before.write();
        return refused(format!("cannot start the watchdog: {error}"));
    }
    match enforce_asking(&kept, &mut plan) {
        Ok(changes) => {
            // The time to confirm begins when there is something to confirm.
            pending(clock::uptime()).write();
            Outcome::Pending { changes, seconds }
        }
        Err(failure) => {
            let outcome = recover(&plan, failure);
            match outcome {
                // The box is closed to its owner: the watchdog brings the good
                // policy back when its time comes.
                Outcome::Sealed(_) | Outcome::Unsealed(_) => {}
                _ => {
                    good::forget_unconfirmed();
                    before.write();
                }
            }
            outcome
        }
    }
}

/// Keeps what `apply --confirm` applied.
pub fn confirm() -> Outcome {
    let _lock = match locked("confirm") {
        Ok(lock) => lock,
        Err(outcome) => return outcome,
    };
    let state = State::read();
    let kept = match state.policy() {
        Some(kept) if !state.token.is_empty() => kept,
        _ => return Outcome::Failed("nothing waits to be confirmed".into()),
    };
    for problem in good::keep(&kept) {
        log::warn!("{problem}");
    }
    State {
        token: String::new(),
        deadline: 0.0,
        ..state
    }
    .write();
    Outcome::Confirmed
}

/// The watchdog: puts the policy that it is given back after so many seconds,
/// unless the one it waits for is confirmed or replaced.
pub fn await_confirmation(token: &str, seconds: u64) -> Outcome {
    let given = process::read_stdin().map(|text| Kept::from_text(&text));
    let good = match given {
        Ok(Some(good)) => good,
        _ => return Outcome::Failed("there is no policy to go back to".into()),
    };
    let plan = match plan_of(&good) {
        Ok(plan) => plan,
        Err(refusal) => return Outcome::Refused(refusal.to_string()),
    };
    if let Err(error) = process::detach() {
        return Outcome::Failed(error.to_string());
    }
    // If the note goes away the time is over at the latest as it was given.
    let mut deadline = clock::uptime() + seconds as f64;
    while clock::uptime() < deadline {
        match is_awaited(token) {
            Some(until) => deadline = until,
            None if State::read() == State::default() => {}
            None => return Outcome::Confirmed,
        }
        sleep(LOOK);
    }
    let _lock = loop {
        match lock::take("await-confirmation") {
            Ok(lock) => break lock,
            Err(error) => log::error!("not confirmed, and cannot go back yet: {error}"),
        }
    };
    if is_awaited(token).is_none() && State::read() != State::default() {
        return Outcome::Confirmed;
    }
    let why = format!("the file was not confirmed within {seconds} s");
    log::error!("{why}: goes back to the last good policy");
    let policy = (good, plan);
    for attempt in 1.. {
        match enforce(&policy.1, Patience::None) {
            Ok(_) => {
                State::applied(&policy.0, &why).write();
                break;
            }
            Err(failure) => {
                let outcome = failed(&policy, &why, failure);
                if attempt == ATTEMPTS {
                    return outcome;
                }
                log::error!("{outcome}; tries again");
                sleep(PAUSE);
            }
        }
    }
    Outcome::LastGood(why)
}

/// Until when this is awaited; None if it is not, any more.
fn is_awaited(token: &str) -> Option<f64> {
    let state = State::read();
    (state.token == token).then_some(state.deadline)
}
