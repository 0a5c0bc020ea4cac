//! `camfw open`: removes the firewall.

use super::change::carry_out;
use super::json::JSON;
use super::{CliError, Command, ExitCode, Given};
use crate::apply;

pub(super) const COMMAND: Command =
    Command::new("open", "take the firewall off: everything is accepted", run)
        .about(
            "camfw apply puts the policy back in force. It ends what connected meanwhile, SSH too:
run it at the console, or log in again after it.",
        )
        .flags(&[JSON]);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    Ok(carry_out(given, apply::open))
}
