//! Opens files and folders that only root or the caller can replace.
//!
//! Owns the path walk: from `/`, component by component and link by link, each opened
//! relative to the one before, so that what was checked is what is opened. Anyone who
//! can rename in a folder of the path decides what it leads to: moving camfw.d away
//! would remove its rules from the next boot. The files' content is up to the caller.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use thiserror::Error;

/// The most symbolic links that the kernel follows (MAXSYMLINKS in
/// include/linux/namei.h).
const MOST_LINKS: usize = 40;

/// Why a file or folder cannot be opened.
#[derive(Debug, Error)]
pub(crate) enum TrustError {
    #[error("cannot open {}", path.display())]
    Open {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error(
        "{what} {} belongs to user {owner}, who can put another in its place; chown root it, or use a folder of root's",
        path.display()
    )]
    Owner {
        what: &'static str,
        path: PathBuf,
        owner: u32,
    },
    #[error(
        "others than its owner can write {what} {} (mode {mode:04o}); chmod go-w it",
        path.display()
    )]
    Writable {
        what: &'static str,
        path: PathBuf,
        mode: u32,
    },
    #[error("{} is not a regular file; give one", path.display())]
    NotAFile { path: PathBuf },
}

impl TrustError {
    /// Whether the name does not exist, not even as a link.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, TrustError::Open { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }
}

impl From<TrustError> for io::Error {
    fn from(error: TrustError) -> io::Error {
        match error {
            TrustError::Open { error, .. } => error,
            other => io::Error::other(other.to_string()),
        }
    }
}

/// An open folder in which, as on the path to it, no other user can rename.
#[derive(Debug)]
pub(crate) struct Folder {
    handle: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens a folder.
    ///
    /// # Errors
    /// Returns an error if it cannot be opened, or if another user can change it or its
    /// path.
    pub(crate) fn open(path: &Path) -> Result<Folder, TrustError> {
        let absolute = std::path::absolute(path).map_err(|error| TrustError::Open {
            path: path.to_owned(),
            error,
        })?;
        Folder::root()?.folder(absolute.as_os_str())
    }

    /// Opens a folder below this one, following links.
    ///
    /// # Errors
    /// Returns the errors of [`Folder::open`].
    pub(crate) fn folder(self, path: &OsStr) -> Result<Folder, TrustError> {
        match walk(self, path)? {
            PathEnd::Folder(folder) => {
                // On the path, a world-writable folder with the sticky bit is
                // acceptable, because its entries are protected; as the last folder it
                // is not, because there even a missing name matters.
                let mode = folder.look_at_itself()?.st_mode;
                not_writable("folder", &folder.path, mode)?;
                Ok(folder)
            }
            PathEnd::Other { folder, name, .. } => Err(folder.cannot_open(&name, Errno::ENOTDIR)),
        }
    }

    /// Opens a regular file in this folder, following links.
    ///
    /// # Errors
    /// Returns an error if it cannot be opened, is not a regular file, or can be
    /// changed by another user.
    pub(crate) fn file(&self, name: &OsStr) -> Result<File, TrustError> {
        match walk(self.again()?, name)? {
            PathEnd::Folder(folder) => Err(TrustError::NotAFile { path: folder.path }),
            PathEnd::Other { kind, folder, name } if kind != SFlag::S_IFREG => {
                Err(TrustError::NotAFile {
                    path: folder.path.join(name),
                })
            }
            PathEnd::Other { folder, name, .. } => folder.regular_file(&name),
        }
    }

    /// Opens a regular file below this folder, following links that do not lead out of it.
    ///
    /// # Errors
    /// Returns the errors of [`Folder::file`].
    pub(crate) fn file_within(&self, path: &OsStr) -> Result<File, TrustError> {
        match walk(self.again()?, path)? {
            PathEnd::Other { folder, name, .. } if folder.path.starts_with(&self.path) => {
                folder.regular_file(&name)
            }
            _ => Err(TrustError::NotAFile {
                path: self.path.join(path),
            }),
        }
    }

    /// Opens a regular file in this folder, without following a link.
    ///
    /// # Errors
    /// Returns the errors of [`Folder::file`].
    pub(crate) fn regular_file(&self, name: &OsStr) -> Result<File, TrustError> {
        let path = self.path.join(name);
        // Check before opening: opening a device may have side effects.
        let (_, before) = self.look(name)?;
        is_regular(&path, &before)?;
        // Without O_NONBLOCK, opening a pipe would block until there is a writer.
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY;
        let file = self.open_below(name, flags)?;
        let found = fstat(&file).map_err(|error| self.cannot_open(name, error))?;
        is_regular(&path, &found)?;
        owned("file", &path, &found)?;
        not_writable("file", &path, found.st_mode)?;
        Ok(File::from(file))
    }

