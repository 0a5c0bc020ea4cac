//! The mark that the box was sealed, which neither takes nor waits for the lock.
//!
//! Whoever closes the box sets it before anything else. Whoever carries a policy
//! out notes it when its turn begins, and looks at it before it loads and after
//! its last step: if it is another one by then, the box was sealed meanwhile, and
//! is closed again. So nothing that is under way opens what was sealed.

use super::in_force::InForce;
use super::record::{self, RecordError};
use crate::error::with_causes;
use crate::host::process;
use crate::host::store::{self, StoreError, StorePlace};

const NAME: &str = "sealed";

/// The mark as it was when a turn began; None where there was none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark(Option<String>);

impl Mark {
    /// The mark as it is.
    pub(super) fn read() -> Mark {
        Mark(match store::read(StorePlace::Run, NAME) {
            Ok(mark) => mark,
            // What cannot be read may be there.
            Err(error) => Some(with_causes(&error)),
        })
    }

    /// That of a box that is not sealed.
    pub(super) fn none() -> Mark {
        Mark(None)
    }

    /// What this mark, read before the lock was had, says of the box once it is:
    /// nothing, if whoever had the lock meanwhile opened what was sealed.
    pub(super) fn with_lock(self) -> Mark {
        match Mark::is_set() {
            true => self,
            false => Mark::none(),
        }
    }

    /// Whether it is there.
    pub(super) fn is_set() -> bool {
        Mark::read() != Mark::none()
    }

    /// Sets a mark that is no other's.
    ///
    /// # Errors
    /// /run cannot be written.
    pub(super) fn set() -> Result<Mark, StoreError> {
        let mark = process::unique_name() + "\n";
        store::write(StorePlace::Run, NAME, &mark)?;
        Ok(Mark(Some(mark)))
    }

    /// Whether nobody has sealed the box since.
    pub(super) fn is_unchanged(&self) -> bool {
        Mark::read() == *self
    }

    /// Notes what is in force, and takes the mark away unless it is another's: that
    /// one closes the box after it has set it, and so after this turn's last step.
    ///
    /// # Errors
    /// /run cannot be written.
    pub(super) fn settle(&self, in_force: &InForce) -> Result<(), RecordError> {
        record::write(in_force)?;
        match self.0.is_some() && self.is_unchanged() {
            true => store::remove(StorePlace::Run, NAME).map_err(RecordError::new),
            false => Ok(()),
        }
    }
}
