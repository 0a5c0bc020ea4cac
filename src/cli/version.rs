//! `camfw version`: which version this is.

use super::args::Given;
use super::command::Command;
use super::error::CliError;
use super::{help, print};
use crate::exit_code::ExitCode;

pub(super) const COMMAND: Command = Command {
    name: "version",
    operands: &[],
    summary: "which version this is",
    about: "",
    flags: &[],
    run,
};

fn run(_: &Given) -> Result<ExitCode, CliError> {
    Ok(print(&help::version()))
}
