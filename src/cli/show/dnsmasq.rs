//! `camfw show dnsmasq`: the DHCP server's configuration for the policy.

use super::for_server;
use crate::cli::{CliError, Command, ExitCode, Given};
use crate::servers;

pub(in crate::cli) const COMMAND: Command = Command::new(
    "show dnsmasq",
    "leases for the listed cameras, for dnsmasq.conf",
    run,
);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    for_server(given, servers::dnsmasq)
}
