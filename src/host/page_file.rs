//! The page, as a file: at a path that the owner chose, or where a web server shows it.
//!
//! Written under a temporary name and renamed, so that a reader finds the old page or the
//! new one and never a part.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::time_limit;

/// The folder that a web server shows, with the page and nothing else in it.
const SHOWN: &str = "/run/camfw-page";
const NAME: &str = "index.html";

/// The time limit: a failing disk retries for minutes.
const LIMIT: Duration = Duration::from_secs(10);

/// Why the page was not written or removed. One from before is as it was.
#[derive(Debug, Error)]
#[error("cannot write {}", path.display())]
pub struct PageFileError {
    path: PathBuf,
    #[source]
    error: io::Error,
}

/// Writes the page to a file. A new one is its owner's alone to read, since it says what
/// only root may read; one that is there keeps its mode and its owner.
///
/// # Errors
/// Returns an error if it cannot be written, or is something else than a file.
pub fn write(path: &Path, page: &str) -> Result<(), PageFileError> {
    within_limit(path.to_owned(), page.to_owned(), |path, page| {
        replace(path, page, None)
    })
}

/// Writes the page where a web server shows it, for all to read.
///
/// # Errors
/// Returns an error if it cannot be written.
pub fn write_shown(page: &str) -> Result<(), PageFileError> {
    let path = Path::new(SHOWN).join(NAME);
    within_limit(path, page.to_owned(), |path, page| {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(SHOWN)?;
        // The mask of the process may have taken some of it.
        fs::set_permissions(SHOWN, Permissions::from_mode(0o755))?;
        replace(path, page, Some(0o644))
    })
}

/// Removes the page that a web server shows. It is no error if there is none.
///
/// # Errors
/// Returns an error if there is one and it cannot be removed.
pub fn remove() -> Result<(), PageFileError> {
    let path = Path::new(SHOWN).join(NAME);
    within_limit(path, String::new(), |path, _| match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    })
}

fn within_limit(
    path: PathBuf,
    page: String,
    work: fn(&Path, &str) -> io::Result<()>,
) -> Result<(), PageFileError> {
    let told = path.clone();
    time_limit::run(LIMIT, move || work(&path, &page))
        .unwrap_or_else(Err)
        .map_err(|error| PageFileError { path: told, error })
}

fn replace(path: &Path, page: &str, mode: Option<u32>) -> io::Result<()> {
    let before = match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Some(found),
        Ok(_) => return Err(io::Error::other("it is no regular file; give another name")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut new = path.as_os_str().to_owned();
    new.push(OsString::from(".new"));
    // One that was left by a command that was killed, or that somebody put there.
    if let Err(error) = fs::remove_file(&new)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(&new);
    let written = file.and_then(|file| fill(file, page, before.as_ref(), mode));
    let written = written.and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

fn fill(
    mut file: File,
    page: &str,
    before: Option<&fs::Metadata>,
    mode: Option<u32>,
) -> io::Result<()> {
    file.write_all(page.as_bytes())?;
    if let (Some(before), None) = (before, mode) {
        fchown(&file, Some(before.uid()), Some(before.gid()))?;
        file.set_permissions(Permissions::from_mode(before.mode() & 0o777))?;
    }
    if let Some(mode) = mode {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    file.sync_all()
}
