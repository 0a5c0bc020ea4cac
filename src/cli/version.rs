//! `camfw version`: prints the version.

use super::{CliError, Command, ExitCode, Given, help, print};

pub(super) const COMMAND: Command = Command::new("version", "which version this is", run);

fn run(_: &Given) -> Result<ExitCode, CliError> {
    Ok(print(&help::version()))
}
