//! Rules of other programs that see the same packets, in words.

use super::error::StepError;
use super::machine::Machine;
use crate::host::others::{self, OtherTable, OtherTables};

/// Describes rules of other programs that see the same packets.
pub(super) fn describe(machine: &Machine) -> Vec<String> {
    let program = machine
        .families
        .first()
        .map_or("iptables", |ipv4| ipv4.program());
    let OtherTables { tables, unread } = others::find(program);
    let descriptions = tables.into_iter().map(|table| {
        let OtherTable {
            of, name, chains, ..
        } = &table;
        let chains = chains.join(", ");
        let rules = match table.rules {
            1 => "1 rule".to_owned(),
            rules => format!("{rules} rules"),
        };
        match table.is_shared {
            true => format!(
                "{of}: table {name} has what iptables does not show as it is: {rules}, chains {chains}; look at it with nft list table {name}, and delete it there"
            ),
            false => format!(
                "{of}: table {name} sees the same packets: {rules}, chains {chains}; remove it, or what loads it"
            ),
        }
    });
    let unread = unread.into_iter().map(|what| {
        format!("tables that may see the same packets cannot be read: {what}; look at them with nft list ruleset and iptables-legacy-save")
    });
    descriptions.chain(unread).collect()
}

/// The same for whoever asks about the rules that the kernel holds.
///
/// # Errors
/// Returns an error if iptables is not found.
pub(crate) fn beside_live_rules() -> Result<Vec<String>, StepError> {
    Ok(describe(&Machine::find()?))
}
