//! `camfw watch`: stays, and looks after the network.

use super::args::Given;
use super::change::carry_out;
use super::command::Command;
use super::error::CliError;
use crate::apply;
use crate::exit_code::ExitCode;

pub(super) const COMMAND: Command = Command {
    name: "watch",
    operands: &[],
    summary: "stay, and finish the network when interfaces come and go",
    about: "\
Runs until it is stopped. Tells what differs from the policy in force, and puts
it back where the file says so.",
    flags: &[],
    run,
};

fn run(given: &Given) -> Result<ExitCode, CliError> {
    Ok(carry_out(given, || apply::watch(&given.config())))
}
