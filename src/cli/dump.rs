//! The flags `--live`, `--rules` and `--networks`: the kernel's rules, other rules, and
//! the networks behind their interfaces.

use super::args::Given;
use super::error::{CliError, UsageError};
use super::flag::Flag;
use crate::apply;
use crate::family::IpFamily;
use crate::host::config_file::Purpose;
use crate::host::text_file;
use crate::netfilter::{Ruleset, named_family, read};
use crate::plan::Plan;
use crate::prove::{self, InterfaceNetworks};

/// Selects the kernel's current rules.
pub(super) const LIVE: Flag = Flag::switch("live", "of the rules that the kernel holds");

/// Selects rules from a dump.
pub(super) const RULES: Flag = Flag::valued(
    "rules",
    "DUMP",
    "of anyone's rules, as iptables-save prints them",
);

/// The networks behind the interfaces of the rules.
pub(super) const NETWORKS: Flag = Flag::valued(
    "networks",
    "FILE",
    "what is behind each interface of DUMP, one a line: eth1 192.168.8.0/24",
);

/// The plan of the file; its rules are replaced with the kernel's if `--live` is given.
pub(super) fn plan(given: &Given) -> Result<Plan, CliError> {
    let mut plan = apply::read_plan(&given.config(), Purpose::Ask)?;
    if given.has(&LIVE) {
        plan.rules = apply::live_rules().map_err(CliError::LiveRules)?;
    }
    Ok(plan)
}

/// Reads a dump: its rules and their family.
pub(super) fn dump(path: &str) -> Result<(Ruleset, IpFamily), CliError> {
    dump_of(path, &text_file::read(path)?)
}

/// The same as [`dump`], for a text that was read before.
pub(super) fn dump_of(path: &str, text: &str) -> Result<(Ruleset, IpFamily), CliError> {
    let file = path.to_owned();
    let rules = match read(text) {
        Ok(rules) => rules,
        Err(source) => return Err(CliError::Dump { file, source }),
    };
    // An empty dump would count as accepting everything, as a kernel without tables
    // does.
    if rules.tables().next().is_none() {
        return Err(CliError::NoTable(file));
    }
    match prove::family_of_dump(&rules, named_family(text)) {
        Ok(family) => Ok((rules, family)),
        Err(problem) => Err(CliError::DumpFamily { file, problem }),
    }
}

/// The networks behind the interfaces, if `--networks` is given.
pub(super) fn networks(given: &Given) -> Result<Option<Vec<InterfaceNetworks>>, CliError> {
    let Some(file) = given.file(&NETWORKS) else {
        return Ok(None);
    };
    match prove::networks(&text_file::read(&file)?) {
        Ok(behind) => Ok(Some(behind)),
        Err(error) => Err(CliError::Networks { file, error }),
    }
}

/// The same as [`networks`], but an error if they are not given.
pub(super) fn needed_networks(given: &Given) -> Result<Vec<InterfaceNetworks>, CliError> {
    let without = UsageError::Together(
        "--rules needs --networks FILE, which says what is behind each interface: eth1 192.168.8.0/24",
    );
    Ok(networks(given)?.ok_or(without)?)
}
