//! The whole sequence, read top to bottom: seal, settings, rules, read back,
//! network, forwarding; and what becomes of the box when a step fails.
//!
//! Owns the order. What is open if the power goes at a step: what was open
//! before it, since what tightens goes in before what loosens, and forwarding
//! is the last thing turned on.

mod bypass;
mod confirm;
mod good;
mod kernel;
mod lacks;
mod lease;
mod names;
mod outcome;
mod revoke;
mod state;
mod status;
mod watch;

use std::collections::BTreeSet;
use std::path::Path;

use thiserror::Error;

use crate::host::config_file::Purpose;
use crate::host::iptables::{self, Found, Load, Readings, Tables, TablesError};
use crate::host::netlink::NetlinkError;
use crate::host::process::ProcessError;
use crate::host::sysctl::SettingError;
use crate::host::{self, config_file, netlink};
use crate::kept::Kept;
use crate::network::{self, NetworkError};
use crate::plan::Plan;
use crate::prove;
use crate::ruleset::{Counters, Difference, IpFamily, Ruleset, TableName, meant};
use crate::source::Refusal;
use crate::sysctl::{self, Setting};

use kernel::{Kernel, insist, rules_of};
use state::State;

pub use confirm::{await_confirmation, confirm};
pub use lease::take_lease;
pub use outcome::Outcome;
pub use status::{Report, status};
pub use watch::watch;

/// Why a step failed.
#[derive(Debug, Error)]
enum StepError {
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error(transparent)]
    Tables(#[from] TablesError),
    #[error("{family}: the kernel does not hold what was loaded: {difference}")]
    NotHeld {
        family: IpFamily,
        difference: Difference,
    },
    #[error("{0}: it was asked for, and is not so")]
    ChangeNotHeld(Box<network::Change>),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Network(Vec<NetworkError>),
    #[error(
        "[ipv6] mode = \"same\" cannot be carried out: there is no ip6tables, or the kernel has no IPv6; add it to the image or set mode = \"drop\""
    )]
    NoIpv6,
    #[error(
        "the kernel lacks what the file needs: {0}; build it with these, or install their modules"
    )]
    Lacks(String),
    #[error("{0}")]
    Broken(String),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Bypassed(Vec<network::Bypass>),
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// Whether to wait for links that are not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// As long as the file says: devices come up while a boot goes on.
    Wait,
    /// Not at all.
    None,
}

/// Where it failed, which decides what becomes of the box.
enum Failure {
    /// Nothing was changed.
    Nothing(StepError),
    /// The rules are not those of the file; what they were before.
    Rules(StepError, Box<[Found]>),
    /// They are, and the network is not.
    Network(StepError),
}

/// The init script's command: closes the box before it reads a file, then opens
/// just what the file says. Where the file cannot be used, or was applied to be
/// confirmed and never was, it is the last good policy.
pub fn boot(config: &Path) -> Outcome {
    if let Some(outcome) = needs_root() {
        return outcome;
    }
    // At boot nobody else is at work, and /run may not be there yet.
    let _lock =
        host::lock::take("boot").inspect_err(|error| log::warn!("goes on without a lock: {error}"));
    if let Err(problems) = close() {
        State::of("unsealed").write();
        return Outcome::Unsealed(problems);
    }
    log::info!("Sealed: nothing passes until the policy holds");
    let file = match read_policy(config) {
        Ok((kept, _)) if good::is_unconfirmed() && !is_last_good(&kept) => {
            let why = "the file was applied and never confirmed";
            return boot_last_good(why, Outcome::Sealed);
        }
        Ok(file) => file,
        Err(refusal) => return boot_last_good(&refusal.to_string(), Outcome::Refused),
    };
    match enforce(&file.1, Patience::Wait) {
        Ok(changes) => {
            settle(&file.0, "");
            Outcome::Applied(changes)
        }
        Err(failure) => match boot_failed(&file, "", failure) {
            // Another policy may be one that this kernel takes.
            Outcome::Sealed(why) if State::read().policy.is_empty() && !is_last_good(&file.0) => {
                boot_last_good(&why, Outcome::Sealed)
            }
            outcome => outcome,
        },
    }
}

