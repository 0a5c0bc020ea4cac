//! The steps that carry a policy out: one list, used by boot, apply, refresh,
//! watch and the return from a trial.
//!
//! Owns the order. What is open if the power goes at a step: what was open
//! before it, since what tightens goes in before what loosens, and forwarding
//! is the last thing turned on.

use std::fmt;

use super::bypass;
use super::error::{Failure, StepError};
use super::lacks;
use super::machine::{Machine, write};
use super::mark::Mark;
use super::once_offered::OnceOfferedError;
use super::revoke::{self, RevokeError};
use super::{once_offered, taken};
use crate::error::with_causes;
use crate::family::IpFamily;
use crate::field::PortSet;
use crate::host::netlink::NetlinkError;
use crate::host::{self, iptables, netlink};
use crate::net::{self, NetworkError};
use crate::netfilter::TableName;
use crate::plan::Plan;
use crate::plan::sysctl::Setting;
use crate::prove;

/// What to do about links that are not there and not optional, and about other
/// programs' rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// The policy is refused before anything is changed.
    Refuse {
        /// Whether other programs' rules are taken away on a box's first apply too.
        replace: bool,
    },
    /// They are waited for as long as the file says, since devices come up while a
    /// boot goes on; then as with `Tolerate`.
    WaitFor,
    /// Packets pass between the zones that are there.
    Tolerate,
}

/// One thing that was changed.
#[derive(Debug, Clone)]
pub(crate) enum Made {
    /// A kernel setting was written.
    Setting(Setting),
    /// A table was loaded.
    Table(IpFamily, TableName),
    /// A link, an address, a route, a rule or a neighbour.
    Network(net::NetworkChange),
    /// A DHCP client was started on a link.
    DhcpClient(String),
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

/// What carrying a plan out came to.
#[derive(Debug, Default)]
pub(super) struct Enforced {
    /// What was changed, in order.
    pub(super) made: Vec<Made>,
    /// The links that are not there and not optional, in words.
    pub(super) missing: Vec<String>,
    /// The chains and rules of other programs that were taken away, in words.
    pub(super) taken: Vec<String>,
    /// What had to be done and was not.
    pub(super) undone: Vec<String>,
}

impl Enforced {
    fn wrote<'s>(
        &mut self,
        settings: impl IntoIterator<Item = &'s Setting>,
    ) -> Result<(), StepError> {
        for setting in settings {
            if write(setting)? {
                self.made.push(Made::Setting(setting.clone()));
            }
        }
        Ok(())
    }

