//! The kernel's tables and settings, brought to what a plan wants and read back.
//!
//! Owns how they are loaded and written; decides nothing about what becomes of
//! the box when that fails.

use std::collections::BTreeSet;
use std::time::Duration;

use super::error::StepError;
use super::revoke;
use crate::error::with_causes;
use crate::family::{Families, IpFamily};
use crate::host;
use crate::host::clock::sleep;
use crate::host::iptables::{self, Load, Pace, TableSnapshot, Tables};
use crate::netfilter::{Difference, Ruleset, TableName, differences, interim_filter, interpret};
use crate::plan::Plan;
use crate::plan::sysctl::{self, Setting};

/// How often rules are loaded again that came back different because another
/// program changed them in between.
const ATTEMPTS: usize = 10;

/// How often they are loaded again when another program was in the way.
const ATTEMPTS_IN_THE_WAY: usize = 4;

/// The tables that this machine lets us have.
pub(super) struct Machine {
    pub(super) families: Vec<Tables>,
    /// IPv6 is there and cannot be filtered, so it is turned off.
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

    /// One family alone.
    pub(super) fn of(tables: Tables) -> Machine {
        Machine {
            families: vec![tables],
            ipv6_off: false,
        }
    }

    pub(super) fn has(&self, family: IpFamily) -> bool {
        self.families.iter().any(|tables| tables.family() == family)
    }

    pub(super) fn read(&self) -> Result<Vec<TableSnapshot>, StepError> {
        Ok(iptables::start_read(&self.families).finish()?)
    }

    /// Loads the tables in which what was found differs from what is wanted, and
    /// reads them back; which.
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
        let mut attempt = 1;
        loop {
            insist(&loads)?;
            match read_back(&mut loads) {
                // Somebody else's rules came in between: the lock of the tables
                // is held for each program alone.
                Err(StepError::NotHeld { difference, .. }) if attempt < ATTEMPTS => {
                    log::debug!("loads again: {difference}");
                    sleep(Duration::from_millis(5) * u32::try_from(attempt).unwrap_or(1));
                    attempt += 1;
                }
                result => {
                    result?;
                    let loaded = loads.iter().flat_map(|load| {
                        let family = load.tables.family();
                        load.names.iter().map(move |name| (family, *name))
                    });
                    return Ok(loaded.collect());
                }
            }
        }
    }

    /// Every difference between the tables and what is wanted of them, in words.
    pub(super) fn differences(&self, found: &[TableSnapshot], plan: &Plan) -> Vec<String> {
        let mut told = Vec::new();
        for (tables, found) in self.families.iter().zip(found) {
            let family = tables.family();
            let lines = differences(plan.rules.get(family), &found.rules);
            told.extend(lines.iter().map(|line| format!("{family}: {line}")));
        }
        told
    }

    pub(super) fn keep_settings(&self, plan: &Plan) -> Result<(), StepError> {
        self.settings(plan)
            .iter()
            .try_for_each(|setting| write(setting).map(drop))
    }

    /// The settings that are not as the plan wants them, absent ones included.
    pub(super) fn differing_settings(&self, plan: &Plan) -> Result<Vec<Setting>, StepError> {
        let mut settings = self.settings(plan);
        let mut failed = None;
        settings.retain(|setting| match host::sysctl::get(&setting.key) {
            Ok(value) => !value.is_some_and(|value| setting.is_met_by(&value)),
            Err(error) => {
                failed.get_or_insert(error);
                false
            }
        });
        match failed {
            None => Ok(settings),
            Some(error) => Err(error.into()),
        }
    }

    pub(super) fn settings(&self, plan: &Plan) -> Vec<Setting> {
        let mut settings = plan.sysctls.clone();
        if self.ipv6_off {
            settings.extend(sysctl::ipv6_off());
        }
        settings
    }
}

/// Loads, and again where another program was in the way; from the second time
/// on one family after the other: iptables-nft-restore does not always find its
/// way when the other family's rules change under it.
pub(super) fn insist(loads: &[Load<'_>]) -> Result<(), StepError> {
    let mut pace = Pace::Together;
    for _ in 1..ATTEMPTS_IN_THE_WAY {
        match iptables::load(loads, pace) {
            Err(error) if error.may_pass() => log::debug!("loads again: {}", with_causes(&error)),
            result => return Ok(result?),
        }
        pace = Pace::InTurn;
    }
    Ok(iptables::load(loads, pace)?)
}

/// What brings one family there; None if nothing does.
fn load<'a>(tables: &'a Tables, wanted: &'a Ruleset, found: &TableSnapshot) -> Option<Load<'a>> {
    let mut names = differing(wanted, &found.rules);
    let mut between = None;
    if names.len() > 1 {
        // What both let through passes while the tables change, and nothing
        // else; what is wanted of filter comes last then.
        between = Some(interim_filter(&found.rules, wanted));
        names.retain(|name| *name != TableName::Filter);
        names.push(TableName::Filter);
    }
    if names.is_empty() {
        return None;
    }
    let mut load = Load {
        tables,
        ruleset: wanted,
        names,
        counters: found.counters.carried(&found.rules, wanted),
        gone: BTreeSet::new(),
        hold: between,
    };
    load.takes_out(&found.rules);
    Some(load)
}

/// Reads back what was loaded, and compares. A chain that came in between goes with
/// the next load.
fn read_back(loads: &mut [Load<'_>]) -> Result<(), StepError> {
    let dumps = iptables::start_read(loads.iter().map(|load| load.tables)).dumps()?;
    for (load, dump) in loads.iter_mut().zip(dumps) {
        if dump.agrees(load.ruleset) {
            continue;
        }
        let found = dump.read()?.rules;
        let difference: Option<Difference> = differences(load.ruleset, &found).into_iter().next();
        if let Some(difference) = difference {
            load.takes_out(&found);
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

/// Writes a setting that is not so; whether it was written.
pub(super) fn write(setting: &Setting) -> Result<bool, StepError> {
    Ok(host::sysctl::set(setting)?)
}

/// The rules that the kernel holds, for what they mean; none of a family that it
/// does not have.
///
/// # Errors
/// Why they cannot be read.
pub(crate) fn live_rules() -> Result<Families<Ruleset>, StepError> {
    let machine = Machine::find()?;
    let mut rules = Families::default();
    for (tables, found) in machine.families.iter().zip(machine.read()?) {
        *rules.get_mut(tables.family()) = interpret(found.rules);
    }
    Ok(rules)
}
