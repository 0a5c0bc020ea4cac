//! Runs a command that changes the box: logs and prints its result, and returns its
//! exit code.

use super::args::Given;
use super::complain_unless_logged;
use crate::apply::Ending;
use crate::exit_code::ExitCode;
use crate::host;

/// Runs the command.
pub(super) fn carry_out(given: &Given, command: impl FnOnce() -> Ending) -> ExitCode {
    host::log::start(given.verbose());
    tell(&command(), given.verbose())
}

fn tell(ending: &Ending, verbose: bool) -> ExitCode {
    if verbose {
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
    complain_unless_logged(&line);
    ending.exit_code()
}
