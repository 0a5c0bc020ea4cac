//! `camfw show ntp`: the NTP server's configuration for the policy.

use super::for_server;
use crate::cli::{CliError, Command, ExitCode, Given};
use crate::servers;

pub(in crate::cli) const COMMAND: Command = Command::new(
    "show ntp",
    "the time for those who may ask, for chrony.conf",
    run,
);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    for_server(given, servers::chrony)
}
