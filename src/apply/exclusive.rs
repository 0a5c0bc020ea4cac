//! What a command that changes the box needs first: root, and the lock.

use super::confirm::return_if_overdue;
use super::error::CommandError;
use super::mark::Mark;
use super::outcome::{Ending, Outcome};
use crate::host::{self, lock};

/// A command's turn: nobody else changes the box while it has it.
pub(super) struct Turn {
    pub(super) lock: lock::Lock,
    /// The mark of a sealed box as it was when the command began: whoever seals the
    /// box while it waits for the lock is not undone by it. None where the box was
    /// opened again by then.
    pub(super) mark: Mark,
    /// What the return to the last good policy came to, where that was overdue.
    pub(super) returned: Option<Ending>,
}

/// Refuses whoever is not root.
pub(super) fn insist_on_root() -> Result<(), Outcome> {
    match host::is_root() {
        true => Ok(()),
        false => Err(Outcome::Refused(CommandError::NoRoot)),
    }
}

/// Takes the lock, as root, with the mark of the box as it was before the wait.
pub(super) fn locked(command: &str) -> Result<(lock::Lock, Mark), Outcome> {
    insist_on_root()?;
    let mark = Mark::read();
    let lock =
        lock::take(command).map_err(|error| Outcome::Refused(CommandError::Locked(error)))?;
    Ok((lock, mark.with_lock()))
}

/// The same, and first of all carries out a return that is overdue.
pub(super) fn exclusively(command: &str) -> Result<Turn, Outcome> {
    let (lock, mark) = locked(command)?;
    let returned = return_if_overdue(&mark);
    Ok(Turn {
        lock,
        // A return takes the mark away that was there.
        mark: mark.with_lock(),
        returned,
    })
}
