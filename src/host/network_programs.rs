//! Other programs on this box that configure interfaces: which are installed and start
//! at boot, and their files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{process, text_file, time_limit};
use crate::net::{ActiveProgram, NetworkProgram};

/// The time limit for reading all files.
const LIMIT: Duration = Duration::from_secs(10);

/// Where a program is found, and what it reads.
struct Reader {
    program: NetworkProgram,
    /// The name that it is looked for by in PATH.
    executable: &'static str,
    /// What exists if it starts at boot, or runs; nothing if it always does.
    signs: &'static [&'static str],
    /// Files, and folders of files with this ending. Of a name that is in several folders
    /// the last one counts.
    places: &'static [&'static str],
    ending: &'static str,
    /// Whether all files are sorted by name, whatever folder they are in.
    is_sorted: bool,
}

const KNOWN: [Reader; 4] = [
    Reader {
        program: NetworkProgram::Ifupdown,
        executable: "ifup",
        signs: &[],
        places: &["/etc/network/interfaces", "/etc/network/interfaces.d"],
        ending: "",
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
        ],
        ending: ".network",
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
        ending: ".conf",
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
        ending: "",
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
        let active = active.map(|known| ActiveProgram {
            program: known.program,
            files: files(known),
        });
        active.collect()
    };
    time_limit::run(LIMIT, read).unwrap_or_default()
}

fn files(known: &Reader) -> Vec<(String, String)> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for place in known.places {
        let entries = fs::read_dir(place).into_iter().flatten().flatten();
        let mut inside: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        inside.sort_unstable();
        match Path::new(place).is_file() {
            true => paths.push(place.into()),
            false => paths.extend(inside),
        }
    }
    if known.is_sorted {
        let named = paths.into_iter();
        let named = named.map(|path| (path.file_name().map(ToOwned::to_owned), path));
        let named: BTreeMap<_, _> = named.collect();
        paths = named.into_values().collect();
    }
    let texts = paths.into_iter().filter_map(|path| {
        let path = path.to_str().filter(|path| path.ends_with(known.ending))?;
        // Reading a pipe would block. A file that leads to /dev/null says nothing.
        let text = match text_file::is_regular(path) {
            true => text_file::read(path).ok()?,
            false => return None,
        };
        Some((path.to_owned(), text))
    });
    texts.collect()
}
