//! `camfw open`: takes the firewall off.

use super::args::Given;
use super::change::carry_out;
use super::command::Command;
use super::error::CliError;
use crate::apply;
use crate::exit_code::ExitCode;

pub(super) const COMMAND: Command = Command {
    name: "open",
    operands: &[],
    summary: "take the firewall off: everything is accepted",
    about: "\
camfw apply puts the policy back in force.",
    flags: &[],
    run,
};

fn run(given: &Given) -> Result<ExitCode, CliError> {
    Ok(carry_out(given, apply::open))
}
