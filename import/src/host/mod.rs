//! Reads the command line and files, and starts openssl; nothing else here touches the world.

mod signature;

pub use signature::{SignatureError, verify};

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// As much as a configuration may have.
const LIMIT: u64 = 1 << 20;

/// What the command line says after the program's name.
pub fn arguments() -> Vec<OsString> {
    std::env::args_os().skip(1).collect()
}

/// The text of a file of 1 MiB at most.
///
/// # Errors
/// Returns an error if it cannot be read, is longer, or is no UTF-8.
pub fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(LIMIT + 1)
        .read_to_string(&mut text)?;
    match text.len() as u64 > LIMIT {
        true => Err(io::Error::other("it is larger than 1 MiB")),
        false => Ok(text),
    }
}
