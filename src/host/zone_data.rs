//! Reads the data of a time zone from the system's database: `$TZDIR`, or
//! /usr/share/zoneinfo.
//!
//! Owns which files are accepted: regular ones within that folder. To be loaded, one must be
//! a file that only root or the caller can change or replace.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use super::config_file::Purpose;
use super::time_limit;
use super::trusted_path::Folder;

/// Where it is unless the environment says otherwise (tzset(3)).
const FOLDER: &str = "/usr/share/zoneinfo";

/// The largest file that is read, in bytes; the largest that there is has some 4,000.
const MAX_BYTES: u64 = 1 << 16;

/// The time limit for one file.
const LIMIT: Duration = Duration::from_secs(10);

/// Reads the data of a zone.
///
/// # Errors
/// Returns why that cannot be done, and what to do.
pub fn read(zone: &str, purpose: Purpose) -> Result<Vec<u8>, String> {
    let set = std::env::var_os("TZDIR").filter(|folder| !folder.is_empty());
    let folder = set.map_or_else(|| PathBuf::from(FOLDER), PathBuf::from);
    read_in(&folder, zone, purpose)
}

/// The same in a folder, below which the zone's name is a path.
///
/// # Errors
/// Returns why that cannot be done, and what to do.
pub fn read_in(folder: &Path, zone: &str, purpose: Purpose) -> Result<Vec<u8>, String> {
    let (at, name) = (folder.to_owned(), zone.to_owned());
    let data = time_limit::run(LIMIT, move || data(&at, &name, purpose)).unwrap_or_else(Err);
    data.map_err(|error| {
        let at = folder.display();
        match error.kind() {
            io::ErrorKind::NotFound if folder.is_dir() => format!(
                "no time zone in {at} is called {zone:?}; write one that is there, such as \"Europe/Berlin\""
            ),
            io::ErrorKind::NotFound => format!("there are no time zones in {at}; install tzdata"),
            _ => format!(
                "cannot read the data of time zone {zone:?} in {at}: {error}; install tzdata anew"
            ),
        }
    })
}

fn data(folder: &Path, zone: &str, purpose: Purpose) -> io::Result<Vec<u8>> {
    let file = match purpose {
        Purpose::Load => Folder::open(folder)
            .and_then(|folder| folder.file_within(OsStr::new(zone)))
            .map_err(io::Error::from)?,
        Purpose::Ask => {
            let (folder, file) = (folder.canonicalize()?, folder.join(zone).canonicalize()?);
            // What is no file is not opened, which could have an effect.
            if !file.starts_with(folder) || !fs::metadata(&file)?.is_file() {
                return Err(io::Error::other("it is no file of that folder"));
            }
            File::open(file)?
        }
    };
    let mut data = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut data)?;
    match data.len() as u64 > MAX_BYTES {
        true => Err(io::Error::other("it is too large")),
        false => Ok(data),
    }
}
