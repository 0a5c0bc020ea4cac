//! `camfw watch`: keeps running and maintains the network.

use super::change::carry_out;
use super::json::{JSON, print_json};
use super::{CliError, Command, ExitCode, Given, complain};
use crate::apply;
use crate::host::output;
use crate::json::json_object;

pub(super) const COMMAND: Command = Command::new(
    "watch",
    "run until stopped: set up interfaces that come late, report drift",
    run,
)
.about(
    "Sets up interfaces that come late or return, reports what differs from the policy
in force, and repairs it where the file says so. What it finds goes to the system
log; with --json to stdout too, a line whenever it is not the same as before.",
)
.flags(&[JSON]);

/// What a look found, for a program.
struct WatchFindings<'a> {
    found: &'a [String],
}

json_object!(WatchFindings<'_> { found });

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let json = given.has(&JSON);
    if output::is_terminal() && !json {
        complain("watches until it is stopped; what it finds goes to the system log");
    }
    let mut tell = |found: &[String]| {
        if json {
            print_json(&WatchFindings { found });
        }
    };
    Ok(carry_out(given, || {
        apply::watch(&given.config(), &mut tell)
    }))
}
