//! `camfw show msmtp`: the configuration of msmtp, by which mail is sent.

use super::for_server;
use crate::cli::{CliError, Command, ExitCode, Given};
use crate::servers;

pub(in crate::cli) const COMMAND: Command = Command::new(
    "show msmtp",
    "the mail program's side of it, for msmtp",
    run,
);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    for_server(given, servers::msmtp)
}
