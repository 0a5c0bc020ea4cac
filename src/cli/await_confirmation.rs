//! `camfw await-confirmation`: a waiter process, started by `apply --confirm`.

use super::change::carry_out;
use super::value::Seconds;
use super::{CliError, Command, ExitCode, Given, UsageError, args};
use crate::apply::{self, Waiter};

pub(super) const COMMAND: Command =
    Command::new("await-confirmation", "", run).operands(&["TOKEN", "SECONDS", "WAITER"]);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let [token, seconds, waiter] = given.operands() else {
        return Err(UsageError::Operands(&COMMAND).into());
    };
    let Seconds(seconds) = args::read("SECONDS", seconds)?;
    let waiter: Waiter = args::read("WAITER", waiter)?;
    Ok(carry_out(given, || {
        apply::await_confirmation(token, seconds, waiter)
    }))
}
