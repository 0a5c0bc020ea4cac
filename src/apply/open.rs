//! `camfw open`: takes the firewall off.

use super::error::CommandError;
use super::exclusive::locked;
use super::in_force::InForce;
use super::machine::Machine;
use super::outcome::{Ending, Outcome};
use super::record;
use crate::ruleset::Ruleset;

/// Takes the firewall off: no rule in any table, every policy ACCEPT. Settings
/// and forwarding stay as they are.
pub(crate) fn open() -> Ending {
    let _lock = match locked("open") {
        Ok(lock) => lock,
        Err(outcome) => return outcome.into(),
    };
    let empty = Ruleset::default();
    let opened = Machine::find().and_then(|machine| {
        let found = machine.read()?;
        machine.load(&found, |_| &empty)
    });
    match opened {
        Ok(_) => Ending::from(Outcome::Open).noting(record::write(&InForce::Open)),
        Err(error) => Outcome::Failed(CommandError::Open(error)).into(),
    }
}
