//! Ends the connections that the rules in force would no longer allow.
//!
//! Rules accept established connections, so otherwise a connection that a new policy
//! forbids would continue until it ends by itself. This comes after the rules are
//! loaded: once the entry is deleted, the connection's next packet is judged as a new
//! one.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use thiserror::Error;

use crate::field::PortRange;
use crate::field::PortSet;
use crate::host::conntrack::{self, Entry};
use crate::host::store::{self, StorePlace};
use crate::host::sysctl;
use crate::net::{Current, Link};
use crate::netfilter::{Protocol, TrackedConnection};
use crate::plan::Plan;
use crate::plan::sysctl::entries_in_table;
use crate::prove::FlowJudge;

/// The name of the file that exists while new rules are loaded whose connections have
/// not been checked.
const MARK: &str = "revoke";

/// Records that the rules are about to change.
pub fn due() {
    // Without the file, only the repeated check after a crash is lost.
    let _ = store::write(StorePlace::Run, MARK, "");
}

/// Whether rules have changed since the connections were last checked.
pub fn is_due() -> bool {
    matches!(store::read(StorePlace::Run, MARK), Ok(Some(_)))
}

/// Checks every connection and deletes those that the plan forbids. Returns the UDP
/// ports of the router's own servers that answered any of them.
///
/// Returns an error if connections could not be checked or deleted; that is no reason
/// to roll the plan back.
pub fn revoke(plan: &Plan, current: Option<&Current>) -> Result<PortSet, RevokeError> {
    let (ended, served) = match has_none() {
        true => (0, PortSet::default()),
        false => revoked(plan, current)?,
    };
    match ended {
        0 => {}
        1 => log::info!("ended 1 connection that the policy does not allow"),
        _ => log::info!("ended {ended} connections that the policy does not allow"),
    }
    // If the file remains, the only cost is another check.
    let _ = store::remove(StorePlace::Run, MARK);
    Ok(served)
}

/// Why forbidden connections continue.
#[derive(Debug, Error)]
#[error(
    "cannot end connections that the policy does not allow, which go on until they end by themselves"
)]
pub struct RevokeError(#[from] io::Error);

/// Whether the kernel has no connection. To dump none takes 20 ms where its table is made for
/// many, since it looks into each place of it (ctnetlink_dump_table in
/// net/netfilter/nf_conntrack_netlink.c).
fn has_none() -> bool {
    let count = sysctl::get(&entries_in_table());
    matches!(count, Ok(Some(count)) if count == "0")
}

fn revoked(plan: &Plan, current: Option<&Current>) -> io::Result<(usize, PortSet)> {
    let links = current.iter().flat_map(|current| &current.links);
    let held = links.flat_map(Link::own);
    let wanted = plan.network.links.iter().flat_map(|link| &link.addresses);
    let own = held.map(|held| held.addr());
    let own = own.chain(wanted.map(|wanted| wanted.addr()));
    let judged = plan.of_open_connections.as_deref().unwrap_or(plan);
    let link_local = current.iter().flat_map(|current| &current.links);
    let link_local = link_local.flat_map(|link| {
        let own = link.link_local.iter();
        own.map(|own| (IpAddr::V6(*own), link.name.clone()))
    });
    let judge = FlowJudge::new(&judged.policy, &judged.rules, own).with_link_local(link_local);
    let mut forbidden: Vec<Entry> = Vec::new();
    let mut expected: Vec<Entry> = Vec::new();
    conntrack::visit(&mut |entry| match entry.master {
        // An expected connection, such as FTP data, follows the verdict on its master.
        Some(_) => expected.push(entry),
        None if judge.forbids(&entry.flow, entry.zone) => forbidden.push(entry),
        None => {}
    })?;
    let ended: BTreeSet<TrackedConnection> =
        forbidden.iter().map(|entry| opened(entry.flow)).collect();
    expected.retain(|entry| {
        entry
            .master
            .is_some_and(|master| ended.contains(&opened(master)))
    });
    let served = forbidden.iter().filter_map(|entry| {
        let is_served =
            entry.flow.protocol == Protocol::Udp.number() && judge.is_served(&entry.flow);
        let port = entry.answered_from.filter(|_| is_served)?;
        PortRange::new(port, port)
    });
    let served = served.collect();
    forbidden.extend(expected);
    Ok((conntrack::delete(&forbidden)?, served))
}

/// A connection without its translated destination, which the master's tuple does not
/// have.
fn opened(flow: TrackedConnection) -> TrackedConnection {
    TrackedConnection {
        reaches: flow.destination,
        reaches_port: flow.to,
        ..flow
    }
}