/// The same for a box that was sealed before.
fn boot_failed(policy: &(Kept, Plan), instead: &str, failure: Failure) -> Outcome {
    match failure {
        Failure::Nothing(error) | Failure::Rules(error, _) => recorded(close_because(&error)),
        Failure::Network(_) => failed(policy, instead, failure),
    }
}

/// The box is sealed, and the file is not to be used. Where there is no last
/// good policy either it stays so, which `otherwise` tells.
fn boot_last_good(why: &str, otherwise: fn(String) -> Outcome) -> Outcome {
    let last = match good::last() {
        Ok(last) => last,
        Err(none) => {
            log::warn!("{none}: stays sealed");
            State::of("sealed").write();
            return otherwise(why.to_owned());
        }
    };
    log::error!("the last good policy is used, and not the file: {why}");
    match enforce(&last.1, Patience::Wait) {
        Ok(_) => {
            State::applied(&last.0, why).write();
            Outcome::LastGood(why.to_owned())
        }
        Err(failure) => match boot_failed(&last, why, failure) {
            Outcome::Sealed(error) => Outcome::Sealed(format!("{why}; {error}")),
            outcome => outcome,
        },
    }
}

fn is_last_good(kept: &Kept) -> bool {
    good::last().is_ok_and(|(last, _)| last.hash() == kept.hash())
}

/// Brings a running box to what the file says. With `seconds`, takes it back
/// after so many unless it is confirmed.
pub fn apply(config: &Path, seconds: Option<u64>) -> Outcome {
    let _lock = match locked("apply") {
        Ok(lock) => lock,
        Err(outcome) => return outcome,
    };
    match seconds {
        None => apply_locked(config),
        Some(seconds) => confirm::apply(config, seconds),
    }
}

fn apply_locked(config: &Path) -> Outcome {
    let (kept, mut plan) = match read_policy(config) {
        Ok(file) => file,
        Err(refusal) => return Outcome::Refused(refusal.to_string()),
    };
    match enforce_asking(&kept, &mut plan) {
        Ok(changes) => {
            settle(&kept, "");
            Outcome::Applied(changes)
        }
        Err(failure) => failed(&(kept, plan), "", failure),
    }
}

/// What becomes of a box whose policy cannot be carried out.
fn failed((kept, plan): &(Kept, Plan), instead: &str, failure: Failure) -> Outcome {
    if matches!(failure, Failure::Network(_)) {
        // The rules are in force, and the rest may come yet: `watch` waits for it.
        let outcome = "sealed".to_owned();
        let state = State::applied(kept, instead);
        State { outcome, ..state }.write();
        return recover(plan, failure);
    }
    recorded(recover(plan, failure))
}

/// The policy is in force and confirmed.
fn settle(kept: &Kept, instead: &str) {
    for problem in good::keep(kept) {
        log::warn!("{problem}");
    }
    State::applied(kept, instead).write_unless_same();
}

/// Notes what a command came to that ended without a policy in force. What
/// changed nothing leaves the note as it is.
fn recorded(outcome: Outcome) -> Outcome {
    match &outcome {
        Outcome::Closed | Outcome::Sealed(_) => State::of("sealed").write(),
        Outcome::Unsealed(_) => State::of("unsealed").write(),
        Outcome::Open => State::of("open").write(),
        _ => {}
    }
    outcome
}

/// Closes the box.
pub fn seal() -> Outcome {
    match locked("seal").map(|_lock| (close(), _lock)) {
        Ok((Ok(()), _lock)) => recorded(Outcome::Closed),
        Ok((Err(problems), _lock)) => recorded(Outcome::Unsealed(problems)),
        Err(outcome) => outcome,
    }
}

/// Takes the firewall off: no rule in any table, every policy ACCEPT. Settings
/// and forwarding stay as they are.
pub fn open() -> Outcome {
    let _lock = match locked("open") {
        Ok(lock) => lock,
        Err(outcome) => return outcome,
    };
    let empty = Ruleset::default();
    let opened = Kernel::find().and_then(|kernel| {
        let found = kernel.read()?;
        kernel.load(&found, |_| &empty)?;
        Ok(())
    });
    match opened {
        Ok(()) => recorded(Outcome::Open),
        Err(error) => Outcome::Failed(format!("cannot take the firewall off: {error}")),
    }
}

