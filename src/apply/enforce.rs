//! The steps that put a policy in force: one list, used by boot, apply, refresh, watch
//! and the restore after a trial.
//!
//! Owns the order. If the power fails at any step, no more is open than before it:
//! restrictions come first, permissions after them, and forwarding is turned on last. A port
//! that leaves a bridge, or a device that loses a zone's name, is down from before the rules
//! until it has left.

use std::fmt;

use super::bypass;
use super::close::ClosedTables;
use super::error::{Failure, StateBefore, StepError};
use super::kernel_support::{self, KernelSupport};
use super::machine::Machine;
use super::once_offered::OnceOfferedError;
use super::record::Record;
use super::revoke::{self, RevokeError};
use super::seal_mark::Mark;
use super::{local_time, once_offered, removed_rules, unrecordable};
use crate::error::with_causes;
use crate::family::IpFamily;
use crate::field::PortSet;
use crate::host::netlink::NetlinkError;
use crate::host::{self, iptables, netlink};
use crate::net::{self, NetworkChange, NetworkError};
use crate::netfilter::TableName;
use crate::plan::Plan;
use crate::plan::sysctl::{self, Setting, reserved_ports};
use crate::prove;

/// How to handle links that are missing but not optional, and other programs' rules.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Missing<'a> {
    /// Refuse the policy before anything is changed.
    Refuse {
        /// Whether to remove other programs' rules even on a box's first apply.
        replace: bool,
        /// What was in force before the command; a trial is recorded before it is
        /// enforced.
        before: &'a Record,
    },
    /// Wait for the links as long as the file says, because devices appear while a boot
    /// is in progress; then continue as with `Tolerate`.
    WaitFor,
    /// Continue without them: packets pass between the zones whose links exist.
    Tolerate,
}

/// One completed change.
#[derive(Debug, Clone)]
pub(crate) enum Made {
    /// A kernel setting was written.
    Setting(Setting),
    /// A table was loaded.
    Table(IpFamily, TableName),
    /// A link, address, route, rule or neighbour was changed.
    Network(NetworkChange),
    /// A DHCP client was started on this link.
    DhcpClient(String),
}

impl Made {
    /// Whether an interface now takes router advertisements that it did not, or no more.
    fn is_about_advertisements(&self, interface: &str) -> bool {
        matches!(self, Made::Setting(setting) if sysctl::advertised::is_about(setting, interface))
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Made::Setting(setting) => write!(f, "sysctl {setting}"),
            Made::Table(family, name) => write!(f, "{family}: table {} loaded", name.as_str()),
            Made::Network(change) => change.fmt(f),
            Made::DhcpClient(link) => write!(f, "interface {link}: DHCP client started"),
        }
    }
}

/// The result of enforcing a plan.
#[derive(Debug, Default)]
pub(super) struct Enforced {
    /// The changes, in order.
    pub(super) made: Vec<Made>,
    /// Descriptions of the links that are missing but not optional.
    pub(super) missing: Vec<String>,
    /// Descriptions of other programs' chains and rules that were removed.
    pub(super) removed_rules: Vec<String>,
    /// Descriptions of required work that was not done.
    pub(super) undone: Vec<String>,
    /// Why names of hosts have no answer, where they were asked for.
    pub(super) unresolved: Vec<String>,
}

impl Enforced {
    fn wrote<'s>(
        &mut self,
        settings: impl IntoIterator<Item = &'s Setting>,
    ) -> Result<(), StepError> {
        let settings = settings.into_iter().cloned().collect();
        let (written, result) = host::sysctl::set_all(settings);
        self.made.extend(written.into_iter().map(Made::Setting));
        Ok(result?)
    }

    /// Returns the UDP ports found while ending connections; an error is recorded as
    /// undone work.
    fn ended(&mut self, revoked: Result<PortSet, RevokeError>) -> PortSet {
        revoked.unwrap_or_else(|problem| {
            self.undone.push(with_causes(&problem));
            PortSet::default()
        })
    }

    fn remembered(&mut self, done: Result<(), OnceOfferedError>) {
        self.undone
            .extend(done.err().map(|error| with_causes(&error)));
    }
}

