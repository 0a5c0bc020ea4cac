//! Any text file, or what comes on stdin: a dump of rules, a list of packets.
//!
//! Owns that a text is read once, since a pipe cannot be read again, and that
//! nobody waits for one that does not come.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The largest that is read, in bytes: some hundred thousand rules.
const MAX_BYTES: usize = 64 << 20;

/// So long a pipe may say nothing: long enough for a password on its other end.
const SILENCE: Duration = Duration::from_secs(60);

/// The text of a file, `-` for stdin; bytes that are no text become U+FFFD.
///
/// # Errors
/// One line, with the file's name.
pub fn read(path: &str) -> Result<String, String> {
    let bytes = open(path)
        .and_then(|file| all_of(file, SILENCE))
        .map_err(|error| format!("{path}: cannot read it: {error}"))?;
    if bytes.len() > MAX_BYTES {
        return Err(format!("{path}: it has more than {MAX_BYTES} bytes"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether a path names a regular file, which can be read again.
pub fn is_regular(path: &str) -> bool {
    path != "-" && Path::new(path).is_file()
}

fn open(path: &str) -> io::Result<File> {
    if path == "-" {
        return Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?));
    }
    // Without O_NONBLOCK opening a pipe would wait for its writer for ever.
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)
}

/// What a file holds, and one byte more than is taken where that is too much.
fn all_of(mut file: File, silence: Duration) -> io::Result<Vec<u8>> {
    let limit = PollTimeout::try_from(silence).unwrap_or(PollTimeout::MAX);
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 1 << 16];
    while bytes.len() <= MAX_BYTES {
        let mut polled = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, limit) {
            Err(nix::errno::Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(0) => {
                let waited = silence.as_secs();
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("nothing came for {waited} seconds"),
                ));
            }
            Ok(_) => {}
        }
        match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                ) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::thread;

    #[test]
    fn a_pipe_without_a_writer_is_not_waited_for_for_ever() -> io::Result<()> {
        let (reader, writer) = io::pipe()?;
        let file = File::from(std::os::fd::OwnedFd::from(reader));
        let error = all_of(file, Duration::from_millis(20)).err();
        assert_eq!(error.map(|it| it.kind()), Some(io::ErrorKind::TimedOut));
        drop(writer);
        Ok(())
    }

    #[test]
    fn a_slow_writer_is_read_to_its_end() -> io::Result<()> {
        let (reader, mut writer) = io::pipe()?;
        let file = File::from(std::os::fd::OwnedFd::from(reader));
        let writing = thread::spawn(move || {
            for part in [b"*fil", b"ter\n"] {
                thread::sleep(Duration::from_millis(20));
                if writer.write_all(part).is_err() {
                    return;
                }
            }
        });
        assert_eq!(all_of(file, SILENCE)?, b"*filter\n");
        assert!(writing.join().is_ok());
        Ok(())
    }
}
