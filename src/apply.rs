//! The whole sequence, read top to bottom: seal, settings, rules, read back,
//! network, forwarding; and what becomes of the box when a step fails.
//!
//! Owns the order. What is open if the power goes at a step: what was open
//! before it, since what tightens goes in before what loosens, and forwarding
//! is the last thing turned on.

mod lease;
mod outcome;
mod watch;

use std::path::Path;

use thiserror::Error;

use crate::host::iptables::{self, Family, Load, Tables, TablesError};
use crate::host::netlink::NetlinkError;
use crate::host::process::ProcessError;
use crate::host::sysctl::SettingError;
use crate::host::{self, config_file, netlink};
use crate::network::{self, NetworkError};
use crate::plan::Plan;
use crate::prove;
use crate::ruleset::{Difference, Ruleset, TableName, differences, meant};
use crate::source::Refusal;
use crate::sysctl::{self, Need, Setting};

pub use lease::take_lease;
pub use outcome::Outcome;
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
        family: Family,
        difference: Difference,
    },
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Network(Vec<NetworkError>),
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
    /// The rules are not those of the file.
    Rules(StepError),
    /// They are, and the network is not.
    Network(StepError),
}

/// The init script's command: closes the box before it reads a file, then opens
/// just what the file says.
pub fn boot(config: &Path) -> Outcome {
    if let Some(outcome) = needs_root() {
        return outcome;
    }
    // At boot nobody else is at work, and /run may not be there yet.
    let _lock =
        host::lock::take().inspect_err(|error| log::warn!("goes on without a lock: {error}"));
    if let Err(problems) = close() {
        return Outcome::Unsealed(problems);
    }
    log::info!("Sealed: nothing passes until the policy holds");
    match enforce(config, Patience::Wait) {
        Outcome::Broken(why) => Outcome::Sealed(why),
        outcome => outcome,
    }
}

/// Brings a running box to what the file says.
pub fn apply(config: &Path) -> Outcome {
    match locked() {
        Ok(_lock) => enforce(config, Patience::None),
        Err(outcome) => outcome,
    }
}

/// Closes the box.
pub fn seal() -> Outcome {
    match locked().map(|_lock| close()) {
        Ok(Ok(())) => Outcome::Closed,
        Ok(Err(problems)) => Outcome::Unsealed(problems),
        Err(outcome) => outcome,
    }
}

/// Takes the firewall off: no rule in any table, every policy ACCEPT. Settings
/// and forwarding stay as they are.
pub fn open() -> Outcome {
    let _lock = match locked() {
        Ok(lock) => lock,
        Err(outcome) => return outcome,
    };
    let opened = Kernel::find().and_then(|kernel| {
        let found = kernel.read()?;
        kernel.load(&found, |_| Ruleset::default())?;
        Ok(())
    });
    match opened {
        Ok(()) => Outcome::Open,
        Err(error) => Outcome::Failed(format!("cannot take the firewall off: {error}")),
    }
}

/// Compares the kernel with what the file says, and changes nothing.
pub fn status(config: &Path) -> Outcome {
    let plan = match read_plan(config) {
        Ok(plan) => plan,
        Err(refusal) => return Outcome::Refused(refusal.to_string()),
    };
    match drift(&plan) {
        Ok(found) if found.is_empty() => Outcome::Holds,
        Ok(found) => Outcome::Drift(found),
        Err(error) => Outcome::Drift(vec![format!("cannot tell: {error}")]),
    }
}

/// The rules that the kernel holds, of IPv4 and IPv6, for what they mean.
///
/// # Errors
/// Why they cannot be read, in words.
pub fn live_rules() -> Result<[Ruleset; 2], String> {
    let kernel = Kernel::find().map_err(|error| error.to_string())?;
    let mut found = kernel
        .read()
        .map_err(|error| error.to_string())?
        .into_iter();
    let mut next = || found.next().map(meant).unwrap_or_default();
    Ok([next(), next()])
}

/// Reads the file and makes it a plan.
///
/// # Errors
/// The one line that refuses the file.
pub fn read_plan(config: &Path) -> Result<Plan, Refusal> {
    crate::plan(&config_file::read(config)?, &crate::policy::Answers::new())
}

fn needs_root() -> Option<Outcome> {
    let why = "this needs root; nothing was changed";
    (!host::is_root()).then(|| Outcome::Unsealed(why.into()))
}

fn locked() -> Result<host::lock::Lock, Outcome> {
    if let Some(outcome) = needs_root() {
        return Err(outcome);
    }
    host::lock::take().map_err(|error| Outcome::Unsealed(format!("{error}; nothing was changed")))
}

const NO_IPV6: &str = "[ipv6] mode = \"same\" cannot be carried out: there is no ip6tables, or the kernel has no IPv6; add it to the image or set mode = \"drop\"";

