//! `camfw show dnsmasq`: the DHCP server's side of the policy.

use super::for_server;
use crate::cli::args::Given;
use crate::cli::command::Command;
use crate::cli::error::CliError;
use crate::exit_code::ExitCode;
use crate::servers;

pub(in crate::cli) const COMMAND: Command = Command {
    name: "show dnsmasq",
    operands: &[],
    summary: "leases for the listed cameras, for dnsmasq.conf",
    about: "",
    flags: &[],
    run,
};

fn run(given: &Given) -> Result<ExitCode, CliError> {
    for_server(given, servers::dnsmasq)
}
