//! `camfw watch`: keeps running and maintains the network.

use super::change::carry_out;
use super::{CliError, Command, ExitCode, Given, complain};
use crate::apply;
use crate::host::output;

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
    if output::is_terminal() {
        complain("watches until it is stopped; what it finds goes to the system log");
    }
    Ok(carry_out(given, || apply::watch(&given.config())))
}
