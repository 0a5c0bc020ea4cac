//! Closes the box: forwarding off first, which takes no program and holds back
//! what passes through, then the tables of each family, whatever the other did.

use std::collections::BTreeSet;

use super::bypass;
use super::error::{CloseError, StepError};
use super::machine::{Machine, insist, write};
use crate::host;
use crate::host::iptables::{Load, Tables};
use crate::ruleset::{Counters, IpFamily, Ruleset, TableName};
use crate::sysctl;

/// Closes the box.
pub(super) fn close() -> Result<(), CloseError> {
    let mut problems: Vec<StepError> = Vec::new();
    for setting in [sysctl::forwarding(false), sysctl::ipv6_forwarding_off()] {
        problems.extend(write(&setting).err());
    }
    let ipv4 = Tables::new(IpFamily::V4).map_err(StepError::from);
    problems.extend(ipv4.and_then(close_tables).err());
    if host::has_ipv6() {
        match Tables::new(IpFamily::V6) {
            Ok(tables) => problems.extend(close_tables(tables).err()),
            Err(error) => {
                log::warn!("{error}: IPv6 is turned off instead");
                for setting in sysctl::ipv6_off() {
                    problems.extend(write(&setting).err());
                }
            }
        }
    }
    problems.extend(bypass::shut().err());
    match problems.is_empty() {
        true => Ok(()),
        false => Err(CloseError { problems }),
    }
}

fn close_tables(tables: Tables) -> Result<(), StepError> {
    let machine = Machine::of(tables);
    let sealed = Ruleset::sealed();
    // Filter first and unseen: a dump that cannot be read must not stop it.
    insist(&[Load {
        tables: &machine.families[0],
        ruleset: &sealed,
        names: vec![TableName::Filter],
        counters: Counters::default(),
        gone: BTreeSet::new(),
        hold: None,
    }])?;
    let found = machine.read()?;
    // What is not sealed now, filter still or another table, is loaded again and
    // held against the kernel.
    machine.load(&found, |_| &sealed).map(drop)
}
