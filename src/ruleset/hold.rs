//! What passes while several tables of one family are being exchanged, which
//! the kernel does one by one.

use super::count::same_but_for_comment;
use super::{Chain, Policy, Ruleset, Table, TableName, Target};

/// A filter table that passes nothing that not both rulesets pass: the rules
/// that both begin with, which for two policies of ours are the loopback and
/// what is established, and DROP for the rest. Under it the other tables can be
/// exchanged: no packet meets the old filter with the new nat, or the reverse.
pub fn hold(found: &Ruleset, wanted: &Ruleset) -> Ruleset {
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
                |chain: &Chain| chain.policy == Some(Policy::Accept) && chain.rules.is_empty();
            table.chain(name).is_none_or(is_open)
        };
        let open = accepts(&old) && accepts(&new);
        chain.policy = Some(if open { Policy::Accept } else { Policy::Drop });
    }
    let mut hold = Ruleset::default();
    hold.set(TableName::Filter, table);
    hold
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
        // Of OUTPUT, the new one accepts everything and the old one has rules.
        assert_eq!(text(&hold(&old, &new)), expected);
        assert_eq!(
            text(&hold(&Ruleset::sealed(), &new)),
            text(&Ruleset::sealed())
        );
        assert_eq!(
            text(&hold(&old, &Ruleset::sealed())),
            text(&Ruleset::sealed())
        );
        let open = Ruleset::default();
        assert_eq!(text(&hold(&open, &open)), text(&open));
        Ok(())
    }
}
