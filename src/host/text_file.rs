//! Any text file, or what comes on stdin: a dump of rules, a list of packets.

use std::fs::File;
use std::io::{self, Read};

/// The largest that is read, in bytes: some hundred thousand rules.
const MAX_BYTES: u64 = 64 << 20;

/// The text of a file, `-` for stdin; bytes that are no text become U+FFFD.
///
/// # Errors
/// One line, with the file's name.
pub fn read(path: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = match path {
        "-" => io::stdin().take(MAX_BYTES + 1).read_to_end(&mut bytes),
        _ => File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)),
    };
    read.map_err(|error| format!("{path}: cannot read it: {error}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("{path}: it has more than {MAX_BYTES} bytes"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
