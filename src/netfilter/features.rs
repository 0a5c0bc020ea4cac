//! What a ruleset needs from the kernel: tables, matches and targets, each with its kernel
//! configuration option.
//!
//! Names are those of /proc/net/ip_tables_{names,matches,targets}; options are those of
//! net/netfilter/Kconfig and net/ipv{4,6}/netfilter/Kconfig, 6.18.

use std::collections::BTreeSet;
use std::fmt;

use super::{Match, Rule, Ruleset, TableName, Target, extension};
use crate::family::IpFamily;

/// A feature that a kernel may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// A table.
    Table(TableName),
    /// A match extension.
    Match(&'static str),
    /// A target extension. ACCEPT, DROP, RETURN and jumps are not extensions.
    Target(&'static str),
    /// A conntrack helper.
    Helper(&'static str),
    /// Conntrack zones.
    ConntrackZones,
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Feature::Table(name) => write!(f, "table {}", name.as_str()),
            Feature::Match(name) => write!(f, "match {name}"),
            Feature::Target(name) => write!(f, "target {name}"),
            Feature::Helper(name) => write!(f, "conntrack helper {name}"),
            Feature::ConntrackZones => f.write_str("conntrack zones"),
        }
    }
}

impl Feature {
    /// The kernel configuration option, as `CONFIG_NAME`; None for features that are part
    /// of x_tables.
    pub fn option(self, family: IpFamily) -> Option<&'static str> {
        let by_family = |v4, v6| match family {
            IpFamily::V4 => Some(v4),
            IpFamily::V6 => Some(v6),
        };
        match self {
            Feature::Table(TableName::Raw) => by_family("CONFIG_IP_NF_RAW", "CONFIG_IP6_NF_RAW"),
            Feature::Table(TableName::Mangle) => {
                by_family("CONFIG_IP_NF_MANGLE", "CONFIG_IP6_NF_MANGLE")
            }
            Feature::Table(TableName::Filter) => {
                by_family("CONFIG_IP_NF_FILTER", "CONFIG_IP6_NF_FILTER")
            }
            Feature::Table(TableName::Nat) => by_family("CONFIG_IP_NF_NAT", "CONFIG_IP6_NF_NAT"),
            Feature::Table(TableName::Security) => {
                by_family("CONFIG_IP_NF_SECURITY", "CONFIG_IP6_NF_SECURITY")
            }
            Feature::Match(name) => extension::match_option(name),
            Feature::Target(name) => extension::target_option(name, family),
            Feature::Helper("ftp") => Some("CONFIG_NF_CONNTRACK_FTP"),
            Feature::Helper(_) => None,
            Feature::ConntrackZones => Some("CONFIG_NF_CONNTRACK_ZONES"),
        }
    }
}

/// The features that one of camfw's own rulesets needs; unknown matches and targets are
/// ignored.
pub fn features(ruleset: &Ruleset) -> BTreeSet<Feature> {
    let mut features = BTreeSet::new();
    for (name, table) in ruleset.tables() {
        features.insert(Feature::Table(name));
        for rule in table.chains.iter().flat_map(|chain| &chain.rules) {
            features.extend(of_rule(rule));
        }
    }
    features
}

fn of_rule(rule: &Rule) -> impl Iterator<Item = Feature> {
    let matches = rule.matches.iter().filter_map(Match::extension_name);
    let target = rule.target.as_ref().and_then(Target::extension_name);
    let helper = rule.target.as_ref().and_then(helper_name);
    let has_zone = matches!(rule.target, Some(Target::Conntrack { zone: Some(_), .. }));
    matches
        .map(Feature::Match)
        .chain(target.map(Feature::Target))
        .chain(helper.map(Feature::Helper))
        .chain(has_zone.then_some(Feature::ConntrackZones))
}

