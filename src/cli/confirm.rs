//! `camfw confirm`: keeps what `apply --confirm` applied.

use super::args::Given;
use super::change::carry_out;
use super::command::Command;
use super::error::CliError;
use crate::apply;
use crate::exit_code::ExitCode;

pub(super) const COMMAND: Command = Command {
    name: "confirm",
    operands: &[],
    summary: "keep what apply --confirm applied",
    about: "\
Without it the last good policy comes back at the deadline.",
    flags: &[],
    run,
};

fn run(given: &Given) -> Result<ExitCode, CliError> {
    Ok(carry_out(given, apply::confirm))
}
