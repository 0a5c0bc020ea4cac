//! The addresses that host names resolved to, stored between lookups.
//!
//! If the power fails, the addresses of the last answers stay open and, for their grace
//! period, those of earlier ones. A failed lookup changes nothing; a boot performs
//! none.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::error::with_causes;
use crate::host::store::{self, StorePlace};
use crate::host::{clock, conntrack, names};
use crate::json::json_object;
use crate::policy::Policy;
use crate::resolved_hosts::{GoodFor, ResolvedHosts};

const NAME: &str = "hosts";

/// The time limit of a lookup.
const PATIENCE: Duration = Duration::from_secs(10);

/// The stored addresses.
pub fn known() -> ResolvedHosts {
    let texts = StorePlace::NEWEST_FIRST.map(|place| store::read(place, NAME).ok().flatten());
    let text = texts.into_iter().flatten().next().unwrap_or_default();
    ResolvedHosts::from_text(&text)
}

/// The result of a lookup, described for messages.
#[derive(Debug, Default)]
pub struct LookupResult {
    /// Why some names have no answer at present.
    pub unresolved: Vec<String>,
    /// Where the answers could not be stored.
    pub unkept: Vec<String>,
}

/// Looks up the host names of a policy and stores the answers. Names that did not
/// resolve keep their last answer.
pub fn ask(policy: &Policy) -> LookupResult {
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
    let unkept = keep(&hosts, StorePlace::all_or_run(policy.keep));
    LookupResult {
        unresolved: problems,
        unkept,
    }
}

/// The result of ending grace periods.
#[derive(Debug, Default)]
pub struct Expired {
    /// Whether any grace period had ended.
    pub any: bool,
    /// Where this could not be stored, described for messages: there the addresses
    /// still accept new connections.
    pub unkept: Vec<String>,
}

/// Ends the grace period of former addresses whose deadline has passed. Entries on the
/// disk are left to the next boot, which ends them before it uses them.
pub fn expire() -> Expired {
    let before = known();
    let mut hosts = before.clone();
    hosts.expire(clock::now());
    if hosts == before {
        return Expired::default();
    }
    Expired {
        any: hosts.for_new_connections() != before.for_new_connections(),
        unkept: keep(&hosts, StorePlace::all_or_run(false)),
    }
}

/// Stores the answers. Returns descriptions of failures.
fn keep(hosts: &ResolvedHosts, places: &[StorePlace]) -> Vec<String> {
    let text = hosts.to_text();
    let mut unkept = Vec::new();
    for place in places.iter().copied() {
        if let Err(error) = store::write_if_changed(place, NAME, &text) {
            let then = match place {
                StorePlace::Run => "earlier answers hold",
                StorePlace::Disk => "the next boot goes by earlier answers, or none",
            };
            let (folder, cause) = (place.folder(), error.cause);
            unkept.push(format!(
                "cannot keep what names resolved to in {folder}: {cause}; {then}"
            ));
        }
    }
    unkept
}

/// The number of open connections per address; None if conntrack cannot be read.
fn open_connections() -> Option<BTreeMap<IpAddr, usize>> {
    let mut open: BTreeMap<IpAddr, usize> = BTreeMap::new();
    let counted = conntrack::visit(&mut |entry| {
        *open.entry(entry.flow.destination).or_default() += 1;
    });
    counted.ok().map(|()| open)
}

/// What `status` reports about a host name.
#[derive(Debug)]
pub struct NameReport {
    /// The name.
    pub name: String,
    /// The addresses in the last answer.
    pub addresses: Vec<IpAddr>,
    /// The former addresses.
    pub former: Vec<FormerReport>,
}

json_object!(NameReport {
    name,
    addresses,
    former
});

/// What `status` reports about a former address.
#[derive(Debug)]
pub struct FormerReport {
    /// The address.
    pub address: IpAddr,
    /// Until when new connections are allowed, in seconds since 1970; None if they no
    /// longer are.
    pub until: Option<u64>,
    /// How many seconds that is from now.
    pub seconds_left: Option<u64>,
    /// The number of open connections; None if conntrack cannot be read.
    pub open_connections: Option<usize>,
}

json_object!(FormerReport {
    address,
    until,
    seconds_left,
    open_connections
});

/// The host names of a policy and their addresses.
pub fn report(policy: &Policy) -> Vec<NameReport> {
    let (hosts, now) = (known(), clock::now());
    let mut former = policy.hosts.iter().filter_map(|name| hosts.get(name));
    // There may be many connections, so read them only if there are former addresses.
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
