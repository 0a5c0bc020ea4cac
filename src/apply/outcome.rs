//! The result of a command: one line and one exit code.

use std::error::Error;
use std::fmt;

use super::enforce::{Enforced, Made};
use super::error::CommandError;
use super::last_good;
use super::planned::PlannedPolicy;
use super::seal_mark::Mark;
use super::state::InForce;
use crate::error::with_causes;
use crate::exit_code::ExitCode;

/// The result of a command.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The kernel is in the state that the file describes.
    Applied {
        /// The changes that were made.
        made: Vec<Made>,
        /// The interfaces that are missing but not optional.
        missing: Vec<String>,
    },
    /// An apply would make these changes; none was made.
    WouldApply {
        /// The changes, in words.
        changes: Vec<String>,
    },
    /// The policy is in force until the deadline, unless it is confirmed.
    Pending {
        /// The changes that were made.
        made: Vec<Made>,
        /// As in `Applied`.
        missing: Vec<String>,
        /// The time to confirm.
        seconds: u64,
    },
    /// The policy was confirmed and is now permanent.
    Confirmed,
    /// The waiter is no longer needed: the policy was confirmed or replaced.
    NotNeeded,
    /// The last good policy is in force instead of the file; the error says why.
    LastGood(CommandError),
    /// A step failed, and the previous rules are in force.
    RolledBack(CommandError),
    /// The command failed, and the rules are unchanged.
    Failed(CommandError),
    /// The file or the usage is wrong, and nothing was changed; after a boot the box is
    /// sealed.
    Refused(CommandError),
    /// The box was closed, as requested.
    Closed,
    /// A step failed, and the box is closed.
    Sealed(CommandError),
    /// A step of closing the box failed, and the zones' links are down instead.
    SealedByLinks(CommandError),
    /// The rules are loaded but a later step failed, and nothing is forwarded.
    NotForwarding(CommandError),
    /// The box could not even be closed.
    Unsealed(CommandError),
    /// The firewall was removed.
    Open,
}

/// The result of a command, with any further work that it failed to do.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) outcome: Outcome,
    /// Descriptions of other programs' chains and rules that were removed.
    removed_rules: Vec<String>,
    /// Why names of hosts have no answer.
    unresolved: Vec<String>,
    undone: Vec<String>,
}

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Ending {
        Ending {
            outcome,
            removed_rules: Vec::new(),
            unresolved: Vec::new(),
            undone: Vec::new(),
        }
    }
}

impl Ending {
    /// Adds the error of a further step, if it failed.
    pub(super) fn noting<T, E: Error>(mut self, done: Result<T, E>) -> Ending {
        self.undone
            .extend(done.err().map(|error| with_causes(&error)));
        self
    }

    /// Adds the rules of other programs that were removed.
    pub(super) fn with_removed_rules(mut self, removed_rules: Vec<String>) -> Ending {
        self.removed_rules.extend(removed_rules);
        self
    }

    /// Adds why names of hosts have no answer: nothing that was to be done is left undone by it.
    pub(super) fn with_unresolved(mut self, unresolved: Vec<String>) -> Ending {
        self.unresolved.extend(unresolved);
        self
    }

    /// Why names of hosts have no answer.
    pub(crate) fn unresolved(&self) -> &[String] {
        &self.unresolved
    }

    /// Describes each change that was made, or would be.
    pub(crate) fn changes(&self) -> Vec<String> {
        let made = match &self.outcome {
            Outcome::WouldApply { changes } => return changes.clone(),
            Outcome::Applied { made, .. } | Outcome::Pending { made, .. } => made.as_slice(),
            _ => &[],
        };
        made.iter().map(ToString::to_string).collect()
    }

    /// The rules of other programs that were taken away, or would be.
    pub(crate) fn removed_rules(&self) -> &[String] {
        &self.removed_rules
    }

    /// Further work that was not done.
    pub(crate) fn left_undone(&self) -> &[String] {
        &self.undone
    }

    /// Adds descriptions of further work that was not done.
    pub(super) fn undone(mut self, undone: impl IntoIterator<Item = String>) -> Ending {
        self.undone.extend(undone);
        self
    }

    /// The file's policy is in force and confirmed.
    pub(super) fn applied(
        enforced: Enforced,
        policy: &PlannedPolicy,
        intended: InForce,
        mark: &Mark,
    ) -> Ending {
        let state = intended.enforced(enforced.missing.clone());
        let outcome = Outcome::Applied {
            made: enforced.made,
            missing: enforced.missing,
        };
        Ending::from(outcome)
            .with_removed_rules(enforced.removed_rules)
            .with_unresolved(enforced.unresolved)
            .undone(enforced.undone)
            .settled(policy, &state, mark)
    }