/// The tables that this machine lets us have.
struct Kernel {
    families: Vec<Tables>,
    /// IPv6 is there and cannot be filtered, so it is turned off.
    ipv6_off: bool,
}

impl Kernel {
    fn find() -> Result<Kernel, StepError> {
        let mut families = vec![Tables::new(Family::Ipv4)?];
        let ipv6 = match Tables::new(Family::Ipv6) {
            _ if !host::has_ipv6() => None,
            Ok(tables) => Some(tables),
            Err(error) => {
                log::warn!("{error}: IPv6 is turned off instead");
                None
            }
        };
        let ipv6_off = ipv6.is_none() && host::has_ipv6();
        families.extend(ipv6);
        Ok(Kernel { families, ipv6_off })
    }

    fn read(&self) -> Result<Vec<Ruleset>, StepError> {
        Ok(iptables::start_read(&self.families).finish()?)
    }

    /// Loads the tables in which what was found differs from what is wanted;
    /// how many.
    fn load(
        &self,
        found: &[Ruleset],
        wanted: impl Fn(Family) -> Ruleset,
    ) -> Result<usize, StepError> {
        let wanted: Vec<Ruleset> = self.families.iter().map(|t| wanted(t.family())).collect();
        let loads: Vec<Load<'_>> = self
            .families
            .iter()
            .zip(&wanted)
            .zip(found)
            .map(|((tables, ruleset), found)| Load {
                tables,
                ruleset,
                names: differing(ruleset, found),
            })
            .filter(|load| !load.names.is_empty())
            .collect();
        iptables::load(&loads)?;
        hold(&loads)?;
        Ok(loads.iter().map(|load| load.names.len()).sum())
    }

    fn keep_settings(&self, plan: &Plan) -> Result<usize, StepError> {
        self.settings(plan).iter().map(write).sum()
    }

    fn settings(&self, plan: &Plan) -> Vec<Setting> {
        let mut settings = plan.sysctls.clone();
        if self.ipv6_off {
            settings.extend(sysctl::ipv6_off());
        }
        settings
    }
}

