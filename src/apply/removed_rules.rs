//! Rules of other programs that a load would remove: chains and rules that belong
//! neither to the policy in force nor to the one being loaded.

use super::error::StepError;
use super::machine::Machine;
use super::planned::PlannedPolicy;
use super::record::Record;
use super::state::InForce;
use crate::family::IpFamily;
use crate::host::iptables::TableSnapshot;
use crate::netfilter::{Difference, Ruleset, TableName, differences};
use crate::plan::Plan;

/// A chain that the filter table of every policy has and no other program creates.
const OUR_CHAIN: &str = "invalid";

/// Describes the chains and rules of other programs that are not in the plan; `before`
/// is what was in force. If
/// camfw's own rules are loaded but their policy is unknown, they cannot be told from
/// other programs' rules, and the result is empty.
pub(super) fn rules_to_remove(
    machine: &Machine,
    found: &[TableSnapshot],
    plan: &Plan,
    before: &Record,
) -> Vec<String> {
    let families = machine.families.iter().zip(found);
    let by_new: Vec<(IpFamily, &Ruleset, Vec<Difference>)> = families
        .map(|(tables, found)| {
            let family = tables.family();
            let rules = &found.rules;
            (family, rules, unexpected(plan.rules.get(family), rules))
        })
        .filter(|(_, _, differences)| !differences.is_empty())
        .collect();
    if by_new.is_empty() {
        return Vec::new();
    }
    let before = before.policy();
    let before = before.and_then(|kept| PlannedPolicy::new(kept).ok());
    let mut descriptions = Vec::new();
    for (family, found, mut differences) in by_new {
        match &before {
            Some(before) => {
                let by_old = unexpected(before.plan.rules.get(family), found);
                differences.retain(|difference| by_old.contains(difference));
            }
            None if has_our_chain(found) => differences.clear(),
            None => {}
        }
        let lines = differences.iter().map(|it| format!("{family}: {it}"));
        descriptions.extend(lines);
    }
    descriptions
}

/// Refuses the first load on a box where other programs have rules, unless `replace` is
/// set.
pub(super) fn insist_on_replace(
    removed_rules: &[String],
    replace: bool,
    before: &InForce,
) -> Result<(), StepError> {
    let is_first = matches!(before, InForce::Unknown { .. } | InForce::Open);
    match is_first && !replace && !removed_rules.is_empty() {
        true => Err(StepError::OthersRules(removed_rules.to_vec())),
        false => Ok(()),
    }
}

fn unexpected(wanted: &Ruleset, found: &Ruleset) -> Vec<Difference> {
    let mut differences = differences(wanted, found);
    differences.retain(Difference::is_unexpected);
    differences
}

fn has_our_chain(found: &Ruleset) -> bool {
    found.table(TableName::Filter).chain(OUR_CHAIN).is_some()
}
