//! `camfw show dnsmasq`: the configuration of the DHCP and DNS server for the policy.

use super::for_server;
use crate::cli::{CliError, Command, ExitCode, Given};
use crate::servers;

pub(in crate::cli) const COMMAND: Command = Command::new(
    "show dnsmasq",
    "leases and DNS for who may ask the router, for dnsmasq.conf",
    run,
);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    for_server(given, servers::dnsmasq)
}
