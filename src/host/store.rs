//! Small files that outlive a command: in /run until the next boot, in
//! /var/lib for longer.
//!
//! Each is written beside its place, synced and renamed, so that what is there
//! is the old or the new and never a part. Decides nothing about their meaning.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

/// The largest file that is read, in bytes: a configuration's files and a little.
const MAX_BYTES: u64 = 16 << 20;

/// Where a file is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In memory, gone with the next boot.
    Run,
    /// On the disk.
    Disk,
}

impl Place {
    /// The folder.
    pub fn folder(self) -> &'static str {
        match self {
            Place::Run => "/run/camfw",
            Place::Disk => "/var/lib/camfw",
        }
    }
}

/// Writes a file whole.
///
/// # Errors
/// The disk is full, read-only or not there; what was there before still is.
pub fn write(place: Place, name: &str, text: &str) -> io::Result<()> {
    let (path, new) = (path(place, name), path(place, &format!("{name}.new")));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(place.folder())?;
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&new, &path))
        .and_then(|()| sync_folder(place));
    if written.is_err() {
        // On a full disk its blocks are wanted elsewhere.
        let _ = std::fs::remove_file(&new);
    }
    written
}

/// Reads a file; None where there is none.
///
/// # Errors
/// It is there and cannot be read.
pub fn read(place: Place, name: &str) -> io::Result<Option<String>> {
    let file = match File::open(path(place, name)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Removes a file; that there is none is as well.
///
/// # Errors
/// It is there and cannot be removed.
pub fn remove(place: Place, name: &str) -> io::Result<()> {
    match std::fs::remove_file(path(place, name)) {
        Ok(()) => sync_folder(place),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn path(place: Place, name: &str) -> PathBuf {
    PathBuf::from(place.folder()).join(name)
}

fn sync_folder(place: Place) -> io::Result<()> {
    match place {
        Place::Run => Ok(()),
        Place::Disk => File::open(place.folder())?.sync_all(),
    }
}
