//! `camfw watch`: keeps the box in the state that the policy in force describes.
//!
//! Never applies a file that was merely edited, and does not touch a box that was
//! sealed or opened on purpose. Restores the last good policy when that is overdue.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::enforce::{Enforced, Made, Missing, enforce, enforce_proven};
use super::error::{CommandError, Failure, StepError};
use super::exclusive::{Turn, exclusively, insist_on_root};
use super::machine::Machine;
use super::outcome::{Ending, Outcome};
use super::planned::{self, PlannedPolicy};
use super::record::Record;
use super::recover::recover;
use super::seal_mark::Mark;
use super::shown_page::ShownPage;
use super::sighted::SightingRecord;
use super::state::InForce;
use super::status::TablesSeen;
use super::ways::WaysWatch;
use super::{
    closed, hosts, last_good, lease, local_time, metrics, names, other_tables, recorder, status,
    ways,
};
use crate::error::with_causes;
use crate::host::netlink::NetlinkError;
use crate::host::post::Post;
use crate::host::{clock, netlink};
use crate::net::{self, Current};
use crate::observe::accounting::Accounting;
use crate::observe::refusals::Refusals;
use crate::plan::Plan;
use crate::snapshot::{PolicyHash, RulesHash};

/// Debounces links that flap, and does not retry a failed change at once.
const SETTLE: Duration = Duration::from_millis(200);

/// How often to check whether there is a policy to maintain.
const IDLE: Duration = Duration::from_secs(10);

/// The number of attempts to enforce before forwarding is turned off: a link may disappear
/// between the check and the change.
const ATTEMPTS: usize = 3;

/// Runs until it cannot continue. At each interval, and whenever links, addresses or
/// routes change, reports every difference and, while the rules are the policy's,
/// corrects the network. Reloads rules that differ only if the policy says so. Tells what it
/// found at first, and then whenever that is not the same as before.
pub(crate) fn watch(config: &Path, tell: &mut dyn FnMut(&[String])) -> Ending {
    if let Err(outcome) = insist_on_root() {
        return outcome.into();
    }
    // Both would record each refused packet, and mend what the other did.
    let _post = match Post::take("watch") {
        Ok(None) => return Outcome::Failed(CommandError::WatchRuns).into(),
        Ok(post) => post,
        Err(error) => {
            log::warn!("cannot tell whether camfw watch runs already: {error}");
            None
        }
    };
    let listed = recorder::SharedListedHosts::default();
    let mut sighted = SightingRecord::new();
    let mut file = None;
    // Whom the first packets are from is known, too.
    if let Ok(planned) = PlannedPolicy::in_force(config) {
        recorder::list(&listed, &planned.plan.policy);
        file = planned.plan.policy.watch.metrics;
    }
    // Before any other thread that takes signals.
    let refusals = recorder::start(Arc::clone(&listed), sighted.clone());
    let mut page = ShownPage::default();
    let mut said: Vec<String> = Vec::new();
    let mut is_told = false;
    let mut left_over: Option<Vec<String>> = None;
    let mut proven: Option<ProvenRules> = None;
    let mut before: Option<Plan> = None;
    let mut ways = WaysWatch::default();
    loop {
        let mut look = Look {
            proven: proven.take(),
            before: before.take(),
            ..Look::default()
        };
        match exclusively("watch") {
            Ok(Turn {
                lock,
                mark,
                returned,
            }) => {
                look.reports
                    .extend(returned.map(|ending| ending.to_string()));
                look.take(config, &mark, &mut ways);
                drop(lock);
            }
            Err(outcome) => look.reports.push(outcome.to_string()),
        }
        look.keep_bounds();
        let refused = refusals.snapshot();
        if let Some(plan) = &look.plan {
            recorder::list(&listed, &plan.policy);
            let counts = look.counted.as_ref().map(|it| it.cameras.as_slice());
            let untaken = counts.and_then(|counts| sighted.take(&plan.policy, counts));
            look.reports.extend(untaken);
            file.clone_from(&plan.policy.watch.metrics);
        }
        let problems = look.observe(config, file.as_deref(), &refused);
        look.reports.extend(problems);
        drop(refused);
        let policy = look.plan.as_ref().or(look.before.as_ref());
        page.keep(config, policy.map(|plan| &plan.policy));
        // Do not repeat a report that has not changed.
        for line in look.reports.iter().filter(|line| !said.contains(line)) {
            log::warn!("watch: {line}");
        }
        if look.reports.is_empty() && !said.is_empty() {
            log::info!("watch: everything is as the policy says");
        }
        if !is_told || look.reports != said {
            tell(&look.reports);
            is_told = true;
        }
        said = look.reports;
        proven = look.proven;
        (look.counted, look.tables) = (None, None);
        let seen = look.plan.as_ref().and_then(|plan| {
            let current = netlink::read().ok()?;
            Some(differences(&current, plan))
        });
        // Something may have changed between the check and now. Differences that remain
        // after a check wait for the next interval.
        let left = seen.as_ref().is_some_and(|seen| !seen.is_empty());
        if left && seen != left_over {
            left_over = seen;
            before = look.plan.or(look.before);
            clock::sleep(SETTLE);
            continue;
        }
        left_over.clone_from(&seen);
        let plan = look.plan.map(Plan::at_rest);
        let interval = plan
            .as_ref()
            .map_or(IDLE, |plan| plan.policy.watch.interval);
        if let Err(error) = wait(until_deadline(interval), plan.as_ref(), &seen, &mut ways) {
            return Outcome::Failed(error.into()).into();
        }
        before = plan.or(look.before);
        clock::sleep(SETTLE);
    }
}

