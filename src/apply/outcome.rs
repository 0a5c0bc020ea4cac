//! How a command ended, in one line and one exit code.

use std::fmt;

/// How a command ended: one line and one exit code.
#[derive(Debug)]
pub enum Outcome {
    /// The kernel holds what the file says; with the number of changes made.
    Applied(usize),
    /// The same until so many seconds are over, unless it is confirmed.
    Pending {
        /// The number of changes made.
        changes: usize,
        /// How long.
        seconds: u64,
    },
    /// What was to be confirmed is, and stays.
    Confirmed,
    /// The last good policy is in force and the file is not; why.
    LastGood(String),
    /// A step failed and the rules from before are in force.
    RolledBack(String),
    /// What was to be done could not be, and the rules are as they were.
    Failed(String),
    /// The file or the usage is bad and nothing was changed; at boot the box is
    /// sealed.
    Refused(String),
    /// The box is closed because it was told to be.
    Closed,
    /// A step failed and the box is closed.
    Sealed(String),
    /// Not even that could be done.
    Unsealed(String),
    /// The firewall was taken off.
    Open,
}

impl Outcome {
    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Outcome::Applied(_)
            | Outcome::Pending { .. }
            | Outcome::Confirmed
            | Outcome::Closed
            | Outcome::Open => 0,
            Outcome::LastGood(_) | Outcome::RolledBack(_) | Outcome::Failed(_) => 1,
            Outcome::Refused(_) => 2,
            Outcome::Sealed(_) => 3,
            Outcome::Unsealed(_) => 4,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Applied(0) => f.write_str("Applied: nothing had to change"),
            Outcome::Applied(changes) => write!(f, "Applied: {changes} changes made"),
            Outcome::Pending { changes, seconds } => write!(
                f,
                "Applied: {changes} changes made; they are taken back in {seconds} s unless camfw confirm comes"
            ),
            Outcome::Confirmed => f.write_str("Confirmed: the policy stays"),
            Outcome::LastGood(why) => {
                write!(f, "Applied: the last good policy, and not the file: {why}")
            }
            Outcome::RolledBack(why) => write!(f, "Rolled back to the rules from before: {why}"),
            Outcome::Failed(why) | Outcome::Refused(why) => f.write_str(why),
            Outcome::Closed => f.write_str("Sealed: the box is closed"),
            Outcome::Sealed(why) => write!(f, "Sealed: {why}"),
            Outcome::Unsealed(why) => write!(f, "Unsealed: {why}"),
            Outcome::Open => f.write_str("Open: no rule is loaded, everything is accepted"),
        }
    }
}
