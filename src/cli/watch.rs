//! `camfw watch`: keeps running and maintains the network.

use super::change::carry_out;
use super::{CliError, Command, ExitCode, Given};
use crate::apply;

pub(super) const COMMAND: Command = Command::new(
    "watch",
    "stay, and finish the network when interfaces come and go",
    run,
)
.about(
    "Runs until it is stopped. Tells what differs from the policy in force, and puts
it back where the file says so.",
);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    Ok(carry_out(given, || apply::watch(&given.config())))
}
