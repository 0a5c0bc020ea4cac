//! How a command ended, in one line and one exit code.

use std::fmt;

/// How a command ended: one line and one exit code.
#[derive(Debug)]
pub enum Outcome {
    /// The kernel holds what the file says; with the number of changes made.
    Applied(usize),
    /// The kernel holds what the file says, and nothing was changed.
    Holds,
    /// It does not; each difference.
    Drift(Vec<String>),
    /// A step failed and the rules from before are in force.
    RolledBack(String),
    /// What was to be done could not be, and the rules are as they were.
    Failed(String),
    /// The file or the usage is bad and nothing was changed; at boot the box is
    /// sealed.
    Refused(String),
    /// The rules are not what the file says or promises, as a packet shows;
    /// nothing was changed.
    Broken(String),
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
            Outcome::Applied(_) | Outcome::Holds | Outcome::Closed | Outcome::Open => 0,
            Outcome::Drift(_)
            | Outcome::RolledBack(_)
            | Outcome::Failed(_)
            | Outcome::Broken(_) => 1,
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
            Outcome::Holds => f.write_str("Applied: the kernel holds what the file says"),
            Outcome::Drift(found) => write!(f, "Drift: {} differences", found.len()),
            Outcome::RolledBack(why) => write!(f, "Rolled back to the rules from before: {why}"),
            Outcome::Failed(why) | Outcome::Refused(why) | Outcome::Broken(why) => f.write_str(why),
            Outcome::Closed => f.write_str("Sealed: the box is closed"),
            Outcome::Sealed(why) => write!(f, "Sealed: {why}"),
            Outcome::Unsealed(why) => write!(f, "Unsealed: {why}"),
            Outcome::Open => f.write_str("Open: no rule is loaded, everything is accepted"),
        }
    }
}
