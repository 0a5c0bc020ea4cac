//! `camfw seal`: closes the box.

use super::args::Given;
use super::change::carry_out;
use super::command::Command;
use super::error::CliError;
use crate::apply;
use crate::exit_code::ExitCode;

pub(super) const COMMAND: Command = Command {
    name: "seal",
    operands: &[],
    summary: "close the box: nothing in, out or across",
    about: "\
Waits for no other command. Where the tables cannot be closed in time, the
interfaces go down. camfw apply opens the box again.",
    flags: &[],
    run,
};

fn run(given: &Given) -> Result<ExitCode, CliError> {
    Ok(carry_out(given, apply::seal))
}
