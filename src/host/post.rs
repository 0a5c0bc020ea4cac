//! A named role, or post, that one process at a time holds, and whether it is held.
//!
//! A locked file in /run, which only root can open: with a name that anyone may take,
//! such as an abstract socket's, any program of the box could keep a waiter out. The
//! kernel releases the lock however the process ends (flock(2)).

use std::fs::{File, OpenOptions, remove_file};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::libc;

/// A post held by this process.
#[derive(Debug)]
pub struct Post {
    path: PathBuf,
    _locked: Flock<File>,
}

impl Drop for Post {
    fn drop(&mut self) {
        // A file left behind is unlocked, and disappears with the next boot.
        let _ = remove_file(&self.path);
    }
}

impl Post {
    /// Takes a post; None if another process holds it.
    ///
    /// # Errors
    /// Returns an error if its file cannot be created or locked.
    pub fn take(name: &str) -> io::Result<Option<Post>> {
        let path = file_of(name);
        match lock(&path)? {
            Some(_locked) => Ok(Some(Post { path, _locked })),
            None => Ok(None),
        }
    }

    /// Whether a process holds the post. If that cannot be determined, it counts as
    /// held.
    pub fn is_held(name: &str) -> bool {
        !matches!(lock(&file_of(name)), Ok(Some(_)))
    }
}

fn file_of(name: &str) -> PathBuf {
    PathBuf::from(format!("/run/camfw-{name}.lock"))
}

fn lock(path: &PathBuf) -> io::Result<Option<Flock<File>>> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(locked) => Ok(Some(locked)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(error.into()),
    }
}
