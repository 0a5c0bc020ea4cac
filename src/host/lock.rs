//! The lock that every command takes before it changes anything.
//!
//! Programs that a command runs inherit it. If the command is killed, the next one
//! therefore waits for the programs left running, which could otherwise load their
//! rules over its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, Flock, FlockArg, fcntl};
use nix::libc;

use crate::source::one_line;

const PATH: &str = "/run/camfw.lock";

/// How long to wait for another command.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait in total, if several commands take the lock in turn.
const PATIENCE_FOR_ALL: Duration = Duration::from_secs(300);

static HELD: Mutex<Option<Flock<File>>> = Mutex::new(None);

/// Holds the lock until it is dropped, or until the process and the programs that it
/// runs have ended in any way.
#[derive(Debug)]
pub struct Lock(());

impl Drop for Lock {
    fn drop(&mut self) {
        held().take();
    }
}

fn held() -> std::sync::MutexGuard<'static, Option<Flock<File>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the lock, waiting for another command to end, and writes `command` to the lock
/// file as the owner.
///
/// # Errors
/// Returns an error if the file cannot be created, or if another command, which the
/// error names, has the lock for 30 seconds, or several in turn for 5 minutes.
pub fn take(command: &str) -> io::Result<Lock> {
    take_within(command, PATIENCE)
}

/// The same as [`take`], with another limit for each command that has the lock.
///
/// # Errors
/// Returns the errors of [`take`].
pub fn take_within(command: &str, patience: Duration) -> io::Result<Lock> {
    let mut file = open()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot open {PATH}: {error}")))?;
    let start = Instant::now();
    let mut since = start;
    let mut holder = String::new();
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => {
                set_inherited(&lock, true)?;
                // The name is only informative: a full /run must not prevent closing
                // the box.
                let _ = lock.set_len(0).and_then(|()| {
                    let note = format!("camfw {command}, process {}\n", std::process::id());
                    (&*lock).write_all(note.as_bytes())
                });
                *held() = Some(lock);
                return Ok(Lock(()));
            }
            Err((back, Errno::EWOULDBLOCK))
                if since.elapsed() < patience && start.elapsed() < PATIENCE_FOR_ALL =>
            {
                file = back;
                let noted = one_line(&std::fs::read_to_string(PATH).unwrap_or_default());
                if !noted.is_empty() && noted != holder {
                    (holder, since) = (noted, Instant::now());
                }
                sleep(Duration::from_millis(20));
            }
            Err((_, Errno::EWOULDBLOCK)) => {
                if holder.is_empty() {
                    holder = "another camfw command".into();
                }
                return Err(io::Error::new(
                    io::ErrorKind::WouldBlock,
                    format!(
                        "{holder}, or a program that it started, has held {PATH} for {} s; let it end, then try again",
                        since.elapsed().as_secs()
                    ),
                ));
            }
            Err((_, error)) => return Err(error.into()),
        }
    }
}

fn open() -> io::Result<File> {
    // Without O_NONBLOCK, opening a pipe would block until there is a reader.
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
        .open(PATH)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is not a regular file; remove it")),
    }
}

/// Runs `work`, which starts programs that outlive this command and so must not inherit
/// its lock.
pub fn kept_from_children<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let lock = held();
    let Some(lock) = lock.as_ref() else {
        return work();
    };
    set_inherited(lock, false)?;
    let result = work();
    set_inherited(lock, true)?;
    result
}

fn set_inherited(file: &File, inherited: bool) -> io::Result<()> {
    let flags = match inherited {
        true => FdFlag::empty(),
        false => FdFlag::FD_CLOEXEC,
    };
    fcntl(file, FcntlArg::F_SETFD(flags))?;
    Ok(())
}
