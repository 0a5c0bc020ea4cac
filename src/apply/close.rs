//! Closes the box. First sets the mark and turns forwarding off, neither of which needs
//! another program or the lock; then closes the tables of both families at the same time,
//! each whether or not the other succeeded; then what bypasses the rules on layer 2. The
//! box is closed if all of that succeeded. If anything failed or exceeded its time limit,
//! sets the links down.
//!
//! ARP, and programs on the box that use packet sockets, are not covered.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use super::bypass;
use super::error::{CloseError, CommandError, StepError};
use super::machine::{Machine, insist};
use super::outcome::Outcome;
use super::planned::PlannedPolicy;
use super::record::Record;
use super::seal_mark::Mark;
use super::state::InForce;
use crate::error::with_causes;
use crate::family::IpFamily;
use crate::host::iptables::{self, Load, TableSnapshot, Tables};
use crate::host::lock::{self, Lock};
use crate::host::store::StoreError;
use crate::host::{self, netlink, process};
use crate::net::{Current, LOOPBACK, Wanted, own_ports};
use crate::netfilter::{Counters, Ruleset, TableName};
use crate::plan::Plan;
use crate::plan::sysctl;

/// The time limit for all programs that close the tables, in total.
const LIMIT: Duration = Duration::from_secs(10);

/// The result of closing a box without waiting for the lock.
pub(super) struct Closing {
    /// Whether the box is closed, and what its tables are since.
    pub(super) closed: Result<ClosedTables, CloseError>,
    /// The mark that tells a command in progress that the box was sealed.
    pub(super) marked: Result<Mark, StoreError>,
    /// The lock. Closing went ahead even if it could not be taken.
    pub(super) lock: io::Result<Lock>,
}

/// The tables of a closed box as the kernel has them, of each family that closing read and
/// found closed by then: what comes next need not ask the kernel again.
#[derive(Debug, Default)]
pub(super) struct ClosedTables(Vec<(IpFamily, TableSnapshot)>);

impl ClosedTables {
    /// The tables of every family of the machine; None if one is not known.
    pub(super) fn of(self, machine: &Machine) -> Option<Vec<TableSnapshot>> {
        let families = self.0.iter().map(|(family, _)| *family);
        let all = machine.families.iter().map(Tables::family);
        families
            .eq(all)
            .then(|| self.0.into_iter().map(|(_, found)| found).collect())
    }
}

/// Closes the box at once, even if another command has the lock; then waits up to
/// `patience` for the lock and closes the box again, because the other command may have
/// loaded rules in between.
pub(super) fn close_without_waiting(command: &str, patience: Duration) -> Closing {
    let mut marked = Mark::set();
    let mut lock = lock::take_within(command, Duration::ZERO);
    let mut closed = close();
    if is_held(&lock) {
        // A command that began to load rules during the first close must see a new
        // mark.
        marked = Mark::set();
        lock = lock::take_within(command, patience);
        // The other command may have removed the mark with its last step.
        marked = marked.and(Mark::set());
        closed = close();
    }
    if is_held(&lock) {
        // A command that turned forwarding back on after that must see a new mark.
        marked = marked.and(Mark::set());
    }
    Closing {
        closed,
        marked,
        lock,
    }
}

