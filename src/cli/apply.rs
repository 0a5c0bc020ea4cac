//! `camfw apply`: brings the running box to what the file says.

use super::change::carry_out;
use super::value::Seconds;
use super::{CliError, Command, ExitCode, Flag, Given};
use crate::apply;

const CONFIRM: Flag = Flag::valued(
    "confirm",
    "TIME",
    "and back again unless camfw confirm comes within this time: 90\n(seconds), 5m or \"5 minutes\"",
);
const REPLACE: Flag = Flag::switch(
    "replace",
    "take other programs' rules away on a first apply too",
);

pub(super) const COMMAND: Command =
    Command::new("apply", "bring the running box to what the file says", run)
        .about(
            "Proves the policy, loads it, reads it back and compares; ends connections that
it forbids. A first apply over other programs' rules names them and is refused
without --replace.",
        )
        .flags(&[CONFIRM, REPLACE]);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let confirm = given.value(&CONFIRM)?.map(|Seconds(seconds)| seconds);
    let replace = given.has(&REPLACE);
    Ok(carry_out(given, || {
        apply::apply(&given.config(), confirm, replace)
    }))
}
