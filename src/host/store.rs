//! Small files that outlive a command: in /run until the next boot, or in /var/lib
//! permanently; and one for everybody to read, where the file says.
//!
//! A file is written under a temporary name, synced and renamed, so that a reader finds
//! the old or the new content but never a part. Only regular files are read, and only
//! from folders that no other user can write to. The content is up to the caller.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, fchmod, lstat};
use nix::unistd::{AccessFlags, UnlinkatFlags, access, unlinkat};
use thiserror::Error;

use super::time_limit;
use super::trusted_path::{Folder, TrustError};

/// The largest file that is read, in bytes: somewhat more than a configuration.
const MAX_BYTES: u64 = 16 << 20;

/// The time limit for one file. A failing disk retries for minutes, and a boot must not
/// wait for it.
const LIMIT: Duration = Duration::from_secs(10);

/// Where a file is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorePlace {
    /// In /run, until the next boot.
    Run,
    /// On the disk.
    Disk,
}

impl StorePlace {
    /// Both, in the order in which stored data is looked for: newest first, because the
    /// disk may have become read-only since.
    pub const NEWEST_FIRST: [StorePlace; 2] = [StorePlace::Run, StorePlace::Disk];

    /// Where data is stored: on the disk only if it is to be there after a reboot.
    pub fn all_or_run(on_disk: bool) -> &'static [StorePlace] {
        match on_disk {
            true => &StorePlace::NEWEST_FIRST,
            false => &[StorePlace::Run],
        }
    }

    /// The folder's path.
    pub fn folder(self) -> &'static str {
        match self {
            StorePlace::Run => "/run/camfw",
            StorePlace::Disk => "/var/lib/camfw",
        }
    }
}

/// An operation on a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Reading the file.
    Read,
    /// Replacing the file.
    Write,
    /// Removing the file.
    Remove,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Read => "read",
            Action::Write => "write",
            Action::Remove => "remove",
        })
    }
}

/// Why an operation on a file failed. The earlier content is intact.
#[derive(Debug, Error)]
#[error("cannot {action} {}", path.display())]
pub struct StoreError {
    /// Where the file is stored.
    pub place: StorePlace,
    /// The operation that failed.
    pub action: Action,
    /// The file's path.
    pub path: PathBuf,
    /// The cause.
    #[source]
    pub cause: StoreCause,
}

/// What is wrong with a file or its folder.
#[derive(Debug, Error)]
pub enum StoreCause {
    /// The disk is full, read-only, missing, or does not answer.
    #[error(transparent)]
    Disk(io::Error),
    /// Another user can change it, or it is not a regular file.
    #[error(transparent)]
    Untrusted(Untrusted),
    /// It exceeds the size limit.
    #[error("it has more than {MAX_BYTES} bytes, so camfw did not write it; remove it")]
    TooLarge,
}

/// What is wrong with the file, or with a folder on its path.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct Untrusted(TrustError);

impl StoreError {
    /// Whether the failure means that the next boot finds other data than it should.
    pub fn is_lost_at_reboot(&self) -> bool {
        self.place == StorePlace::Disk && self.action != Action::Read
    }
}

impl From<TrustError> for StoreCause {
    fn from(error: TrustError) -> StoreCause {
        match error {
            TrustError::Open { error, .. } => StoreCause::Disk(error),
            other => StoreCause::Untrusted(Untrusted(other)),
        }
    }
}

impl From<io::Error> for StoreCause {
    fn from(error: io::Error) -> StoreCause {
        StoreCause::Disk(error)
    }
}

impl From<Errno> for StoreCause {
    fn from(error: Errno) -> StoreCause {
        StoreCause::Disk(error.into())
    }
}

/// Writes a file as [`write`] does, unless it has this text already.
///
/// # Errors
/// As [`write`].
pub fn write_if_changed(place: StorePlace, name: &str, text: &str) -> Result<(), StoreError> {
    match read(place, name) {
        Ok(Some(there)) if there == text => Ok(()),
        _ => write(place, name, text),
    }
}

/// Writes a file atomically.
///
/// # Errors
/// Returns an error if the disk is full, read-only, missing or does not answer, or if
/// another user can change the folder.
pub fn write(place: StorePlace, name: &str, text: &str) -> Result<(), StoreError> {
    let text = text.to_owned();
    within_limit(place, name, Action::Write, move |name| {
        write_unlimited(place, name, &text)
    })
}

/// Writes a file that everybody may read atomically, and the folder if it is not there.
///
/// # Errors
/// As [`write`].
pub fn publish(path: &Path, text: &str) -> Result<(), PublishError> {
    let (file, text) = (path.to_owned(), text.to_owned());
    let work = move || {
        let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else {
            return Err(Errno::EISDIR.into());
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)?;
        replace(
            &Folder::open(folder)?,
            name,
            &text,
            Mode::from_bits_truncate(0o644),
        )
    };
    time_limit::run(LIMIT, work)
        .unwrap_or_else(|error| Err(error.into()))
        .map_err(|cause| PublishError {
            path: path.to_owned(),
            cause,
        })
}