/// The rules that the kernel holds, of IPv4 and IPv6, for what they mean.
///
/// # Errors
/// Why they cannot be read, in words.
pub fn live_rules() -> Result<[Ruleset; 2], String> {
    let found = Kernel::find().and_then(|kernel| kernel.read());
    let mut found = found.map_err(|error| error.to_string())?.into_iter();
    let mut next = || {
        found
            .next()
            .map(|found| meant(found.rules))
            .unwrap_or_default()
    };
    Ok([next(), next()])
}

/// Reads the file and makes it a plan.
///
/// # Errors
/// The one line that refuses the file.
pub fn read_plan(config: &Path, purpose: Purpose) -> Result<Plan, Refusal> {
    read_for(config, purpose).map(|(_, plan)| plan)
}

fn read_policy(config: &Path) -> Result<(Kept, Plan), Refusal> {
    read_for(config, Purpose::Load)
}

fn read_for(config: &Path, purpose: Purpose) -> Result<(Kept, Plan), Refusal> {
    let kept = Kept {
        source: config_file::read(config, purpose)?,
    };
    let plan = plan_of(&kept)?;
    Ok((kept, plan))
}

/// Carries a policy out, and then once more with what the names in it resolve
/// to: by then the network is up, and the policy may be the one that lets the
/// router ask.
fn enforce_asking(kept: &Kept, plan: &mut Plan) -> Result<usize, Failure> {
    let mut changes = enforce(plan, Patience::None)?;
    if !plan.policy.hosts.is_empty() {
        names::ask(&plan.policy.hosts);
        // Nothing but rules comes of names: the same rules are in force already.
        if let Ok(answered) = plan_of(kept)
            && (&answered.ipv4, &answered.ipv6) != (&plan.ipv4, &plan.ipv6)
        {
            *plan = answered;
            changes += enforce(plan, Patience::None)?;
        }
    }
    Ok(changes)
}

/// Looks up the names in the policy that is in force, and carries out what
/// their answers change. Opens no box that is closed.
pub fn refresh(config: &Path) -> Outcome {
    let _lock = match locked("refresh") {
        Ok(lock) => lock,
        Err(outcome) => return outcome,
    };
    let plan = match in_force(config) {
        Ok(plan) => plan,
        Err(refusal) => return Outcome::Refused(refusal.to_string()),
    };
    let problems = names::ask(&plan.policy.hosts);
    if State::read().outcome != "applied" {
        return Outcome::Failed(
            "no policy is in force; the answers are kept for the next apply".into(),
        );
    }
    let refreshed = in_force(config)
        .map_err(|refusal| Outcome::Refused(refusal.to_string()))
        .and_then(|plan| {
            enforce(&plan, Patience::None).map_err(|failure| recorded(recover(&plan, failure)))
        });
    match refreshed {
        Err(outcome) => outcome,
        Ok(_) if !problems.is_empty() => Outcome::Failed(problems.join("; ")),
        Ok(changes) => Outcome::Applied(changes),
    }
}

/// The plan of a policy as it is kept; `enforce` proves it.
fn plan_of(kept: &Kept) -> Result<Plan, Refusal> {
    crate::plan(&kept.source, &names::known())
}

/// The policy that is in force, as far as it is kept, else the file's: what
/// keeps the box as it is must not bring in a file that was only edited.
fn in_force(config: &Path) -> Result<Plan, Refusal> {
    match State::read().policy() {
        Some(kept) => plan_of(&kept),
        None => read_plan(config, Purpose::Load),
    }
}

fn needs_root() -> Option<Outcome> {
    let why = "this needs root; nothing was changed";
    (!host::is_root()).then(|| Outcome::Unsealed(why.into()))
}

fn locked(command: &str) -> Result<host::lock::Lock, Outcome> {
    if let Some(outcome) = needs_root() {
        return Err(outcome);
    }
    host::lock::take(command)
        .map_err(|error| Outcome::Unsealed(format!("{error}; nothing was changed")))
}

