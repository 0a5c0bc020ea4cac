//! `camfw seal`: closes the box.

use super::change::carry_out;
use super::json::JSON;
use super::{CliError, Command, ExitCode, Given};
use crate::apply;

pub(super) const COMMAND: Command =
    Command::new("seal", "close the box: nothing in, out or across", run)
        .about(
            "Waits for no other command. Where the tables cannot be closed in time, the
interfaces go down. camfw apply opens the box again.",
        )
        .flags(&[JSON]);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    Ok(carry_out(given, apply::seal))
}
