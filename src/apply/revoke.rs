//! Ends the connections that the rules in force would not let be opened.
//!
//! Rules let through what is established, so without this a connection that a
//! new policy forbids would go on until it ends by itself. Comes after the rules:
//! what is taken out is judged anew by its next packet.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use thiserror::Error;

use crate::field::PortRange;
use crate::field::PortSet;
use crate::host::conntrack::{self, Entry};
use crate::host::store::{self, StorePlace};
use crate::net::Current;
use crate::netfilter::{Protocol, TrackedConnection};
use crate::plan::Plan;
use crate::prove::FlowJudge;

/// There while rules were loaded whose connections have not been looked at.
const MARK: &str = "revoke";

/// Notes that the rules are about to change.
pub fn due() {
    // Without the note all that is lost is a second look after a crash.
    let _ = store::write(StorePlace::Run, MARK, "");
}

/// Whether rules have changed since connections were looked at.
pub fn is_due() -> bool {
    matches!(store::read(StorePlace::Run, MARK), Ok(Some(_)))
}

/// Looks at every connection and takes out just those that the plan forbids. The
/// UDP ports of the router's own servers that answered any of them.
///
/// # Errors
/// That it could not; it is no reason to take the plan back.
pub fn revoke(plan: &Plan, current: Option<&Current>) -> Result<PortSet, RevokeError> {
    let (ended, served) = revoked(plan, current)?;
    match ended {
        0 => {}
        1 => log::info!("ended 1 connection that the policy does not allow"),
        _ => log::info!("ended {ended} connections that the policy does not allow"),
    }
    // A mark that stays costs a second look.
    let _ = store::remove(StorePlace::Run, MARK);
    Ok(served)
}

/// Why connections that the policy does not allow go on.
#[derive(Debug, Error)]
#[error(
    "cannot end connections that the policy does not allow, which go on until they end by themselves"
)]
pub struct RevokeError(#[from] io::Error);

fn revoked(plan: &Plan, current: Option<&Current>) -> io::Result<(usize, PortSet)> {
    let links = current.iter().flat_map(|current| &current.links);
    let held = links.flat_map(|link| &link.addresses);
    let wanted = plan.network.links.iter().flat_map(|link| &link.addresses);
    let own = held.map(|held| held.value.addr());
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
        // What another connection brought about stands and falls with that one.
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

/// A flow without what it reaches, which a master's tuple does not tell.
fn opened(flow: TrackedConnection) -> TrackedConnection {
    TrackedConnection {
        reaches: flow.destination,
        ..flow
    }
}
