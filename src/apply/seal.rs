//! `camfw seal`: closes the box, even if another command has the lock.

use std::time::Duration;

use super::close::{Closing, close_without_waiting, down_instead, is_held};
use super::error::CommandError;
use super::exclusive::insist_on_root;
use super::outcome::{Ending, Outcome};
use super::record;
use super::state::InForce;

/// How long to wait for the lock, to close what another command may have loaded
/// meanwhile. The box is already closed by then.
const PATIENCE: Duration = Duration::from_secs(5);

/// Closes the box.
pub(crate) fn seal() -> Ending {
    if let Err(outcome) = insist_on_root() {
        return outcome.into();
    }
    let Closing {
        closed,
        marked,
        lock,
    } = close_without_waiting("seal", PATIENCE);
    let is_held = is_held(&lock);
    let error = match (closed, marked) {
        (Err(error), _) => CommandError::Close(error),
        // The command that has the lock would not notice that the box was sealed.
        (Ok(_), Err(unmarked)) if is_held => CommandError::Unseen(unmarked),
        (Ok(_), marked) => {
            if is_held && let Err(error) = &lock {
                log::warn!("{error}; it closes the box again when it is done");
            }
            let ending = Ending::from(Outcome::Closed).noting(record::write(&InForce::sealed()));
            return ending.noting(marked);
        }
    };
    let (outcome, state) = down_instead(error, InForce::sealed(), None);
    Ending::from(outcome).noting(record::write(&state))
}
