//! Brings the kernel's tables and settings to the state of a plan and reads them back.
//!
//! Owns how they are loaded and written; the caller decides how to recover from a
//! failure.

use std::collections::BTreeSet;
use std::time::Duration;

use super::error::StepError;
use super::revoke;
use crate::error::with_causes;
use crate::family::{Families, IpFamily};
use crate::host;
use crate::host::clock::sleep;
use crate::host::iptables::{self, Load, TableSnapshot, Tables};
use crate::netfilter::{
    Counters, Difference, Ruleset, TableName, differences, interim_filter, interpret,
};
use crate::observe::accounting::Accounting;
use crate::plan::Plan;
use crate::plan::sysctl::{self, Setting};

/// How often rules are reloaded that read back different because another program
/// changed them in between.
const ATTEMPTS: usize = 10;

/// How often a load is retried that another program blocked.
const ATTEMPTS_IN_THE_WAY: usize = 4;

/// The tables of this machine that camfw can control.
pub(super) struct Machine {
    pub(super) families: Vec<Tables>,
    /// The kernel has IPv6 but it cannot be filtered, so it is disabled.
    ipv6_off: bool,
}

impl Machine {
    pub(super) fn find() -> Result<Machine, StepError> {
        let mut families = vec![Tables::new(IpFamily::V4)?];
        let ipv6 = match Tables::new(IpFamily::V6) {
            _ if !host::has_ipv6() => None,
            Ok(tables) => Some(tables),
            Err(error) => {
                log::warn!("{}: IPv6 is turned off instead", with_causes(&error));
                None
            }
        };
        let ipv6_off = ipv6.is_none() && host::has_ipv6();
        families.extend(ipv6);
        Ok(Machine { families, ipv6_off })
    }

    /// Only the tables of these families.
    pub(super) fn of(families: Vec<Tables>) -> Machine {
        Machine {
            families,
            ipv6_off: false,
        }
    }

    pub(super) fn has(&self, family: IpFamily) -> bool {
        self.families.iter().any(|tables| tables.family() == family)
    }

    pub(super) fn read(&self) -> Result<Vec<TableSnapshot>, StepError> {
        Ok(iptables::start_read(&self.families).finish()?)
    }

    /// The same, of a machine on which this plan is most likely in force.
    pub(super) fn read_expecting(&self, plan: &Plan) -> Result<Vec<TableSnapshot>, StepError> {
        let reading = iptables::start_read(&self.families);
        Ok(reading.finish_expecting(|family| plan.rules.get(family))?)
    }

    /// Loads the tables that differ from the desired state and reads them back. Returns
    /// which tables were loaded.
    pub(super) fn load<'w>(
        &self,
        found: &[TableSnapshot],
        wanted: impl Fn(IpFamily) -> &'w Ruleset,
    ) -> Result<Vec<(IpFamily, TableName)>, StepError> {
        let families = self.families.iter().zip(found);
        let mut loads: Vec<Load<'_>> = families
            .filter_map(|(tables, found)| load(tables, wanted(tables.family()), found))
            .collect();
        if !loads.is_empty() {
            revoke::due();
        }
        let mut loaded = Vec::new();
        let mut attempt = 1;
        loop {
            for load in &loads {
                let family = load.tables.family();
                let names = load.names.iter().map(|name| (family, *name));
                let new: Vec<_> = names.filter(|name| !loaded.contains(name)).collect();
                loaded.extend(new);
            }
            insist(&loads).into_iter().collect::<Result<(), _>>()?;
            match read_back(&mut loads) {
                // Another program changed the tables in between: their lock covers one
                // program run at a time.
                Err(StepError::NotHeld { difference, .. }) if attempt < ATTEMPTS => {
                    log::debug!("loads again: {difference}");
                    sleep(Duration::from_millis(5) * u32::try_from(attempt).unwrap_or(1));
                    attempt += 1;
                }
                result => return result.map(|()| loaded),
            }
        }
    }

    /// The tables that differ from the plan.
    pub(super) fn to_load(
        &self,
        found: &[TableSnapshot],
        plan: &Plan,
    ) -> Vec<(IpFamily, TableName)> {
        let mut names = Vec::new();
        for (tables, found) in self.families.iter().zip(found) {
            let family = tables.family();
            let differing = in_turn(plan.rules.get(family), &found.rules);
            names.extend(differing.into_iter().map(|name| (family, name)));
        }
        names
    }

    /// What was counted, by the tables that were found.
    pub(super) fn counted(found: &[TableSnapshot]) -> Accounting {
        let counters: Vec<Counters> = found.iter().map(TableSnapshot::counters).collect();
        Accounting::of(found.iter().map(|found| &found.rules).zip(&counters))
    }

    /// Describes every difference between the tables and the plan.
    pub(super) fn differences(&self, found: &[TableSnapshot], plan: &Plan) -> Vec<String> {
        let mut descriptions = Vec::new();
        for (tables, found) in self.families.iter().zip(found) {
            let family = tables.family();
            let lines = differences(plan.rules.get(family), &found.rules);
            let matters = |name: &&TableName| lines.iter().any(|line| line.table == **name);
            descriptions.extend(found.dormant.iter().filter(matters).map(|name| {
                let name = name.as_str();
                format!("{family}: table {name} is dormant: none of its rules is in force")
            }));
            descriptions.extend(lines.iter().map(|line| format!("{family}: {line}")));
        }
        descriptions
    }

    pub(super) fn keep_settings(&self, plan: &Plan) -> Result<(), StepError> {
        Ok(host::sysctl::set_all(self.settings(plan)).1?)
    }

    /// The settings that differ from the plan, including those that are absent.
    pub(super) fn differing_settings(&self, plan: &Plan) -> Result<Vec<Setting>, StepError> {
        let settings = self.settings(plan);
        let keys = settings.iter().map(|setting| setting.key.clone());
        let values = host::sysctl::get_all(keys.collect())?;
        let mut differing = Vec::new();
        for (setting, value) in settings.into_iter().zip(values) {
            if !value.is_some_and(|value| setting.is_met_by(&value)) {
                differing.push(setting);
            }
        }
        Ok(differing)
    }

    pub(super) fn settings(&self, plan: &Plan) -> Vec<Setting> {
        let mut settings = plan.sysctls.clone();
        if self.ipv6_off {
            settings.extend(sysctl::ipv6_off());
        }
        settings
    }
}

