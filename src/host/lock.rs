//! The lock that every command takes before it changes anything.
//!
//! The programs that a command runs hold it too: if the command is killed, the
//! next one waits for what it left running, which could otherwise load its
//! rules over those of the next.

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

/// How long another command may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long many that wait for each other may take.
const PATIENCE_FOR_ALL: Duration = Duration::from_secs(300);

static HELD: Mutex<Option<Flock<File>>> = Mutex::new(None);

/// Held until it is dropped, or until the process and the programs that it
/// runs have ended, however they end.
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

/// Takes the lock, waiting for another command to end, and notes in its file
/// that it is `command` that has it.
///
/// # Errors
/// The file cannot be made, or another command, which is named, holds it for
/// 30 seconds, or several one after the other for 5 minutes.
pub fn take(command: &str) -> io::Result<Lock> {
    take_within(command, PATIENCE)
}

/// The same, waiting so long for each command that has it.
///
/// # Errors
/// As with [`take`].
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
                // Only a note: a full /run must not keep anybody from closing the box.
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
    // Without O_NONBLOCK opening a pipe would wait for its reader for ever.
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

/// Does work whose programs are to outlive this command, and so must not hold
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
