//! What the last command left in force, for the next one and for `status`.
//!
//! Kept in memory, /run: the kernel forgets its tables when this goes too.

use super::good;
use crate::host::clock;
use crate::host::store::{self, Place};
use crate::kept::Kept;
use crate::source::one_line;

const NAME: &str = "state";

/// What is in force.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// applied, sealed, unsealed, open; empty where no command was run
    pub outcome: String,
    /// Since when, in seconds from the kernel's start.
    pub at: f64,
    /// The policy's hash; empty where there is none.
    pub policy: String,
    /// Why the last good policy is in force and not the file; empty if it is.
    pub instead: String,
    /// Which `apply --confirm` waits to be confirmed; empty if none.
    pub token: String,
    /// When it is taken back, in seconds from the kernel's start.
    pub deadline: f64,
}

impl State {
    /// That no file can be read is as if no command had been run.
    pub fn read() -> State {
        let text = store::read(Place::Run, NAME).ok().flatten();
        let mut state = State::default();
        for line in text.unwrap_or_default().lines() {
            let Some((key, value)) = line.split_once(' ') else {
                continue;
            };
            let seconds = || value.parse().unwrap_or_default();
            match key {
                "outcome" => state.outcome = value.to_owned(),
                "at" => state.at = seconds(),
                "policy" => state.policy = value.to_owned(),
                "instead" => state.instead = value.to_owned(),
                "token" => state.token = value.to_owned(),
                "deadline" => state.deadline = seconds(),
                _ => {}
            }
        }
        state
    }

    /// A policy that was applied; `instead` says why it is not the file's.
    pub fn applied(policy: &Kept, instead: &str) -> State {
        State {
            policy: policy.hash(),
            instead: one_line(instead),
            ..State::of("applied")
        }
    }

    /// An outcome without a policy.
    pub fn of(outcome: &str) -> State {
        State {
            outcome: outcome.to_owned(),
            at: clock::uptime(),
            ..State::default()
        }
    }

    /// Writes it. That it cannot be is said, and is no reason to stop.
    pub fn write(&self) {
        let text = format!(
            "outcome {}\nat {}\npolicy {}\ninstead {}\ntoken {}\ndeadline {}\n",
            self.outcome, self.at, self.policy, self.instead, self.token, self.deadline
        );
        if let Err(error) = store::write(Place::Run, NAME, &text) {
            log::warn!(
                "cannot keep what is in force in {}: {}; status will not know since when",
                error.place.folder(),
                error.cause
            );
        }
    }

    /// The same, from when it first was so.
    pub fn write_unless_same(self) {
        let before = State::read();
        let now = State {
            at: before.at,
            ..self.clone()
        };
        if before != now {
            self.write();
        }
    }

    /// The policy that is in force, where it is kept.
    pub fn policy(&self) -> Option<Kept> {
        good::all().find(|kept| kept.hash() == self.policy)
    }
}