    /// Whether the folder has an entry of this name, even a dangling link.
    ///
    /// # Errors
    /// Returns an error if that cannot be determined.
    pub(crate) fn has(&self, name: &OsStr) -> Result<bool, TrustError> {
        match self.open_below(name, OFlag::O_PATH | OFlag::O_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(error) if error.is_absent() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reopens the folder, to read its entries or sync it.
    ///
    /// # Errors
    /// Returns an error if it cannot be read.
    pub(crate) fn readable(&self) -> Result<OwnedFd, TrustError> {
        self.open_below(OsStr::new("."), OFlag::O_RDONLY | OFlag::O_DIRECTORY)
    }

    pub(crate) fn handle(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    fn root() -> Result<Folder, TrustError> {
        let path = PathBuf::from("/");
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let opened = nix::fcntl::open(&path, flags, Mode::empty());
        let root = Folder {
            handle: opened.map_err(|error| TrustError::Open {
                path: path.clone(),
                error: error.into(),
            })?,
            path,
        };
        root.look_at_itself()?;
        Ok(root)
    }

    fn again(&self) -> Result<Folder, TrustError> {
        Ok(Folder {
            handle: self.open_below(OsStr::new("."), OFlag::O_PATH | OFlag::O_DIRECTORY)?,
            path: self.path.clone(),
        })
    }

    /// Opens an entry for inspection only, without following a link.
    fn look(&self, name: &OsStr) -> Result<(OwnedFd, FileStat), TrustError> {
        let handle = self.open_below(name, OFlag::O_PATH | OFlag::O_NOFOLLOW)?;
        let found = fstat(&handle).map_err(|error| self.cannot_open(name, error))?;
        let what = match kind(&found) {
            SFlag::S_IFDIR => "folder",
            SFlag::S_IFLNK => "link",
            _ => "file",
        };
        owned(what, &self.path.join(name), &found)?;
        Ok((handle, found))
    }

    /// Checks the folder's owner, and that no other user can remove entries that are
    /// not theirs.
    fn look_at_itself(&self) -> Result<FileStat, TrustError> {
        let found = fstat(&self.handle).map_err(|error| TrustError::Open {
            path: self.path.clone(),
            error: error.into(),
        })?;
        owned("folder", &self.path, &found)?;
        // In a sticky folder only the owner of an entry or of the folder can rename or
        // remove it (check_sticky in fs/namei.c), and each entry is checked here.
        if found.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFDIR.bits()
            || found.st_mode & Mode::S_ISVTX.bits() == 0
        {
            not_writable("folder", &self.path, found.st_mode)?;
        }
        Ok(found)
    }

    fn open_below(&self, name: &OsStr, flags: OFlag) -> Result<OwnedFd, TrustError> {
        openat(&self.handle, name, flags | OFlag::O_CLOEXEC, Mode::empty())
            .map_err(|error| self.cannot_open(name, error))
    }

    fn cannot_open(&self, name: &OsStr, error: Errno) -> TrustError {
        TrustError::Open {
            path: match name.as_encoded_bytes() {
                b"." => self.path.clone(),
                _ => self.path.join(name),
            },
            error: error.into(),
        }
    }
}

/// Where a path ends.
enum PathEnd {
    Folder(Folder),
    Other {
        folder: Folder,
        name: OsString,
        kind: SFlag,
    },
}

/// One step of a path walk.
enum PathStep {
    ToRoot,
    Into(OsString),
}

fn walk(start: Folder, path: &OsStr) -> Result<PathEnd, TrustError> {
    let mut folder = start;
    let mut left = steps(Path::new(path));
    let mut links = 0;
    while let Some(step) = left.pop() {
        let name = match step {
            PathStep::ToRoot => {
                folder = Folder::root()?;
                continue;
            }
            PathStep::Into(name) => name,
        };
        let (handle, found) = folder.look(&name)?;
        match kind(&found) {
            SFlag::S_IFLNK => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(folder.cannot_open(&name, Errno::ELOOP));
                }
                let target =
                    readlinkat(&handle, "").map_err(|error| folder.cannot_open(&name, error))?;
                left.extend(steps(Path::new(&target)));
            }
            SFlag::S_IFDIR => {
                let path = match name.as_encoded_bytes() {
                    b".." => folder.path.parent().unwrap_or(&folder.path).to_owned(),
                    _ => folder.path.join(&name),
                };
                folder = Folder { handle, path };
                folder.look_at_itself()?;
            }
            kind if left.is_empty() => return Ok(PathEnd::Other { folder, name, kind }),
            _ => return Err(folder.cannot_open(&name, Errno::ENOTDIR)),
        }
    }
    Ok(PathEnd::Folder(folder))
}

/// The steps of a path, in reverse order.
fn steps(path: &Path) -> Vec<PathStep> {
    let steps = path.components().filter_map(|component| match component {
        Component::RootDir | Component::Prefix(_) => Some(PathStep::ToRoot),
        Component::CurDir => None,
        Component::ParentDir => Some(PathStep::Into("..".into())),
        Component::Normal(name) => Some(PathStep::Into(name.to_owned())),
    });
    let mut steps: Vec<PathStep> = steps.collect();
    steps.reverse();
    steps
}

fn kind(found: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits())
}

fn is_regular(path: &Path, found: &FileStat) -> Result<(), TrustError> {
    match kind(found) {
        SFlag::S_IFREG => Ok(()),
        _ => Err(TrustError::NotAFile {
            path: path.to_owned(),
        }),
    }
}

fn owned(what: &'static str, path: &Path, found: &FileStat) -> Result<(), TrustError> {
    let owner = found.st_uid;
    if owner == 0 || owner == nix::unistd::geteuid().as_raw() {
        return Ok(());
    }
    Err(TrustError::Owner {
        what,
        path: path.to_owned(),
        owner,
    })
}

fn not_writable(what: &'static str, path: &Path, mode: u32) -> Result<(), TrustError> {
    // An access control list that lets others write shows in the group bits, which are
    // its mask (acl(5)).
    if mode & 0o022 == 0 {
        return Ok(());
    }
    Err(TrustError::Writable {
        what,
        path: path.to_owned(),
        mode: mode & 0o7777,
    })
}
