//! Any text as iptables-save's: what is read of it is written as it was read.

#![no_main]

use camfw::netfilter::{TableName, parse, restore_text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(ruleset) = parse(text) else {
        return;
    };
    let tables: Vec<TableName> = ruleset.tables().map(|(name, _)| name).collect();
    let written = restore_text(&ruleset, &tables);
    match parse(&written) {
        Ok(again) => assert_eq!(restore_text(&again, &tables), written),
        Err(error) => panic!("{error} in\n{written}"),
    }
});
