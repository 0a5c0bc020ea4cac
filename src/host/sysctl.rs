//! Kernel settings, written with the sysctl crate and read here: the crate reads a value in
//! pieces, of which the kernel gives some settings the first alone.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sysctl::{Ctl, CtlValue, Sysctl, SysctlError};
use thiserror::Error;

use super::netlink::{self, LinkSettings};
use super::time_limit;
use crate::error::with_causes;
use crate::plan::sysctl::{Key, Need, Setting};

/// The time limit for one setting. Forwarding is set under the lock of all network
/// devices, which a driver may hold (devinet_sysctl_forward in net/ipv4/devinet.c).
const LIMIT: Duration = Duration::from_secs(10);

/// What each further setting of a list adds to the limit; a millisecond is long for one.
const LIMIT_OF_ANOTHER: Duration = Duration::from_millis(10);

/// Of how many settings of interfaces the values are read from a dump of the links: it takes
/// as long as to read about ten.
const WORTH_A_DUMP: usize = 16;

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
    let mut values = get_all(vec![key.clone()])?;
    Ok(values.pop().flatten())
}

/// The values of settings, in the same order. Those of many interfaces are asked for over
/// netlink, which waits for the lock of all network devices: [`set_all`], by which the box is
/// closed, does not.
///
/// # Errors
/// Returns an error if one exists but cannot be read.
pub fn get_all(keys: Vec<Key>) -> Result<Vec<Option<String>>, SettingError> {
    let late = |key: &Key, error| SettingError::Read {
        key: key.clone(),
        error,
    };
    let settings = of_links(&keys);
    let known: Vec<Option<String>> = keys.iter().map(|key| settings.value(key)).collect();
    let unknown = keys.into_iter().zip(&known);
    let unknown = unknown.filter_map(|(key, known)| known.is_none().then_some(key));
    let unknown: Vec<Key> = unknown.collect();
    let limit = limit(unknown.len());
    let (values, result) = in_turn(&Arc::new(unknown), limit, value, late);
    result?;
    let mut read = values.into_iter();
    let values = known.into_iter();
    Ok(values
        .map(|known| known.or_else(|| read.next().flatten()))
        .collect())
}

/// The settings of links, if so many are asked for that one dump takes less time.
fn of_links(keys: &[Key]) -> LinkSettings {
    let many = keys.iter().filter(|key| LinkSettings::may_say(key)).count() >= WORTH_A_DUMP;
    let settings = many.then(netlink::link_settings).transpose();
    settings.map_or_else(
        |error| {
            log::debug!("reads each setting: {}", with_causes(&error));
            LinkSettings::default()
        },
        Option::unwrap_or_default,
    )
}