/// Reads back what was loaded, and compares.
fn hold(loads: &[Load<'_>]) -> Result<(), StepError> {
    let found = iptables::start_read(loads.iter().map(|load| load.tables)).finish()?;
    for (load, found) in loads.iter().zip(found) {
        if let Some(difference) = differences(load.ruleset, &found).into_iter().next() {
            return Err(StepError::NotHeld {
                family: load.tables.family(),
                difference,
            });
        }
    }
    Ok(())
}

fn differing(wanted: &Ruleset, found: &Ruleset) -> Vec<TableName> {
    let mut names: Vec<TableName> = differences(wanted, found)
        .iter()
        .map(|difference| difference.table)
        .collect();
    names.dedup();
    names
}

fn rules_of(plan: &Plan, family: Family) -> Ruleset {
    match family {
        Family::Ipv4 => plan.ipv4.clone(),
        Family::Ipv6 => plan.ipv6.clone(),
    }
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
    note(Tables::new(Family::Ipv4).map_or_else(|error| Err(error.into()), close_tables));
    if host::has_ipv6() {
        match Tables::new(Family::Ipv6) {
            Ok(tables) => note(close_tables(tables)),
            Err(error) => {
                log::warn!("{error}: IPv6 is turned off instead");
                for setting in sysctl::ipv6_off() {
                    note(write(&setting).map(drop));
                }
            }
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("; "))
    }
}

fn close_tables(tables: Tables) -> Result<(), StepError> {
    let kernel = Kernel {
        families: vec![tables],
        ipv6_off: false,
    };
    let sealed = Ruleset::sealed();
    // Filter first and unseen: a dump that cannot be read must not stop it.
    iptables::load(&[Load {
        tables: &kernel.families[0],
        ruleset: &sealed,
        names: vec![TableName::Filter],
    }])?;
    let found = kernel.read()?;
    // What is not sealed now, filter still or another table, is loaded again and
    // held against the kernel.
    kernel.load(&found, |_| sealed.clone()).map(drop)
}

/// Reads the file and carries it out; if that fails, the box is closed or on
/// its old rules. A file that is refused changes nothing.
fn enforce(config: &Path, patience: Patience) -> Outcome {
    let kernel = match Kernel::find() {
        Ok(kernel) => kernel,
        Err(error) => return close_because(&error),
    };
    // While iptables-save runs there is time for the file, the settings, which
    // only tighten, and a look at the network.
    let reading = iptables::start_read(&kernel.families);
    let plan = match read_plan(config) {
        Ok(plan) => plan,
        Err(refusal) => return Outcome::Refused(refusal.to_string()),
    };
    if let Some(why) = prove::broken(&plan) {
        return Outcome::Broken(why);
    }
    if plan.network.ipv6 && !kernel.families.iter().any(|t| t.family() == Family::Ipv6) {
        return Outcome::Refused(NO_IPV6.into());
    }
    let settings = kernel.keep_settings(&plan);
    let network = netlink::read();
    let before = match reading.finish() {
        Ok(before) => before,
        Err(error) => return close_because(&error.into()),
    };
    let settings = settings.map_err(Failure::Rules);
    match settings
        .and_then(|made| Ok(made + carry_out(&kernel, &plan, &before, network, patience)?))
    {
        Ok(changes) => Outcome::Applied(changes),
        Err(Failure::Rules(error)) => roll_back(&kernel, &before, &error),
        Err(Failure::Network(error)) => stop_forwarding(&kernel, &plan, &error),
    }
}

/// Rules, read back; network; forwarding, last. The number of changes made.
fn carry_out(
    kernel: &Kernel,
    plan: &Plan,
    before: &[Ruleset],
    current: Result<network::Current, NetlinkError>,
    patience: Patience,
) -> Result<usize, Failure> {
    let mut changes = kernel
        .load(before, |family| rules_of(plan, family))
        .map_err(Failure::Rules)?;

    let network = Failure::Network;
    changes += bring_up(kernel, plan, current, patience).map_err(network)?;
    for setting in &plan.last {
        changes += write(setting).map_err(network)?;
    }
    Ok(changes)
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
    if diff.problems.is_empty() {
        Ok(changes)
    } else {
        Err(StepError::Network(diff.problems))
    }
}

fn write(setting: &Setting) -> Result<usize, StepError> {
    Ok(usize::from(host::sysctl::set(setting)?))
}

/// The rules are not in force: back to the old ones if those keep the box
/// closed, else close it.
fn roll_back(kernel: &Kernel, before: &[Ruleset], error: &StepError) -> Outcome {
    let sealed = Ruleset::sealed();
    let is_policy = |rules: &Ruleset| rules.is_closed() && *rules != sealed;
    if !before.iter().any(is_policy) || !before.iter().all(Ruleset::is_closed) {
        return close_because(error);
    }
    let old = |family: Family| {
        let place = kernel.families.iter().position(|t| t.family() == family);
        place.map_or_else(Ruleset::sealed, |place| before[place].clone())
    };
    match kernel.read().and_then(|found| kernel.load(&found, old)) {
        Ok(_) => Outcome::RolledBack(error.to_string()),
        Err(_) => close_because(error),
    }
}

fn close_because(error: &StepError) -> Outcome {
    match close() {
        Ok(()) => Outcome::Sealed(error.to_string()),
        Err(problems) if problems == error.to_string() => Outcome::Unsealed(problems),
        Err(problems) => Outcome::Unsealed(format!("{error}; {problems}")),
    }
}

/// The rules are in force and the network is not as the file says: nothing
/// passes between zones, and the box can still be managed.
fn stop_forwarding(kernel: &Kernel, plan: &Plan, error: &StepError) -> Outcome {
    for setting in [sysctl::forwarding(false), sysctl::ipv6_forwarding_off()] {
        if let Err(problem) = host::sysctl::set(&setting) {
            return Outcome::Unsealed(format!("{error}; {problem}"));
        }
    }
    // Turning it off makes the kernel accept redirects again
    // (inet_forward_change in net/ipv4/devinet.c).
    for setting in kernel.settings(plan) {
        if let Err(problem) = host::sysctl::set(&setting) {
            log::warn!("{problem}");
        }
    }
    Outcome::Sealed(format!("{error}; the rules are loaded, forwarding is off"))
}

/// Every difference between the kernel and the plan.
fn drift(plan: &Plan) -> Result<Vec<String>, StepError> {
    let kernel = Kernel::find()?;
    let mut found: Vec<String> = Vec::new();
    for (tables, rules) in kernel.families.iter().zip(kernel.read()?) {
        let wanted = rules_of(plan, tables.family());
        let lines = differences(&wanted, &rules);
        found.extend(
            lines
                .iter()
                .map(|line| format!("{}: {line}", tables.family())),
        );
    }
    let mut settings = kernel.settings(plan);
    settings.extend(plan.ipv6_on.iter().chain(&plan.last).cloned());
    for setting in settings {
        match host::sysctl::get(&setting.key)? {
            Some(value) if value == setting.value => {}
            None if setting.need == Need::IfPresent => {}
            value => found.push(format!(
                "sysctl {} is {}, not {}",
                setting.key,
                value.as_deref().unwrap_or("absent"),
                setting.value
            )),
        }
    }
    let current = netlink::read()?;
    let diff = network::diff(&current, &plan.network);
    found.extend(network::foreign(&current, &plan.network));
    found.extend(
        diff.changes
            .iter()
            .map(|change| format!("not so: {change}")),
    );
    found.extend(diff.problems.iter().map(ToString::to_string));
    Ok(found)
}
