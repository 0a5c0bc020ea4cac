//! Any text file, or what comes on stdin: a dump of rules, a list of packets.
//!
//! Owns that a text is read once, since a pipe cannot be read again, and that
//! nobody waits for one that does not come. Nothing that changes the box waits here.

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

/// What names the standard input in place of a file.
pub const STDIN: &str = "-";

/// The largest that is read, in bytes: some hundred thousand rules.
const MAX_BYTES: u64 = 64 << 20;

/// So long a pipe may say nothing: long enough for a password on its other end.
const SILENCE: Duration = Duration::from_secs(60);

/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(600);

/// Why there is no text.
#[derive(Debug, Error)]
pub enum TextFileError {
    /// It cannot be read.
    #[error("{file}: cannot read it")]
    Unreadable {
        /// Its name.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// It is too long.
    #[error("{0}: it has more than {MAX_BYTES} bytes; give a shorter one")]
    TooLong(String),
}

/// The text of a file, `-` for stdin; bytes that are no text become U+FFFD.
///
/// # Errors
/// Why not, with the file's name.
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

/// The standard input, of at most one byte more than `most`.
///
/// # Errors
/// It cannot be read, or nothing came for too long.
pub fn read_stdin(most: u64) -> io::Result<Vec<u8>> {
    let stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    read_all(stdin, most, SILENCE)
}

/// Whether a path names a regular file, which can be read again.
pub fn is_regular(path: &str) -> bool {
    path != STDIN && Path::new(path).is_file()
}

fn open(path: &str) -> io::Result<File> {
    // Without O_NONBLOCK opening a pipe would wait for its writer for ever.
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

/// A pipe that nobody has opened yet to write to is silent, and not at its end
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
