//! One at a time: the lock that every command takes before it changes anything.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

const PATH: &str = "/run/camfw.lock";

/// How long another command may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Held until it is dropped, or the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _held: Flock<File>,
}

/// Takes the lock, waiting for another command to end.
///
/// # Errors
/// The file cannot be made, or another command holds it for 30 seconds.
pub fn take() -> io::Result<Lock> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(PATH)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot open {PATH}: {error}")))?;
    let start = Instant::now();
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => return Ok(Lock { _held: held }),
            Err((back, Errno::EWOULDBLOCK)) if start.elapsed() < PATIENCE => {
                file = back;
                sleep(Duration::from_millis(20));
            }
            Err((_, Errno::EWOULDBLOCK)) => {
                return Err(io::Error::new(
                    io::ErrorKind::WouldBlock,
                    format!(
                        "another camfw command has held {PATH} for 30 seconds; let it end, then try again"
                    ),
                ));
            }
            Err((_, error)) => return Err(error.into()),
        }
    }
}
