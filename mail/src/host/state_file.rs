//! What the relay says of itself: one file, locked for as long as it runs, that `camfw
//! status` reads and the next run takes up.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// The most bytes of it.
pub const MOST: usize = 64 * 1024;

/// The file, held.
#[derive(Debug)]
pub struct RelayState(File);

impl RelayState {
    /// Takes the file, which has to be there.
    ///
    /// # Errors
    /// Returns an error if it cannot be written, or if another relay has it.
    pub fn take(path: &Path) -> io::Result<RelayState> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)
            .map_err(named)?;
        // Of the open file, and not of the process: released however this one ends.
        fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK)))
            .map_err(|_| named(io::Error::other("another camfw-mail has it")))?;
        Ok(RelayState(file))
    }

    /// What was said last.
    pub fn last(&self) -> String {
        let mut bytes = vec![0; MOST];
        let length = self.0.read_at(&mut bytes, 0).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    /// Says this instead. In place, since the folder is root's.
    ///
    /// # Errors
    /// Returns an error if it cannot be written.
    pub fn say(&self, text: &str) -> io::Result<()> {
        self.0.write_all_at(text.as_bytes(), 0)?;
        self.0.set_len(text.len() as u64)
    }
}

/// A lock of a whole file.
pub fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}