    /// Records the state and stores the policy as the last good one.
    pub(super) fn settled(self, policy: &PlannedPolicy, in_force: &InForce, mark: &Mark) -> Ending {
        self.undone(last_good::keep(policy))
            .noting(mark.settle(in_force))
    }

    /// The exit code; never 0 if required work was not done.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.outcome.exit_code() {
            ExitCode::Done if !self.undone.is_empty() => ExitCode::DoesNotHold,
            code => code,
        }
    }
}

impl Outcome {
    fn exit_code(&self) -> ExitCode {
        match self {
            Outcome::Applied { missing, .. } | Outcome::Pending { missing, .. } => {
                ExitCode::of(missing.is_empty())
            }
            Outcome::WouldApply { .. }
            | Outcome::Confirmed
            | Outcome::NotNeeded
            | Outcome::Closed
            | Outcome::Open => ExitCode::Done,
            Outcome::LastGood(_) | Outcome::RolledBack(_) | Outcome::Failed(_) => {
                ExitCode::DoesNotHold
            }
            Outcome::Refused(_) => ExitCode::Refused,
            Outcome::Sealed(_) | Outcome::SealedByLinks(_) | Outcome::NotForwarding(_) => {
                ExitCode::Sealed
            }
            Outcome::Unsealed(_) => ExitCode::Unsealed,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.outcome.fmt(f)?;
        if !self.removed_rules.is_empty() {
            let would = match self.outcome {
                Outcome::WouldApply { .. } => "would be taken away",
                _ => "taken away",
            };
            write!(f, "; {would}: {}", self.removed_rules.join("; "))?;
        }
        if !self.unresolved.is_empty() {
            let why = self.unresolved.join("; ");
            write!(f, "; {why}; camfw refresh asks again")?;
        }
        match self.undone.is_empty() {
            true => Ok(()),
            false => write!(f, "; but {}", self.undone.join("; ")),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Applied { made, missing } => applied(f, made, missing),
            Outcome::WouldApply { changes } => match changes.len() {
                0 => f.write_str("Nothing would have to change"),
                1 => f.write_str("1 change would be made; nothing was changed"),
                count => write!(f, "{count} changes would be made; nothing was changed"),
            },
            Outcome::Pending {
                made,
                missing,
                seconds,
            } => {
                applied(f, made, missing)?;
                write!(f, "; taken back in {seconds} s unless camfw confirm comes")
            }
            Outcome::Confirmed => f.write_str("Confirmed: the policy stays"),
            Outcome::NotNeeded => f.write_str("Waits no longer: confirmed or replaced"),
            Outcome::LastGood(why) => write!(
                f,
                "Applied: the last good policy, and not the file: {}",
                with_causes(why)
            ),
            Outcome::RolledBack(why) => write!(
                f,
                "Rolled back to the rules from before: {}",
                with_causes(why)
            ),
            Outcome::Failed(why) => f.write_str(&with_causes(why)),
            Outcome::Refused(why) => f.write_str(&with_causes(why)),
            Outcome::Closed => f.write_str("Sealed: the box is closed"),
            Outcome::Sealed(why) => write!(f, "Sealed: {}", with_causes(why)),
            Outcome::SealedByLinks(why) => write!(
                f,
                "Sealed: the interfaces are down, since the box could not be closed as a whole: {}",
                with_causes(why)
            ),
            Outcome::NotForwarding(why) => write!(
                f,
                "Not forwarding: the rules are loaded, and nothing passes between zones: {}",
                with_causes(why)
            ),
            Outcome::Unsealed(why) => write!(f, "Unsealed: {}", with_causes(why)),
            Outcome::Open => f.write_str("Open: no rule is loaded, everything is accepted; what connects now, SSH too, ends with the next apply"),
        }
    }
}

fn applied(f: &mut fmt::Formatter<'_>, made: &[Made], missing: &[String]) -> fmt::Result {
    let count = Counted(made.len());
    match missing {
        [] => write!(f, "Applied: {count}"),
        _ => write!(f, "Applied, incomplete: {}; {count}", missing.join("; ")),
    }
}

/// A number of changes, in words.
struct Counted(usize);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("nothing had to change"),
            1 => f.write_str("1 change made"),
            changes => write!(f, "{changes} changes made"),
        }
    }
}
