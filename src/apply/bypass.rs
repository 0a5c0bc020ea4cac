//! Devices and filters that carry frames past the firewall. An apply refuses to start
//! while there are any; closing the box shuts them down.

use super::error::StepError;
use crate::host::netlink;
use crate::net::{self, Bypass, Current, Wanted};

/// Refuses a plan if frames of its interfaces bypass the rules, and would still do so then.
pub fn check(current: &Current, wanted: &Wanted) -> Result<(), StepError> {
    let mut found = net::bypasses(current, Some(wanted));
    found.retain(|bypass| bypass.is_certain() && !bypass.is_ended);
    if found.is_empty() {
        Ok(())
    } else {
        Err(StepError::Bypassed(found))
    }
}

/// Closes a sealed box on layer 2 too: sets the links down whose frames would bypass
/// the tables. Checks the interfaces of `wanted`, the policy that was in force, or, if none
/// is stored, all devices. Returns the network as it is since.
pub fn shut(wanted: Option<&Wanted>) -> Result<Current, StepError> {
    let find = |current: &Current| -> Vec<Bypass> {
        let mut found = net::bypasses(current, wanted);
        found.retain(|bypass| bypass.is_up);
        found
    };
    // If nftables does not answer, still shut down what can be found without it.
    let without_hooks = netlink::read_without_hooks()?;
    let found = find(&without_hooks);
    shut_these(&found)?;
    let current = match found.is_empty() {
        true => netlink::with_hooks(without_hooks)?,
        false => netlink::read()?,
    };
    let found = find(&current);
    shut_these(&found)?;
    if found.is_empty() {
        return Ok(current);
    }
    let current = netlink::read()?;
    let left = find(&current);
    if left.is_empty() {
        Ok(current)
    } else {
        Err(StepError::Bypassed(left))
    }
}

/// Sets down the links of bypasses that were found before.
pub fn shut_these(found: &[Bypass]) -> Result<(), StepError> {
    for bypass in found {
        log::warn!("set down, since the box is sealed: {bypass}");
    }
    let mut links: Vec<String> = found.iter().map(|bypass| bypass.link.clone()).collect();
    links.sort_unstable();
    links.dedup();
    Ok(netlink::set_down(&links)?)
}
