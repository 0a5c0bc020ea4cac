//! `camfw report`: gathers what the page says, by the policy in force; changes nothing.

use std::path::Path;

use super::names;
use super::planned::PlannedPolicy;
use super::recorder;
use super::status::{self, Report};
use crate::error::with_causes;
use crate::family::Families;
use crate::field::plural;
use crate::host::clock;
use crate::netfilter::Ruleset;
use crate::observe::wanted;
use crate::page::{self, PageFacts};
use crate::plan::Plan;
use crate::prove::{self, MatrixEnds, MatrixQuestion, NamedMatrix};
use crate::snapshot::PolicyHash;
use crate::source::Refusal;

/// What only a change of the policy changes, and takes long to find out.
pub(super) struct ProvenFacts {
    policy: PolicyHash,
    rules: Families<Ruleset>,
    matrices: Vec<Option<NamedMatrix>>,
    claims: Vec<(bool, String)>,
}

impl ProvenFacts {
    fn new(policy: PolicyHash, plan: &Plan) -> ProvenFacts {
        let ends = MatrixEnds::Policy(&plan.policy);
        let families = plan.policy.families();
        let about = MatrixQuestion {
            names_family: families.len() > 1,
            ..MatrixQuestion::default()
        };
        let matrices = families
            .iter()
            .map(|family| prove::named_matrix(plan.rules.get(*family), *family, ends, &about));
        let claims = prove::claims(&plan.policy, &plan.rules).into_iter();
        ProvenFacts {
            policy,
            rules: plan.rules.clone(),
            matrices: matrices.collect(),
            claims: claims
                .map(|claim| {
                    let text = claim.to_string();
                    let says = text.strip_prefix("holds: ").unwrap_or(&text);
                    (claim.answer.holds(), says.to_owned())
                })
                .collect(),
        }
    }

    fn is_of(&self, policy: &PolicyHash, plan: &Plan) -> bool {
        self.policy == *policy && self.rules == plan.rules
    }
}

/// The page, as it is now.
///
/// # Errors
/// Returns the refusal of the file.
pub(crate) fn report(config: &Path) -> Result<String, Refusal> {
    report_again(config, &mut None)
}

/// The same, without proving again what has not changed.
///
/// # Errors
/// Returns the refusal of the file.
pub(super) fn report_again(
    config: &Path,
    known: &mut Option<ProvenFacts>,
) -> Result<String, Refusal> {
    let status: Report = status::status(config)?;
    let planned = PlannedPolicy::in_force(config)?;
    let policy = &planned.plan.policy;
    let hash = planned.snapshot.hash();
    if !known
        .as_ref()
        .is_some_and(|it| it.is_of(&hash, &planned.plan))
    {
        *known = Some(ProvenFacts::new(hash, &planned.plan));
    }
    let (refusals, problems) = recorder::read();
    let hosts = wanted::blocked(&refusals.all(), policy, &names::known(), 0, None);
    let mut notes: Vec<String> = problems.iter().map(|it| with_causes(it)).collect();
    notes.extend(status.notes.iter().cloned());
    let mut drift = status.drift.clone();
    // Where no policy is in force all of it differs.
    if status.in_force.policy().is_none() && drift.len() > status::MOST_DIFFERENCES {
        let more = drift.split_off(status::MOST_DIFFERENCES).len();
        let plural = plural(more as u64);
        drift.push(format!(
            "and {more} more difference{plural}: camfw status --all"
        ));
    }
    drift.extend(status.overdue.clone());
    if status.recording == Some(false) {
        drift.push("what is refused is not recorded: camfw watch does not run, or this kernel has no NFLOG".to_owned());
    }
    let files = planned.snapshot.source.files().iter();
    let files: Vec<(String, String)> = files
        .filter(|_| policy.page.is_none_or(|page| page.policy))
        .map(|file| {
            let name = file.name.rsplit('/').next().unwrap_or(&file.name);
            (name.to_owned(), file.text.clone())
        })
        .collect();
    let state = status.state();
    let proven = known.as_ref();
    Ok(page::report(&PageFacts {
        now: clock::now(),
        state: &state,
        why: status.why(),
        since: status.since,
        holds: status.holds,
        in_force: status.is_in_force(),
        policy: status.compared_with.as_deref(),
        drift: &drift,
        notes: &notes,
        needs: &status.needs,
        presence: &status.presence,
        ways: &status.ways,
        blocked: &hosts,
        days: refusals.days(),
        accounting: &status.accounting,
        matrices: proven.map_or(&[], |it| it.matrices.as_slice()),
        claims: proven.map_or(&[], |it| it.claims.as_slice()),
        mail: status.mail_queue.as_ref(),
        files: &files,
    }))
}
