//! Runs a command that changes the box: logs and prints its result, and returns its
//! exit code.

use super::args::Given;
use super::complain_unless_logged;
use super::json::{JSON, print_json};
use super::print;
use crate::apply::Ending;
use crate::exit_code::ExitCode;
use crate::host;
use crate::json::json_object;

/// The result for a program.
struct ToldEnding<'a> {
    outcome: String,
    exit_code: u8,
    changes: Vec<String>,
    removed_rules: &'a [String],
    unresolved: &'a [String],
    undone: &'a [String],
}

json_object!(ToldEnding<'_> { outcome, exit_code, changes, removed_rules, unresolved, undone });

/// Runs the command.
pub(super) fn carry_out(given: &Given, command: impl FnOnce() -> Ending) -> ExitCode {
    host::log::start(given.verbose());
    tell(&command(), given)
}

fn tell(ending: &Ending, given: &Given) -> ExitCode {
    let json = given.has(&JSON);
    if given.verbose() {
        for change in ending.changes() {
            log::debug!("{change}");
            complain_unless_logged(&change);
        }
    }
    let line = ending.to_string();
    match ending.exit_code() {
        ExitCode::Done => log::info!("{line}"),
        _ => log::error!("{line}"),
    }
    if let Some(peak) = host::peak_memory_kib() {
        log::debug!("peak memory {peak} KiB");
    }
    match json {
        true => tell_program(ending),
        false => complain_unless_logged(&line),
    }
    ending.exit_code()
}

/// Prints what a command would do, which is logged nowhere: each change on a line, and
/// then how many.
pub(super) fn show(given: &Given, ending: &Ending) -> ExitCode {
    match given.has(&JSON) {
        true => tell_program(ending),
        false => {
            let changes = ending.changes().into_iter();
            let changes: String = changes.map(|change| change + "\n").collect();
            print(&changes);
            complain_unless_logged(&ending.to_string());
        }
    }
    ending.exit_code()
}

fn tell_program(ending: &Ending) {
    print_json(&ToldEnding {
        outcome: ending.to_string(),
        exit_code: ending.exit_code() as u8,
        changes: ending.changes(),
        removed_rules: ending.removed_rules(),
        unresolved: ending.unresolved(),
        undone: ending.left_undone(),
    });
}
