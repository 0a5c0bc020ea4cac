//! What names of hosts resolved to, kept from one lookup to the next.
//!
//! What is open if the power goes: what the last answers opened, and for their time
//! those before. A lookup that fails changes nothing; a boot does none.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use crate::error::with_causes;
use crate::host::store::{self, StorePlace};
use crate::host::{clock, conntrack, names};
use crate::policy::Policy;
use crate::resolved_hosts::{GoodFor, ResolvedHosts};

const NAME: &str = "hosts";

/// For how long a lookup is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Newest first: a disk may have turned read-only since.
const PLACES: [StorePlace; 2] = [StorePlace::Run, StorePlace::Disk];

/// What is kept.
pub fn known() -> ResolvedHosts {
    let texts = PLACES.map(|place| store::read(place, NAME).ok().flatten());
    let text = texts.into_iter().flatten().next().unwrap_or_default();
    ResolvedHosts::from_text(&text)
}

/// What asking came to, in words.
#[derive(Debug, Default)]
pub struct Asked {
    /// Why names have no answer now.
    pub unresolved: Vec<String>,
    /// Where the answers could not be kept.
    pub unkept: Vec<String>,
}

/// Asks for the names of a policy, and keeps the answers beside the last ones to
/// those that have none now.
pub fn ask(policy: &Policy) -> Asked {
    let mut hosts = known();
    let mut problems = Vec::new();
    let now = clock::now();
    for (name, found) in names::resolve(&policy.hosts, PATIENCE) {
        let keep = policy.names_keep.as_secs();
        let why = match found {
            Ok(addresses) => match hosts.take_answer(name.clone(), addresses, now, keep) {
                Ok(_) => continue,
                Err(error) => with_causes(&error),
            },
            Err(error) => with_causes(&error),
        };
        let until_then = match hosts.get(&name) {
            Some(_) => "its last addresses are used",
            None => "nothing is allowed by it",
        };
        problems.push(format!("{name} did not resolve: {why}; {until_then}"));
    }
    for problem in &problems {
        log::warn!("{problem}");
    }
    hosts.expire(now);
    if let Some(open) = open_connections() {
        hosts.forget_closed(|address| open.contains_key(&address));
    }
    let unkept = keep(&hosts, places(policy.keep));
    Asked {
        unresolved: problems,
        unkept,
    }
}

/// What ending the time of former addresses came to.
#[derive(Debug, Default)]
pub struct Expired {
    /// Whether there were any whose time is over.
    pub any: bool,
    /// Where that could not be noted, in words: they are good there still.
    pub unkept: Vec<String>,
}

/// Ends the time of former addresses whose time is over. What is on the disk alone
/// is ended by the next boot, before anything goes by it.
pub fn expire() -> Expired {
    let before = known();
    let mut hosts = before.clone();
    hosts.expire(clock::now());
    if hosts == before {
        return Expired::default();
    }
    Expired {
        any: hosts.for_new_connections() != before.for_new_connections(),
        unkept: keep(&hosts, places(false)),
    }
}

/// Where a policy has things kept: on the disk only if it says so.
fn places(on_disk: bool) -> &'static [StorePlace] {
    match on_disk {
        true => &PLACES,
        false => &PLACES[..1],
    }
}

/// Keeps the answers; where it cannot, in words.
fn keep(hosts: &ResolvedHosts, places: &[StorePlace]) -> Vec<String> {
    let text = hosts.to_text();
    let is_there = |place| store::read(place, NAME).ok().flatten().as_ref() == Some(&text);
    let mut unkept = Vec::new();
    for place in places.iter().copied().filter(|place| !is_there(*place)) {
        if let Err(error) = store::write(place, NAME, &text) {
            let then = match place {
                StorePlace::Run => "earlier answers hold",
                StorePlace::Disk => "the next boot goes by earlier answers",
            };
            let (folder, cause) = (place.folder(), error.cause);
            unkept.push(format!(
                "cannot keep what names resolved to in {folder}: {cause}; {then}"
            ));
        }
    }
    unkept
}

/// How many connections are open to each address; None where it cannot be told.
fn open_connections() -> Option<BTreeMap<IpAddr, usize>> {
    let mut open: BTreeMap<IpAddr, usize> = BTreeMap::new();
    let counted = conntrack::visit(&mut |entry| {
        *open.entry(entry.flow.destination).or_default() += 1;
    });
    counted.ok().map(|()| open)
}

/// What `status` tells of a name.
#[derive(Debug, Serialize)]
pub struct NameReport {
    /// The name.
    pub name: String,
    /// The addresses of the last answer.
    pub addresses: Vec<IpAddr>,
    /// Those before.
    pub former: Vec<FormerReport>,
}

/// What `status` tells of an address that a name had.
#[derive(Debug, Serialize)]
pub struct FormerReport {
    /// Which.
    pub address: IpAddr,
    /// Until when connections may be opened to it, in seconds from 1970; None if
    /// they no longer may.
    pub until: Option<u64>,
    /// For how many seconds more.
    pub seconds_left: Option<u64>,
    /// How many connections are open to it; None where it cannot be told.
    pub open_connections: Option<usize>,
}

/// The names of a policy, and their addresses.
pub fn report(policy: &Policy) -> Vec<NameReport> {
    let (hosts, now) = (known(), clock::now());
    let mut former = policy.hosts.iter().filter_map(|name| hosts.get(name));
    // Connections are many, and are looked at only if there is something to tell.
    let open = match former.any(|host| !host.former.is_empty()) {
        true => open_connections(),
        false => None,
    };
    let reports = policy.hosts.iter().map(|name| {
        let host = hosts.get(name).cloned().unwrap_or_default();
        let former = host.former.iter().map(|former| {
            let until = match former.good_for {
                GoodFor::NewConnections { until, .. } => Some(until),
                GoodFor::OpenConnections => None,
            };
            FormerReport {
                address: former.address,
                until,
                seconds_left: until.map(|until| until.saturating_sub(now)),
                open_connections: open
                    .as_ref()
                    .map(|open| open.get(&former.address).copied().unwrap_or_default()),
            }
        });
        NameReport {
            name: name.to_string(),
            addresses: host.current,
            former: former.collect(),
        }
    });
    reports.collect()
}
