//! Kernel settings, written with the sysctl crate and read here: the crate reads a value in
//! pieces, of which the kernel gives some settings the first alone.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sysctl::{Ctl, CtlValue, Sysctl, SysctlError};
use thiserror::Error;

use super::time_limit;
use crate::plan::sysctl::{Key, Need, Setting};

/// The time limit for one setting. Forwarding is set under the lock of all network
/// devices, which a driver may hold (devinet_sysctl_forward in net/ipv4/devinet.c).
const LIMIT: Duration = Duration::from_secs(10);

/// Why a setting does not have the desired value.
#[derive(Debug, Error)]
pub enum SettingError {
    /// The kernel has no such setting.
    #[error("sysctl {0}: the kernel does not have it")]
    Absent(Key),
    /// It could not be read.
    #[error("cannot read sysctl {key}")]
    Read {
        /// The setting's key.
        key: Key,
        /// The cause.
        #[source]
        error: SysctlError,
    },
    /// It could not be written.
    #[error("cannot set sysctl {setting}")]
    Write {
        /// The setting and its desired value.
        setting: Setting,
        /// The cause.
        #[source]
        error: SysctlError,
    },
    /// It was written but reads back different.
    #[error("sysctl {setting} was written, and the kernel holds {found:?}")]
    NotHeld {
        /// The setting and its desired value.
        setting: Setting,
        /// The value that was read back.
        found: String,
    },
}

/// The value of a setting; None if the kernel does not have it.
///
/// # Errors
/// Returns an error if it exists but cannot be read.
pub fn get(key: &Key) -> Result<Option<String>, SettingError> {
    match read(key) {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(SettingError::Read {
            key: key.clone(),
            error,
        }),
    }
}

/// The scopes for which a family (`ipv4`, `ipv6`) has settings: `all`, `default`, and
/// each interface; empty if the kernel lacks the family.
pub fn scopes(family: &str) -> Vec<String> {
    let folder = Path::new("/proc/sys/net").join(family).join("conf");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.collect()
}

/// Writes a setting and reads it back. Does not write if the value is already right,
/// because the kernel may treat a write as more than that. Returns whether it was
/// written.
///
/// # Errors
/// Returns an error if that fails, or if the kernel lacks a required setting.
pub fn set(setting: &Setting) -> Result<bool, SettingError> {
    match get(&setting.key)? {
        None if setting.need == Need::IfPresent => return Ok(false),
        None => return Err(SettingError::Absent(setting.key.clone())),
        Some(value) if setting.is_met_by(&value) => return Ok(false),
        Some(_) => {}
    }
    write(setting).map_err(|error| SettingError::Write {
        setting: setting.clone(),
        error,
    })?;
    match get(&setting.key)? {
        Some(value) if setting.is_met_by(&value) => Ok(true),
        found => Err(SettingError::NotHeld {
            setting: setting.clone(),
            found: found.unwrap_or_default(),
        }),
    }
}

/// How long a value may be: nearly all are a number, and a list of ports is no longer than
/// the largest page (proc_do_large_bitmap in kernel/sysctl.c).
const LENGTHS: [usize; 2] = [1 << 8, 1 << 16];

fn path(key: &Key) -> PathBuf {
    let mut path = Path::new("/proc/sys").to_owned();
    path.extend(key.parts());
    path
}

/// The crate treats dots and slashes alike and so cannot address an interface such as
/// eth0.20; such keys are written directly.
fn path_of_dotted(key: &Key) -> Option<PathBuf> {
    let dotted = key.parts().iter().any(|part| part.contains('.'));
    dotted.then(|| path(key))
}

fn read(key: &Key) -> Result<String, SysctlError> {
    let key = key.clone();
    time_limit::run(LIMIT, move || read_unlimited(&key))?
}

fn write(setting: &Setting) -> Result<(), SysctlError> {
    let setting = setting.clone();
    time_limit::run(LIMIT, move || write_unlimited(&setting))?
}

fn read_unlimited(key: &Key) -> Result<String, SysctlError> {
    let path = path(key);
    let mut value = Vec::new();
    for length in LENGTHS {
        // Each try in one read: the kernel lists ranges of ports at the beginning of a file
        // alone (proc_do_large_bitmap in kernel/sysctl.c).
        value.resize(length, 0);
        let read = File::open(&path)?.read(&mut value)?;
        value.truncate(read);
        if read < length {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&value).trim().to_owned())
}

fn write_unlimited(setting: &Setting) -> Result<(), SysctlError> {
    match path_of_dotted(&setting.key) {
        Some(path) => Ok(std::fs::write(path, &setting.value)?),
        None => Ctl::new(&setting.key.parts().join("."))?
            .set_value(CtlValue::String(setting.value.clone()))
            .map(|_| ()),
    }
}

fn is_absent(error: &SysctlError) -> bool {
    match error {
        SysctlError::NotFound(_) => true,
        SysctlError::IoError(error) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}