/// Why a file for everybody could not be written.
#[derive(Debug, Error)]
#[error("cannot write {}", path.display())]
pub struct PublishError {
    path: PathBuf,
    #[source]
    cause: StoreCause,
}

/// Reads a file; None if it does not exist.
///
/// # Errors
/// Returns an error if it exists but cannot be read, or cannot be trusted.
pub fn read(place: StorePlace, name: &str) -> Result<Option<String>, StoreError> {
    within_limit(place, name, Action::Read, move |name| {
        read_unlimited(place, name)
    })
}

/// Whether there is an entry with this name, even one that cannot be read. In a folder that
/// others can write, one of root's: what another user puts there says nothing.
///
/// # Errors
/// Returns an error if that cannot be determined.
pub fn is_there(place: StorePlace, name: &str) -> Result<bool, StoreError> {
    within_limit(place, name, Action::Read, move |name| {
        let path = Path::new(place.folder());
        match Folder::open(path) {
            Ok(folder) => return Ok(folder.has(name)?),
            Err(TrustError::Open { error, .. }) if !is_no_folder(&error) => {
                return Err(error.into());
            }
            Err(_) => {}
        }
        match lstat(&path.join(name)) {
            Ok(found) => Ok(found.st_uid == 0),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    })
}

/// Whether there is no such folder, so that nothing is in it.
fn is_no_folder(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// Checks that a file could be written there, without doing so. It is no error if the folder
/// does not exist: the first one that is written makes it.
///
/// # Errors
/// What is wrong with the folder.
pub fn check(place: StorePlace) -> Result<(), StoreCause> {
    let work = move || match Folder::open(Path::new(place.folder())) {
        Ok(_) => Ok(access(place.folder(), AccessFlags::W_OK)?),
        Err(error) if error.is_absent() => Ok(()),
        Err(error) => Err(error.into()),
    };
    time_limit::run(LIMIT, work).unwrap_or_else(|error| Err(error.into()))
}

/// Removes a file. It is no error if it does not exist.
///
/// # Errors
/// Returns an error if it exists but cannot be removed.
pub fn remove(place: StorePlace, name: &str) -> Result<(), StoreError> {
    within_limit(place, name, Action::Remove, move |name| {
        let folder = match Folder::open(Path::new(place.folder())) {
            Ok(folder) => folder,
            Err(error) if error.is_absent() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        match unlinkat(folder.handle(), name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) => sync(place, &folder),
            Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    })
}

fn within_limit<T: Send + 'static>(
    place: StorePlace,
    name: &str,
    action: Action,
    work: impl FnOnce(&OsStr) -> Result<T, StoreCause> + Send + 'static,
) -> Result<T, StoreError> {
    let path = Path::new(place.folder()).join(name);
    let name = name.to_owned();
    time_limit::run(LIMIT, move || work(OsStr::new(&name)))
        .unwrap_or_else(|error| Err(error.into()))
        .map_err(|cause| StoreError {
            place,
            action,
            path,
            cause,
        })
}

fn write_unlimited(place: StorePlace, name: &OsStr, text: &str) -> Result<(), StoreCause> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(place.folder())?;
    let folder = Folder::open(Path::new(place.folder()))?;
    replace(&folder, name, text, Mode::S_IRUSR | Mode::S_IWUSR)?;
    sync(place, &folder)
}

fn replace(folder: &Folder, name: &OsStr, text: &str, mode: Mode) -> Result<(), StoreCause> {
    let mut new = name.to_owned();
    new.push(".new");
    let written = write_new(folder, &new, text, mode).and_then(|()| {
        renameat(folder.handle(), new.as_os_str(), folder.handle(), name)?;
        Ok(())
    });
    if written.is_err() {
        // Frees the blocks of the temporary file: on a full disk they are needed.
        let _ = unlinkat(folder.handle(), new.as_os_str(), UnlinkatFlags::NoRemoveDir);
    }
    written
}

fn write_new(folder: &Folder, name: &OsStr, text: &str, mode: Mode) -> Result<(), StoreCause> {
    // An existing temporary file is left from a command that was killed, or is a pipe
    // that would block an open.
    match unlinkat(folder.handle(), name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let mut file = File::from(openat(folder.handle(), name, flags, Mode::S_IRUSR)?);
    // Whatever the umask is.
    fchmod(&file, mode)?;
    file.write_all(text.as_bytes())?;
    Ok(file.sync_all()?)
}

fn read_unlimited(place: StorePlace, name: &OsStr) -> Result<Option<String>, StoreCause> {
    let file = Folder::open(Path::new(place.folder())).and_then(|folder| folder.regular_file(name));
    let file = match file {
        Ok(file) => file,
        Err(error) if error.is_absent() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(StoreCause::TooLarge);
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn sync(place: StorePlace, folder: &Folder) -> Result<(), StoreCause> {
    match place {
        StorePlace::Run => Ok(()),
        StorePlace::Disk => Ok(File::from(folder.readable()?).sync_all()?),
    }
}
