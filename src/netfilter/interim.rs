//! The filter table that is in force while several tables of one family are replaced, which
//! the kernel does one table at a time.

use std::collections::BTreeSet;

use super::count::same_but_for_comment;
use super::{Chain, ChainPolicy, Match, Rule, Ruleset, Table, TableName, Target};
use crate::name::ChainName;

/// A filter table that lets through only what both rulesets let through: the rules that
/// both begin with (for two camfw policies the loopback and established connections), and
/// DROP for the rest. While it is loaded the other tables can be replaced: no packet meets
/// the old filter table with the new nat table, or the reverse. None if the filter table
/// that was found is that already, as on a sealed box.
///
/// Address counts of old rules are kept for new rules that use the same name. The kernel
/// forgets a list or table that no rule names (recent_mt_destroy in
/// net/netfilter/xt_recent.c, htable_put in xt_hashlimit.c), so an unused chain keeps a
/// rule with each name.
pub fn interim_filter(found: &Ruleset, wanted: &Ruleset) -> Option<Ruleset> {
    let (old, new) = (
        found.table(TableName::Filter),
        wanted.table(TableName::Filter),
    );
    let mut table = Table::untouched(TableName::Filter);
    for chain in &mut table.chains {
        let name = chain.name.as_str();
        let rules = |table: &Table| table.chain(name).map(|chain| chain.rules.clone());
        let (old_rules, new_rules) = (
            rules(&old).unwrap_or_default(),
            rules(&new).unwrap_or_default(),
        );
        let both = new_rules
            .into_iter()
            .zip(&old_rules)
            .take_while(|(new, old)| {
                matches!(new.target, Some(Target::Accept | Target::Drop))
                    && same_but_for_comment(new, old)
            });
        chain.rules = both.map(|(rule, _)| rule).collect();
        let accepts = |table: &Table| {
            let is_open =
                |chain: &Chain| chain.policy == Some(ChainPolicy::Accept) && chain.rules.is_empty();
            table.chain(name).is_none_or(is_open)
        };
        let open = accepts(&old) && accepts(&new);
        chain.policy = Some(if open {
            ChainPolicy::Accept
        } else {
            ChainPolicy::Drop
        });
    }
    let counted: BTreeSet<&ChainName> = counts(&old).map(|(_, name)| name).collect();
    for chain in &new.chains {
        let kept = chain.rules.iter().flat_map(|rule| &rule.matches);
        let kept = kept.filter(|it| name_of_count(it).is_some_and(|name| counted.contains(name)));
        for extension in kept {
            let rule = Rule::untargeted().matching(extension.clone());
            if chain.policy.is_none() {
                table.rules_mut(&chain.name).push(rule);
            }
        }
    }
    let is_there = |chain: &Chain| old.chain(chain.name.as_str()) == Some(chain);
    if table.chains.len() == old.chains.len() && table.chains.iter().all(is_there) {
        return None;
    }
    let mut hold = Ruleset::default();
    hold.set(TableName::Filter, table);
    Some(hold)
}

/// The matches in a table that count addresses, with the names of their lists.
fn counts(table: &Table) -> impl Iterator<Item = (&Match, &ChainName)> {
    let rules = table.chains.iter().flat_map(|chain| &chain.rules);
    let matches = rules.flat_map(|rule| &rule.matches);
    matches.filter_map(|it| Some((it, name_of_count(it)?)))
}

fn name_of_count(extension: &Match) -> Option<&ChainName> {
    match extension {
        Match::Recent { name, .. } | Match::HashlimitPerSource { name, .. } => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{parse, restore_text};
    use super::*;

    fn filter(rules: &str) -> Result<Ruleset, Box<dyn std::error::Error>> {
        let text = format!(
            "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n{rules}COMMIT\n"
        );
        Ok(parse(&text)?)
    }

    fn text(ruleset: &Ruleset) -> String {
        restore_text(ruleset, &[TableName::Filter])
    }

    #[test]
    fn only_what_both_begin_with_passes() -> Result<(), Box<dyn std::error::Error>> {
        let begin = "-A INPUT -i lo -m comment --comment loopback -j ACCEPT\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n";
        let old = filter(&format!(
            "{begin}-A INPUT -i eth1 -j ACCEPT\n-A OUTPUT -o lo -j ACCEPT\n"
        ))?;
        let new = filter(&format!("{begin}-A INPUT -i eth2 -j ACCEPT\n"))?;
        let expected = filter(begin)?;
        let expected = text(&expected).replace(":OUTPUT ACCEPT", ":OUTPUT DROP");
        // In OUTPUT the new ruleset accepts everything, and the old one has rules.
        let held = |old, new| interim_filter(old, new).map(|hold| text(&hold));
        assert_eq!(held(&old, &new), Some(expected));
        let sealed = text(&Ruleset::sealed());
        assert_eq!(held(&old, &Ruleset::sealed()), Some(sealed));
        Ok(())
    }

    #[test]
    fn a_filter_table_that_holds_already_is_not_loaded() -> Result<(), Box<dyn std::error::Error>> {
        let new = filter("-A INPUT -i lo -j ACCEPT\n")?;
        assert_eq!(interim_filter(&Ruleset::sealed(), &new), None);
        let open = Ruleset::default();
        assert_eq!(interim_filter(&open, &open), None);
        // A chain more, or a policy that is another one, is no such table.
        for (from, to) in [
            (":OUTPUT DROP [0:0]\n", ":OUTPUT DROP [0:0]\n:x - [0:0]\n"),
            ("INPUT DROP", "INPUT ACCEPT"),
        ] {
            let found = parse(&text(&Ruleset::sealed()).replace(from, to))?;
            assert_ne!(found, Ruleset::sealed());
            assert!(interim_filter(&found, &new).is_some(), "{to}");
        }
        Ok(())
    }

    #[test]
    fn what_is_counted_by_a_name_that_stays_is_kept() -> Result<(), Box<dyn std::error::Error>> {
        let counting = "-m recent --set --name block-1 --mask 255.255.255.255 --rsource\n";
        let old = filter(&format!(
            ":block-1 - [0:0]\n-A INPUT -j block-1\n-A block-1 {counting}"
        ))?;
        let new = filter(&format!(
            ":block-1 - [0:0]\n:block-2 - [0:0]\n-A INPUT -i eth1 -j block-1\n-A block-1 {counting}-A block-1 -j ACCEPT\n-A block-2 {}",
            counting.replace("block-1", "block-2")
        ))?;
        let text = interim_filter(&old, &new).map_or_else(String::new, |hold| text(&hold));
        assert!(
            text.contains(&format!("-A block-1 {counting}COMMIT")),
            "{text}"
        );
        assert!(!text.contains("block-2") && !text.contains("-j"), "{text}");
        Ok(())
    }
}
