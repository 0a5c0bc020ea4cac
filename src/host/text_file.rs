//! Arbitrary text files, or standard input: a dump of rules, a list of packets.
//!
//! Each text is read once, because a pipe cannot be read again, and with a time limit.
//! Commands that change the box do not use it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use thiserror::Error;

/// The name that stands for standard input.
pub const STDIN: &str = "-";

/// The largest text that is read, in bytes: several hundred thousand rules.
const MAX_BYTES: u64 = 64 << 20;

/// How long a pipe may be silent: long enough to type a password at its other end.
const SILENCE: Duration = Duration::from_secs(60);

/// The time limit for the whole text.
const LIMIT: Duration = Duration::from_secs(600);

/// Why a text could not be read.
#[derive(Debug, Error)]
pub enum TextFileError {
    /// It cannot be read.
    #[error("{file}: cannot read it")]
    Unreadable {
        /// The file's name.
        file: String,
        /// The cause.
        source: io::Error,
    },
    /// It exceeds the size limit.
    #[error("{0}: it has more than {MAX_BYTES} bytes; give a shorter one")]
    TooLong(String),
}

/// Reads a file, or standard input for `-`. Invalid UTF-8 becomes U+FFFD.
///
/// # Errors
/// Returns an error with the file's name.
pub fn read(path: &str) -> Result<String, TextFileError> {
    let bytes = match path {
        STDIN => read_stdin(MAX_BYTES),
        _ => open(path).and_then(|file| read_all(file, MAX_BYTES, SILENCE)),
    };
    let bytes = bytes.map_err(|source| TextFileError::Unreadable {
        file: path.to_owned(),
        source,
    })?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(TextFileError::TooLong(path.to_owned()));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads standard input, up to `most` bytes and one more.
///
/// # Errors
/// Returns an error if it cannot be read, or if nothing came for too long.
pub fn read_stdin(most: u64) -> io::Result<Vec<u8>> {
    let stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    read_all(stdin, most, SILENCE)
}

/// Whether a path is a regular file, which can be read again.
pub fn is_regular(path: &str) -> bool {
    path != STDIN && Path::new(path).is_file()
}

fn open(path: &str) -> io::Result<File> {
    // Without O_NONBLOCK, opening a pipe would block until there is a writer.
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
}

fn read_all(mut from: impl Read + AsFd, most: u64, silence: Duration) -> io::Result<Vec<u8>> {
    let end = Instant::now() + LIMIT;
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    while bytes.len() as u64 <= most {
        wait_for(
            &from,
            silence.min(end.saturating_duration_since(Instant::now())),
        )?;
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
            Err(error)
                if [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted]
                    .contains(&error.kind()) => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(
        usize::try_from(most)
            .unwrap_or(usize::MAX)
            .saturating_add(1),
    );
    Ok(bytes)
}

/// A pipe that no one has opened for writing yet is silent, but not at end of file
/// (pipe_poll in fs/pipe.c).
fn wait_for(from: &impl AsFd, silence: Duration) -> io::Result<()> {
    let mut fds = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
    let limit = PollTimeout::try_from(silence).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, limit) {
        Ok(0) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("nothing came for {silence:.0?}"),
        )),
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::thread;

    #[test]
    fn a_pipe_that_is_silent_is_given_up() -> io::Result<()> {
        let (reader, mut writer) = io::pipe()?;
        writer.write_all(b"abc")?;
        let late = read_all(&reader, 10, Duration::from_millis(20));
        assert_eq!(
            late.err().map(|error| error.kind()),
            Some(io::ErrorKind::TimedOut)
        );
        writer.write_all(b"abcdef")?;
        assert_eq!(read_all(&reader, 4, Duration::from_secs(60))?, b"abcde");
        drop(writer);
        assert_eq!(read_all(&reader, 4, Duration::from_secs(60))?, b"");
        Ok(())
    }

    #[test]
    fn a_slow_writer_is_read_to_its_end() -> io::Result<()> {
        let (reader, mut writer) = io::pipe()?;
        let writing = thread::spawn(move || {
            for part in [b"*fil", b"ter\n"] {
                thread::sleep(Duration::from_millis(20));
                if writer.write_all(part).is_err() {
                    return;
                }
            }
        });
        assert_eq!(read_all(&reader, 100, SILENCE)?, b"*filter\n");
        assert!(writing.join().is_ok());
        Ok(())
    }
}
