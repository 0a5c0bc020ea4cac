//! The files of `camfw-mail` that this program looks at. Another user may write one of
//! them, so no link is followed, nothing is waited for, and little of it is read.

use std::fs::{File, OpenOptions, symlink_metadata};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::time::SystemTime;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::post;

/// What `camfw-mail` says of itself; its lock is on it for as long as it runs.
const SAID: &str = "/run/camfw-mail/state";

/// The most bytes that are read of it.
const MOST: u64 = 1024;

/// What is wrong with the file of the password; None if its owner alone reads it.
pub fn password_problem(path: &str) -> Option<String> {
    let what = match symlink_metadata(path) {
        Err(error) => format!("{error}; write the mail server's password into it"),
        Ok(found) if !found.is_file() => "it is not a regular file; make it one".to_owned(),
        Ok(found) if found.mode() & 0o077 != 0 => {
            let mode = found.mode() & 0o7777;
            format!("others than its owner can use it (mode {mode:04o})")
        }
        Ok(_) => return None,
    };
    Some(format!(
        "{path}: {what}; it is camfw-mail's alone: chown camfw-mail, chmod 400"
    ))
}

/// The beginning of what `camfw-mail` says of itself, if it runs, and how many seconds ago it
/// said so.
pub fn said() -> Option<(String, u64)> {
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(SAID)
        .ok()?;
    let mut lock = post::whole_file();
    fcntl(&file, FcntlArg::F_OFD_GETLK(&mut lock)).ok()?;
    let found = file.metadata().ok()?;
    if i32::from(lock.l_type) == libc::F_UNLCK || !found.is_file() {
        return None;
    }
    let age = SystemTime::now().duration_since(found.modified().ok()?);
    // A time to come is another clock's.
    let age = age.map_or(0, |age| age.as_secs());
    let mut text = Vec::new();
    file.take(MOST).read_to_end(&mut text).ok()?;
    Some((String::from_utf8_lossy(&text).into_owned(), age))
}
