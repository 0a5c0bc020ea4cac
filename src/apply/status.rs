//! `camfw status`: compares what is in force with what should be; changes nothing.

use std::path::Path;

use super::error::StepError;
use super::machine::Machine;
use super::mail::{self, MailReport};
use super::names::{self, NameReport};
use super::planned::PlannedPolicy;
use super::record::Record;
use super::state::InForce;
use super::{close, confirm, hosts, lease, needs, other_tables, planned, recorder, ways};
use crate::error::with_causes;
use crate::exit_code::ExitCode;
use crate::host::iptables::{self, TableSnapshot};
use crate::host::{self, clock, netlink};
use crate::net::{self, NetworkError};
use crate::netfilter::{Ruleset, differences};
use crate::observe::accounting::Accounting;
use crate::observe::mail_queue::MailQueue;
use crate::observe::presence::Presence;
use crate::observe::refusals::Refusals;
use crate::observe::refused_counts::{RefusedCounts, newly_tried, refused_counts};
use crate::observe::ways::{WayReport, needs as ways_need};
use crate::plan::Plan;
use crate::plan::sysctl::{self, Need};
use crate::policy::{Recordable, hours_trouble, told_hours};
use crate::snapshot::PolicyHash;
use crate::source::Refusal;

/// The most differences that are told where all of a policy differs.
pub(crate) const MOST_DIFFERENCES: usize = 4;

/// What is told of a file that is not what is in force.
const EDITED: &str = "the file was edited since it was applied, or another one was";

/// Everything that `status` reports.
#[derive(Debug)]
pub(crate) struct Report {
    /// What is in force: the last recorded state, as confirmed by the kernel.
    pub(crate) in_force: InForce,
    /// When the state was entered, in seconds since 1970 by the current clock; None if
    /// unknown.
    pub(crate) since: Option<u64>,
    /// How many seconds ago that was.
    pub(crate) seconds: Option<u64>,
    /// Why the last good policy should have been restored but has not been yet.
    pub(crate) overdue: Option<String>,
    /// How many seconds are left to confirm a pending policy.
    pub(crate) seconds_left: Option<u64>,
    /// Whether the kernel is as the file says, permanently or until the deadline.
    pub(super) holds: bool,
    /// The SHA-256 of the policy that the kernel was compared with; None of a box that was
    /// closed, in which no policy is.
    pub(crate) compared_with: Option<String>,
    /// A description of each difference.
    pub(crate) drift: Vec<String>,
    /// Findings that may be harmless, which only the owner can judge.
    pub(crate) notes: Vec<String>,
    /// Whether `watch` records what is refused; None if the policy has nothing recorded.
    pub(crate) recording: Option<bool>,
    /// Why nothing is recorded, if it is not for want of `watch`.
    pub(crate) recordable: Recordable,
    /// The host names in allow lines, and their addresses.
    pub(crate) names: Vec<NameReport>,
    /// What `camfw-mail` says of itself; None if the policy has no mail.
    pub(crate) mail: Option<String>,
    /// The same as numbers; None unless it runs.
    pub(crate) mail_queue: Option<MailQueue>,
    /// The counters since the tables were first loaded.
    pub(crate) accounting: Accounting,
    /// The path of the configuration.
    pub(crate) file: String,
    /// Who is there.
    pub(crate) presence: Presence,
    /// What was refused, as far as it is recorded.
    pub(crate) refused: RefusedCounts,
    /// The ways out, if there are several.
    pub(crate) ways: Vec<WayReport>,
    /// The router's local time, and the hours of lines by it and by UTC.
    pub(crate) local_time: Vec<String>,
    /// What needs attention, a line each, besides `drift`.
    pub(crate) needs: Vec<String>,
    /// What cameras tried for the first time in the last day.
    pub(crate) newly_tried: Option<String>,
}

impl Report {
    /// The exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match &self.in_force {
            InForce::Sealed { .. } | InForce::NotForwarding { .. } => ExitCode::Sealed,
            InForce::Unsealed { .. } => ExitCode::Unsealed,
            InForce::Applied { .. }
            | InForce::Pending { .. }
            | InForce::LastGood { .. }
            | InForce::Open
            | InForce::Unknown { .. } => ExitCode::of(self.holds),
        }
    }

    /// Whether packets pass as a policy says.
    pub(super) fn is_in_force(&self) -> bool {
        match &self.in_force {
            InForce::Applied { .. } | InForce::Pending { .. } | InForce::LastGood { .. } => true,
            InForce::Sealed { .. }
            | InForce::NotForwarding { .. }
            | InForce::Unsealed { .. }
            | InForce::Open
            | InForce::Unknown { .. } => false,
        }
    }

    /// The name of the state.
    pub(crate) fn state(&self) -> String {
        self.in_force.to_string()
    }

    /// Why the box is in this state, if there is more to say than its name.
    pub(crate) fn why(&self) -> Option<&str> {
        self.in_force.why()
    }
}

