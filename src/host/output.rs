//! Standard output: whether somebody still reads it, and on a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::clock;

/// Waits, unless the reader of standard output goes away meanwhile: a write would tell that
/// too, but not before there is something to write. Returns whether it is still read.
pub fn wait_while_read(time: Duration) -> bool {
    let stdout = std::io::stdout();
    // POLLERR, of a pipe or socket without a reader, is reported unasked (poll(2)).
    let mut fds = [PollFd::new(
        std::os::fd::AsFd::as_fd(&stdout),
        PollFlags::empty(),
    )];
    let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, timeout) {
        Ok(0) => true,
        Ok(_) => false,
        Err(_) => {
            clock::sleep(time);
            true
        }
    }
}

/// Whether it is a terminal.
pub fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Whether who reads it wants no colour (no-color.org).
pub fn is_without_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}
