//! The flags `--live`, `--rules` and `--networks`: the kernel's rules, other rules, and
//! the networks behind their interfaces.

use super::args::Given;
use super::error::{CliError, UsageError};
use super::flag::Flag;
use crate::apply;
use crate::family::IpFamily;
use crate::host::config_file::Purpose;
use crate::host::text_file;
use crate::netfilter::{Ruleset, family_of_dump, read};
use crate::plan::Plan;
use crate::prove::{self, InterfaceNetworks, StrayInterfaces};

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

/// What a dump says.
pub(super) struct Dump {
    file: String,
    /// Its rules.
    pub(super) rules: Ruleset,
    /// Their family; IPv4 if the dump does not tell.
    pub(super) family: IpFamily,
    /// Whether it tells.
    pub(super) tells: bool,
}

impl Dump {
    /// That its family is a guess, if it is.
    pub(super) fn taken_for(&self) -> Option<String> {
        (!self.tells).then(|| taken_for(&self.file, self.family))
    }

    /// What is not asked about interfaces, since the rules or the networks do not have them.
    ///
    /// # Errors
    /// They have none in common, so that the networks say nothing about the rules.
    pub(super) fn strays(
        &self,
        networks: &str,
        behind: &[InterfaceNetworks],
    ) -> Result<Vec<String>, CliError> {
        let file = self.file.clone();
        let StrayInterfaces {
            of_rules,
            of_networks,
            none_shared,
        } = prove::stray_interfaces(&self.rules, behind);
        if none_shared {
            return Err(CliError::NoSharedInterface {
                file,
                networks: networks.to_owned(),
                named: list(&of_rules),
            });
        }
        let mut notes = Vec::new();
        if !of_rules.is_empty() {
            notes.push(format!(
                "nothing is asked about {}, which {file} names: {networks} has no line for it",
                list(&of_rules)
            ));
        }
        if !of_networks.is_empty() {
            notes.push(format!(
                "{file} names {} of {networks} in no rule",
                list(&of_networks)
            ));
        }
        Ok(notes)
    }
}

/// That the family of a dump is a guess.
pub(super) fn taken_for(file: &str, family: IpFamily) -> String {
    format!(
        "{file}: taken for {family}: nothing in it says which; keep the first line that iptables-save or ip6tables-save prints"
    )
}

/// Names with commas between; of very many the first.
fn list(names: &[String]) -> String {
    const MOST: usize = 12;
    match names.len().checked_sub(MOST) {
        Some(more @ 1..) => format!("{} and {more} more", names[..MOST].join(", ")),
        _ => names.join(", "),
    }
}

/// Reads a dump.
pub(super) fn dump(path: &str) -> Result<Dump, CliError> {
    dump_of(path, &text_file::read(path)?)
}

/// The same as [`dump`], for a text that was read before.
pub(super) fn dump_of(path: &str, text: &str) -> Result<Dump, CliError> {
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
    match family_of_dump(text) {
        Ok(family) => Ok(Dump {
            file,
            rules,
            family: family.unwrap_or(IpFamily::V4),
            tells: family.is_some(),
        }),
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
