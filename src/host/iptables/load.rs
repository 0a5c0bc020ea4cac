//! Loads tables: one iptables-restore per family, atomically per table.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::process::{self, ProcessError, Running};
use super::{Tables, TablesError};
use crate::name::ChainName;
use crate::netfilter::{Counters, Ruleset, TableName};

/// The additional time limit per line of rules, with a margin for slow machines.
const LIMIT_PER_LINE: Duration = Duration::from_millis(20);

pub(super) fn limit(text: &str) -> Duration {
    let lines = u32::try_from(text.lines().count()).unwrap_or(u32::MAX);
    process::SHORT + LIMIT_PER_LINE.saturating_mul(lines)
}

pub(super) enum Loading {
    Restore(Running, String),
    Done,
}

impl Loading {
    fn finish(self) -> Result<(), TablesError> {
        let Loading::Restore(running, text) = self else {
            return Ok(());
        };
        match running.finish(limit(&text)) {
            Ok(_) => Ok(()),
            Err(error) => Err(match named_line(&error, &text) {
                // The legacy tools name COMMIT whatever the error is.
                Some(line) if line != "COMMIT" => TablesError::Line { error, line },
                _ => error.into(),
            }),
        }
    }
}

/// The text for `--noflush`: empties each table first, and deletes the `gone` chains.
///
/// Without `--noflush`, iptables-nft-restore deletes and recreates the table, and the
/// kernel unhooks the old chains before it gives the new ones their policy
/// (nf_tables_commit in net/netfilter/nf_tables_api.c): for a moment, packets that no
/// rule drops are let through. The same happens with `-X` for all chains, after which
/// iptables-nft-restore recreates the existing built-in chains: their policy is ACCEPT
/// until the same commit reaches the desired one.
pub(super) fn in_place(mut text: String, gone: &BTreeSet<(TableName, ChainName)>) -> String {
    // What is added is short, so that it is put into the text, which may be long.
    let mut at = 0;
    let mut left: Vec<&ChainName> = Vec::new();
    while let Some(length) = text[at..].find('\n') {
        let line = &text[at..at + length];
        let mut added = String::new();
        let is_table = line.strip_prefix('*');
        if let Some(table) = is_table {
            let of_it = gone.iter().filter(|(name, _)| name.as_str() == table);
            left = of_it.map(|(_, chain)| chain).collect();
            added.push_str("-F\n");
        } else if !line.starts_with(':') {
            for chain in left.drain(..) {
                // Declared first, so that it is no error if another program has removed
                // it.
                added += &format!(":{chain} - [0:0]\n-X {chain}\n");
            }
        }
        let place = match is_table {
            Some(_) => at + length + 1,
            None => at,
        };
        at += length + 1 + added.len();
        // Each time the rest of the text is moved.
        if !added.is_empty() {
            text.insert_str(place, &added);
        }
    }
    text
}

/// The line that iptables-restore names, as `line 12 failed` or `line: 12`.
fn named_line(error: &ProcessError, text: &str) -> Option<String> {
    let ProcessError::Failed { message, .. } = error else {
        return None;
    };
    let after = message.split("line").nth(1)?.trim_start_matches([':', ' ']);
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    let number: usize = digits.parse().ok()?;
    text.lines().nth(number.checked_sub(1)?).map(str::to_owned)
}

/// A load of one family's tables.
pub struct Load<'a> {
    /// The tables to load into.
    pub tables: &'a Tables,
    /// The ruleset to load.
    pub ruleset: &'a Ruleset,
    /// Which of its tables to load, in this order; the others stay unchanged.
    pub names: Vec<TableName>,
    /// The initial counters of the rules.
    pub counters: Counters,
    /// Existing chains to delete.
    pub gone: BTreeSet<(TableName, ChainName)>,
    /// An interim filter table, loaded before everything else.
    pub hold: Option<Ruleset>,
}

impl Load<'_> {
    /// Adds the existing chains that the ruleset does not have to those to delete.
    pub fn takes_out(&mut self, found: &Ruleset) {
        let names = |ruleset: &Ruleset| -> BTreeSet<(TableName, ChainName)> {
            let tables = ruleset
                .tables()
                .filter(|(name, _)| self.names.contains(name));
            tables
                .flat_map(|(name, table)| {
                    let user = table.chains.iter().filter(move |chain| {
                        let chain = chain.name.as_str();
                        // nft's chain without a name goes with the rule that jumps to it, and by
                        // itself cannot be deleted (nft_trans_chain_bind in nf_tables_api.c).
                        !name.builtin_chains().contains(&chain) && !chain.starts_with("__chain")
                    });
                    user.map(move |chain| (name, chain.name.clone()))
                })
                .collect()
        };
        let wanted = names(self.ruleset);
        let unwanted = names(found)
            .into_iter()
            .filter(|chain| !wanted.contains(chain));
        self.gone.extend(unwanted);
    }
}

/// Performs all loads at the same time. Waits for every program, so that none is still
/// running when this returns. Returns what became of each load.
pub fn load(loads: &[Load<'_>]) -> Vec<Result<(), TablesError>> {
    let started: Vec<_> = loads
        .iter()
        .map(|load| load.tables.start_load(load))
        .collect();
    let finished = started.into_iter();
    finished
        .map(|loading| loading.and_then(Loading::finish))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_takes_out_chains_by_name_and_never_all() -> Result<(), Box<dyn std::error::Error>> {
        let text = "*raw\n:PREROUTING ACCEPT [0:0]\n:a - [0:0]\n-A a -j DROP\nCOMMIT\n\
                    *filter\n:INPUT DROP [0:0]\nCOMMIT\n";
        let chain = |table, name| ChainName::try_from(name).map(|chain| (table, chain));
        let gone = BTreeSet::from([
            chain(TableName::Raw, "b")?,
            chain(TableName::Filter, "c")?,
            chain(TableName::Filter, "d")?,
        ]);
        let expected = "*raw\n-F\n:PREROUTING ACCEPT [0:0]\n:a - [0:0]\n:b - [0:0]\n-X b\n\
                        -A a -j DROP\nCOMMIT\n\
                        *filter\n-F\n:INPUT DROP [0:0]\n:c - [0:0]\n-X c\n:d - [0:0]\n-X d\nCOMMIT\n";
        assert_eq!(in_place(text.to_owned(), &gone), expected);
        Ok(())
    }
}