/// Closes the box: forwarding off first, which takes no program and holds back
/// what passes through, then the tables of each family, whatever the other did.
fn close() -> Result<(), String> {
    let mut problems: Vec<String> = Vec::new();
    let mut note = |result: Result<(), StepError>| {
        problems.extend(result.err().map(|error| error.to_string()));
    };
    for setting in [sysctl::forwarding(false), sysctl::ipv6_forwarding_off()] {
        note(write(&setting).map(drop));
    }
    note(Tables::new(IpFamily::V4).map_or_else(|error| Err(error.into()), close_tables));
    if host::has_ipv6() {
        match Tables::new(IpFamily::V6) {
            Ok(tables) => note(close_tables(tables)),
            Err(error) => {
                log::warn!("{error}: IPv6 is turned off instead");
                for setting in sysctl::ipv6_off() {
                    note(write(&setting).map(drop));
                }
            }
        }
    }
    note(bypass::shut());
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("; "))
    }
}

fn close_tables(tables: Tables) -> Result<(), StepError> {
    let kernel = Kernel::of(tables);
    let sealed = Ruleset::sealed();
    // Filter first and unseen: a dump that cannot be read must not stop it.
    insist(&[Load {
        tables: &kernel.families[0],
        ruleset: &sealed,
        names: vec![TableName::Filter],
        counters: Counters::default(),
        gone: BTreeSet::new(),
        hold: None,
    }])?;
    let found = kernel.read()?;
    // What is not sealed now, filter still or another table, is loaded again and
    // held against the kernel.
    kernel.load(&found, |_| &sealed).map(drop)
}

/// Carries a plan out: the proof, what the kernel lacks, settings, rules, read back;
/// network; forwarding, last. The number of changes made.
fn enforce(plan: &Plan, patience: Patience) -> Result<usize, Failure> {
    if let Some(why) = prove::broken(plan) {
        return Err(Failure::Nothing(StepError::Broken(why)));
    }
    let kernel = Kernel::find().map_err(Failure::Nothing)?;
    if plan.network.ipv6 && !kernel.has(IpFamily::V6) {
        return Err(Failure::Nothing(StepError::NoIpv6));
    }
    let reading = iptables::start_read(&kernel.families);
    // While iptables-save runs there is time for a look at the rest.
    let settings = kernel.differing_settings(plan);
    let network = netlink::read();
    let before = finished(reading).map_err(Failure::Nothing)?;
    let settings = settings.map_err(Failure::Nothing)?;
    lacks::check(&kernel, plan, &before).map_err(Failure::Nothing)?;
    if let Ok(current) = &network {
        bypass::check(current, &plan.network).map_err(Failure::Nothing)?;
    }

    let rules = |error| Failure::Rules(error, before.clone().into());
    // Settings only tighten, so they come first.
    let made: Result<usize, StepError> = settings.iter().map(write).sum();
    let mut changes = made.map_err(rules)?;
    changes += kernel
        .load(&before, |family| rules_of(plan, family))
        .map_err(rules)?;
    if revoke::is_due() {
        revoke::revoke(plan, network.as_ref().ok());
    }
    changes += bring_up(&kernel, plan, network, patience).map_err(Failure::Network)?;
    for setting in &plan.last {
        changes += write(setting).map_err(Failure::Network)?;
    }
    Ok(changes)
}

fn finished(reading: Readings<'_>) -> Result<Vec<Found>, StepError> {
    Ok(reading.finish()?)
}