/// Waits until the network differs from the policy otherwise than `seen`, or the time is
/// up. Meanwhile keeps closed connections within the bounds.
fn wait(
    patience: Duration,
    plan: Option<&Plan>,
    seen: &Option<Vec<String>>,
    ways: &mut WaysWatch,
) -> Result<(), NetlinkError> {
    let several = plan.filter(|plan| !plan.network.ways.is_empty());
    let bounded = plan.filter(|plan| closed::is_due(plan));
    let mut left = patience;
    loop {
        let turn = bounded.map_or(left, |_| left.min(closed::EVERY));
        let turn = several.map_or(turn, |_| turn.min(ways::EVERY));
        let changed = netlink::wait(turn, |current| {
            let now = plan.map(|plan| differences(current, plan));
            now != *seen
        })?;
        left -= turn;
        if changed || left.is_zero() || several.is_some_and(|plan| ways.is_changed(plan)) {
            return Ok(());
        }
        if let Some(Err(error)) = bounded.map(closed::end_past_bounds) {
            // The next look tells it.
            log::debug!("watch: {}", with_causes(&error));
        }
    }
}

/// The interval, or less if a trial's deadline comes first.
fn until_deadline(interval: Duration) -> Duration {
    let in_force = Record::read().in_force;
    let Some(trial) = in_force.trial() else {
        return interval;
    };
    let left = Duration::from_secs(trial.seconds_left(clock::uptime()));
    // One second later, so that the waiters go first.
    interval.min(left + Duration::from_secs(1))
}

/// Describes how the network differs from the policy.
fn differences(current: &Current, plan: &Plan) -> Vec<String> {
    let mut descriptions = status::bypasses(current, plan);
    descriptions.extend(net::unmanaged(current, &plan.network));
    let diff = net::diff(current, &plan.network);
    descriptions.extend(diff.changes.iter().map(ToString::to_string));
    descriptions.extend(diff.problems.iter().map(ToString::to_string));
    // One that comes needs its settings, also where nothing else has to be changed.
    let absent = diff.absent.iter();
    descriptions.extend(absent.map(|name| format!("interface {name} is not there")));
    // A way out that loses or gets its carrier is looked at, though nothing else changes.
    let ways = plan.network.ways.iter();
    descriptions.extend(ways.filter_map(|way| {
        let trouble = way.trouble(current)?;
        Some(format!("way out {}: {trouble}", way.zone))
    }));
    descriptions
}