/// Loads the tables at the same time, and retries a load that another program was in the
/// way of. Retries come one family after the other: iptables-nft-restore can fail when the
/// other family's rules change while it runs. Returns what became of each load.
pub(super) fn insist(loads: &[Load<'_>]) -> Vec<Result<(), StepError>> {
    let mut results = iptables::load(loads);
    for _ in 1..ATTEMPTS_IN_THE_WAY {
        for (load, result) in loads.iter().zip(&mut results) {
            match result {
                Err(error) if error.may_pass() => {
                    log::debug!("loads again: {}", with_causes(error));
                    *result = iptables::load(std::slice::from_ref(load))
                        .into_iter()
                        .collect();
                }
                _ => {}
            }
        }
    }
    let results = results.into_iter();
    results.map(|result| Ok(result?)).collect()
}

/// The load that brings one family to the desired state; None if it is there already.
fn load<'a>(tables: &'a Tables, wanted: &'a Ruleset, found: &TableSnapshot) -> Option<Load<'a>> {
    let names = in_turn(wanted, &found.rules);
    let between = match names.len() {
        0 => return None,
        1 => None,
        _ => interim_filter(&found.rules, wanted),
    };
    let mut load = Load {
        tables,
        ruleset: wanted,
        names,
        counters: found.counters().carried(&found.rules, wanted),
        gone: BTreeSet::new(),
        hold: between,
    };
    load.takes_out(&found.rules);
    Some(load)
}

/// Reads back what was loaded and compares it. A load whose family differs becomes the
/// load of what differs now: another program may have changed any table, also one that was
/// as it should be.
fn read_back(loads: &mut [Load<'_>]) -> Result<(), StepError> {
    let dumps = iptables::start_read(loads.iter().map(|load| load.tables)).dumps()?;
    for (to_load, dump) in loads.iter_mut().zip(dumps) {
        if dump.agrees(to_load.ruleset) {
            continue;
        }
        let found = dump.read()?;
        let (tables, wanted) = (to_load.tables, to_load.ruleset);
        let difference: Option<Difference> = differences(wanted, &found.rules).into_iter().next();
        if let Some(difference) = difference {
            if let Some(again) = load(tables, wanted, &found) {
                *to_load = again;
            }
            return Err(StepError::NotHeld {
                family: tables.family(),
                difference,
            });
        }
    }
    Ok(())
}

/// The tables that differ, in the order in which they are loaded.
fn in_turn(wanted: &Ruleset, found: &Ruleset) -> Vec<TableName> {
    let mut names: Vec<TableName> = differences(wanted, found)
        .iter()
        .map(|difference| difference.table)
        .collect();
    names.dedup();
    if names.len() > 1 {
        // While the tables change, only what both the old and the new filter table let
        // through passes; so the new filter table is loaded last.
        names.retain(|name| *name != TableName::Filter);
        names.push(TableName::Filter);
    }
    names
}

/// The kernel's current rules, as far as their effect matters; empty for a family that
/// the kernel lacks.
///
/// # Errors
/// Returns an error if the rules cannot be read.
pub(crate) fn live_rules() -> Result<Families<Ruleset>, StepError> {
    let machine = Machine::find()?;
    let mut rules = Families::default();
    for (tables, found) in machine.families.iter().zip(machine.read()?) {
        found.insist_on_whole(tables)?;
        *rules.get_mut(tables.family()) = interpret(found.rules);
    }
    Ok(rules)
}
