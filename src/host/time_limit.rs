//! Runs work that the kernel may block indefinitely, such as a write to a failed disk,
//! in another thread, and abandons it when its time is up.
//!
//! Owns the waiting, and the single worker thread that runs one piece of work after
//! another. Abandoned work may still complete later: a system call that waits for a
//! device cannot be cancelled. Its thread is left behind, and the next work gets a new
//! one.

use std::io;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::SigSet;

type Work = Box<dyn FnOnce() + Send>;

/// Work, and where to say that it is done.
type Piece = (Work, Sender<()>);

/// The idle worker thread. It is removed while it works, so that work with a time limit
/// of its own does not wait for itself.
static IDLE_WORKER: Mutex<Option<Sender<Piece>>> = Mutex::new(None);

/// Runs `work` for at most `limit`.
///
/// # Errors
/// Returns an error if it did not finish in time, or if no thread can be started.
pub(crate) fn run<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let result = Arc::new(Mutex::new(None));
    let made = Arc::clone(&result);
    run_boxed(
        limit,
        Box::new(move || {
            let value = work();
            *made.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        }),
    )?;
    let value = result.lock().unwrap_or_else(PoisonError::into_inner).take();
    value.ok_or_else(|| io::Error::other("its thread has ended"))
}

/// The same for work that keeps its result. Channels and threads are large code, which
/// would be there once for each type of a result.
fn run_boxed(limit: Duration, work: Work) -> io::Result<()> {
    let idle = swap_idle_worker(None);
    let worker = idle.map_or_else(start_worker, Ok)?;
    let (done, is_done) = mpsc::channel();
    worker
        .send((work, done))
        .map_err(|_| io::Error::other("its thread has ended"))?;
    is_done.recv_timeout(limit).map_err(|_| {
        io::Error::new(
            io::ErrorKind::TimedOut,
            format!("it was not done after {limit:?}"),
        )
    })?;
    swap_idle_worker(Some(worker));
    Ok(())
}

fn swap_idle_worker(worker: Option<Sender<Piece>>) -> Option<Sender<Piece>> {
    let mut idle = IDLE_WORKER.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::replace(&mut *idle, worker)
}

/// Starts a worker, which ends when its sender is dropped.
fn start_worker() -> io::Result<Sender<Piece>> {
    let (sender, pieces) = mpsc::channel::<Piece>();
    thread::Builder::new().spawn(move || {
        // A signal to the process is delivered to any thread that does not block it
        // (signal(7)). This thread blocks all, so that the main thread's choices about
        // signals hold.
        let _ = SigSet::all().thread_block();
        for (work, done) in pieces {
            work();
            // The receiver is gone if the result comes late.
            let _ = done.send(());
        }
    })?;
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_does_not_come_is_given_up() {
        let done = run(LONG, || 7);
        assert_eq!(done.ok(), Some(7));
        let (never, wait) = mpsc::channel::<()>();
        let late = run(Duration::from_millis(20), move || wait.recv().is_ok());
        let kind = late.err().map(|error| error.kind());
        assert_eq!(kind, Some(io::ErrorKind::TimedOut));
        // The blocked thread does not delay later work.
        assert_eq!(run(LONG, || 8).ok(), Some(8));
        drop(never);
    }

    #[test]
    fn work_may_have_work_with_a_limit_of_its_own() {
        let inner = run(LONG, || run(LONG, || 7).ok());
        assert_eq!(inner.ok(), Some(Some(7)));
    }

    #[test]
    fn work_that_panics_ends_its_thread_alone() {
        let panicked = run(LONG, || assert_eq!(1, 2, "it panics"));
        assert!(panicked.is_err());
        assert_eq!(run(LONG, || 8).ok(), Some(8));
    }
}
