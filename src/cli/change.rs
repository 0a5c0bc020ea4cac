//! `camfw boot`, `apply`, `seal` and `open`: change the kernel, log the outcome.

use std::path::Path;

use super::args::Change;
use super::complain_unless_logged;
use crate::{apply, host};

pub fn run(config: &Path, change: Change, verbose: bool) -> u8 {
    host::log::start(verbose);
    let outcome = match change {
        Change::Boot => apply::boot(config),
        Change::Apply => apply::apply(config),
        Change::Watch => apply::watch(config),
        Change::Seal => apply::seal(),
        Change::Open => apply::open(),
    };
    let line = outcome.to_string();
    match outcome.exit_code() {
        0 => log::info!("{line}"),
        _ => log::error!("{line}"),
    }
    if let Some(peak) = host::peak_memory_kib() {
        log::debug!("peak memory {peak} KiB");
    }
    complain_unless_logged(&line);
    outcome.exit_code()
}
