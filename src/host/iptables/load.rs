//! Loading tables: one iptables-restore a family, atomic.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::process::{self, ProcessError, Running};
use super::{Tables, TablesError};
use crate::name::ChainName;
use crate::netfilter::{Counters, Ruleset, TableName};

/// What a line of rules may take beside what reading may, with room for a slow machine.
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
                // The legacy tools name COMMIT whatever is wrong.
                Some(line) if line != "COMMIT" => TablesError::Line { error, line },
                _ => error.into(),
            }),
        }
    }
}

/// The same text with each table emptied first, for `--noflush`, and these chains
/// taken out. Without that option iptables-nft-restore deletes the table and makes
/// it anew, and then the kernel takes the old chains off their hooks before it gives
/// the new ones their policy (nf_tables_commit in net/netfilter/nf_tables_api.c): for
/// a moment what no rule drops is let through. So it is with `-X` for all chains,
/// after which iptables-nft-restore makes the built-in ones anew over those that are
/// there: their policy is ACCEPT until the same commit comes to the one that is wanted.
pub(super) fn in_place(text: &str, gone: &BTreeSet<(TableName, ChainName)>) -> String {
    let mut made = String::with_capacity(text.len());
    let mut left: Vec<&ChainName> = Vec::new();
    for line in text.lines() {
        if let Some(table) = line.strip_prefix('*') {
            let of_it = gone.iter().filter(|(name, _)| name.as_str() == table);
            left = of_it.map(|(_, chain)| chain).collect();
            made += &format!("{line}\n-F\n");
            continue;
        }
        if !line.starts_with(':') {
            for chain in left.drain(..) {
                // Declared first: one that somebody else took out is no error then.
                made += &format!(":{chain} - [0:0]\n-X {chain}\n");
            }
        }
        made += line;
        made.push('\n');
    }
    made
}

/// The line that iptables-restore names: `line 12 failed`, `line: 12`.
fn named_line(error: &ProcessError, text: &str) -> Option<String> {
    let ProcessError::Failed { message, .. } = error else {
        return None;
    };
    let after = message.split("line").nth(1)?.trim_start_matches([':', ' ']);
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    let number: usize = digits.parse().ok()?;
    text.lines().nth(number.checked_sub(1)?).map(str::to_owned)
}

/// What to load into one family's tables.
pub struct Load<'a> {
    /// Where.
    pub tables: &'a Tables,
    /// What.
    pub ruleset: &'a Ruleset,
    /// Which of its tables, in this order; the others stay as they are.
    pub names: Vec<TableName>,
    /// What its rules begin to count from.
    pub counters: Counters,
    /// The chains that are there and not wanted.
    pub gone: BTreeSet<(TableName, ChainName)>,
    /// A filter table to be loaded before all of them.
    pub hold: Option<Ruleset>,
}

impl Load<'_> {
    /// Takes out, too, the chains that were found and are not wanted.
    pub fn takes_out(&mut self, found: &Ruleset) {
        let names = |ruleset: &Ruleset| -> BTreeSet<(TableName, ChainName)> {
            let tables = ruleset
                .tables()
                .filter(|(name, _)| self.names.contains(name));
            tables
                .flat_map(|(name, table)| {
                    let user = table
                        .chains
                        .iter()
                        .filter(move |chain| !name.builtin_chains().contains(&chain.name.as_str()));
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

/// How several families are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// At the same time.
    Together,
    /// One after the other.
    InTurn,
}

/// Loads each. All programs are waited for, so that none is still at work when
/// this returns.
///
/// # Errors
/// The first that failed.
pub fn load(loads: &[Load<'_>], pace: Pace) -> Result<(), TablesError> {
    if pace == Pace::InTurn {
        return loads
            .iter()
            .try_for_each(|load| load.tables.start_load(load)?.finish());
    }
    let started: Vec<_> = loads
        .iter()
        .map(|load| load.tables.start_load(load))
        .collect();
    let finished: Vec<_> = started
        .into_iter()
        .map(|loading| loading.and_then(Loading::finish))
        .collect();
    finished.into_iter().collect()
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
        assert_eq!(in_place(text, &gone), expected);
        Ok(())
    }
}