/// The smallest ruleset that needs this feature as `ruleset` does: a single rule. None if
/// `ruleset` does not need it.
pub fn sample(ruleset: &Ruleset, feature: Feature) -> Option<Ruleset> {
    for (name, table) in ruleset.tables() {
        let mut small = super::Table::untouched(name);
        if feature == Feature::Table(name) {
            return Some(alone(name, small));
        }
        for chain in &table.chains {
            let Some(rule) = chain
                .rules
                .iter()
                .find(|rule| of_rule(rule).any(|of| of == feature))
            else {
                continue;
            };
            let mut bare = Rule::untargeted();
            // Matches on ports, and helpers, are valid only in a rule with a protocol.
            bare.protocol.clone_from(&rule.protocol);
            match feature {
                Feature::Match(wanted) => bare.matches.extend(
                    rule.matches
                        .iter()
                        .find(|extension| extension.extension_name() == Some(wanted))
                        .cloned(),
                ),
                _ => {
                    if let Some(Target::SegmentSize(_)) = rule.target {
                        bare.matches.push(extension::SYN);
                    }
                    bare.target.clone_from(&rule.target);
                }
            }
            small.rules_mut(&chain.name).push(bare);
            return Some(alone(name, small));
        }
    }
    None
}

fn alone(name: TableName, table: super::Table) -> Ruleset {
    let mut ruleset = Ruleset::default();
    ruleset.set(name, table);
    ruleset
}

fn helper_name(target: &Target) -> Option<&'static str> {
    match target {
        Target::Conntrack {
            helper: Some(name), ..
        } if name.as_str() == "ftp" => Some("ftp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netfilter::{parse, restore_text};

    const RULES: &str = "*filter\n:INPUT DROP [0:0]\n:x - [0:0]\n-A INPUT -j x\n-A x -p tcp -m multiport --dports 21,22 -m conntrack --ctstate NEW -m limit --limit 3/min -j LOG --log-prefix x --log-tcp-options --log-ip-options\nCOMMIT\n";

    #[test]
    fn each_part_of_a_rule_is_a_feature_with_its_option() -> Result<(), Box<dyn std::error::Error>>
    {
        let found = features(&parse(RULES)?);
        let told: Vec<_> = found
            .iter()
            .map(|feature| (feature.to_string(), feature.option(IpFamily::V6)))
            .collect();
        let told: Vec<_> = told
            .iter()
            .map(|(what, option)| (what.as_str(), *option))
            .collect();
        assert_eq!(
            told,
            [
                ("table filter", Some("CONFIG_IP6_NF_FILTER")),
                (
                    "match conntrack",
                    Some("CONFIG_NETFILTER_XT_MATCH_CONNTRACK")
                ),
                ("match limit", Some("CONFIG_NETFILTER_XT_MATCH_LIMIT")),
                (
                    "match multiport",
                    Some("CONFIG_NETFILTER_XT_MATCH_MULTIPORT")
                ),
                ("target LOG", Some("CONFIG_NETFILTER_XT_TARGET_LOG")),
            ]
        );
        Ok(())
    }

    #[test]
    fn a_sample_has_the_feature_and_nothing_else() -> Result<(), Box<dyn std::error::Error>> {
        let ruleset = parse(RULES)?;
        let text = |feature| {
            let sample = sample(&ruleset, feature)?;
            let text = restore_text(&sample, &[TableName::Filter]);
            text.lines()
                .find(|line| line.starts_with("-A"))
                .map(str::to_owned)
        };
        assert_eq!(
            text(Feature::Match("multiport")).as_deref(),
            Some("-A x -p tcp -m multiport --dports 21,22")
        );
        assert_eq!(
            text(Feature::Target("LOG")).as_deref(),
            Some("-A x -p tcp -j LOG --log-prefix x --log-tcp-options --log-ip-options")
        );
        assert!(sample(&ruleset, Feature::Table(TableName::Filter)).is_some());
        assert!(sample(&ruleset, Feature::Match("time")).is_none());
        Ok(())
    }
}