/// Closes the ports of UDP servers on the router that no one may query any more but
/// that continue to send to former clients: they were in use while the box was open and
/// no policy offered them. Returns the plan with these ports, which has been loaded.
fn close_ports(
    machine: &Machine,
    plan: &Plan,
    served: &PortSet,
    enforced: &mut Enforced,
) -> Result<Plan, StepError> {
    enforced.remembered(once_offered::remember(served));
    let plan = plan.with_udp_once_offered(served);
    if let Some(why) = prove::broken(&plan.policy, &plan.rules) {
        return Err(StepError::NotProven(why));
    }
    machine.load(&machine.read()?, |family| plan.rules.get(family))?;
    Ok(plan)
}

/// Enforces a plan: proves it, checks kernel support, writes settings, loads rules and
/// reads them back, then ends connections, sets up the network, and turns forwarding
/// on.
pub(super) fn enforce(plan: &Plan, missing: Missing<'_>, mark: &Mark) -> Result<Enforced, Failure> {
    let proven = || proven(plan);
    enforce_if(plan, missing, mark, proven, ClosedTables::default())
}

/// Enforces a plan on a box that this boot has closed, by the tables that closing read.
pub(super) fn enforce_closed(
    plan: &Plan,
    tables: ClosedTables,
    mark: &Mark,
) -> Result<Enforced, Failure> {
    enforce_if(plan, Missing::WaitFor, mark, || proven(plan), tables)
}

fn proven(plan: &Plan) -> Result<(), Failure> {
    let why = prove::broken(&plan.policy, &plan.rules);
    why.map_or(Ok(()), |why| {
        Err(Failure::Nothing(StepError::NotProven(why)))
    })
}

/// Enforces a plan that has already been proven.
pub(super) fn enforce_proven(
    plan: &Plan,
    missing: Missing<'_>,
    mark: &Mark,
) -> Result<Enforced, Failure> {
    enforce_if(plan, missing, mark, || Ok(()), ClosedTables::default())
}

