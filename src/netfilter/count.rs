//! The packet and byte counters of rules and chain policies.
//!
//! Counters are not part of a ruleset, because two rulesets are equal whatever they
//! counted. They are read from the same dump and rendered with it, and belong to a rule by
//! its position.

use std::collections::{BTreeMap, HashMap};

use super::parse::logical_lines;
use super::render::rule_text;
use super::{Match, Rule, Ruleset, TableName};

/// A counter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes, including IP headers.
    pub bytes: u64,
}

impl Count {
    /// Parses `[3:120]`.
    fn parse(word: &str) -> Option<Count> {
        let (packets, bytes) = word.strip_prefix('[')?.strip_suffix(']')?.split_once(':')?;
        Some(Count {
            packets: packets.parse().ok()?,
            bytes: bytes.parse().ok()?,
        })
    }
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Count) {
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// The counters of a ruleset: for each chain those of its policy, and of its rules in
/// order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<(TableName, String), ChainCounters>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct ChainCounters {
    policy: Count,
    rules: Vec<Count>,
}

impl Counters {
    /// Parses the counters of an `iptables-save -c` dump; a missing counter is 0.
    pub fn parse(text: &str) -> Counters {
        let mut counters = Counters::default();
        let mut table = None;
        for (_, line) in logical_lines(text) {
            if let Some(name) = line.strip_prefix('*') {
                table = TableName::ALL
                    .into_iter()
                    .find(|known| known.as_str() == name);
            }
            let Some(table) = table else { continue };
            let mut words = line.split(' ');
            let Some(first) = words.next() else { continue };
            if let Some(chain) = first.strip_prefix(':') {
                let policy = words.nth(1).and_then(Count::parse).unwrap_or_default();
                counters.chain(table, chain).policy = policy;
                continue;
            }
            let count = Count::parse(first);
            if first == "-A" || (count.is_some() && words.next() == Some("-A")) {
                let chain = words.next().unwrap_or_default();
                let count = count.unwrap_or_default();
                counters.chain(table, chain).rules.push(count);
            }
        }
        counters
    }

    /// The counters for the rules of `wanted`, carried over from equal rules in the same
    /// chain of `found`. Comments are not compared, since a rule's line in the file may
    /// have another number now. A new rule starts at 0.
    pub fn carried(&self, found: &Ruleset, wanted: &Ruleset) -> Counters {
        let mut carried = Counters::default();
        for (name, table) in wanted.tables() {
            let there = found.table(name);
            let there = there.by_name();
            for chain in &table.chains {
                let Some(old) = there.get(chain.name.as_str()) else {
                    continue;
                };
                // From the last to the first, so that equal rules are then taken in order.
                let mut known: HashMap<String, Vec<Count>> = HashMap::new();
                for (index, rule) in old.rules.iter().enumerate().rev() {
                    let count = self.rule(name, old.name.as_str(), index);
                    known.entry(key(rule)).or_default().push(count);
                }
                let rules = chain.rules.iter().map(|rule| {
                    let counts = known.get_mut(&key(rule));
                    counts.and_then(Vec::pop).unwrap_or_default()
                });
                let policy = self.policy(name, old.name.as_str());
                let counters = ChainCounters {
                    policy,
                    rules: rules.collect(),
                };
                carried.0.insert((name, chain.name.to_string()), counters);
            }
        }
        carried
    }

    /// The counter of a chain's policy.
    pub fn policy(&self, table: TableName, chain: &str) -> Count {
        self.0
            .get(&(table, chain.to_owned()))
            .map_or_else(Count::default, |chain| chain.policy)
    }

    /// The counter of a rule, by its index in the chain from 0.
    pub fn rule(&self, table: TableName, chain: &str, index: usize) -> Count {
        self.0
            .get(&(table, chain.to_owned()))
            .and_then(|chain| chain.rules.get(index).copied())
            .unwrap_or_default()
    }

    fn chain(&mut self, table: TableName, name: &str) -> &mut ChainCounters {
        self.0.entry((table, name.to_owned())).or_default()
    }
}

/// The rule without its comment, because its line number changes when lines are added above
/// it.
fn key(rule: &Rule) -> String {
    let mut rule = rule.clone();
    rule.matches
        .retain(|extension| !matches!(extension, Match::Comment(_)));
    rule_text(&rule)
}

/// Whether two rules are equal apart from their comments.
pub(super) fn same_but_for_comment(rule: &Rule, other: &Rule) -> bool {
    key(rule) == key(other)
}

#[cfg(test)]
mod tests {
    use super::super::{parse, restore_text_counted};
    use super::*;

    const DUMP: &str = "*filter\n:INPUT DROP [3:120]\n:x - [0:0]\n[5:500] -A INPUT -m comment --comment \"f:3 a\" -j x\n[1:2] -A x -s 10.0.0.0/8 -j ACCEPT\n[7:9] -A x -s 10.0.0.0/8 -j ACCEPT\nCOMMIT\n";

    #[test]
    fn counters_are_read_and_written_in_their_places() -> Result<(), Box<dyn std::error::Error>> {
        let (ruleset, counters) = (parse(DUMP)?, Counters::parse(DUMP));
        assert_eq!(counters.policy(TableName::Filter, "INPUT").bytes, 120);
        assert_eq!(counters.rule(TableName::Filter, "x", 1).packets, 7);
        let text = restore_text_counted(&ruleset, &[TableName::Filter], &counters);
        assert_eq!(text, DUMP);
        Ok(())
    }

    #[test]
    fn a_rule_keeps_its_counter_when_its_line_moves() -> Result<(), Box<dyn std::error::Error>> {
        let found = parse(DUMP)?;
        let wanted = parse(&DUMP.replace("f:3 a", "f:8 a").replace(
            "[1:2] -A x",
            "[0:0] -A x -d 10.0.0.1/32 -j DROP\n[0:0] -A x",
        ))?;
        let carried = Counters::parse(DUMP).carried(&found, &wanted);
        let packets = |chain, index| carried.rule(TableName::Filter, chain, index).packets;
        assert_eq!(packets("INPUT", 0), 5);
        assert_eq!(
            [packets("x", 0), packets("x", 1), packets("x", 2)],
            [0, 1, 7]
        );
        assert_eq!(carried.policy(TableName::Filter, "INPUT").packets, 3);
        Ok(())
    }
}
