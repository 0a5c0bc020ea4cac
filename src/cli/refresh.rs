//! `camfw refresh`: looks up the host names again.

use super::change::carry_out;
use super::json::JSON;
use super::{CliError, Command, ExitCode, Given};
use crate::apply;

pub(super) const COMMAND: Command = Command::new(
    "refresh",
    "look up the names of hosts again, and carry out what changed",
    run,
)
.about(
    "An address that a name no longer resolves to is kept as long as [names] keep
says. A name that does not resolve now keeps what it had.",
)
.flags(&[JSON]);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    Ok(carry_out(given, || apply::refresh(&given.config())))
}