/// One check of the box.
#[derive(Default)]
struct Look {
    /// The lines to report.
    reports: Vec<String>,
    /// The plan to compare the box with; None if there is nothing to maintain.
    plan: Option<Plan>,
    /// The plan of the check before.
    before: Option<Plan>,
    /// The rules proven at an earlier check.
    proven: Option<ProvenRules>,
    /// Whether a grace period of former addresses has ended, so that the rules change.
    expired: bool,
    /// Whether local time was computed anew, so that the rules change.
    is_new_season: bool,
    /// What the kernel has counted; None if it was not read.
    counted: Option<Accounting>,
    /// What its tables are; None if that was not read, or they were loaded since.
    tables: Option<TablesSeen>,
}

/// Rules that were proven to implement a policy.
#[derive(PartialEq)]
struct ProvenRules {
    policy: PolicyHash,
    rules: RulesHash,
}

impl ProvenRules {
    fn new(policy: &PlannedPolicy) -> ProvenRules {
        ProvenRules {
            policy: policy.snapshot.hash(),
            rules: RulesHash::new(&policy.plan.rules),
        }
    }
}

impl Look {
    fn take(&mut self, config: &Path, mark: &Mark, ways: &mut WaysWatch) {
        let record = Record::read();
        if record.in_force.is_without_policy() {
            let state = &record.in_force;
            let line = format!("the box is {state}, and left so; camfw apply brings a policy in");
            self.reports.push(line);
            self.before = None;
            return;
        }
        let expired = names::expire();
        self.expired = expired.any;
        self.reports.extend(expired.unkept);
        let policy = match record.policy() {
            Some(kept) => {
                self.reports.extend(planned::edited_since(config, &kept));
                PlannedPolicy::new(kept)
            }
            None => PlannedPolicy::read(config),
        };
        match policy {
            Ok(mut policy) => {
                let renewed = policy.renew().err();
                self.reports.extend(renewed.iter().map(ToString::to_string));
                self.is_new_season = !local_time::is_kept(&policy.plan.policy);
                self.reports
                    .extend(ways::failed(ways.settle(&mut policy.plan)));
                if let Err(error) = self.keep(&record, &policy, mark) {
                    self.reports.push(with_causes(&error));
                }
                self.reports
                    .extend(ways::failed(ways.end_left(&policy.plan)));
                self.plan = Some(policy.plan);
            }
            Err(refusal) => self.reports.push(refusal.to_string()),
        }
    }

    /// Keeps closed connections within the bounds: also while the file is no policy, or
    /// another command has the lock.
    fn keep_bounds(&mut self) {
        if let Some(plan) = self.plan.as_ref().or(self.before.as_ref()) {
            let ended = closed::end_past_bounds(plan);
            let failed = ended.err().map(|error| with_causes(&error));
            self.reports.extend(failed);
        }
    }

    /// Finds out who is there, once: for the metrics too, of a box that was closed as well.
    /// Returns what is to be told.
    fn observe(&mut self, config: &Path, file: Option<&str>, refused: &Refusals) -> Vec<String> {
        let mut reports = Vec::new();
        let mut presence = None;
        if let Some(file) = file {
            match status::by_record(config, refused, self.tables.take()) {
                Ok(report) => {
                    reports.extend(metrics::write(&report, file));
                    presence = Some(report.presence);
                }
                Err(refusal) => reports.push(refusal.to_string()),
            }
        }
        let Some(plan) = &self.plan else {
            return reports;
        };
        let counts = self.counted.as_ref().map(|it| it.cameras.as_slice());
        let presence = presence.unwrap_or_else(|| hosts::present(&plan.policy, counts, refused));
        let problems = presence.problems.into_iter();
        reports.extend(problems.map(|problem| problem.text));
        reports
    }

