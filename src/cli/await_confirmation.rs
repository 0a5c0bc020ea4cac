//! `camfw await-confirmation`: a waiter of `apply --confirm`, which starts it.

use super::args::{self, Given};
use super::change::carry_out;
use super::command::Command;
use super::error::{CliError, UsageError};
use super::value::Seconds;
use crate::apply::{self, Waiter};
use crate::exit_code::ExitCode;

pub(super) const COMMAND: Command = Command {
    name: "await-confirmation",
    operands: &["TOKEN", "SECONDS", "WAITER"],
    summary: "",
    about: "",
    flags: &[],
    run,
};

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