/// Compares the kernel with the file or, if the last good policy is in force, with
/// that.
///
/// # Errors
/// Returns the refusal of the file.
pub(crate) fn status(config: &Path) -> Result<Report, Refusal> {
    let mut unread = Vec::new();
    let refusals = hosts::refused(&mut unread);
    let mut report = by_record(config, &refusals, None)?;
    report.presence.unread.splice(0..0, unread.iter().cloned());
    report.needs.extend(unread);
    Ok(report)
}

/// What the tables were found to be, by one policy.
pub(super) struct TablesSeen {
    pub(super) policy: PolicyHash,
    pub(super) differences: Vec<String>,
    /// What other programs have beside them.
    pub(super) others: Vec<String>,
    pub(super) accounting: Accounting,
}

/// The same, by a record of what was refused. Tables that were seen just now are not read
/// again.
pub(super) fn by_record(
    config: &Path,
    refusals: &Refusals,
    seen: Option<TablesSeen>,
) -> Result<Report, Refusal> {
    let record = Record::read();
    let policy = match record.policy() {
        Some(kept) if record.in_force.instead().is_some() => PlannedPolicy::new(kept),
        _ => PlannedPolicy::read(config),
    };
    let mut not_the_file = None;
    let policy = match policy {
        Ok(policy) => Some(policy),
        // Whether the box is closed can be determined without the file.
        Err(_) if record.in_force.is_without_policy() => None,
        Err(refusal) => {
            let kept = record.policy().and_then(|it| PlannedPolicy::new(it).ok());
            let Some(kept) = kept else {
                return Err(refusal);
            };
            not_the_file = Some(planned::unused(config, &refusal));
            Some(kept)
        }
    };
    let mut report = report(config, &record, policy, refusals, seen);
    if let Some(line) = not_the_file {
        report.drift.insert(0, line);
        report.holds = false;
    }
    Ok(report)
}

/// The policy that is in force, if the file is another by now.
fn before_edit(record: &Record, file: Option<&PlannedPolicy>) -> Option<PlannedPolicy> {
    if record.in_force.is_without_policy() {
        return None;
    }
    let kept = record.policy()?;
    let is_other = kept.hash() != file?.snapshot.hash();
    is_other.then(|| PlannedPolicy::new(kept).ok()).flatten()
}