/// Enforces a plan if `proven` says so, before anything is changed. Reads the tables unless
/// they are known; the check after the load sees what another program changed since.
fn enforce_if(
    plan: &Plan,
    missing: Missing<'_>,
    mark: &Mark,
    proven: impl FnOnce() -> Result<(), Failure>,
    known: ClosedTables,
) -> Result<Enforced, Failure> {
    let machine = Machine::find().map_err(Failure::Nothing)?;
    if plan.network.ipv6 && !machine.has(IpFamily::V6) {
        return Err(Failure::Nothing(StepError::NoIpv6));
    }
    // Prove the plan and read the rest of the state while iptables-save runs.
    let known = known.of(&machine);
    let to_read = match known {
        Some(_) => &[],
        None => machine.families.as_slice(),
    };
    let reading = iptables::start_read(to_read);
    proven()?;
    let settings = machine.differing_settings(plan);
    let network = netlink::read();
    let network = match (network, missing) {
        // Nothing has been changed yet, so refuse.
        (Err(error), Missing::Refuse { .. }) => return Err(Failure::Nothing(error.into())),
        (network, _) => network,
    };
    let read = reading
        .finish_expecting(|family| plan.rules.get(family))
        .map_err(|error| Failure::Nothing(error.into()))?;
    let before = known.unwrap_or(read);
    let settings = settings.map_err(Failure::Nothing)?;
    let without_recording;
    let plan = match kernel_support::check(&machine, plan, &before).map_err(Failure::Nothing)? {
        KernelSupport::Whole => plan,
        KernelSupport::WithoutRecording => {
            without_recording = plan.without_recording();
            let (policy, rules) = (&without_recording.policy, &without_recording.rules);
            if let Some(why) = prove::broken(policy, rules) {
                return Err(Failure::Nothing(StepError::NotProven(why)));
            }
            unrecordable::remember();
            &without_recording
        }
    };

    // A restored or stored policy is loaded anyway: it restricts what passes.
    if let Ok(current) = &network
        && missing != Missing::Tolerate
    {
        bypass::check(current, &plan.network).map_err(Failure::Nothing)?;
    }
    let removed_rules = match missing {
        Missing::Refuse { before: known, .. } => {
            removed_rules::rules_to_remove(&machine, &before, plan, known)
        }
        Missing::WaitFor | Missing::Tolerate => {
            removed_rules::rules_to_remove(&machine, &before, plan, &Record::noted())
        }
    };
    if let (Ok(current), Missing::Refuse { replace, before }) = (&network, missing) {
        insist_on_links(current, plan).map_err(Failure::Nothing)?;
        removed_rules::insist_on_replace(&removed_rules, replace, &before.in_force)
            .map_err(Failure::Nothing)?;
    }

    let unless_sealed = || match mark.is_unchanged() {
        true => Ok(()),
        false => Err(Failure::Sealed),
    };
    unless_sealed()?;
    let mut enforced = Enforced {
        removed_rules,
        ..Enforced::default()
    };
    let offered_before = once_offered::known();
    let remembered = once_offered::remember(&plan.policy.udp_offered());
    enforced.remembered(remembered);
    let shut = match &network {
        Ok(current) => net::diff(current, &plan.network).to_shut(current, &plan.network),
        Err(_) => Vec::new(),
    };
    let rules = |error| {
        once_offered::put_back(&offered_before);
        let (tables, shut) = (before.clone(), shut.clone());
        Failure::Rules(error, Box::new(StateBefore { tables, shut }))
    };
    let network = match shut.is_empty() {
        true => network,
        false => {
            netlink::set_down(&shut).map_err(|error| rules(error.into()))?;
            netlink::read()
        }
    };
    // These settings only restrict, so they come before the rules.
    enforced.wrote(&settings).map_err(rules)?;
    let loaded = machine
        .load(&before, |family| plan.rules.get(family))
        .map_err(rules)?;
    let has_loaded = !loaded.is_empty();
    let loaded = loaded
        .into_iter()
        .map(|(family, name)| Made::Table(family, name));
    enforced.made.extend(loaded);
    if let Err(error) = local_time::keep(&plan.policy) {
        let what = "cannot keep by which local time the rules were made";
        enforced
            .undone
            .push(format!("{what}: {}", with_causes(&error)));
    }
    // Connections that are ended below must not be picked up again.
    enforced.wrote(&plan.with_rules).map_err(rules)?;
    if let Err(short) = enforced.wrote(&plan.room) {
        enforced.undone.push(short.to_string());
    }
    if has_loaded || revoke::is_due() {
        let served = enforced.ended(revoke::revoke(plan, network.as_ref().ok()));
        let closed = plan.policy.udp_offered();
        let closed = closed.union(&plan.policy.udp_once_offered);
        if closed.union(&served) != closed {
            unless_sealed()?;
            let plan = close_ports(&machine, plan, &served, &mut enforced).map_err(rules)?;
            enforced
                .wrote(&reserved_ports(&plan.policy))
                .map_err(rules)?;
            // Packets sent meanwhile may have made the router reopen the connection.
            enforced.ended(revoke::revoke(&plan, network.as_ref().ok()));
        }
    }
    bring_up(&machine, plan, network, missing, &shut, &mut enforced).map_err(Failure::Network)?;
    unless_sealed()?;
    enforced
        .wrote(&plan.forwarding_on)
        .map_err(Failure::Network)?;
    // If the box was sealed before forwarding was turned on, this check sees it; a
    // later seal turns forwarding off itself.
    unless_sealed()?;
    Ok(enforced)
}

/// Refuses a plan if this kernel cannot create its links.
pub(super) fn insist_on_links(current: &net::Current, plan: &Plan) -> Result<(), StepError> {
    let problems = net::diff(current, &plan.network).problems;
    if problems.is_empty() {
        return Ok(());
    }
    let there = current.links.iter().map(|link| link.name.clone());
    Err(StepError::NotThere {
        problems,
        there: there.filter(|name| name != net::LOOPBACK).collect(),
    })
}

/// Enables IPv6, and has the kernel ask for routers on links that take their advertisements
/// from now on. On one that is up already, IPv6 begins anew for it, and so loses its routes:
/// then true.
fn ipv6_anew(
    plan: &Plan,
    then: &[NetworkChange],
    enforced: &mut Enforced,
) -> Result<bool, StepError> {
    let before = enforced.made.len();
    enforced.wrote(&plan.ipv6_on)?;
    let mut anew = Vec::new();
    for link in plan.network.links.iter().filter(|link| link.slaac) {
        let name = link.name.as_str();
        let is_new = enforced.made[before..]
            .iter()
            .any(|made| made.is_about_advertisements(name));
        let comes_up = then
            .iter()
            .any(|it| matches!(it, NetworkChange::SetUp { name: up } if up == name));
        if is_new && !comes_up {
            anew.extend(sysctl::advertised::begins_again(name));
        }
    }
    enforced.wrote(&anew)?;
    Ok(!anew.is_empty())
}

