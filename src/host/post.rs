//! A post that one process holds for as long as it lives, and whether it is held.
//!
//! A locked file in /run, which root alone can open: a name that anybody may take,
//! such as an abstract socket's, would let any program of the box keep a waiter from
//! its post. The kernel lets go of the lock however the process ends (flock(2)).

use std::fs::{File, OpenOptions, remove_file};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::libc;

/// A post that this process holds.
#[derive(Debug)]
pub struct Post {
    path: PathBuf,
    _locked: Flock<File>,
}

impl Drop for Post {
    fn drop(&mut self) {
        // One that is left behind is nobody's, and gone with the next boot.
        let _ = remove_file(&self.path);
    }
}

impl Post {
    /// Takes the post of that name; None where another process holds it.
    ///
    /// # Errors
    /// Its file cannot be made or locked.
    pub fn take(name: &str) -> io::Result<Option<Post>> {
        let path = file_of(name);
        match lock(&path)? {
            Some(_locked) => Ok(Some(Post { path, _locked })),
            None => Ok(None),
        }
    }

    /// Whether a process holds the post of that name. Where that cannot be told it
    /// is taken to be held.
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
