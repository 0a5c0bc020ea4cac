//! Interfaces that only one of rules and networks has: what is proven of an interface that
//! the rules never meet, or that nothing is known of, is not what was meant.

use super::hosts::LOOPBACK;
use super::networks::InterfaceNetworks;
use super::program::interface_patterns;
use crate::netfilter::Ruleset;

/// The interfaces that stand alone, by their names or wildcards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StrayInterfaces {
    /// Those that rules name and no line of the networks has.
    pub of_rules: Vec<String>,
    /// Those of the networks that no rule names, if rules name any.
    pub of_networks: Vec<String>,
    /// Whether rules name some, and none of the networks is among them.
    pub none_shared: bool,
}

/// The interfaces that only the rules name, and those that only the networks have.
pub fn stray_interfaces(ruleset: &Ruleset, behind: &[InterfaceNetworks]) -> StrayInterfaces {
    let named = interface_patterns(ruleset).into_iter();
    let named: Vec<String> = named.filter(|name| name != LOOPBACK).collect();
    let known = behind.iter().map(|it| it.interface.clone());
    let known: Vec<String> = known.filter(|name| name != LOOPBACK).collect();
    if named.is_empty() {
        return StrayInterfaces::default();
    }
    let apart = |these: &[String], others: &[String]| {
        let alone = |it: &&String| !others.iter().any(|other| overlap(it, other));
        these.iter().filter(alone).cloned().collect::<Vec<_>>()
    };
    let (of_rules, of_networks) = (apart(&named, &known), apart(&known, &named));
    StrayInterfaces {
        none_shared: of_rules.len() == named.len(),
        of_rules,
        of_networks,
    }
}

/// Whether an interface may have both names; a `+` at the end stands for any more letters.
fn overlap(one: &str, other: &str) -> bool {
    match (one.strip_suffix('+'), other.strip_suffix('+')) {
        (None, None) => one == other,
        (Some(start), None) => other.starts_with(start),
        (None, Some(start)) => one.starts_with(start),
        (Some(one), Some(other)) => one.starts_with(other) || other.starts_with(one),
    }
}