fn report(
    config: &Path,
    record: &Record,
    mut policy: Option<PlannedPolicy>,
    refusals: &Refusals,
    tables: Option<TablesSeen>,
) -> Report {
    let mut drift: Vec<String> = Vec::new();
    let mut notes = Vec::new();
    let mut accounting = None;
    let mut in_force = record.in_force.clone();
    let mut seen = host::is_root().then(|| look(&in_force, policy.as_ref(), tables));
    // What an edited file says and the kernel does not is nobody's tampering.
    if let Some(Ok(by_file)) = &seen
        && !by_file.drift.is_empty()
        && let Some(before) = before_edit(record, policy.as_ref())
    {
        seen = Some(look(&in_force, Some(&before), None));
        if let Some(file) = &policy {
            drift.push(planned::edited(&file.snapshot, &before.snapshot, EDITED));
        }
        policy = Some(before);
    }
    let policy = policy.as_ref();
    match seen {
        Some(Ok(seen)) => {
            drift.extend(seen.drift);
            notes = seen.notes;
            accounting = Some(seen.accounting);
            in_force = seen.in_force;
        }
        Some(Err(error)) => drift.push(format!("cannot tell: {}", with_causes(&error))),
        None => {
            let why = "only root may compare the kernel with it; run it as root";
            drift.push(format!("cannot tell: {why}"));
            in_force = InForce::Unknown { why: None };
        }
    }
    if let Some(why) = in_force.instead() {
        let line = format!("the last good policy is in force, and not the file: {why}");
        drift.insert(0, line);
    }
    let policy_in_force = policy.map(|policy| &policy.plan.policy);
    let presence = policy_in_force.map_or_else(Presence::default, |policy| {
        let counts = accounting.as_ref().map(|it| it.cameras.as_slice());
        hosts::present(policy, counts, refusals)
    });
    let recordable = policy.map_or(Recordable::Nothing, |policy| {
        policy.plan.policy.recordable()
    });
    let now = clock::uptime();
    let seconds = record.at.map(|at| (now - at).max(0.0) as u64);
    let overdue = confirm::overdue_by(record);
    let trial = in_force.trial().filter(|_| overdue.is_none());
    let is_files = matches!(in_force, InForce::Applied { .. } | InForce::Pending { .. });
    let names = policy_in_force.map_or_else(Vec::new, names::report);
    let mail = policy_in_force.map_or_else(MailReport::default, mail::report);
    let mut needs = needs::of(&presence, &names);
    let ways = policy.map_or_else(Vec::new, |policy| ways::report(&policy.plan, &presence));
    needs.extend(ways_need(&ways));
    let asks = mail.words.iter().filter(|_| mail.needs_attention);
    needs.extend(asks.map(|words| format!("mail: {words}")));
    needs.extend(policy_in_force.and_then(|it| hours_trouble(it, clock::now())));
    Report {
        file: config.display().to_string(),
        needs,
        local_time: policy_in_force.map_or_else(Vec::new, |it| told_hours(it, clock::now())),
        newly_tried: policy_in_force.and_then(|policy| newly_tried(policy, refusals, clock::now())),
        refused: policy_in_force.map_or_else(RefusedCounts::default, |policy| {
            refused_counts(policy, refusals)
        }),
        presence,
        ways,
        since: seconds.map(|seconds| clock::now().saturating_sub(seconds)),
        seconds,
        seconds_left: trial.map(|trial| trial.seconds_left(now)),
        holds: is_files && drift.is_empty() && overdue.is_none(),
        overdue,
        recording: match recordable {
            Recordable::Nothing => None,
            Recordable::NotByThisKernel => Some(false),
            Recordable::Some => Some(recorder::is_running()),
        },
        recordable,
        mail: mail.words,
        mail_queue: mail.queue,
        names,
        compared_with: policy
            .filter(|_| !matches!(record.in_force, InForce::Sealed { .. }))
            .map(|policy| policy.snapshot.hash().to_string()),
        drift,
        notes,
        accounting: accounting.unwrap_or_default(),
        in_force,
    }
}

/// The state of the kernel.
struct Seen {
    in_force: InForce,
    drift: Vec<String>,
    notes: Vec<String>,
    accounting: Accounting,
}

/// Checks whether the kernel confirms the recorded state, and what differs.
fn look(
    noted: &InForce,
    policy: Option<&PlannedPolicy>,
    tables: Option<TablesSeen>,
) -> Result<Seen, StepError> {
    let machine = Machine::find()?;
    let plan = policy.map(|policy| &policy.plan);
    let is_sealed = matches!(noted, InForce::Sealed { .. });
    let known = tables.filter(|tables| {
        let hash = policy.map(|policy| policy.snapshot.hash());
        !is_sealed && hash.as_ref() == Some(&tables.policy)
    });
    // All else is read while iptables-save runs.
    let to_read = match known {
        Some(_) => &[],
        None => machine.families.as_slice(),
    };
    let reading = iptables::start_read(to_read);
    let current = match plan.is_some() || is_sealed {
        true => Some(netlink::read()?),
        false => None,
    };
    let network = plan.zip(current.as_ref());
    let mut beside = match network {
        Some((plan, current)) if !is_sealed => beside_tables(&machine, plan, current)?,
        _ => Vec::new(),
    };
    let forwards = match network {
        Some((plan, current)) if noted.is_forwarding() => {
            as_it_forwards(noted.clone(), plan, current)?
        }
        _ => noted.clone(),
    };
    let (mut drift, accounting) = match known {
        Some(tables) => {
            beside.extend(tables.others);
            (tables.differences, tables.accounting)
        }
        None => {
            if plan.is_some() && !is_sealed {
                beside.extend(other_tables::describe(&machine));
            }
            let sealed = Ruleset::sealed();
            let found = reading.finish_expecting(|family| match plan {
                Some(plan) if !is_sealed => plan.rules.get(family),
                _ => &sealed,
            })?;
            let drift = match (plan, &current) {
                (plan, Some(current)) if is_sealed => unsealed(noted, &found, current, plan)?,
                (Some(plan), _) => machine.differences(&found, plan),
                (None, _) => Vec::new(),
            };
            (drift, Machine::counted(&found))
        }
    };
    drift.extend(beside);
    let notes = network.map_or_else(Vec::new, |(plan, current)| notes(plan, current));
    let in_force = match is_sealed && !drift.is_empty() {
        true => noted.unsealed_because("it was closed, and is not any more; camfw seal closes it"),
        false => forwards,
    };
    Ok(Seen {
        in_force,
        drift,
        notes,
        accounting,
    })
}

