//! The UDP ports that the router has offered since the kernel started.
//!
//! Owns the file. It is in /run: after a reboot no server knows of an old connection.
//! Ports are never removed from it, because there is no limit to how long a server may
//! continue to send.

use crate::error::with_causes;
use crate::field::PortSet;
use crate::host::store::{self, StoreError, StorePlace};
use crate::json::{JsonError, JsonMembers, json_object, to_json};

const NAME: &str = "udp-once-offered.json";
const VERSION: u64 = 1;

/// The format of the file.
#[derive(Debug)]
struct OnceOfferedFile {
    version: u64,
    udp: PortSet,
}

json_object!(OnceOfferedFile { version, udp });

impl OnceOfferedFile {
    fn parse(text: &str) -> Result<OnceOfferedFile, JsonError> {
        let mut members = JsonMembers::parse(text)?;
        let file = OnceOfferedFile {
            version: members.needed("version")?,
            udp: members.needed("udp")?,
        };
        members.end()?;
        Ok(file)
    }
}

/// Why the ports could not be stored, or the stored ones could not be read.
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

/// Why the file does not parse.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotPorts {
    #[error(transparent)]
    Unreadable(#[from] StoreError),
    #[error("{} in {}", NAME, StorePlace::Run.folder())]
    Torn(#[source] JsonError),
    #[error("{} in {} has version {version}, not {VERSION}", NAME, StorePlace::Run.folder())]
    Version { version: u64 },
}

/// The stored ports; empty if they cannot be read, which `remember` reports.
pub(super) fn known() -> PortSet {
    read().unwrap_or_default()
}

/// Adds ports to the stored ones.
///
/// # Errors
/// Returns an error if they could not be stored, or if the earlier ones are lost.
pub(super) fn remember(ports: &PortSet) -> Result<(), OnceOfferedError> {
    let before = read();
    let all = ports.union(before.as_ref().unwrap_or(&PortSet::default()));
    if before.as_ref().ok() != Some(&all) {
        write(&all).map_err(OnceOfferedError::NotKept)?;
    }
    before.map(drop).map_err(OnceOfferedError::NotKnown)
}

/// Restores the earlier ports after a load of rules failed.
pub(super) fn put_back(ports: &PortSet) {
    if known() != *ports
        && let Err(error) = write(ports)
    {
        // More ports are stored than the rules close, which shows as drift.
        log::warn!("{}", with_causes(&error));
    }
}

fn read() -> Result<PortSet, NotPorts> {
    let Some(text) = store::read(StorePlace::Run, NAME)? else {
        return Ok(PortSet::default());
    };
    let file = OnceOfferedFile::parse(&text).map_err(NotPorts::Torn)?;
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
    store::write(StorePlace::Run, NAME, &(to_json(&file) + "\n"))
}
