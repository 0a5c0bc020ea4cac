//! Closes the box: the mark first and forwarding off, neither of which takes a
//! program or the lock; then the tables of each family, whatever the other did;
//! then what passes on layer 2. Where that cannot be done in the stated time, the
//! links go down.
//!
//! Outside of it are ARP, and programs on the box that have packet sockets.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use super::bypass;
use super::error::{CloseError, CommandError, StepError};
use super::in_force::InForce;
use super::machine::{Machine, insist, write};
use super::mark::Mark;
use super::outcome::Outcome;
use super::planned::PlannedPolicy;
use super::record::Record;
use crate::error::with_causes;
use crate::family::IpFamily;
use crate::host::iptables::{Load, Tables};
use crate::host::lock::{self, Lock};
use crate::host::store::StoreError;
use crate::host::{self, netlink, process};
use crate::net::{Current, LOOPBACK, Wanted, own_ports};
use crate::netfilter::{Counters, Ruleset, TableName};
use crate::plan::Plan;
use crate::plan::sysctl;

/// How long the programs that close the tables may take, all in all.
const LIMIT: Duration = Duration::from_secs(10);

/// What closing a box came to that asks nobody.
pub(super) struct Closing {
    /// Whether it is closed.
    pub(super) closed: Result<(), CloseError>,
    /// The mark by which a command that is under way sees it.
    pub(super) marked: Result<Mark, StoreError>,
    /// The lock, which it went on without if it was not to be had.
    pub(super) lock: io::Result<Lock>,
}

/// Closes the box at once, whoever has the lock, and again when it has the lock,
/// for which it waits so long: what another command had begun to load may have
/// come after.
pub(super) fn close_asking_nobody(command: &str, patience: Duration) -> Closing {
    let mut marked = Mark::set();
    let mut lock = lock::take_within(command, Duration::ZERO);
    let mut closed = close();
    if is_held(&lock) {
        // Whoever began to load while it was being closed sees it too.
        marked = Mark::set();
        lock = lock::take_within(command, patience);
        // The other one may have taken the mark away when it had set it last.
        marked = marked.and(Mark::set());
        closed = close();
    }
    if is_held(&lock) {
        // Whoever turned forwarding on again after that was about to see it.
        marked = marked.and(Mark::set());
    }
    Closing {
        closed,
        marked,
        lock,
    }
}

/// Whether another command has the lock, which was not waited for any longer.
pub(super) fn is_held(lock: &io::Result<Lock>) -> bool {
    matches!(lock, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Closes the box.
pub(super) fn close() -> Result<(), CloseError> {
    let mut problems: Vec<StepError> = Vec::new();
    problems.extend(stop_forwarding().err());
    process::in_all(LIMIT, || close_families(&mut problems));
    problems.extend(bypass::shut().err());
    problems.extend(set_ports_down().err());
    match problems.is_empty() {
        true => Ok(()),
        false => Err(CloseError { problems }),
    }
}

/// Forwarding off, for all and then for each that has it on for itself: the kernel
/// sets each only where the value for all changes (devinet_sysctl_forward in
/// net/ipv4/devinet.c), and an interface's own is what it goes by for IPv4.
pub(super) fn stop_forwarding() -> Result<(), StepError> {
    sysctl::forwarding_off(&host::sysctl::scopes)
        .iter()
        .try_for_each(|setting| write(setting).map(drop))
}

/// What becomes of a box whose rules or settings could not be closed, whoever was to: past
/// that, its links go down. The outcome, and the state to note from `closed`, which
/// is that of a closed box.
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

fn close_families(problems: &mut Vec<StepError>) {
    let ipv4 = Tables::new(IpFamily::V4).map_err(StepError::from);
    problems.extend(ipv4.and_then(close_tables).err());
    if !host::has_ipv6() {
        return;
    }
    match Tables::new(IpFamily::V6) {
        Ok(tables) => problems.extend(close_tables(tables).err()),
        Err(error) => {
            log::warn!("{}: IPv6 is turned off instead", with_causes(&error));
            for setting in sysctl::ipv6_off() {
                problems.extend(write(&setting).err());
            }
        }
    }
}

fn close_tables(tables: Tables) -> Result<(), StepError> {
    let machine = Machine::of(tables);
    let sealed = Ruleset::sealed();
    // Filter first and unseen: a dump that cannot be read must not stop it.
    insist(&[Load {
        tables: &machine.families[0],
        ruleset: &sealed,
        names: vec![TableName::Filter],
        counters: Counters::default(),
        gone: BTreeSet::new(),
        hold: None,
    }])?;
    let found = machine.read()?;
    // What is not sealed now, filter still or another table, is loaded again and
    // held against the kernel.
    machine.load(&found, |_| &sealed).map(drop)
}

/// The ports of camfw's own bridges pass no frame, to each other or the router.
fn set_ports_down() -> Result<(), StepError> {
    let current = netlink::read_without_hooks()?;
    let mut ports = own_ports(&current, noted_plan().as_ref().map(|plan| &plan.network));
    ports.retain(|port| is_up(&current, port));
    Ok(netlink::set_down(&ports)?)
}

/// Sets the links down of the policy that was in force and of the one that was to
/// be; where the first is not kept, all but the loopback.
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

/// The links that are up, of a policy or, without one, of all but the loopback.
fn up_links(current: &Current, wanted: Option<&Wanted>) -> Vec<String> {
    let is_meant = |name: &str| match wanted {
        Some(wanted) => wanted.names().any(|wanted| wanted == name),
        None => name != LOOPBACK,
    };
    let links = current.links.iter().filter(|link| link.up);
    let names = links.map(|link| link.name.clone());
    names.filter(|name| is_meant(name)).collect()
}

/// Whether a box that was closed by its links is so still.
pub(super) fn is_down_instead(noted: &InForce, current: &Current, wanted: Option<&Wanted>) -> bool {
    noted.is_sealed_by_links() && up_links(current, wanted).is_empty()
}

fn is_up(current: &Current, name: &str) -> bool {
    let mut links = current.links.iter();
    links.any(|link| link.name == name && link.up)
}

/// The plan of the policy that was in force last, as far as it is kept.
fn noted_plan() -> Option<Plan> {
    let kept = Record::noted().policy()?;
    Some(PlannedPolicy::new(kept).ok()?.plan)
}