/// Describes what in a sealed box is not closed.
fn unsealed(
    noted: &InForce,
    found: &[TableSnapshot],
    current: &net::Current,
    plan: Option<&Plan>,
) -> Result<Vec<String>, StepError> {
    let wanted = plan.map(|plan| &plan.network);
    let mut descriptions: Vec<String> = Vec::new();
    if !close::is_down_instead(noted, current, wanted) {
        let sealed = Ruleset::sealed();
        let rules = found
            .iter()
            .flat_map(|found| differences(&sealed, &found.rules));
        descriptions.extend(rules.map(|difference| difference.to_string()));
    }
    let off = sysctl::forwarding_off(&host::sysctl::scopes);
    descriptions.extend(not_so(off)?);
    let bypasses = net::bypasses(current, wanted);
    let open = bypasses.iter().filter(|bypass| bypass.is_up);
    descriptions.extend(open.map(ToString::to_string));
    Ok(descriptions)
}

/// Corrects the recorded state according to whether, and between which zones, forwarding is on.
fn as_it_forwards(
    noted: InForce,
    plan: &Plan,
    current: &net::Current,
) -> Result<InForce, StepError> {
    let problems = net::diff(current, &plan.network).problems;
    let missing = problems.iter().filter(|problem| problem.is_missing_link());
    let missing = missing.map(NetworkError::to_string).collect();
    let noted = noted.enforced(missing);
    // A single interface that does not forward is drift.
    let of_all = |setting: &&sysctl::Setting| !sysctl::is_forwarding_of_one(&setting.key);
    let on = plan.forwarding_on.iter().filter(of_all).cloned().collect();
    Ok(match not_so(on)?.first() {
        Some(line) => noted.not_forwarding(line),
        None => noted,
    })
}

/// Describes each setting that differs from what it should be.
fn not_so(settings: Vec<sysctl::Setting>) -> Result<Vec<String>, StepError> {
    let keys = settings.iter().map(|setting| setting.key.clone());
    let values = host::sysctl::get_all(keys.collect())?;
    let mut descriptions = Vec::new();
    for (setting, value) in settings.iter().zip(values) {
        match value {
            Some(value) if setting.is_met_by(&value) => {}
            None if setting.need == Need::IfPresent => {}
            value => descriptions.push(format!(
                "sysctl {} is {}, not {}{}",
                setting.key,
                value.as_deref().unwrap_or("absent"),
                setting.value,
                match setting.good {
                    sysctl::Good::Same => "",
                    sysctl::Good::SameOrMore => " or more",
                }
            )),
        }
    }
    Ok(descriptions)
}

/// Describes what carries frames of the plan's interfaces past the firewall.
pub(super) fn bypasses(current: &net::Current, plan: &Plan) -> Vec<String> {
    let found = net::bypasses(current, Some(&plan.network));
    let certain = found.iter().filter(|bypass| bypass.is_certain());
    certain.map(ToString::to_string).collect()
}

/// Describes what may carry such frames, or may be harmless.
fn notes(plan: &Plan, current: &net::Current) -> Vec<String> {
    let mut found = net::bypasses(current, Some(&plan.network));
    found.retain(|bypass| !bypass.is_certain());
    found.iter().map(ToString::to_string).collect()
}

/// Describes every difference between the kernel and a plan, but that of tables, camfw's or
/// others'.
fn beside_tables(
    machine: &Machine,
    plan: &Plan,
    current: &net::Current,
) -> Result<Vec<String>, StepError> {
    let mut descriptions = Vec::new();
    let mut settings = machine.settings(plan);
    let after = plan.with_rules.iter().chain(&plan.room);
    let after = after.chain(&plan.ipv6_on);
    settings.extend(after.chain(&plan.forwarding_on).cloned());
    let forwards = sysctl::forwarding(true);
    let is_off = host::sysctl::get(&forwards.key)?.as_ref() != Some(&forwards.value);
    // If forwarding is off for `all`, do not report it for each interface.
    settings.retain(|setting| !(is_off && sysctl::is_forwarding_of_one(&setting.key)));
    descriptions.extend(not_so(settings)?);
    let diff = net::diff(current, &plan.network);
    descriptions.extend(bypasses(current, plan));
    descriptions.extend(lease::refusals(plan));
    descriptions.extend(net::unmanaged(current, &plan.network));
    descriptions.extend(
        diff.changes
            .iter()
            .map(|change| format!("not so: {change}")),
    );
    descriptions.extend(diff.problems.iter().map(ToString::to_string));
    Ok(descriptions)
}
