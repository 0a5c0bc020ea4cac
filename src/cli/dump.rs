//! What `--live`, `--rules` and `--networks` name: the kernel's rules or anyone's,
//! and what is behind their interfaces.

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

/// The rules that the kernel holds.
pub(super) const LIVE: Flag = Flag::switch("live", "of the rules that the kernel holds");

/// Anyone's rules.
pub(super) const RULES: Flag = Flag::valued(
    "rules",
    "DUMP",
    "of anyone's rules, as iptables-save prints them",
);

/// What is behind the interfaces of those.
pub(super) const NETWORKS: Flag = Flag::valued(
    "networks",
    "FILE",
    "what is behind each interface of DUMP, one a line: eth1 192.168.8.0/24",
);

/// The file's plan, with the kernel's rules in place of its own if they are asked for.
pub(super) fn plan(given: &Given) -> Result<Plan, CliError> {
    let mut plan = apply::read_plan(&given.config(), Purpose::Ask)?;
    if given.has(&LIVE) {
        plan.rules = apply::live_rules().map_err(CliError::LiveRules)?;
    }
    Ok(plan)
}

/// Anyone's rules, and their family.
pub(super) fn dump(path: &str) -> Result<(Ruleset, IpFamily), CliError> {
    dump_of(path, &text_file::read(path)?)
}

/// The same of a text that was read already.
pub(super) fn dump_of(path: &str, text: &str) -> Result<(Ruleset, IpFamily), CliError> {
    let file = path.to_owned();
    let rules = match read(text) {
        Ok(rules) => rules,
        Err(source) => return Err(CliError::Dump { file, source }),
    };
    // A kernel without tables accepts everything, and so would this.
    if rules.tables().next().is_none() {
        return Err(CliError::NoTable(file));
    }
    match prove::family_of_dump(&rules, named_family(text)) {
        Ok(family) => Ok((rules, family)),
        Err(problem) => Err(CliError::DumpFamily { file, problem }),
    }
}

/// What is behind the interfaces, as a file says it, if one is given.
pub(super) fn networks(given: &Given) -> Result<Option<Vec<InterfaceNetworks>>, CliError> {
    let Some(file) = given.file(&NETWORKS) else {
        return Ok(None);
    };
    match prove::networks(&text_file::read(&file)?) {
        Ok(behind) => Ok(Some(behind)),
        Err(error) => Err(CliError::Networks { file, error }),
    }
}

/// The same where nothing can be said without.
pub(super) fn needed_networks(given: &Given) -> Result<Vec<InterfaceNetworks>, CliError> {
    let without = UsageError::Together(
        "--rules needs --networks FILE, which says what is behind each interface: eth1 192.168.8.0/24",
    );
    Ok(networks(given)?.ok_or(without)?)
}

/// What in some rules was not known, a line each.
pub(super) fn unknown<'r>(rules: impl IntoIterator<Item = (IpFamily, &'r Ruleset)>) -> String {
    let mut text = String::new();
    for (family, ruleset) in rules {
        for (what, rules) in prove::unknown(ruleset, family) {
            text += &format!(
                "judged both ways, since it depends on more than the packet or is not known: {what} (rules: {rules})\n"
            );
        }
    }
    text
}
