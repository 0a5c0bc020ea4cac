//! Reads the configuration file, its drop-ins, and the lists of addresses that they name.
//!
//! Owns which files are accepted: regular files of at most [`MAX_BYTES`], in UTF-8, or
//! [`MAX_LIST_BYTES`] of lists. To be loaded, a file must be one that only root or the
//! caller can change or replace.
//! The drop-ins of `camfw.toml` are the files `camfw.d/*.toml` beside it, sorted by
//! name.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::dir::Dir;
use nix::libc;

use super::trusted_path::{Folder, TrustError};
use super::{text_file, time_limit};
use crate::error::with_causes;
use crate::source::{Refusal, Source};

/// The largest file that is read, in bytes; 1,000 cameras need a tenth of it.
pub const MAX_BYTES: u64 = 1 << 20;

/// The most bytes of all lists together: of 50,000 networks with comments there are two
/// million, and with the configuration they are kept in one file.
pub const MAX_LIST_BYTES: u64 = 8 << 20;

/// The most drop-ins. Their numbers are part of the names of kernel counters.
pub const MOST_DROP_INS: usize = 999;

/// The time limit for reading all files.
const LIMIT: Duration = Duration::from_secs(10);

/// The purpose of reading a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To report on it, whoever owns it; `-` is standard input.
    Ask,
    /// To load it: anyone who can change the file decides what passes.
    Load,
}

/// Reads a configuration file and its drop-ins.
///
/// # Errors
/// Returns a one-line refusal, with a position if the text itself is at fault.
pub fn read(path: &Path, purpose: Purpose) -> Result<Source, Refusal> {
    if path.as_os_str() == text_file::STDIN {
        return from_stdin(purpose);
    }
    let owned = path.to_owned();
    time_limit::run(LIMIT, move || match purpose {
        Purpose::Ask => ask(&owned),
        Purpose::Load => load(&owned),
    })
    .unwrap_or_else(|error| Err(refuse(path, format!("cannot read it: {error}"))))
}

/// What is read, for its limit and for what is said of it.
#[derive(Debug, Clone, Copy)]
enum FileKind {
    Configuration,
    List {
        /// How many bytes are left for it.
        left: u64,
    },
}

/// Reads a list, of which at most `left` bytes are taken.
///
/// # Errors
/// Returns a one-line refusal with the list's path.
pub fn read_list(path: &Path, purpose: Purpose, left: u64) -> Result<String, Refusal> {
    let of = FileKind::List { left };
    let owned = path.to_owned();
    time_limit::run(LIMIT, move || {
        let file = match purpose {
            Purpose::Ask => {
                let at = below_root(&owned);
                let cannot = |error| cannot_open(&at, &error, of);
                // Looked at before it is opened: who wrote the path may be anybody, and some
                // devices begin to work, as a watchdog does.
                is_regular(&owned, &fs::metadata(&at).map_err(cannot)?, of)?;
                open(&at).map_err(cannot)?
            }
            Purpose::Load => {
                let (beside, file) = split(&owned)?;
                let opened = Folder::open(beside).and_then(|folder| folder.file(file));
                opened.map_err(|error| distrust(&owned, error, of))?
            }
        };
        text_of(&owned, file, of)
    })
    .unwrap_or_else(|error| Err(refuse(path, format!("cannot read it: {error}"))))
}

/// Where a list is for whoever only asks: below `$CAMFW_ROOT`, if that is set, as in an image
/// that is being built.
fn below_root(path: &Path) -> PathBuf {
    let root = std::env::var_os("CAMFW_ROOT").filter(|root| !root.is_empty());
    match (root, path.strip_prefix("/")) {
        (Some(root), Ok(rest)) => Path::new(&root).join(rest),
        _ => path.to_owned(),
    }
}

/// Standard input has no drop-ins.
fn from_stdin(purpose: Purpose) -> Result<Source, Refusal> {
    let path = Path::new(text_file::STDIN);
    if purpose == Purpose::Load {
        let what =
            "what is loaded is a file, which the next boot finds too; give one with --config";
        return Err(refuse(path, what));
    }
    let bytes = text_file::read_stdin(MAX_BYTES)
        .map_err(|error| refuse(path, format!("cannot read the standard input: {error}")))?;
    // Refuse instead of truncating: the missing part could say anything.
    if bytes.len() as u64 > MAX_BYTES {
        return Err(refuse(
            path,
            FileKind::Configuration.too_large(bytes.len() as u64),
        ));
    }
    Ok(Source::new(text_file::STDIN, text(path, bytes)?))
}

