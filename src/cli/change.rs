//! `camfw boot`, `apply`, `seal` and `open`: change the kernel, log the outcome.

use std::path::Path;

use super::args::Change;
use super::complain_unless_logged;
use crate::apply::{Ending, Waiter};
use crate::{apply, host};

pub fn run(config: &Path, change: Change, verbose: bool) -> u8 {
    host::log::start(verbose);
    let ending = match change {
        Change::Boot => apply::boot(config),
        Change::Apply { confirm, replace } => apply::apply(config, confirm, replace),
        Change::Confirm => apply::confirm(),
        Change::Refresh => apply::refresh(config),
        Change::Watch => apply::watch(config),
        Change::Seal => apply::seal(),
        Change::Open => apply::open(),
    };
    if verbose {
        for change in ending.changes() {
            log::debug!("{change}");
            complain_unless_logged(&change);
        }
    }
    tell(&ending)
}

/// A waiter of `apply --confirm`.
pub fn await_confirmation(token: &str, seconds: u64, waiter: Waiter, verbose: bool) -> u8 {
    host::log::start(verbose);
    tell(&apply::await_confirmation(token, seconds, waiter))
}

fn tell(ending: &Ending) -> u8 {
    let line = ending.to_string();
    match ending.exit_code() {
        0 => log::info!("{line}"),
        _ => log::error!("{line}"),
    }
    if let Some(peak) = host::peak_memory_kib() {
        log::debug!("peak memory {peak} KiB");
    }
    complain_unless_logged(&line);
    ending.exit_code()
}
