//! `camfw apply`: brings the running box to what the file says.

use super::args::Given;
use super::change::carry_out;
use super::command::Command;
use super::error::CliError;
use super::flag::Flag;
use super::value::Seconds;
use crate::apply;
use crate::exit_code::ExitCode;

const CONFIRM: Flag = Flag::valued(
    "confirm",
    "SECONDS",
    "and back again unless camfw confirm comes within so long",
);
const REPLACE: Flag = Flag::switch(
    "replace",
    "take other programs' rules away on a first apply too",
);

pub(super) const COMMAND: Command = Command {
    name: "apply",
    operands: &[],
    summary: "bring the running box to what the file says",
    about: "\
Proves the policy, loads it, reads it back and compares; ends connections that
it forbids. A first apply over other programs' rules names them and is refused
without --replace.",
    flags: &[CONFIRM, REPLACE],
    run,
};

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let confirm = given.value(&CONFIRM)?.map(|Seconds(seconds)| seconds);
    let replace = given.has(&REPLACE);
    Ok(carry_out(given, || {
        apply::apply(&given.config(), confirm, replace)
    }))
}