/// What goes from links on which the kernel has just been told to take no advertisements.
fn no_more_advertised(
    plan: &Plan,
    current: &net::Current,
    enforced: &Enforced,
) -> Vec<NetworkChange> {
    let links = plan.network.links.iter().filter(|link| !link.slaac);
    let links = links.filter(|link| {
        let mut made = enforced.made.iter();
        made.any(|made| made.is_about_advertisements(link.name.as_str()))
    });
    links
        .flat_map(|link| net::advertised_on(current, link.name.as_str()))
        .collect()
}

/// Sets up links, addresses, routes, rules and neighbours. Reports what is still
/// missing after the wait; all the rest is set up, and what was `shut` for it.
fn bring_up(
    machine: &Machine,
    plan: &Plan,
    current: Result<net::Current, NetlinkError>,
    missing: Missing<'_>,
    shut: &[String],
    enforced: &mut Enforced,
) -> Result<(), StepError> {
    let wanted = &plan.network;
    let current = current?;
    let others = net::ignored_links(&current, wanted);
    if missing == Missing::WaitFor && !others.is_empty() {
        let others = others.join(", ");
        log::info!("left alone, since the file does not name them: {others}");
    }
    let mut diff = net::diff(&current, wanted);
    if missing == Missing::WaitFor && diff.lacks_links() {
        log::info!(
            "waits up to {} s: {}",
            plan.wait.as_secs(),
            StepError::Network(diff.problems.clone())
        );
        netlink::wait(plan.wait, |current| {
            !net::diff(current, wanted).lacks_links()
        })?;
        diff = net::diff(&netlink::read()?, wanted);
    }
    let structural = diff
        .changes
        .iter()
        .filter(|change| change.is_structural())
        .count();
    let (first, then) = diff.changes.split_at(structural);
    let ups = diff.unshut(shut, wanted);
    for changes in [first, ups.as_slice()] {
        netlink::carry_out(changes)?;
        let made = changes.iter().cloned().map(Made::Network);
        enforced.made.extend(made);
    }
    if !first.is_empty() || missing == Missing::WaitFor {
        // Links that were just renamed, or that appeared since the start of a boot,
        // still need their settings, before they are set up.
        enforced.wrote(&machine.differing_settings(plan)?)?;
    }
    let again;
    let then = match ipv6_anew(plan, then, enforced)? {
        true => {
            again = net::diff(&netlink::read()?, wanted).changes;
            again.as_slice()
        }
        false => then,
    };
    let ended = no_more_advertised(plan, &current, enforced);
    for changes in [ended.as_slice(), then] {
        netlink::carry_out(changes)?;
        let made = changes.iter().cloned().map(Made::Network);
        enforced.made.extend(made);
    }
    let surplus = net::advertised_too_much(&current, wanted);
    if !surplus.is_empty() {
        let count = surplus.len();
        log::warn!("routers advertise more networks than a link has: {count} routes taken away");
        netlink::carry_out(&surplus)?;
    }
    for link in wanted.links.iter().filter(|link| link.by_dhcp()) {
        if host::dhcp::start(link.name.as_str(), &plan.file)? {
            enforced.made.push(Made::DhcpClient(link.name.to_string()));
        }
    }
    // A missing link carries no packets, so it is tolerated. A link that exists but is
    // not the device in the file must not be treated as the zone's.
    let (missing, wrong): (Vec<NetworkError>, _) = diff
        .problems
        .into_iter()
        .partition(NetworkError::is_missing_link);
    if !wrong.is_empty() {
        return Err(StepError::Network(wrong));
    }
    let missing = missing.iter().map(ToString::to_string);
    enforced.missing = missing.collect();
    if !diff.changes.is_empty() {
        // A lost request produces no error, so read the state back.
        let mut left = net::diff(&netlink::read()?, wanted).changes;
        // A lease that came meanwhile brings more, which the next look of `watch` sets.
        left.retain(|change| wanted.ways.is_empty() || diff.changes.contains(change));
        if let Some(change) = left.first() {
            return Err(StepError::ChangeNotHeld(Box::new(change.clone())));
        }
    }
    Ok(())
}
