//! Resolves host names to addresses with the system's resolver.
//!
//! Only performs lookups: stores nothing and makes no decisions.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::name::HostName;

/// Why a name has no addresses.
#[derive(Debug, Error)]
pub enum NotResolved {
    /// No answer came within this many seconds.
    #[error("no answer within {0} s")]
    Late(u64),
    /// The resolver returned an error.
    #[error(transparent)]
    Resolver(#[from] io::Error),
}

/// Resolves all names in parallel. Returns the sorted, distinct addresses of each, or
/// why it has none; a name without an answer in time is an error.
pub fn resolve(
    names: &[HostName],
    patience: Duration,
) -> BTreeMap<HostName, Result<Vec<IpAddr>, NotResolved>> {
    let deadline = Instant::now() + patience;
    let (sender, answers) = mpsc::channel();
    for name in names {
        let (sender, name) = (sender.clone(), name.clone());
        // A lookup cannot be cancelled: one that hangs ends with the process.
        let asking = thread::Builder::new().spawn(move || {
            // The receiver is gone if the answer comes late.
            let _ = sender.send((name.clone(), ask(&name)));
        });
        if let Err(error) = asking {
            log::debug!("cannot ask for all names at once: {error}");
        }
    }
    drop(sender);
    let late = || Err(NotResolved::Late(patience.as_secs()));
    let mut all: BTreeMap<_, _> = names.iter().map(|name| (name.clone(), late())).collect();
    while let Ok((name, answer)) =
        answers.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    {
        all.insert(name, answer);
    }
    all
}

fn ask(name: &HostName) -> Result<Vec<IpAddr>, NotResolved> {
    // The trailing dot disables the search domains.
    let found = (format!("{name}."), 0).to_socket_addrs()?;
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}
