//! Names of hosts -> addresses, by the system's resolver.
//!
//! Asks. Keeps nothing and decides nothing.

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
    /// No answer came in time.
    #[error("no answer within {0} s")]
    Late(u64),
    /// The resolver says so.
    #[error(transparent)]
    Resolver(#[from] io::Error),
}

/// What came of each name: addresses, sorted and each once, or why none. All of
/// them are asked for at once; what has no answer in time has none.
pub fn resolve(
    names: &[HostName],
    patience: Duration,
) -> BTreeMap<HostName, Result<Vec<IpAddr>, NotResolved>> {
    let deadline = Instant::now() + patience;
    let (sender, answers) = mpsc::channel();
    for name in names {
        let (sender, name) = (sender.clone(), name.clone());
        // A resolver cannot be stopped: one that hangs ends with the process.
        let asking = thread::Builder::new().spawn(move || {
            // Nobody waits for a late answer.
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
    // With the dot at the end no search domain is tried.
    let found = (format!("{name}."), 0).to_socket_addrs()?;
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}
