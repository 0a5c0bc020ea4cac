//! `camfw boot`: closes the box, then applies the file.

use super::args::Given;
use super::change::carry_out;
use super::command::Command;
use super::error::CliError;
use crate::apply;
use crate::exit_code::ExitCode;

pub(super) const COMMAND: Command = Command {
    name: "boot",
    operands: &[],
    summary: "close the box, then apply the file: the init script's command",
    about: "\
Before any networking: turns forwarding off, closes the tables, waits for links
as long as the file says, and applies. Where the file is refused or cannot be
loaded, the last good policy comes into force, with exit code 1; where there is
none, the box stays sealed.",
    flags: &[],
    run,
};

fn run(given: &Given) -> Result<ExitCode, CliError> {
    Ok(carry_out(given, || apply::boot(&given.config())))
}
