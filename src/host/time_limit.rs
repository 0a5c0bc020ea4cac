//! Work that the kernel may hold up for as long as it likes, such as a write to
//! a disk that died: done beside, and given up once its time is over.
//!
//! Owns the wait. What was given up may still be done later: a system call that
//! waits for a device cannot be taken back.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Does the work, for at most `limit`.
///
/// # Errors
/// It was not done in time, or no thread can be started for it.
pub(crate) fn run<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (sender, done) = mpsc::sync_channel(1);
    thread::Builder::new().spawn(move || {
        // Nobody waits for what comes late.
        let _ = sender.send(work());
    })?;
    done.recv_timeout(limit).map_err(|_| {
        io::Error::new(
            io::ErrorKind::TimedOut,
            format!("it was not done after {limit:?}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_come_is_given_up() {
        let done = run(Duration::from_secs(60), || 7);
        assert_eq!(done.ok(), Some(7));
        let (never, wait) = mpsc::channel::<()>();
        let late = run(Duration::from_millis(20), move || wait.recv().is_ok());
        let kind = late.err().map(|error| error.kind());
        assert_eq!(kind, Some(io::ErrorKind::TimedOut));
        drop(never);
    }
}