/// Whether another command still has the lock after the wait.
pub(super) fn is_held(lock: &io::Result<Lock>) -> bool {
    matches!(lock, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Closes the tables, layer 2 and forwarding.
pub(super) fn close() -> Result<ClosedTables, CloseError> {
    let mut problems: Vec<StepError> = Vec::new();
    problems.extend(stop_forwarding().err());
    let closed = process::in_all(LIMIT, || close_families(&mut problems));
    close_layer_2(&mut problems);
    match problems.is_empty() {
        true => Ok(closed),
        false => Err(CloseError { problems }),
    }
}

/// Turns forwarding off for `all` and then for each interface that still has it on. The
/// kernel updates the interfaces only when the value of `all` changes
/// (devinet_sysctl_forward in net/ipv4/devinet.c), and IPv4 forwarding follows the
/// interface's own value.
pub(super) fn stop_forwarding() -> Result<(), StepError> {
    let settings = sysctl::forwarding_off(&host::sysctl::scopes);
    Ok(host::sysctl::set_all(settings).1?)
}

/// Sets the links down, because closing the rules or settings failed. Returns the
/// outcome, and the state to record, derived from `closed`, the state of a closed box.
pub(super) fn down_instead(
    error: CommandError,
    closed: InForce,
    wanted: Option<&Wanted>,
) -> (Outcome, InForce) {
    let why = with_causes(&error);
    match set_links_down(wanted) {
        Ok(()) => (
            Outcome::SealedByLinks(error),
            closed.sealed_by_links(&format!("the interfaces are down, since {why}")),
        ),
        Err(step) => {
            let error = CommandError::StepAndClose {
                step: Box::new(error),
                close: step.into(),
            };
            let state = closed.unsealed_because(&with_causes(&error));
            (Outcome::Unsealed(error), state)
        }
    }
}

fn close_families(problems: &mut Vec<StepError>) -> ClosedTables {
    let mut families = Vec::new();
    match Tables::new(IpFamily::V4) {
        Ok(tables) => families.push(tables),
        Err(error) => problems.push(error.into()),
    }
    let ipv6 = host::has_ipv6().then(|| Tables::new(IpFamily::V6));
    match ipv6 {
        None => {}
        Some(Ok(tables)) => families.push(tables),
        Some(Err(error)) => {
            log::warn!("{}: IPv6 is turned off instead", with_causes(&error));
            for setting in sysctl::ipv6_off() {
                let set = host::sysctl::set(&setting).map_err(StepError::from);
                problems.extend(set.err());
            }
        }
    }
    close_tables(families, problems)
}

/// Closes the tables of all families at the same time, and reads them back.
fn close_tables(families: Vec<Tables>, problems: &mut Vec<StepError>) -> ClosedTables {
    let sealed = Ruleset::sealed();
    // Load the sealed filter tables first, without reading the tables: a dump that
    // cannot be read must not prevent it.
    let filter = |tables| Load {
        tables,
        ruleset: &sealed,
        names: vec![TableName::Filter],
        counters: Counters::default(),
        gone: BTreeSet::new(),
        hold: None,
    };
    let loads: Vec<Load<'_>> = families.iter().map(filter).collect();
    let loaded = insist(&loads);
    let reads = iptables::start_read(&families).each();
    let (mut machine, mut found) = (Machine::of(Vec::new()), Vec::new());
    for ((tables, loaded), read) in families.into_iter().zip(loaded).zip(reads) {
        match loaded.and(read.map_err(StepError::from)) {
            Ok(read) => {
                machine.families.push(tables);
                found.push(read);
            }
            Err(problem) => problems.push(problem),
        }
    }
    // Reload whatever is still not sealed, the filter table included, and compare it
    // with the kernel.
    let reloaded = machine.load(&found, |_| &sealed).unwrap_or_else(|problem| {
        problems.push(problem);
        Vec::new()
    });
    let families = machine.families.iter().map(Tables::family).zip(found);
    let is_current = |(family, _): &(IpFamily, _)| reloaded.iter().all(|(of, _)| of != family);
    ClosedTables(families.filter(is_current).collect())
}

/// Sets the links down that carry frames past the tables, and the ports of camfw's own
/// bridges, so that they pass no frame to each other or to the router.
fn close_layer_2(problems: &mut Vec<StepError>) {
    let noted = noted_plan();
    let wanted = noted.as_ref().map(|plan| &plan.network);
    let current = bypass::shut(wanted).or_else(|problem| {
        problems.push(problem);
        netlink::read_without_hooks()
    });
    let set_down = current.and_then(|current| {
        let mut ports = own_ports(&current, wanted);
        ports.retain(|port| is_up(&current, port));
        netlink::set_down(&ports)
    });
    problems.extend(set_down.err().map(StepError::from));
}

/// Sets the links down of the previous policy and of the intended one; if the previous
/// one is not stored, all links except the loopback.
fn set_links_down(wanted: Option<&Wanted>) -> Result<(), StepError> {
    let current = netlink::read_without_hooks()?;
    let mut up = up_links(&current, None);
    if let Some(noted) = noted_plan() {
        let zones = [Some(&noted.network), wanted].into_iter().flatten();
        let names: BTreeSet<&str> = zones.flat_map(Wanted::names).collect();
        up.retain(|name| names.contains(name.as_str()));
    }
    Ok(netlink::set_down(&up)?)
}

/// The links of a policy that are up; without a policy, all that are up except the
/// loopback.
fn up_links(current: &Current, wanted: Option<&Wanted>) -> Vec<String> {
    let is_meant = |name: &str| match wanted {
        Some(wanted) => wanted.names().any(|wanted| wanted == name),
        None => name != LOOPBACK,
    };
    let links = current.links.iter().filter(|link| link.up);
    let names = links.map(|link| link.name.clone());
    names.filter(|name| is_meant(name)).collect()
}

/// Whether a box that was closed by setting its links down is still closed that way.
pub(super) fn is_down_instead(noted: &InForce, current: &Current, wanted: Option<&Wanted>) -> bool {
    noted.is_sealed_by_links() && up_links(current, wanted).is_empty()
}

fn is_up(current: &Current, name: &str) -> bool {
    let mut links = current.links.iter();
    links.any(|link| link.name == name && link.up)
}

/// The plan of the last policy in force, if it is stored.
fn noted_plan() -> Option<Plan> {
    let kept = Record::noted().policy()?;
    Some(PlannedPolicy::new(kept).ok()?.plan)
}
