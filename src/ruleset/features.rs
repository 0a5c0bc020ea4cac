//! What a ruleset needs of the kernel: the names of its matches and targets.

use std::collections::BTreeSet;

use super::{Match, Ruleset, Target};

/// The extensions that a ruleset uses, by the names that the kernel lists in
/// /proc/net/ip_tables_matches and ip_tables_targets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Features {
    /// Match extensions.
    pub matches: BTreeSet<&'static str>,
    /// Target extensions; ACCEPT, DROP, RETURN and jumps are none.
    pub targets: BTreeSet<&'static str>,
}

impl Features {
    /// Those of our own rules; what is kept as text of others is passed over.
    pub fn of(ruleset: &Ruleset) -> Features {
        let mut features = Features::default();
        let chains = ruleset.tables().flat_map(|(_, table)| &table.chains);
        for rule in chains.flat_map(|chain| &chain.rules) {
            let matches = rule.matches.iter().filter_map(match_name);
            features.matches.extend(matches);
            features.targets.extend(match rule.target {
                Some(Target::Log(_)) => Some("LOG"),
                Some(Target::Masquerade) => Some("MASQUERADE"),
                Some(Target::Snat(_)) => Some("SNAT"),
                Some(Target::Dnat(..)) => Some("DNAT"),
                Some(Target::Redirect(_)) => Some("REDIRECT"),
                Some(Target::SetMark(_)) => Some("MARK"),
                Some(Target::Helper(_)) => Some("CT"),
                _ => None,
            });
        }
        features
    }

    /// What of it is not in the kernel's lists, in words.
    pub fn missing(&self, matches: &str, targets: &str) -> Vec<String> {
        let absent = |list: &str, name: &str| !list.lines().any(|line| line == name);
        let gone = |kind: &str, names: &BTreeSet<&str>, list: &str| {
            let names = names.iter().filter(|name| absent(list, name));
            names
                .map(|name| format!("{kind} {name}"))
                .collect::<Vec<_>>()
        };
        let mut missing = gone("match", &self.matches, matches);
        missing.extend(gone("target", &self.targets, targets));
        missing
    }
}

fn match_name(extension: &Match) -> Option<&'static str> {
    match extension {
        Match::Tcp { .. } => Some("tcp"),
        Match::Udp { .. } => Some("udp"),
        Match::Multiport(_) => Some("multiport"),
        Match::Icmp(_) => Some("icmp"),
        Match::Icmpv6(_) => Some("icmp6"),
        Match::Mac(_) => Some("mac"),
        Match::Mark(_) => Some("mark"),
        Match::HopLimit(_) => Some("hl"),
        Match::Recent { .. } => Some("recent"),
        Match::ConnectionsPerSource { .. } => Some("connlimit"),
        Match::Time(_) => Some("time"),
        Match::Conntrack(_) => Some("conntrack"),
        Match::Limit(_) => Some("limit"),
        Match::HashlimitPerSource { .. } => Some("hashlimit"),
        Match::Comment(_) => Some("comment"),
        Match::Addresses { .. } => Some("iprange"),
        Match::Fragment(_) | Match::Other(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::parse;

    #[test]
    fn what_the_kernel_does_not_list_is_named() -> Result<(), Box<dyn std::error::Error>> {
        let rules = "*filter\n:INPUT DROP [0:0]\n-A INPUT -m limit --limit 3/min -j LOG --log-prefix x --log-tcp-options --log-ip-options\n-A INPUT -m conntrack --ctstate NEW -j DROP\nCOMMIT\n";
        let features = Features::of(&parse(rules)?);
        let none: Vec<String> = Vec::new();
        assert_eq!(features.missing("limit\nconntrack\n", "LOG\n"), none);
        assert_eq!(
            features.missing("conntrack\nhashlimit\n", "ERROR\n"),
            ["match limit", "target LOG"]
        );
        Ok(())
    }
}