    fn keep(
        &mut self,
        record: &Record,
        policy: &PlannedPolicy,
        mark: &Mark,
    ) -> Result<(), StepError> {
        let plan = &policy.plan;
        let machine = Machine::find()?;
        let found = machine.read_expecting(plan)?;
        let rules = machine.differences(&found, plan);
        let accounting = Machine::counted(&found);
        self.counted = Some(accounting.clone());
        drop(found);
        let others = other_tables::describe(&machine);
        self.tables = Some(TablesSeen {
            policy: policy.snapshot.hash(),
            differences: rules.clone(),
            others: others.clone(),
            accounting,
        });
        self.reports.extend(others);
        // If nothing is known to be in force, there is nothing to restore.
        let restores = plan.policy.watch.restore || self.changes_rules();
        let restores = restores && record.in_force.policy().is_some();
        if !rules.is_empty() && !restores {
            self.reports.extend(rules);
            let line = "the rules are not the policy's; camfw apply brings them in";
            self.reports.push(line.into());
            return Ok(());
        }
        for line in rules.iter().filter(|_| !self.changes_rules()) {
            log::warn!("watch: {line}");
        }
        if let Ok(current) = netlink::read() {
            self.reports.extend(status::bypasses(&current, plan));
            self.reports.extend(lease::refusals(plan));
            self.reports.extend(net::unmanaged(&current, &plan.network));
        }
        let enforced = self.enforce(policy, mark);
        // They are other ones now.
        let is_table = |made: &Made| matches!(made, Made::Table(..));
        self.tables
            .take_if(|_| !matches!(&enforced, Ok(it) if !it.made.iter().any(is_table)));
        match enforced {
            Ok(enforced) => {
                for made in &enforced.made {
                    match made {
                        Made::Setting(_) => log::warn!("watch: mended: {made}"),
                        Made::Table(..) => {}
                        Made::Network(_) | Made::DhcpClient(_) => log::info!("watch: {made}"),
                    }
                }
                if self.expired {
                    log::info!("watch: addresses that names had are no longer connected to");
                }
                if self.is_new_season {
                    log::info!("watch: the rules are those of the coming seasons");
                } else if !rules.is_empty() && !self.expired {
                    log::warn!("watch: restored: the rules are the policy's again");
                }
                self.note(record, policy, enforced, mark);
            }
            Err(failure) => {
                let ending = recover(plan, record.in_force.clone(), failure, mark);
                self.reports.push(ending.to_string());
            }
        }
        Ok(())
    }

    /// Whether this look changes the rules, though nobody changed the policy.
    fn changes_rules(&self) -> bool {
        self.expired || self.is_new_season
    }

    /// Enforces the plan. Rules proven at the last check are not proven again.
    fn enforce(&mut self, policy: &PlannedPolicy, mark: &Mark) -> Result<Enforced, Failure> {
        let rules = ProvenRules::new(policy);
        let mut attempt = 1;
        loop {
            let enforced = match self.proven.as_ref() == Some(&rules) {
                true => enforce_proven(&policy.plan, Missing::Tolerate, mark),
                false => enforce(&policy.plan, Missing::Tolerate, mark),
            };
            match enforced {
                Err(Failure::Network(error)) if attempt < ATTEMPTS => {
                    log::debug!("watch: tries again: {}", with_causes(&error));
                    clock::sleep(SETTLE);
                    attempt += 1;
                }
                Err(failure) => return Err(failure),
                Ok(enforced) => {
                    self.proven = Some(rules);
                    return Ok(enforced);
                }
            }
        }
    }

    fn note(&mut self, record: &Record, policy: &PlannedPolicy, enforced: Enforced, mark: &Mark) {
        self.reports.extend(enforced.undone);
        self.reports.extend(enforced.missing.iter().cloned());
        let in_force = record.in_force.clone().enforced(enforced.missing);
        let is_confirmed = matches!(in_force, InForce::Applied { .. });
        if in_force != record.in_force {
            let written = mark.settle(&in_force);
            self.reports
                .extend(written.err().map(|error| with_causes(&error)));
        }
        if is_confirmed {
            // The boot may have run before the disk was writable.
            self.reports.extend(last_good::keep(policy));
        }
    }
}
