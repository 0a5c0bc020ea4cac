//! The mark that the box was sealed, which needs no lock.
//!
//! Every command that closes the box sets it first. A command that enforces a policy
//! reads it when it starts, before it loads rules and after its last step: if it has
//! changed, the box was sealed meanwhile, and the command closes it again. So no
//! command in progress can open a box that was sealed.

use super::record::{self, RecordError};
use super::state::InForce;
use crate::error::with_causes;
use crate::host::process;
use crate::host::store::{self, StoreError, StorePlace};

const NAME: &str = "sealed";

/// The mark at the time a command started; None if there was none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark(Option<String>);

impl Mark {
    /// Reads the current mark.
    pub(super) fn read() -> Mark {
        Mark(match store::read(StorePlace::Run, NAME) {
            Ok(mark) => mark,
            // A mark that cannot be read may exist.
            Err(error) => Some(with_causes(&error)),
        })
    }

    /// The mark of a box that is not sealed.
    pub(super) fn none() -> Mark {
        Mark(None)
    }

    /// Reinterprets a mark that was read before waiting for the lock: if the previous
    /// owner of the lock opened the sealed box, there is no mark any more.
    pub(super) fn with_lock(self) -> Mark {
        match Mark::is_set() {
            true => self,
            false => Mark::none(),
        }
    }

    /// Whether the box is marked as sealed.
    pub(super) fn is_set() -> bool {
        Mark::read() != Mark::none()
    }

    /// Sets a new, unique mark.
    ///
    /// # Errors
    /// Returns an error if /run cannot be written.
    pub(super) fn set() -> Result<Mark, StoreError> {
        let mark = process::unique_name() + "\n";
        store::write(StorePlace::Run, NAME, &mark)?;
        Ok(Mark(Some(mark)))
    }

    /// Whether the box has not been sealed since.
    pub(super) fn is_unchanged(&self) -> bool {
        Mark::read() == *self
    }

    /// Records what is in force, and removes the mark unless another command set it:
    /// that command closes the box after setting the mark, and therefore after this
    /// command's last step.
    ///
    /// # Errors
    /// Returns an error if /run cannot be written.
    pub(super) fn settle(&self, in_force: &InForce) -> Result<(), RecordError> {
        record::write(in_force)?;
        match self.0.is_some() && self.is_unchanged() {
            true => store::remove(StorePlace::Run, NAME).map_err(RecordError::new),
            false => Ok(()),
        }
    }
}
