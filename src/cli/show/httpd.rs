//! `camfw show httpd`: where the web server shows the page of the policy.

use super::for_server;
use crate::cli::{CliError, Command, ExitCode, Given};
use crate::servers;

pub(in crate::cli) const COMMAND: Command = Command::new(
    "show httpd",
    "where the page is shown, for busybox httpd -p",
    run,
);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    for_server(given, servers::httpd)
}
