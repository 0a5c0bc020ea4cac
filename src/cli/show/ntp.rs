//! `camfw show ntp`: the time server's side of the policy.

use super::for_server;
use crate::cli::args::Given;
use crate::cli::command::Command;
use crate::cli::error::CliError;
use crate::exit_code::ExitCode;
use crate::servers;

pub(in crate::cli) const COMMAND: Command = Command {
    name: "show ntp",
    operands: &[],
    summary: "the time for those who may ask, for chrony.conf",
    about: "",
    flags: &[],
    run,
};

fn run(given: &Given) -> Result<ExitCode, CliError> {
    for_server(given, servers::chrony)
}
