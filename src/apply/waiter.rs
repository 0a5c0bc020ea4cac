//! The waiters of `apply --confirm`: two processes, each in a session of its own, that
//! restore the last good policy at the deadline unless the new one is confirmed or
//! replaced. Each restarts the other if that is killed.

use std::io;
use std::str::FromStr;
use std::time::Duration;

use super::confirm::{go_back, not_confirmed};
use super::error::CommandError;
use super::outcome::{Ending, Outcome};
use super::planned::PlannedPolicy;
use super::record::Record;
use super::seal_mark::Mark;
use super::state::InForce;
use crate::error::InvalidValue;
use crate::host::clock::sleep;
use crate::host::post::Post;
use crate::host::{clock, lock, process};
use crate::snapshot::PolicySnapshot;

/// How often a waiter checks whether it is still needed and the other one is running.
const LOOK: Duration = Duration::from_millis(500);

/// How often it tries to restore the policy.
const ATTEMPTS: usize = 5;
const PAUSE: Duration = Duration::from_secs(2);

/// One of the two waiters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiter {
    First,
    Second,
}

impl Waiter {
    /// The command-line argument.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Waiter::First => "first",
            Waiter::Second => "second",
        }
    }

    fn other(self) -> Waiter {
        match self {
            Waiter::First => Waiter::Second,
            Waiter::Second => Waiter::First,
        }
    }

    fn post(self, token: &str) -> String {
        format!("{token}-{}", self.as_str())
    }

    fn start(self, token: &str, seconds: u64, good: &PolicySnapshot) -> io::Result<process::Apart> {
        let seconds = seconds.to_string();
        let arguments = ["await-confirmation", token, &seconds, self.as_str()];
        process::start_apart(&arguments, &good.to_text())
    }
}

impl FromStr for Waiter {
    type Err = InvalidValue;

    fn from_str(name: &str) -> Result<Waiter, InvalidValue> {
        let mut both = [Waiter::First, Waiter::Second].into_iter();
        both.find(|waiter| waiter.as_str() == name)
            .ok_or(InvalidValue("is no waiter; use first or second"))
    }
}

/// Starts both waiters, and returns when both are ready.
pub(super) fn start_both(token: &str, seconds: u64, good: &PolicySnapshot) -> io::Result<()> {
    Waiter::First.start(token, seconds, good)?;
    Waiter::Second.start(token, seconds, good)?;
    Ok(())
}

/// Runs one waiter: until the trial's deadline or, if that cannot be read, for
/// `seconds`. It receives the policy to restore on standard input.
pub(crate) fn await_confirmation(token: &str, seconds: u64, me: Waiter) -> Ending {
    let given = process::read_stdin().map(|text| PolicySnapshot::from_text(&text));
    let Ok(Some(snapshot)) = given else {
        return Outcome::Failed(CommandError::NoPolicyGiven).into();
    };
    let good = match PlannedPolicy::new(snapshot) {
        Ok(good) => good,
        Err(refusal) => return Outcome::Refused(refusal.into()).into(),
    };
    let _post = match Post::take(&me.post(token)) {
        Ok(Some(post)) => post,
        // Another replacement was started first, which serves as well.
        Ok(None) => {
            return match process::detach() {
                Ok(()) => Outcome::NotNeeded.into(),
                Err(error) => Outcome::Failed(CommandError::Detach(error)).into(),
            };
        }
        Err(error) => return Outcome::Failed(CommandError::Detach(error)).into(),
    };
    if let Err(error) = process::detach() {
        return Outcome::Failed(CommandError::Detach(error)).into();
    }
    let mut deadline = clock::uptime() + seconds as f64;
    let mut given = seconds;
    let mut other: Option<process::Apart> = None;
    let _lock = loop {
        while clock::uptime() < deadline {
            match awaited(token) {
                Awaited::Until { until, seconds } => (deadline, given) = (until, seconds),
                Awaited::Unknown => {}
                Awaited::NoMore => return Outcome::NotNeeded.into(),
            }
            other.iter_mut().for_each(process::Apart::reap);
            if !Post::is_held(&me.other().post(token)) {
                let left = (deadline - clock::uptime()).max(1.0).ceil() as u64;
                // Keep trying even if the start fails now.
                other = me.other().start(token, left, &good.snapshot).ok();
            }
            sleep(LOOK);
        }
        let lock = match lock::take("await-confirmation") {
            Ok(lock) => lock,
            Err(error) => {
                log::error!("not confirmed, and cannot go back yet: {error}");
                continue;
            }
        };
        // The apply may have held the lock: the time to confirm starts when it ends.
        match awaited(token) {
            Awaited::Until { until, seconds } if clock::uptime() < until => {
                (deadline, given) = (until, seconds);
            }
            _ => break lock,
        }
    };
    let mark = Mark::read();
    let why = not_confirmed(given);
    for attempt in 1.. {
        if matches!(awaited(token), Awaited::NoMore) {
            return Outcome::NotNeeded.into();
        }
        let ending = go_back(&good, &why, &mark);
        let is_back = matches!(
            ending.outcome,
            Outcome::LastGood(_) | Outcome::Applied { .. }
        );
        if is_back || attempt == ATTEMPTS {
            return ending;
        }
        log::error!("{ending}; tries again");
        sleep(PAUSE);
    }
    Outcome::NotNeeded.into()
}

/// Whether a trial is still in progress.
enum Awaited {
    Until {
        until: f64,
        seconds: u64,
    },
    /// The state cannot be read, so the time from the command line applies.
    Unknown,
    NoMore,
}

fn awaited(token: &str) -> Awaited {
    let in_force = Record::read().in_force;
    match (in_force.trial(), &in_force) {
        (Some(trial), _) if trial.token == token => Awaited::Until {
            until: trial.deadline,
            seconds: trial.seconds,
        },
        (None, InForce::Unknown { .. }) => Awaited::Unknown,
        _ => Awaited::NoMore,
    }
}
