//! `camfw boot`: closes the box, then applies the file.

use super::change::carry_out;
use super::json::JSON;
use super::{CliError, Command, ExitCode, Given};
use crate::apply;

pub(super) const COMMAND: Command = Command::new(
    "boot",
    "close the box, then apply the file: the init script's command",
    run,
)
.about(
    "Before any networking: turns forwarding off, closes the tables, waits for links
as long as the file says, and applies. Where the file is refused or cannot be
loaded, the last good policy comes into force, with exit code 1; where there is
none, the box stays sealed.",
)
.flags(&[JSON]);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    Ok(carry_out(given, || apply::boot(&given.config())))
}
