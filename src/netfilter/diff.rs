//! The differences between the rules that are wanted and those that were found.

use std::fmt;

use super::render::{policy_word, rule_text};
use super::{Chain, ChainPolicy, Rule, Ruleset, Table, TableName};
use crate::name::ChainName;

/// One difference. Its text names the rule and, from the rule's comment, the line of the
/// file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The table with the difference.
    pub table: TableName,
    chain: ChainName,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    ChainMissing,
    ChainUnexpected,
    ChainPolicy {
        wanted: Option<ChainPolicy>,
        found: Option<ChainPolicy>,
    },
    RuleMissing(String),
    RuleUnexpected(String),
    Order,
}

impl Difference {
    /// Whether it is a chain or rule that was found but is not wanted.
    pub fn is_unexpected(&self) -> bool {
        matches!(self.what, What::ChainUnexpected | What::RuleUnexpected(_))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (table, chain) = (self.table.as_str(), &self.chain);
        let word = |policy: &Option<ChainPolicy>| policy.map_or("none", policy_word);
        match &self.what {
            What::ChainMissing => write!(f, "table {table}: chain {chain} is missing"),
            What::ChainUnexpected => write!(f, "table {table}: chain {chain} is not ours"),
            What::ChainPolicy { wanted, found } => write!(
                f,
                "table {table}: the policy of {chain} is {}, not {}",
                word(found),
                word(wanted)
            ),
            What::RuleMissing(rule) => write!(f, "table {table}: missing rule: -A {chain} {rule}"),
            What::RuleUnexpected(rule) => {
                write!(f, "table {table}: rule that is not ours: -A {chain} {rule}")
            }
            What::Order => write!(
                f,
                "table {table}: the rules of {chain} are in another order"
            ),
        }
    }
}

/// Every difference, table by table in the order of loading. An empty table equals an
/// absent one, and the order of chains does not matter, since neither affects packets.
pub fn differences(wanted: &Ruleset, found: &Ruleset) -> Vec<Difference> {
    let mut differences = Vec::new();
    for name in TableName::ALL {
        let (wanted, found) = (wanted.table(name), found.table(name));
        table(name, &wanted, &found, &mut differences);
    }
    differences
}

fn table(name: TableName, wanted: &Table, found: &Table, differences: &mut Vec<Difference>) {
    let mut add = |chain: &Chain, what| {
        differences.push(Difference {
            table: name,
            chain: chain.name.clone(),
            what,
        });
    };
    // There may be ten thousands of chains.
    let (wanted_names, found_names) = (wanted.by_name(), found.by_name());
    for chain in &wanted.chains {
        let Some(there) = found_names.get(chain.name.as_str()) else {
            add(chain, What::ChainMissing);
            continue;
        };
        if chain.policy != there.policy {
            let (wanted, found) = (chain.policy, there.policy);
            add(chain, What::ChainPolicy { wanted, found });
        }
        for what in rules(&chain.rules, &there.rules) {
            add(chain, what);
        }
    }
    for chain in &found.chains {
        if !wanted_names.contains_key(chain.name.as_str()) {
            add(chain, What::ChainUnexpected);
            for rule in &chain.rules {
                add(chain, What::RuleUnexpected(rule_text(rule)));
            }
        }
    }
}

fn rules(wanted: &[Rule], found: &[Rule]) -> Vec<What> {
    // The usual case, without rendering any text.
    if wanted == found {
        return Vec::new();
    }
    let text = |rules: &[Rule]| rules.iter().map(rule_text).collect::<Vec<_>>();
    let (wanted, found) = (text(wanted), text(found));
    if wanted == found {
        return Vec::new();
    }
    let mut unexpected = found;
    let mut differences = Vec::new();
    for rule in wanted {
        match unexpected.iter().position(|there| *there == rule) {
            Some(index) => {
                unexpected.remove(index);
            }
            None => differences.push(What::RuleMissing(rule)),
        }
    }
    differences.extend(unexpected.into_iter().map(What::RuleUnexpected));
    if differences.is_empty() {
        differences.push(What::Order);
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn filter(rules: &str) -> Ruleset {
        let text = format!(
            "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT DROP [0:0]\n{rules}COMMIT\n"
        );
        parse(&text).unwrap_or_default()
    }

    fn told(wanted: &Ruleset, found: &Ruleset) -> Vec<String> {
        differences(wanted, found)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn each_kind_is_told_with_the_rule() {
        let ours = filter("-A INPUT -i eth0 -j DROP\n-A INPUT -i eth1 -j ACCEPT\n");
        assert!(told(&ours, &ours).is_empty());
        assert_eq!(
            told(&ours, &filter("-A INPUT -i eth1 -j ACCEPT\n")),
            ["table filter: missing rule: -A INPUT -i eth0 -j DROP"]
        );
        assert_eq!(
            told(
                &ours,
                &filter("-A INPUT -i eth1 -j ACCEPT\n-A INPUT -i eth0 -j DROP\n")
            ),
            ["table filter: the rules of INPUT are in another order"]
        );
        assert_eq!(
            told(
                &Ruleset::sealed(),
                &filter(":x - [0:0]\n-A x -m foo --bar -j ACCEPT\n")
            ),
            [
                "table filter: chain x is not ours",
                "table filter: rule that is not ours: -A x -m foo --bar -j ACCEPT"
            ]
        );
        assert_eq!(
            told(&Ruleset::sealed(), &Ruleset::default())[0],
            "table filter: the policy of INPUT is ACCEPT, not DROP"
        );
    }
}