fn ask(path: &Path) -> Result<Source, Refusal> {
    let of = FileKind::Configuration;
    let read = |path: &Path| {
        let file = open(path).map_err(|error| cannot_open(path, &error, of))?;
        text_of(path, file, of)
    };
    let mut source = Source::new(name(path), read(path)?);
    for path in names_in_folder_beside(path)? {
        source = source.with(name(&path), read(&path)?);
    }
    Ok(source)
}

fn open(path: &Path) -> io::Result<File> {
    // Without O_NONBLOCK, opening a pipe would block until there is a writer.
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY)
        .open(path)
}

fn names_in_folder_beside(path: &Path) -> Result<Vec<PathBuf>, Refusal> {
    let Some(folder) = folder_of_drop_ins(path) else {
        return Ok(Vec::new());
    };
    // A dangling link also counts as present.
    match fs::symlink_metadata(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        _ => {}
    }
    let entries = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(|error| unusable(&folder, &error))?;
    let names = entries.iter().map(fs::DirEntry::file_name).collect();
    drop_ins(&folder, names)
}

fn load(path: &Path) -> Result<Source, Refusal> {
    let of = FileKind::Configuration;
    let (beside, file) = split(path)?;
    let folder = Folder::open(beside).map_err(|error| distrust(path, error, of))?;
    let opened = folder
        .file(file)
        .map_err(|error| distrust(path, error, of))?;
    let mut source = Source::new(name(path), text_of(path, opened, of)?);
    let Some(drop_ins_folder) = folder_of_drop_ins(path) else {
        return Ok(source);
    };
    let refuse_folder = |error| match error {
        TrustError::Open { error, .. } => unusable(&drop_ins_folder, &error),
        other => refuse(&drop_ins_folder, with_causes(&other)),
    };
    let folder_name = drop_ins_folder.file_name().unwrap_or_default();
    if !folder.has(folder_name).map_err(refuse_folder)? {
        return Ok(source);
    }
    let folder = folder.folder(folder_name).map_err(refuse_folder)?;
    let names = list(&folder).map_err(|error| unusable(&drop_ins_folder, &error))?;
    for path in drop_ins(&drop_ins_folder, names)? {
        let file = folder
            .file(path.file_name().unwrap_or_default())
            .map_err(|error| refuse(&path, with_causes(&error)))?;
        source = source.with(name(&path), text_of(&path, file, of)?);
    }
    Ok(source)
}

fn distrust(path: &Path, error: TrustError, of: FileKind) -> Refusal {
    match error {
        TrustError::Open { path: at, error } if at == path => cannot_open(path, &error, of),
        other => refuse(path, with_causes(&other)),
    }
}

fn list(folder: &Folder) -> io::Result<Vec<OsString>> {
    let handle = folder.readable().map_err(io::Error::other)?;
    let mut names = Vec::new();
    for entry in Dir::from_fd(handle)?.iter() {
        names.push(OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned());
    }
    Ok(names)
}

/// Splits a path into its folder and its last component.
fn split(path: &Path) -> Result<(&Path, &OsStr), Refusal> {
    let Some(file) = path.file_name() else {
        return Err(refuse(path, "it is a directory; give the file in it"));
    };
    let beside = path.parent().filter(|parent| *parent != Path::new(""));
    Ok((beside.unwrap_or(Path::new(".")), file))
}

/// None if the file itself has the name of the folder.
fn folder_of_drop_ins(path: &Path) -> Option<PathBuf> {
    Some(path.with_extension("d")).filter(|folder| folder != path)
}

/// The folder beside a file that only looks like that of its drop-ins: `camfw.toml.d`.
pub fn unread_folder(path: &Path) -> Option<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(".d");
    let other = PathBuf::from(name);
    let own = folder_of_drop_ins(path)?;
    (other != own && other.is_dir()).then_some(other)
}

/// Selects the drop-ins from the names in the folder. Returns their paths, sorted.
fn drop_ins(folder: &Path, names: Vec<OsString>) -> Result<Vec<PathBuf>, Refusal> {
    let mut names: Vec<OsString> = names.into_iter().filter(|name| is_drop_in(name)).collect();
    names.sort();
    if names.len() > MOST_DROP_INS {
        let what = format!(
            "it has {} files, over the limit of {MOST_DROP_INS}; put several into one",
            names.len()
        );
        return Err(refuse(folder, what));
    }
    Ok(names.iter().map(|name| folder.join(name)).collect())
}

