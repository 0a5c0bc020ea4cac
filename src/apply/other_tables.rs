//! Rules of other programs that see the same packets, in words.

use super::machine::Machine;
use crate::host::others;

/// Describes rules of other programs that see the same packets.
pub(super) fn describe(machine: &Machine) -> Vec<String> {
    let program = machine
        .families
        .first()
        .map_or("iptables", |ipv4| ipv4.program());
    let tables = others::find(program).into_iter();
    let descriptions = tables.map(|table| {
        format!(
            "{}: table {} sees the same packets: {}, chains {}; remove it, or what loads it",
            table.of,
            table.name,
            match table.rules {
                1 => "1 rule".to_owned(),
                rules => format!("{rules} rules"),
            },
            table.chains.join(", ")
        )
    });
    descriptions.collect()
}
