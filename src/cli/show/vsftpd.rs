//! `camfw show vsftpd`: the FTP server's configuration for the policy.

use super::for_server;
use crate::cli::{CliError, Command, ExitCode, Given};
use crate::servers;

pub(in crate::cli) const COMMAND: Command = Command::new(
    "show vsftpd",
    "the FTP server's side of it, for vsftpd.conf",
    run,
);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    for_server(given, servers::vsftpd)
}