/// Excludes hidden files and what editors leave beside a file: `.x.toml`, `.#x.toml`
/// and `#x.toml`. The suffix already excludes `x.toml~`, `x.toml.swp` and `#x.toml#`.
fn is_drop_in(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    bytes.ends_with(b".toml") && !bytes.starts_with(b".") && !bytes.starts_with(b"#")
}

/// Reads one file.
fn text_of(path: &Path, file: File, of: FileKind) -> Result<String, Refusal> {
    // Checks the open file, not the path, which could meanwhile name another one.
    let metadata = file
        .metadata()
        .map_err(|error| refuse(path, format!("cannot look at it: {error}")))?;
    is_regular(path, &metadata, of)?;
    let most = of.most();
    if metadata.len() > most {
        return Err(refuse(path, of.too_large(metadata.len())));
    }
    let mut bytes = Vec::new();
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| refuse(path, format!("cannot read it: {error}")))?;
    if bytes.len() as u64 > most {
        return Err(refuse(path, of.too_large(bytes.len() as u64)));
    }
    text(path, bytes)
}

fn is_regular(path: &Path, metadata: &fs::Metadata, of: FileKind) -> Result<(), Refusal> {
    if metadata.is_dir() {
        return Err(refuse(path, "it is a directory; give the file in it"));
    }
    if metadata.is_file() {
        return Ok(());
    }
    let what = match of {
        FileKind::Configuration => {
            "it is not a regular file; give one, or - to ask about the standard input"
        }
        FileKind::List { .. } => "it is not a regular file; give one",
    };
    Err(refuse(path, what))
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, Refusal> {
    String::from_utf8(bytes).map_err(|error| {
        let end = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(&error.as_bytes()[..end]);
        Source::new(name(path), text).refuse(
            end..end,
            format!(
                "the byte 0x{:02x} is not UTF-8; save the file as UTF-8",
                error.as_bytes()[end]
            ),
        )
    })
}

/// Whether nothing has this name any more.
pub fn is_gone(path: &Path) -> bool {
    let looked = fs::symlink_metadata(path);
    looked.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

fn refuse(path: &Path, what: impl std::fmt::Display) -> Refusal {
    Refusal::unread(&name(path), what)
}

fn cannot_open(path: &Path, error: &io::Error, of: FileKind) -> Refusal {
    let instead = match of {
        FileKind::Configuration => "give a file with --config",
        FileKind::List { .. } => "put the list there, or remove @ and its path from the file",
    };
    refuse(path, format!("cannot open it: {error}; {instead}"))
}

/// A drop-in folder that exists but cannot be used: ignoring it would drop rules that
/// the user wants.
fn unusable(folder: &Path, error: &io::Error) -> Refusal {
    let what = format!(
        "its drop-ins cannot be read: {error}; make it a folder of .toml files, or remove it"
    );
    refuse(folder, what)
}

impl FileKind {
    fn most(self) -> u64 {
        match self {
            FileKind::Configuration => MAX_BYTES,
            FileKind::List { left } => left,
        }
    }

    fn too_large(self, bytes: u64) -> String {
        let (limit, of) = match self {
            FileKind::Configuration => (MAX_BYTES, "limit of"),
            FileKind::List { .. } => (MAX_LIST_BYTES, "limit of all lists together, which is"),
        };
        format!("it has {bytes} bytes or more, over the {of} {limit}; make it shorter")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_files_and_editors_leftovers_are_no_drop_ins() {
        for name in ["10-x.toml", "x.y.toml", "\u{fc}.toml", " .toml"] {
            assert!(is_drop_in(OsStr::new(name)), "{name:?}");
        }
        let others = [
            ".x.toml",
            ".toml",
            ".#x.toml",
            "#x.toml",
            "#x.toml#",
            "x.toml~",
            "x.toml.swp",
            ".x.toml.swp",
            "x.toml.bak",
            "x.toml.dpkg-new",
            "x.TOML",
            "toml",
        ];
        for name in others {
            assert!(!is_drop_in(OsStr::new(name)), "{name:?}");
        }
    }

    #[test]
    fn the_file_is_not_its_own_folder() {
        let folder = |path: &str| folder_of_drop_ins(Path::new(path));
        assert_eq!(folder("/a/x.toml"), Some(PathBuf::from("/a/x.d")));
        assert_eq!(folder("/a/x"), Some(PathBuf::from("/a/x.d")));
        assert_eq!(folder("/a/x.d"), None);
    }
}
