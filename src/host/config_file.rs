//! The configuration file and its drop-ins, from the disk to text.
//!
//! Owns what kind of file is taken: a regular one of root's, or of the caller's,
//! that nobody else can write, not larger than [`MAX_BYTES`], in UTF-8.
//! The drop-ins of `camfw.toml` are the files `camfw.d/*.toml` beside it, in the
//! order of their names.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;

use crate::source::{Place, Refusal, Source};

/// The largest file that is read, in bytes; 1,000 cameras need a tenth of it.
pub const MAX_BYTES: u64 = 1 << 20;

/// The most drop-ins; their numbers stand in the names of what the kernel counts.
pub const MOST_DROP_INS: usize = 999;

/// Reads a configuration file and its drop-ins.
///
/// # Errors
/// One line, with the place where the text itself is at fault.
pub fn read(path: &Path) -> Result<Source, Refusal> {
    let name = |path: &Path| path.display().to_string();
    let mut source = Source::new(name(path), text_of(path)?);
    for path in drop_ins(&path.with_extension("d"))? {
        source = source.with(name(&path), text_of(&path)?);
    }
    Ok(source)
}

/// The drop-ins in a folder, sorted; none where there is no such folder.
fn drop_ins(folder: &Path) -> Result<Vec<PathBuf>, Refusal> {
    let name = folder.display().to_string();
    let refuse = |what: String| Refusal::new(&name, Place::START, what);
    let metadata = match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => metadata,
        _ => return Ok(Vec::new()),
    };
    keeper(&metadata).map_err(refuse)?;
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(|error| refuse(format!("cannot list it: {error}")))?;
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    paths.sort();
    if paths.len() > MOST_DROP_INS {
        return Err(refuse(format!(
            "it has {} files, over the limit of {MOST_DROP_INS}; put several into one",
            paths.len()
        )));
    }
    Ok(paths)
}

/// Reads one file.
fn text_of(path: &Path) -> Result<String, Refusal> {
    let name = path.display().to_string();
    let refuse = |what: String| Refusal::new(&name, Place::START, what);
    // Without O_NONBLOCK opening a pipe would wait for its writer for ever.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)
        .map_err(|error| {
            refuse(format!(
                "cannot open it: {error}; give a file with --config"
            ))
        })?;
    check(&file).map_err(refuse)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| refuse(format!("cannot read it: {error}")))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(refuse(too_large(bytes.len() as u64)));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => {
            let end = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(&error.as_bytes()[..end]);
            Err(Source::new(name, text).refuse(
                end..end,
                format!(
                    "the byte 0x{:02x} is not UTF-8; save the file as UTF-8",
                    error.as_bytes()[end]
                ),
            ))
        }
    }
}

/// Looks at the open file, not at the path, which could be another by now.
fn check(file: &File) -> Result<(), String> {
    let metadata = file
        .metadata()
        .map_err(|error| format!("cannot look at it: {error}"))?;
    if metadata.is_dir() {
        return Err("it is a directory; give the file in it".into());
    }
    if !metadata.is_file() {
        return Err("it is not a regular file; give one".into());
    }
    keeper(&metadata)?;
    if metadata.len() > MAX_BYTES {
        return Err(too_large(metadata.len()));
    }
    Ok(())
}

/// Whether nobody but root, or the caller, can change it.
fn keeper(metadata: &Metadata) -> Result<(), String> {
    let owner = metadata.uid();
    if owner != 0 && owner != nix::unistd::geteuid().as_raw() {
        return Err(format!(
            "it belongs to user {owner}, who could change the policy; chown root it"
        ));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(format!(
            "others than its owner can write it (mode {:04o}); chmod go-w it",
            metadata.mode() & 0o7777
        ));
    }
    Ok(())
}

fn too_large(bytes: u64) -> String {
    format!("it has {bytes} bytes or more, over the limit of {MAX_BYTES}; make it shorter")
}
