//! A named role, or post, that one process at a time holds, and whether it is held.
//!
//! A locked file in /run, which only root can open: with a name that anyone may take,
//! such as an abstract socket's, any program of the box could keep a waiter out. The
//! kernel releases the lock however the process ends. It is one of an open file
//! (F_OFD_SETLK, fcntl(2)), since whether such a lock is held can be asked without taking
//! it: whoever asks keeps nobody from taking the post.

use std::fs::{File, OpenOptions, remove_file};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// A post held by this process.
#[derive(Debug)]
pub struct Post {
    path: PathBuf,
    _locked: File,
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
        let file = open(&path)?;
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file())) {
            Ok(_) => Ok(Some(Post {
                path,
                _locked: file,
            })),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a process holds the post. If that cannot be determined, it counts as
    /// held.
    pub fn is_held(name: &str) -> bool {
        let mut lock = whole_file();
        let asked = open(&file_of(name)).map(|file| fcntl(&file, FcntlArg::F_OFD_GETLK(&mut lock)));
        !matches!(asked, Ok(Ok(_))) || i32::from(lock.l_type) != libc::F_UNLCK
    }
}

fn file_of(name: &str) -> PathBuf {
    PathBuf::from(format!("/run/camfw-{name}.lock"))
}

fn open(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

/// A lock of the whole file that no other process may have at the same time.
pub(super) fn whole_file() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}