    /// The ports that ending connections has shown; that they could not be ended is
    /// told.
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

/// Closes the ports of UDP servers on the router that nobody may ask any more, and
/// that send on to who did: while the box was open no policy offered them. The plan
/// with that, which is loaded.
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

/// Carries a plan out: proof, what the kernel lacks, settings, rules, read back;
/// connections; network; forwarding.
pub(super) fn enforce(plan: &Plan, missing: Missing, mark: &Mark) -> Result<Enforced, Failure> {
    if let Some(why) = prove::broken(&plan.policy, &plan.rules) {
        return Err(Failure::Nothing(StepError::NotProven(why)));
    }
    enforce_proven(plan, missing, mark)
}

/// The same for a plan that was proven before.
pub(super) fn enforce_proven(
    plan: &Plan,
    missing: Missing,
    mark: &Mark,
) -> Result<Enforced, Failure> {
    let machine = Machine::find().map_err(Failure::Nothing)?;
    if plan.network.ipv6 && !machine.has(IpFamily::V6) {
        return Err(Failure::Nothing(StepError::NoIpv6));
    }
    let reading = iptables::start_read(&machine.families);
    // While iptables-save runs there is time for a look at the rest.
    let settings = machine.differing_settings(plan);
    let network = netlink::read();
    let network = match (network, missing) {
        // Known before anything is changed.
        (Err(error), Missing::Refuse { .. }) => return Err(Failure::Nothing(error.into())),
        (network, _) => network,
    };
    let before = reading
        .finish()
        .map_err(|error| Failure::Nothing(error.into()))?;
    let settings = settings.map_err(Failure::Nothing)?;
    lacks::check(&machine, plan, &before).map_err(Failure::Nothing)?;

    // A policy that is put back, or kept, goes in all the same: it tightens.
    if let Ok(current) = &network
        && missing != Missing::Tolerate
    {
        bypass::check(current, &plan.network).map_err(Failure::Nothing)?;
    }
    let taken = taken::taken_away(&machine, &before, plan);
    if let (Ok(current), Missing::Refuse { replace }) = (&network, missing) {
        insist_on_links(current, plan).map_err(Failure::Nothing)?;
        taken::insist_on_leave(&taken, replace).map_err(Failure::Nothing)?;
    }

    let unless_sealed = || match mark.is_unchanged() {
        true => Ok(()),
        false => Err(Failure::Sealed),
    };
    unless_sealed()?;
    let mut enforced = Enforced {
        taken,
        ..Enforced::default()
    };
    let offered_before = once_offered::known();
    let remembered = once_offered::remember(&plan.policy.udp_offered());
    enforced.remembered(remembered);
    let rules = |error| {
        once_offered::put_back(&offered_before);
        Failure::Rules(error, before.clone().into())
    };
    // Settings only tighten, so they come first.
    enforced.wrote(&settings).map_err(rules)?;
    let loaded = machine
        .load(&before, |family| plan.rules.get(family))
        .map_err(rules)?;
    let has_loaded = !loaded.is_empty();
    let loaded = loaded
        .into_iter()
        .map(|(family, name)| Made::Table(family, name));
    enforced.made.extend(loaded);
    // What is ended below must not be picked up again.
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
            // By what they sent meanwhile the router opened it again.
            enforced.ended(revoke::revoke(&plan, network.as_ref().ok()));
        }
    }
    bring_up(&machine, plan, network, missing, &mut enforced).map_err(Failure::Network)?;
    unless_sealed()?;
    enforced.wrote(&plan.last).map_err(Failure::Network)?;
    // Whoever sealed the box before forwarding was on is seen by now; whoever comes
    // after turns it off again.
    unless_sealed()?;
    Ok(enforced)
}

/// Refuses a plan for whose links this box lacks something.
fn insist_on_links(current: &net::Current, plan: &Plan) -> Result<(), StepError> {
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

/// Links, addresses, routes, rules, neighbours; what is missing after the wait
/// is told, and the rest is up.
fn bring_up(
    machine: &Machine,
    plan: &Plan,
    current: Result<net::Current, NetlinkError>,
    missing: Missing,
    enforced: &mut Enforced,
) -> Result<(), StepError> {
    let wanted = &plan.network;
    let current = current?;
    let others = net::left_alone(&current, wanted);
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
    netlink::carry_out(first)?;
    enforced
        .made
        .extend(first.iter().cloned().map(Made::Network));
    if !first.is_empty() || missing == Missing::WaitFor {
        // Links that just got their names, or came at any time since the first
        // look of a boot, have theirs still to be set, before they are up.
        enforced.wrote(&machine.settings(plan))?;
    }
    enforced.wrote(&plan.ipv6_on)?;
    netlink::carry_out(then)?;
    enforced
        .made
        .extend(then.iter().cloned().map(Made::Network));
    for link in wanted.links.iter().filter(|link| link.dhcp) {
        if host::dhcp::start(link.name.as_str(), &plan.file)? {
            enforced.made.push(Made::DhcpClient(link.name.to_string()));
        }
    }
    // A link that is not there has no packets; one that is there and is not what
    // the file takes it for must not get the zone's.
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
        // A request that got lost has no answer that says so.
        let left = net::diff(&netlink::read()?, wanted).changes;
        if let Some(change) = left.first() {
            return Err(StepError::ChangeNotHeld(Box::new(change.clone())));
        }
    }
    Ok(())
}
