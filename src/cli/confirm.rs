//! `camfw confirm`: makes a policy permanent that `apply --confirm` applied.

use super::change::carry_out;
use super::json::JSON;
use super::{CliError, Command, ExitCode, Given};
use crate::apply;

pub(super) const COMMAND: Command =
    Command::new("confirm", "keep what apply --confirm applied", run)
        .about("Without it the last good policy comes back at the deadline.")
        .flags(&[JSON]);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    Ok(carry_out(given, apply::confirm))
}
