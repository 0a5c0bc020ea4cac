//! `camfw refresh`: looks up the names of hosts again.

use super::args::Given;
use super::change::carry_out;
use super::command::Command;
use super::error::CliError;
use crate::apply;
use crate::exit_code::ExitCode;

pub(super) const COMMAND: Command = Command {
    name: "refresh",
    operands: &[],
    summary: "look up the names of hosts again, and carry out what changed",
    about: "\
An address that a name no longer resolves to is kept as long as [names] keep
says. A name that does not resolve now keeps what it had.",
    flags: &[],
    run,
};

fn run(given: &Given) -> Result<ExitCode, CliError> {
    Ok(carry_out(given, || apply::refresh(&given.config())))
}
