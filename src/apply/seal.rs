//! `camfw seal`: closes the box.

use super::close::close;
use super::error::with_causes;
use super::exclusive::locked;
use super::in_force::InForce;
use super::outcome::{Ending, Outcome};
use super::record;

/// Closes the box.
pub(crate) fn seal() -> Ending {
    let _lock = match locked("seal") {
        Ok(lock) => lock,
        Err(outcome) => return outcome.into(),
    };
    match close() {
        Ok(()) => Ending::from(Outcome::Closed).noting(record::write(&InForce::sealed())),
        Err(error) => {
            let state = InForce::sealed().unsealed_because(&with_causes(&error));
            Ending::from(Outcome::Unsealed(error.into())).noting(record::write(&state))
        }
    }
}
