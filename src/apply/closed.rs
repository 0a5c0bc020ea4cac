//! Ends closed TCP connections that a host keeps in the kernel's table past its bound.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::host::conntrack;
use crate::host::{netlink, sysctl};
use crate::plan::Plan;
use crate::plan::sysctl::entries_in_table;
use crate::policy::{ClosedConnections, LOOK, ZoneIndex};

/// How often the table is looked at: until then a zone can take its rate of new connections
/// more.
pub(super) const EVERY: Duration = Duration::from_secs(LOOK);

/// Why closed connections are kept past a bound.
#[derive(Debug, Error)]
#[error(
    "cannot end closed connections past a zone's bound, which stay while their host sends on in them"
)]
pub(super) struct ClosedError(#[from] io::Error);

/// Whether the plan has a bound, so that there is anything to look for.
pub(super) fn is_due(plan: &Plan) -> bool {
    ClosedConnections::none_is_past(&plan.policy).is_some()
}

/// Deletes the closed connections past the bounds. A later packet of one that is gone is
/// INVALID, since TCP is not picked up in the middle (nf_conntrack_tcp_loose).
pub(super) fn end_past_bounds(plan: &Plan) -> Result<(), ClosedError> {
    let Some(harmless) = ClosedConnections::none_is_past(&plan.policy) else {
        return Ok(());
    };
    // Reading the table takes time, so only where it has as many entries.
    let count = sysctl::get(&entries_in_table());
    let count = count.ok().flatten().and_then(|count| count.parse().ok());
    if count.is_some_and(|count: u64| count <= harmless) {
        return Ok(());
    }
    let current = netlink::read().map_err(io::Error::other)?;
    let own = current.links.iter().flat_map(|link| {
        let held = link.own().map(|own| own.addr());
        held.chain(link.link_local.iter().copied().map(Into::into))
    });
    let mut closed = ClosedConnections::new(&plan.policy, own);
    let mut past = Vec::new();
    let mut zones: BTreeMap<ZoneIndex, u64> = BTreeMap::new();
    conntrack::visit(&mut |entry| {
        if !entry.is_closed {
            return;
        }
        if let Some(zone) = closed.is_past(&entry.flow, entry.zone, entry.id) {
            *zones.entry(zone).or_default() += 1;
            past.push(entry);
        }
    })?;
    conntrack::delete(&past)?;
    for (zone, count) in zones {
        let zone = &plan.policy.zone(zone).name;
        log::warn!(
            "watch: {zone} sends on in TCP connections that are closed: {count} past its bound are ended"
        );
    }
    Ok(())
}
