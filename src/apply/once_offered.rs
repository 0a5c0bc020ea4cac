//! The UDP ports that the router has offered since the kernel started.
//!
//! Owns the file: in /run, which is gone when no server can know of a connection
//! any more. A port stays in it, since how long a server goes on to send is not
//! known.

use serde::{Deserialize, Serialize};

use crate::error::with_causes;
use crate::field::PortSet;
use crate::host::store::{self, StoreError, StorePlace};

const NAME: &str = "udp-once-offered.json";
const VERSION: u64 = 1;

/// The file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnceOfferedFile {
    version: u64,
    udp: PortSet,
}

/// The ports cannot be kept, or those that were cannot be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum OnceOfferedError {
    #[error(
        "cannot keep which UDP ports the router offers: when a later policy does not, their servers may go on sending"
    )]
    NotKept(#[source] StoreError),
    #[error(
        "cannot tell which UDP ports the router has offered, whose servers may go on sending; restart it if one was taken back"
    )]
    NotKnown(#[source] NotPorts),
}

/// Why the file is not read as ports.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotPorts {
    #[error(transparent)]
    Unreadable(#[from] StoreError),
    #[error("{} in {}", NAME, StorePlace::Run.folder())]
    Torn(#[source] serde_json::Error),
    #[error("{} in {} has version {version}, not {VERSION}", NAME, StorePlace::Run.folder())]
    Version { version: u64 },
}

/// Those that are kept; none where they cannot be told, which `remember` says.
pub(super) fn known() -> PortSet {
    read().unwrap_or_default()
}

/// Keeps these beside those that are.
///
/// # Errors
/// They are not kept, or those before are lost.
pub(super) fn remember(ports: &PortSet) -> Result<(), OnceOfferedError> {
    let before = read();
    let all = ports.union(before.as_ref().unwrap_or(&PortSet::default()));
    if before.as_ref().ok() != Some(&all) {
        write(&all).map_err(OnceOfferedError::NotKept)?;
    }
    before.map(drop).map_err(OnceOfferedError::NotKnown)
}

/// Puts back what was known before rules that did not come to be in force.
pub(super) fn put_back(ports: &PortSet) {
    if known() != *ports
        && let Err(error) = write(ports)
    {
        // More ports are closed than the rules say, which is drift.
        log::warn!("{}", with_causes(&error));
    }
}

fn read() -> Result<PortSet, NotPorts> {
    let Some(text) = store::read(StorePlace::Run, NAME)? else {
        return Ok(PortSet::default());
    };
    let file: OnceOfferedFile = serde_json::from_str(&text).map_err(NotPorts::Torn)?;
    match file.version {
        VERSION => Ok(file.udp),
        version => Err(NotPorts::Version { version }),
    }
}

fn write(ports: &PortSet) -> Result<(), StoreError> {
    let file = OnceOfferedFile {
        version: VERSION,
        udp: ports.clone(),
    };
    // Numbers: it does not fail. An empty file is told as torn.
    let text = serde_json::to_string(&file).unwrap_or_default();
    store::write(StorePlace::Run, NAME, &(text + "\n"))
}
