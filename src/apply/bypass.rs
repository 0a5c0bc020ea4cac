//! What carries frames past the firewall: refused before anything is changed,
//! and shut when the box is closed.

use super::error::StepError;
use super::planned::PlannedPolicy;
use super::record::Record;
use crate::host::netlink;
use crate::net::{self, Bypass, Current, Wanted};

/// Refuses to go on where frames of the plan's interfaces pass by its rules.
pub fn check(current: &Current, wanted: &Wanted) -> Result<(), StepError> {
    let mut found = net::bypasses(current, Some(wanted));
    found.retain(Bypass::is_certain);
    if found.is_empty() {
        Ok(())
    } else {
        Err(StepError::Bypassed(found))
    }
}

/// Makes a sealed box closed on layer 2 too: the links whose frames would go by
/// the tables go down. Looks at the interfaces of the policy that was in force;
/// where none is kept, at every device.
pub fn shut() -> Result<(), StepError> {
    let wanted = Record::noted()
        .policy()
        .and_then(|kept| PlannedPolicy::new(kept).ok());
    let find = |current: &Current| -> Vec<Bypass> {
        let wanted = wanted.as_ref().map(|policy| &policy.plan.network);
        let mut found = net::bypasses(current, wanted);
        found.retain(|bypass| bypass.is_up);
        found
    };
    // Whether nftables answers is no reason to leave open what is seen without.
    let without = find(&netlink::read_without_hooks()?);
    shut_these(&without)?;
    let found = find(&netlink::read()?);
    shut_these(&found)?;
    if found.is_empty() {
        return Ok(());
    }
    let left = find(&netlink::read()?);
    if left.is_empty() {
        Ok(())
    } else {
        Err(StepError::Bypassed(left))
    }
}

/// The same for what was found already.
pub fn shut_these(found: &[Bypass]) -> Result<(), StepError> {
    for bypass in found {
        log::warn!("set down, since the box is sealed: {bypass}");
    }
    let mut links: Vec<String> = found.iter().map(|bypass| bypass.link.clone()).collect();
    links.sort_unstable();
    links.dedup();
    Ok(netlink::set_down(&links)?)
}
