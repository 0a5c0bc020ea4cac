//! `camfw open`: removes the firewall.

use super::error::{CommandError, StepError};
use super::exclusive::locked;
use super::machine::Machine;
use super::outcome::{Ending, Outcome};
use super::recover::close_again;
use super::state::InForce;
use crate::host::netlink;
use crate::net::{NetworkChange, own_ports};
use crate::netfilter::Ruleset;

/// Removes all rules from all tables and sets every chain policy to ACCEPT. Settings
/// and forwarding stay unchanged.
pub(crate) fn open() -> Ending {
    let (_lock, mark) = match locked("open") {
        Ok(locked) => locked,
        Err(outcome) => return outcome.into(),
    };
    let empty = Ruleset::default();
    let opened = Machine::find().and_then(|machine| {
        let found = machine.read()?;
        machine.load(&found, |_| &empty)
    });
    // Sets up the ports that seal set down. A port that has disappeared needs no
    // change.
    let ports = opened.is_ok().then(set_ports_up);
    match opened {
        Ok(_) if !mark.is_unchanged() => close_again(None),
        Ok(_) => Ending::from(Outcome::Open)
            .noting(ports.unwrap_or(Ok(())))
            .noting(mark.settle(&InForce::Open)),
        Err(error) => Outcome::Failed(CommandError::Open(error)).into(),
    }
}

/// Sets the ports of camfw's own bridges up.
fn set_ports_up() -> Result<(), StepError> {
    let current = netlink::read()?;
    let down = |name: &String| {
        current
            .links
            .iter()
            .any(|link| link.name == *name && !link.up)
    };
    let ports = own_ports(&current, None).into_iter().filter(down);
    let ups: Vec<NetworkChange> = ports.map(|name| NetworkChange::SetUp { name }).collect();
    Ok(netlink::carry_out(&ups)?)
}
