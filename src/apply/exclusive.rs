//! The prerequisites of every command that changes the box: root, and the lock.

use super::confirm::return_if_overdue;
use super::error::CommandError;
use super::outcome::{Ending, Outcome};
use super::seal_mark::Mark;
use crate::host::{self, lock};

/// Exclusive access to the box: no other command changes it while this value exists.
pub(super) struct Turn {
    pub(super) lock: lock::Lock,
    /// The seal mark from before the wait for the lock: if someone seals the box during
    /// the wait, this command does not undo it. None if the box was opened again by
    /// then.
    pub(super) mark: Mark,
    /// The result of restoring the last good policy, if that was overdue.
    pub(super) returned: Option<Ending>,
}

/// Returns an error unless running as root.
pub(super) fn insist_on_root() -> Result<(), Outcome> {
    match host::is_root() {
        true => Ok(()),
        false => Err(Outcome::Refused(CommandError::NoRoot)),
    }
}

/// Checks for root and takes the lock. Returns the seal mark as it was before the wait.
pub(super) fn locked(command: &str) -> Result<(lock::Lock, Mark), Outcome> {
    insist_on_root()?;
    let mark = Mark::read();
    let lock =
        lock::take(command).map_err(|error| Outcome::Refused(CommandError::Locked(error)))?;
    Ok((lock, mark.with_lock()))
}

/// The same as [`locked`], but restores the last good policy first if that is overdue.
pub(super) fn exclusively(command: &str) -> Result<Turn, Outcome> {
    let (lock, mark) = locked(command)?;
    let returned = return_if_overdue(&mark);
    Ok(Turn {
        lock,
        // The restore removes the mark that was there before.
        mark: mark.with_lock(),
        returned,
    })
}