/// Links, addresses, routes, rules, neighbours; what is missing after the wait
/// is told, and the rest is up.
fn bring_up(
    kernel: &Kernel,
    plan: &Plan,
    current: Result<network::Current, NetlinkError>,
    patience: Patience,
) -> Result<usize, StepError> {
    let wanted = &plan.network;
    let current = current?;
    let others = network::left_alone(&current, wanted);
    if patience == Patience::Wait && !others.is_empty() {
        let others = others.join(", ");
        log::info!("left alone, since the file does not name them: {others}");
    }
    let mut diff = network::diff(&current, wanted);
    if patience == Patience::Wait && diff.lacks_links() {
        log::info!(
            "waits up to {} s: {}",
            plan.wait.as_secs(),
            StepError::Network(diff.problems.clone())
        );
        netlink::wait(plan.wait, |current| {
            !network::diff(current, wanted).lacks_links()
        })?;
        diff = network::diff(&netlink::read()?, wanted);
    }
    let structural = diff
        .changes
        .iter()
        .filter(|change| change.is_structural())
        .count();
    let (first, then) = diff.changes.split_at(structural);
    for change in &diff.changes {
        log::debug!("{change}");
    }
    netlink::carry_out(first)?;
    let mut changes = diff.changes.len();
    if !first.is_empty() || patience == Patience::Wait {
        // Links that just got their names, or came at any time since the first
        // look of a boot, have theirs still to be set, before they are up.
        changes += kernel.keep_settings(plan)?;
    }
    for setting in &plan.ipv6_on {
        changes += write(setting)?;
    }
    netlink::carry_out(then)?;
    for link in wanted.links.iter().filter(|link| link.dhcp) {
        changes += usize::from(host::dhcp::start(link.name.as_str(), &plan.file)?);
    }
    if !diff.problems.is_empty() {
        return Err(StepError::Network(diff.problems));
    }
    if !diff.changes.is_empty() {
        // A request that got lost has no answer that says so.
        let left = network::diff(&netlink::read()?, wanted).changes;
        if let Some(change) = left.first() {
            return Err(StepError::ChangeNotHeld(Box::new(change.clone())));
        }
    }
    Ok(changes)
}

fn write(setting: &Setting) -> Result<usize, StepError> {
    Ok(usize::from(host::sysctl::set(setting)?))
}

/// What becomes of the box when a plan could not be carried out.
fn recover(plan: &Plan, failure: Failure) -> Outcome {
    match failure {
        Failure::Nothing(error) => Outcome::Failed(format!("{error}; nothing was changed")),
        Failure::Rules(error, before) => roll_back(&before, &error),
        Failure::Network(error) => stop_forwarding(plan, &error),
    }
}

/// The rules are not in force: back to the old ones if those keep the box
/// closed, else close it.
fn roll_back(before: &[Found], error: &StepError) -> Outcome {
    let sealed = Ruleset::sealed();
    let is_policy = |found: &Found| found.rules.is_closed() && found.rules != sealed;
    if !before.iter().any(is_policy) || !before.iter().all(|found| found.rules.is_closed()) {
        return close_because(error);
    }
    let back = || {
        let kernel = Kernel::find()?;
        let old = |family: IpFamily| {
            let place = kernel.families.iter().position(|t| t.family() == family);
            let found = place.and_then(|place| before.get(place));
            found.map_or(&sealed, |found| &found.rules)
        };
        kernel.load(&kernel.read()?, old)
    };
    match back() {
        Ok(_) => Outcome::RolledBack(error.to_string()),
        Err(_) => close_because(error),
    }
}

fn close_because(error: &StepError) -> Outcome {
    let closed = close().and_then(|()| match error {
        StepError::Bypassed(found) => {
            bypass::shut_these(found).map_err(|problem| problem.to_string())
        }
        _ => Ok(()),
    });
    match closed {
        Ok(()) => Outcome::Sealed(error.to_string()),
        Err(problems) if problems == error.to_string() => Outcome::Unsealed(problems),
        Err(problems) => Outcome::Unsealed(format!("{error}; {problems}")),
    }
}

/// The rules are in force and the network is not as the file says: nothing
/// passes between zones, and the box can still be managed.
fn stop_forwarding(plan: &Plan, error: &StepError) -> Outcome {
    for setting in [sysctl::forwarding(false), sysctl::ipv6_forwarding_off()] {
        if let Err(problem) = host::sysctl::set(&setting) {
            return Outcome::Unsealed(format!("{error}; {problem}"));
        }
    }
    // Turning it off makes the kernel accept redirects again
    // (inet_forward_change in net/ipv4/devinet.c).
    let kept = Kernel::find().and_then(|kernel| kernel.keep_settings(plan));
    if let Err(problem) = kept {
        log::warn!("{problem}");
    }
    Outcome::Sealed(format!("{error}; the rules are loaded, forwarding is off"))
}
