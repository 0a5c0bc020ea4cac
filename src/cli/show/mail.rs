//! `camfw show mail`: what the relay of uploads is told.

use super::for_server;
use crate::cli::{CliError, Command, ExitCode, Given};
use crate::servers;

pub(in crate::cli) const COMMAND: Command = Command::new(
    "show mail",
    "the settings of camfw-mail, which sends uploads",
    run,
);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    for_server(given, servers::relay)
}
