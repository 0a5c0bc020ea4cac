//! `camfw apply`: brings the running box to what the file says.

use super::change::{carry_out, show};
use super::error::UsageError;
use super::json::JSON;
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

const DRY_RUN: Flag = Flag::switch(
    "dry-run",
    "say each change that it would make, and make none",
);

pub(super) const COMMAND: Command =
    Command::new("apply", "bring the running box to what the file says", run)
        .about(
            "Proves the policy, loads it, reads it back and compares; ends connections that
it forbids. A first apply over other programs' rules names them and is refused
without --replace. With --dry-run it says what it would do; whether the kernel has all
that the rules need is tried by an apply alone.",
        )
        .flags(&[CONFIRM, REPLACE, DRY_RUN, JSON]);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let confirm = given.value(&CONFIRM)?.map(|Seconds(seconds)| seconds);
    let replace = given.has(&REPLACE);
    if given.has(&DRY_RUN) {
        if confirm.is_some() {
            let why = "--dry-run changes nothing, so there is nothing to confirm; leave one out";
            return Err(UsageError::Together(why).into());
        }
        return Ok(show(given, &apply::dry_run(&given.config(), replace)));
    }
    Ok(carry_out(given, || {
        apply::apply(&given.config(), confirm, replace)
    }))
}
