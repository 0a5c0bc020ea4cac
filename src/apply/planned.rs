//! A resolved policy together with its plan.
//!
//! Owns where a policy comes from: the configuration file or a stored snapshot.

use std::path::Path;

use super::record::Record;
use super::{local_time, names, once_offered, unrecordable, ways};
use crate::config::Config;
use crate::host::clock;
use crate::host::config_file::{self, Purpose};
use crate::local_time::LocalTimes;
use crate::plan::Plan;
use crate::policy::Answers;
use crate::snapshot::PolicySnapshot;
use crate::source::{Refusal, Refused, Source};

/// A policy and its plan.
#[derive(Debug, Clone)]
pub(super) struct PlannedPolicy {
    pub(super) snapshot: PolicySnapshot,
    pub(super) plan: Plan,
}

impl PlannedPolicy {
    /// Reads the configuration file, to load it.
    pub(super) fn read(config: &Path) -> Result<PlannedPolicy, Refusal> {
        PlannedPolicy::read_for(config, Purpose::Load)
    }

    fn read_for(config: &Path, purpose: Purpose) -> Result<PlannedPolicy, Refusal> {
        let snapshot = PolicySnapshot {
            source: with_lists(config_file::read(config, purpose)?, purpose)?,
        };
        PlannedPolicy::at(snapshot, &|zone| local_time::in_force(zone, purpose))
    }

    /// From a stored policy, with the stored addresses of its host names and the local time
    /// of the rules in force.
    pub(super) fn new(snapshot: PolicySnapshot) -> Result<PlannedPolicy, Refusal> {
        PlannedPolicy::at(snapshot, &|zone| local_time::in_force(zone, Purpose::Load))
    }

    /// The same policy, by the local time as it is computed now if that in force ends before
    /// long or is another one. The zone's data have to be there in any case: a boot reads
    /// them.
    pub(super) fn in_season(mut self) -> Result<PlannedPolicy, Refusal> {
        self.renew()?;
        Ok(self)
    }

    /// The same, in place; it stays as it is if the data are not there.
    pub(super) fn renew(&mut self) -> Result<(), Refusal> {
        let Some(known) = &self.plan.policy.local_time else {
            return Ok(());
        };
        let computed = |zone: &str| local_time::computed(zone, Purpose::Load);
        if !computed(&known.zone).is_ok_and(|new| !known.is_due(&new, clock::now())) {
            *self = PlannedPolicy::at(self.snapshot.clone(), &computed)?;
        }
        Ok(())
    }

    fn at(snapshot: PolicySnapshot, times: LocalTimes<'_>) -> Result<PlannedPolicy, Refusal> {
        let once_offered = once_offered::known();
        let mut plan = crate::plan_with_past(
            &snapshot.source,
            &names::known(),
            &once_offered,
            !unrecordable::is_known(),
            times,
        )?;
        ways::set_aside(&mut plan.network);
        Ok(PlannedPolicy { snapshot, plan })
    }

    /// The policy, if its `[mail]` is good.
    pub(super) fn with_good_mail(self) -> Result<PlannedPolicy, Refusal> {
        match &self.plan.policy.mail {
            Err(refusal) => Err(refusal.clone()),
            Ok(_) => Ok(self),
        }
    }

    /// The policy in force if it is stored, else the file's: a command that maintains
    /// the box must not apply a file that was merely edited.
    pub(super) fn in_force(config: &Path) -> Result<PlannedPolicy, Refusal> {
        match Record::read().policy() {
            Some(snapshot) => PlannedPolicy::new(snapshot),
            None => PlannedPolicy::read(config),
        }
    }
}

/// What is told of the file, or lists alone, if they are a good policy and another one than this.
/// The plan of one takes most of a look's memory and time, so that of the same text is not made
/// a second time.
pub(super) fn edited_since(config: &Path, kept: &PolicySnapshot) -> Option<String> {
    let purpose = Purpose::Load;
    let read = config_file::read(config, purpose);
    let source = read.and_then(|source| with_lists(source, purpose)).ok()?;
    let snapshot = PolicySnapshot { source };
    let is_other = snapshot.hash() != kept.hash() && PlannedPolicy::new(snapshot.clone()).is_ok();
    is_other.then(|| edited(&snapshot, kept, "the file is not what is in force"))
}

/// The configuration with the lists that it names.
fn with_lists(mut source: Source, purpose: Purpose) -> Result<Source, Refusal> {
    // Most name none, and are not parsed for that.
    if !source.files().iter().any(|file| file.text.contains("@/")) {
        return Ok(source);
    }
    let config = Config::parse(&source)?;
    let mut refused = Refused::default();
    let mut left = config_file::MAX_LIST_BYTES;
    for (path, named) in config.list_paths() {
        let list = config_file::read_list(Path::new(path), purpose, left);
        let named = source.pointer(named);
        let list = list.map_err(|refusal| refusal.with(&format!("the list is named at {named}")));
        if let Some(text) = refused.note(list) {
            left = left.saturating_sub(text.len() as u64);
            source = source.with_list(path, text);
        }
    }
    refused.or(source)
}

/// What is told where the files, or lists alone, are not what is in force. `files` says it of
/// files.
pub(super) fn edited(now: &PolicySnapshot, in_force: &PolicySnapshot, files: &str) -> String {
    let lists = now.lists_unlike(in_force);
    match lists.is_empty() {
        true => format!("{files}; camfw apply brings it in"),
        false => format!(
            "edited since it was applied: {}; camfw apply brings it in",
            lists.join(", ")
        ),
    }
}

/// What is told of a file that cannot be read, or is refused, while its policy is in force.
pub(super) fn unused(config: &Path, refusal: &Refusal) -> String {
    let what = match config_file::is_gone(config) {
        true => format!("the file is gone: {}", config.display()),
        false => format!("the file is refused: {refusal}"),
    };
    format!("{what}; the policy in force stays, and a boot takes the last good one")
}

/// Reads the configuration file and derives its plan; `[mail]` has to be good too.
///
/// # Errors
/// Returns the first refusal, with its position in the file.
pub(crate) fn read_plan(config: &Path, purpose: Purpose) -> Result<Plan, Refusal> {
    let policy = PlannedPolicy::read_for(config, purpose)?.with_good_mail()?;
    match &policy.plan.policy.local_time {
        Some(known) if local_time::computed(&known.zone, purpose).is_err() => {
            // A boot reads the data.
            plan_of(&policy.snapshot.source, purpose)
        }
        _ => Ok(policy.plan),
    }
}

/// Derives the plan of a configuration that was read from somewhere else than a file, and of
/// the lists that it names.
///
/// # Errors
/// Returns the first refusal, with its position in the text.
pub(crate) fn plan_of_text(name: &str, text: String, purpose: Purpose) -> Result<Plan, Refusal> {
    plan_of(&with_lists(Source::new(name, text), purpose)?, purpose)
}

fn plan_of(source: &Source, purpose: Purpose) -> Result<Plan, Refusal> {
    crate::plan_at(source, &Answers::new(), &|zone| {
        local_time::computed(zone, purpose)
    })
}