fn value(key: &Key) -> Result<Option<String>, SettingError> {
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

/// Writes a setting and reads it back, like [`set_all`].
///
/// # Errors
/// Returns an error if that fails, or if the kernel lacks a required setting.
pub fn set(setting: &Setting) -> Result<(), SettingError> {
    set_all(vec![setting.clone()]).1
}

/// Writes settings in their order, and reads each back. Does not write one whose value is
/// already right, because the kernel may treat a write as more than that. Returns those that
/// were written, and an error if one could not be, or if the kernel lacks a required one:
/// those after it are left alone.
pub fn set_all(settings: Vec<Setting>) -> (Vec<Setting>, Result<(), SettingError>) {
    let late = |setting: &Setting, error| SettingError::Write {
        setting: setting.clone(),
        error,
    };
    let settings = Arc::new(settings);
    let (done, result) = in_turn(&settings, limit(settings.len()), bring, late);
    let written = settings.iter().zip(done).filter(|(_, written)| *written);
    (
        written.map(|(setting, _)| setting.clone()).collect(),
        result,
    )
}

/// Returns whether the setting had to be written.
fn bring(setting: &Setting) -> Result<bool, SettingError> {
    match value(&setting.key)? {
        None if setting.need == Need::IfPresent => return Ok(false),
        None => return Err(SettingError::Absent(setting.key.clone())),
        Some(value) if setting.is_met_by(&value) => return Ok(false),
        Some(_) => {}
    }
    write(setting).map_err(|error| SettingError::Write {
        setting: setting.clone(),
        error,
    })?;
    match value(&setting.key)? {
        Some(value) if setting.is_met_by(&value) => Ok(true),
        found => Err(SettingError::NotHeld {
            setting: setting.clone(),
            found: found.unwrap_or_default(),
        }),
    }
}

/// How far a list is.
struct Progress<T> {
    done: Vec<T>,
    /// Nobody waits any more, so nothing more may be begun.
    given_up: bool,
}

/// Works on each item in turn, up to the first error, and returns what came of those before.
/// The list is one piece of work, since handing over each item, to a thread that the kernel may
/// block, takes longer than to read a setting.
fn in_turn<I: Send + Sync + 'static, T: Send + 'static>(
    items: &Arc<Vec<I>>,
    limit: Duration,
    work: fn(&I) -> Result<T, SettingError>,
    late: fn(&I, SysctlError) -> SettingError,
) -> (Vec<T>, Result<(), SettingError>) {
    let progress = Arc::new(Mutex::new(Progress {
        done: Vec::new(),
        given_up: false,
    }));
    let (all, noted) = (Arc::clone(items), Arc::clone(&progress));
    let result = time_limit::run(limit, move || {
        for item in all.iter() {
            if locked(&noted).given_up {
                break;
            }
            let result = work(item)?;
            locked(&noted).done.push(result);
        }
        Ok(())
    });
    let mut progress = locked(&progress);
    progress.given_up = true;
    let done = std::mem::take(&mut progress.done);
    let result = result.unwrap_or_else(|error| {
        let at = items.get(done.len());
        at.map_or(Ok(()), |item| Err(late(item, error.into())))
    });
    (done, result)
}

fn limit(settings: usize) -> Duration {
    let settings = u32::try_from(settings).unwrap_or(u32::MAX);
    LIMIT.saturating_add(LIMIT_OF_ANOTHER.saturating_mul(settings))
}

fn locked<T>(progress: &Mutex<Progress<T>>) -> MutexGuard<'_, Progress<T>> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
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

fn write(setting: &Setting) -> Result<(), SysctlError> {
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    type Item = Box<dyn Fn() + Send + Sync>;

    fn run(item: &Item) -> Result<(), SettingError> {
        item();
        Ok(())
    }

    fn late(_: &Item, error: SysctlError) -> SettingError {
        let key = crate::plan::sysctl::forwarding(true).key;
        SettingError::Read { key, error }
    }

    #[test]
    fn a_list_that_is_given_up_begins_nothing_more() {
        let (release, blocked) = mpsc::channel::<()>();
        let blocked = Mutex::new(blocked);
        let later = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&later);
        let items: Arc<Vec<Item>> = Arc::new(vec![
            Box::new(move || {
                let blocked = blocked.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = blocked.recv();
            }),
            Box::new(move || {
                counted.fetch_add(1, Ordering::SeqCst);
            }),
        ]);
        let (done, result) = in_turn(&items, Duration::from_millis(20), run, late);
        assert!(done.is_empty() && result.is_err());
        drop(release);
        // The abandoned thread lets go of the list when it ends.
        for _ in 0..6000 {
            if Arc::strong_count(&items) == 1 {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(Arc::strong_count(&items), 1);
        assert_eq!(later.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_list_ends_at_its_first_error() {
        let items = Arc::new(vec![1, 2, 3]);
        let work = |item: &i32| match item {
            2 => Err(SettingError::Absent(
                crate::plan::sysctl::forwarding(true).key,
            )),
            item => Ok(item * 2),
        };
        let late = |_: &i32, _| SettingError::Absent(crate::plan::sysctl::forwarding(true).key);
        let (done, result) = in_turn(&items, LIMIT, work, late);
        assert_eq!(done, [2]);
        assert!(result.is_err());
    }
}
