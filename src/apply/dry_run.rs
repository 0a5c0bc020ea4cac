//! `camfw apply --dry-run`: what an apply would change, without changing it.
//!
//! Looks at what `enforce` looks at before its first change, in the same order, and refuses
//! what it refuses. Whether this kernel has what the rules need is tried by an apply alone,
//! since trying it loads modules and creates links for a moment.

use std::path::Path;

use super::enforce::{Made, insist_on_links};
use super::error::{CommandError, StepError};
use super::exclusive::insist_on_root;
use super::kernel_support::insist_on_locked_ports;
use super::machine::Machine;
use super::network_programs::check_network_programs;
use super::outcome::{Ending, Outcome};
use super::planned::PlannedPolicy;
use super::record::Record;
use super::{bypass, removed_rules};
use crate::family::IpFamily;
use crate::host::{self, dhcp, iptables, netlink};
use crate::net;
use crate::plan::Plan;
use crate::plan::sysctl::{Need, Setting};
use crate::prove;

/// What an apply of the file would do, in its order; or why it would be refused.
pub(crate) fn dry_run(config: &Path, replace: bool) -> Ending {
    if let Err(outcome) = insist_on_root() {
        return outcome.into();
    }
    let policy = match PlannedPolicy::read(config)
        .and_then(PlannedPolicy::with_good_mail)
        .and_then(PlannedPolicy::in_season)
    {
        Ok(policy) => policy,
        Err(refusal) => return Outcome::Refused(refusal.into()).into(),
    };
    match would_change(&policy.plan, replace) {
        Ok((changes, removed)) => {
            Ending::from(Outcome::WouldApply { changes }).with_removed_rules(removed)
        }
        Err(error) if error.is_refusal() => {
            Outcome::Refused(CommandError::NothingChanged(error)).into()
        }
        Err(error) => Outcome::Failed(CommandError::NothingChanged(error)).into(),
    }
}

/// Each change, and the rules of other programs that would be taken away.
fn would_change(plan: &Plan, replace: bool) -> Result<(Vec<String>, Vec<String>), StepError> {
    check_network_programs(plan)?;
    if let Some(why) = prove::broken(&plan.policy, &plan.rules) {
        return Err(StepError::NotProven(why));
    }
    let machine = Machine::find()?;
    if plan.network.ipv6 && !machine.has(IpFamily::V6) {
        return Err(StepError::NoIpv6);
    }
    let reading = iptables::start_read(&machine.families);
    let restricting = differing(&machine.settings(plan));
    let network = netlink::read();
    let found = reading.finish_expecting(|family| plan.rules.get(family))?;
    let (mut changes, network) = (restricting?, network?);
    insist_on_locked_ports(plan)?;
    bypass::check(&network, &plan.network)?;
    let record = Record::noted();
    let removed = removed_rules::rules_to_remove(&machine, &found, plan, &record);
    insist_on_links(&network, plan)?;
    removed_rules::insist_on_replace(&removed, replace, &record.in_force)?;

    let tables = machine.to_load(&found, plan);
    let has_tables = !tables.is_empty();
    let tables = tables.into_iter();
    changes.extend(tables.map(|(family, name)| Made::Table(family, name).to_string()));
    changes.extend(machine.differences(&found, plan));
    let with_rules = plan.with_rules.iter().chain(&plan.room);
    changes.extend(differing(with_rules)?);
    if has_tables {
        changes.push("connections that the policy forbids are ended".into());
    }
    let diff = net::diff(&network, &plan.network);
    changes.extend(diff.changes.iter().map(ToString::to_string));
    changes.extend(differing(&plan.ipv6_on)?);
    let by_dhcp = plan.network.links.iter().filter(|link| link.by_dhcp());
    let unasked = by_dhcp.filter(|link| !dhcp::is_asking(link.name.as_str()));
    changes.extend(unasked.map(|link| Made::DhcpClient(link.name.to_string()).to_string()));
    changes.extend(differing(&plan.forwarding_on)?);
    let hosts = plan.policy.hosts.iter();
    changes.extend(hosts.map(|host| format!("host {host}: looked up, and what follows from it")));
    Ok((changes, removed))
}

/// Those of the settings that the kernel has otherwise.
fn differing<'s>(wanted: impl IntoIterator<Item = &'s Setting>) -> Result<Vec<String>, StepError> {
    let wanted: Vec<Setting> = wanted.into_iter().cloned().collect();
    let keys = wanted.iter().map(|setting| setting.key.clone());
    let values = host::sysctl::get_all(keys.collect())?;
    let differing = wanted.into_iter().zip(values).filter(|(setting, value)| {
        // One that the kernel lacks is not written, or fails the apply.
        let found = value.as_ref();
        found.map_or(setting.need == Need::Required, |found| {
            !setting.is_met_by(found)
        })
    });
    let made = differing.map(|(setting, _)| Made::Setting(setting).to_string());
    Ok(made.collect())
}
