//! Other programs on this box that configure interfaces: which are installed and start
//! at boot, and their files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{process, text_file, time_limit};
use crate::error::with_causes;
use crate::net::{self, ActiveProgram, NetworkProgram};

/// The time limit for reading all files.
const LIMIT: Duration = Duration::from_secs(10);

/// The most files of one program: one that names itself ends somewhere.
const MOST_FILES: usize = 1000;

/// Where a program is found, and what it reads.
struct Reader {
    program: NetworkProgram,
    /// The name that it is looked for by in PATH.
    executable: &'static str,
    /// What exists if it starts at boot, or runs; nothing if it always does.
    signs: &'static [&'static str],
    /// Files, and folders of files with one of these endings. Of a name that is in several
    /// folders the last one counts.
    places: &'static [&'static str],
    endings: &'static [&'static str],
    /// Whether all files are sorted by name, whatever folder they are in.
    is_sorted: bool,
}

const KNOWN: [Reader; 4] = [
    Reader {
        program: NetworkProgram::Ifupdown,
        executable: "ifup",
        signs: &[],
        // What this one has read besides, it says itself.
        places: &["/etc/network/interfaces"],
        endings: &[""],
        is_sorted: false,
    },
    Reader {
        program: NetworkProgram::Networkd,
        executable: "networkctl",
        signs: &[
            "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
            "/run/systemd/netif/state",
        ],
        places: &[
            "/usr/lib/systemd/network",
            "/run/systemd/network",
            "/etc/systemd/network",
            "/usr/lib/systemd/networkd.conf",
            "/run/systemd/networkd.conf",
            "/etc/systemd/networkd.conf",
            "/usr/lib/systemd/networkd.conf.d",
            "/run/systemd/networkd.conf.d",
            "/etc/systemd/networkd.conf.d",
        ],
        endings: &[".network", ".conf"],
        is_sorted: true,
    },
    Reader {
        program: NetworkProgram::NetworkManager,
        executable: "NetworkManager",
        signs: &[
            "/etc/systemd/system/multi-user.target.wants/NetworkManager.service",
            "/run/NetworkManager",
        ],
        places: &[
            "/usr/lib/NetworkManager/conf.d",
            "/etc/NetworkManager/NetworkManager.conf",
            "/etc/NetworkManager/conf.d",
        ],
        endings: &[".conf"],
        is_sorted: false,
    },
    Reader {
        program: NetworkProgram::Dhcpcd,
        executable: "dhcpcd",
        signs: &[
            "/etc/systemd/system/multi-user.target.wants/dhcpcd.service",
            "/run/dhcpcd/pid",
        ],
        places: &["/etc/dhcpcd.conf"],
        endings: &[""],
        is_sorted: false,
    },
];

/// The programs that are installed and start at boot. What cannot be read in time counts
/// as not there: a disk that fails is told elsewhere.
pub fn active() -> Vec<ActiveProgram> {
    let read = || {
        let active = KNOWN.iter().filter(|known| {
            let mut signs = known.signs.iter();
            process::find(known.executable).is_some()
                && (known.signs.is_empty() || signs.any(|sign| fs::symlink_metadata(sign).is_ok()))
        });
        let active = active.map(|known| {
            let files = match known.program {
                NetworkProgram::Ifupdown => interfaces(known.places),
                _ => files(known),
            };
            ActiveProgram::new(known.program, files)
        });
        active.collect()
    };
    time_limit::run(LIMIT, read).unwrap_or_default()
}

fn files(known: &Reader) -> Vec<(String, String)> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for place in known.places {
        match Path::new(place).is_file() {
            true => paths.push(place.into()),
            false => paths.extend(inside(Path::new(place))),
        }
    }
    if known.is_sorted {
        let named = paths.into_iter();
        let named = named.map(|path| (path.file_name().map(ToOwned::to_owned), path));
        let named: BTreeMap<_, _> = named.collect();
        paths = named.into_values().collect();
    }
    let endings = paths.into_iter().filter(|path| {
        let path = path.to_str();
        let mut endings = known.endings.iter();
        path.is_some_and(|path| endings.any(|ending| path.ends_with(ending)))
    });
    endings.filter_map(|path| text_of(&path)).collect()
}

/// The files of a folder, by name.
fn inside(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut inside: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    inside.sort_unstable();
    inside
}

/// A file's path and text.
fn text_of(path: &Path) -> Option<(String, String)> {
    // Reading a pipe would block. A file that leads to /dev/null says nothing.
    let path = path.to_str().filter(|path| text_file::is_regular(path))?;
    match text_file::read(path) {
        Ok(text) => Some((path.to_owned(), text)),
        Err(error) => {
            log::warn!("{}; what it configures is not known", with_causes(&error));
            None
        }
    }
}

/// The `interfaces` file, and those that it names with `source` and `source-directory`.
fn interfaces(places: &[&str]) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = Vec::new();
    let mut left: Vec<PathBuf> = places.iter().map(PathBuf::from).collect();
    while let Some(path) = left.pop().filter(|_| files.len() < MOST_FILES) {
        let is_known = files.iter().any(|(known, _)| path == Path::new(known));
        let Some((name, text)) = text_of(&path).filter(|_| !is_known) else {
            continue;
        };
        let folder = path.parent().unwrap_or(Path::new("/"));
        for sourced in net::sourced(&text) {
            let found = expanded(&folder.join(&sourced.pattern)).into_iter();
            match sourced.of_folders {
                false => left.extend(found),
                true => {
                    let read = found.flat_map(|folder| inside(&folder));
                    left.extend(read.filter(|path| is_named(path, net::is_in_source_directory)));
                }
            }
        }
        files.push((name, text));
    }
    files
}

/// The paths that a pattern stands for. As with glob(7), a wildcard is for no hidden file.
fn expanded(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern {
        let part = part.to_string_lossy();
        let is_it = |name: &str| !name.starts_with('.') && net::matches_glob(&part, name);
        found = match part.contains(['*', '?', '[']) {
            false => found.iter().map(|folder| folder.join(&*part)).collect(),
            true => {
                let inside = found.iter().flat_map(|folder| inside(folder));
                inside.filter(|path| is_named(path, is_it)).collect()
            }
        };
    }
    found
}

fn is_named(path: &Path, is: impl Fn(&str) -> bool) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_read_as_ifup_reads_them() -> std::io::Result<()> {
        let folder = std::env::temp_dir().join(format!("camfw-interfaces-{}", std::process::id()));
        let all = folder.join("all.d");
        fs::create_dir_all(&all)?;
        fs::create_dir_all(folder.join("more.d"))?;
        for (name, text) in [
            ("interfaces", "source i*.one\nsource-directory all.d\n"),
            ("i.one", "source interfaces\nsource more.d/[!b]*\n"),
            ("i.two", ""),
            ("all.d/eth0", ""),
            ("all.d/eth0~", ""),
            ("all.d/eth0.bak", ""),
            ("more.d/a.bak", ""),
            ("more.d/b", ""),
            ("more.d/.c", ""),
        ] {
            fs::write(folder.join(name), text)?;
        }
        let main = folder.join("interfaces").display().to_string();
        let mut read: Vec<String> = interfaces(&[&main])
            .into_iter()
            .filter_map(|(path, _)| Some(path.rsplit_once('/')?.1.to_owned()))
            .collect();
        read.sort_unstable();
        fs::remove_dir_all(&folder)?;
        assert_eq!(read, ["a.bak", "eth0", "i.one", "interfaces"]);
        Ok(())
    }
}
