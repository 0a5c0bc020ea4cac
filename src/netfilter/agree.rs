//! Checks, by text alone, whether a dump is exactly that of a ruleset. After a load it
//! nearly always is, and this is faster than parsing the dump into rules.

use std::collections::HashMap;

use super::parse::hides;
use super::render::{policy_word, rule_text};
use super::{Rule, Ruleset, Table, TableName};

/// Whether iptables-save printed exactly these tables with exactly these rules. If not,
/// `differences` reports what differs; unlike this function it also accepts different words
/// with the same meaning.
pub fn agrees(ruleset: &Ruleset, text: &str) -> bool {
    let tables = TableName::ALL.map(|name| (name, ruleset.table(name)));
    let mut wanted = WantedText::default();
    let mut begun = None;
    let mut seen: Vec<TableName> = Vec::new();
    for line in text.lines() {
        // It does not print all that is there.
        if hides(line).is_some() {
            return false;
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('*') {
            let Some((name, table)) = tables.iter().find(|(known, _)| known.as_str() == name)
            else {
                return false;
            };
            begun = Some(*name);
            wanted = WantedText::of(table);
        } else if line == "COMMIT" {
            if !wanted.is_met() {
                return false;
            }
            // A table whose text was cut off has no end.
            seen.extend(begun.take());
        } else if !wanted.takes(line) {
            return false;
        }
    }
    let missing = |name: TableName| !seen.contains(&name);
    let untouched = |table: &Table, name| *table == Table::untouched(name);
    begun.is_none()
        && ruleset
            .tables()
            .all(|(name, table)| !missing(name) || untouched(table, name))
}

/// The lines of one table that are still expected.
#[derive(Default)]
struct WantedText<'a> {
    chains: HashMap<&'a str, WantedChain<'a>>,
    declared: usize,
}

struct WantedChain<'a> {
    policy: &'static str,
    rules: std::slice::Iter<'a, Rule>,
}

impl<'a> WantedText<'a> {
    fn of(table: &'a Table) -> WantedText<'a> {
        let chains = table.chains.iter().map(|chain| {
            let policy = chain.policy.map_or("-", policy_word);
            let rules = chain.rules.iter();
            (chain.name.as_str(), WantedChain { policy, rules })
        });
        WantedText {
            chains: chains.collect(),
            declared: 0,
        }
    }

    /// Whether the line of a chain or rule is the next one expected.
    fn takes(&mut self, line: &str) -> bool {
        if let Some(declared) = line.strip_prefix(':') {
            let mut words = declared.split(' ');
            let chain = words.next().and_then(|name| self.chains.get(name));
            self.declared += 1;
            return chain.is_some_and(|chain| words.next() == Some(chain.policy));
        }
        // Counters, if any, come before the rule.
        let rule = match line.strip_prefix('[') {
            Some(counted) => counted.split_once("] ").map(|(_, rule)| rule),
            None => Some(line),
        };
        let next = rule
            .and_then(|rule| rule.strip_prefix("-A "))
            .and_then(|rule| rule.split_once(' '))
            .and_then(|(name, text)| Some((self.chains.get_mut(name)?.rules.next()?, text)));
        next.is_some_and(|(rule, text)| rule_text(rule) == text)
    }

    fn is_met(&self) -> bool {
        let empty = |chain: &WantedChain<'_>| chain.rules.len() == 0;
        self.declared == self.chains.len() && self.chains.values().all(empty)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{parse, restore_text};
    use super::*;

    const TEXT: &str = "# dump\n*filter\n:INPUT DROP [1:2]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:x - [0:0]\n[3:4] -A INPUT -i lo -j ACCEPT\n-A INPUT -i eth0 -j x\nCOMMIT\n";

    #[test]
    fn a_dump_agrees_with_what_it_says() -> Result<(), Box<dyn std::error::Error>> {
        let ruleset = parse(TEXT)?;
        assert!(agrees(&ruleset, TEXT));
        assert!(agrees(
            &ruleset,
            &restore_text(&ruleset, &[TableName::Filter, TableName::Raw])
        ));
        for (from, to) in [
            ("INPUT DROP", "INPUT ACCEPT"),
            ("-i lo", "-i eth1"),
            ("-A INPUT -i eth0 -j x\n", ""),
            (
                "-A INPUT -i eth0 -j x\n",
                "-A INPUT -i eth0 -j x\n-A x -j DROP\n",
            ),
            (":x - [0:0]\n", ":x - [0:0]\n:y - [0:0]\n"),
            (":FORWARD DROP [0:0]\n", ""),
            ("*filter", "*raw"),
            ("COMMIT\n", ""),
            ("# dump", "# Table `nat' is incompatible, use 'nft' tool."),
            (
                "COMMIT\n",
                "COMMIT\n*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n",
            ),
        ] {
            let other = TEXT.replace(from, to);
            assert_ne!(other, TEXT);
            assert!(!agrees(&ruleset, &other), "{from:?} to {to:?}");
        }
        assert!(!agrees(&ruleset, ""), "nothing there");
        assert!(agrees(&Ruleset::default(), ""));
        Ok(())
    }
}
