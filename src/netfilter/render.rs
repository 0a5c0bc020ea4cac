//! Renders a ruleset as input for iptables-restore, in exactly the form that iptables-save
//! prints (compared with 1.8.9), so that the two can be compared.

use std::fmt::Write;

use super::{
    ChainPolicy, Count, Counters, Interface, Match, Negatable, Protocol, Rule, Ruleset, Table,
    TableName, Target,
};

/// The text for these tables, each replaced as a whole: iptables-restore commits one table
/// after the other, in this order.
pub fn restore_text(ruleset: &Ruleset, tables: &[TableName]) -> String {
    let mut text = String::new();
    for name in tables {
        table(&mut text, *name, &ruleset.table(*name), None);
    }
    text
}

/// The same with counters, for `iptables-restore --counters`.
pub fn restore_text_counted(
    ruleset: &Ruleset,
    tables: &[TableName],
    counters: &Counters,
) -> String {
    let mut text = String::new();
    for name in tables {
        table(&mut text, *name, &ruleset.table(*name), Some(counters));
    }
    text
}

fn table(text: &mut String, name: TableName, table: &Table, counters: Option<&Counters>) {
    let _ = writeln!(text, "*{}", name.as_str());
    for chain in &table.chains {
        let policy = chain.policy.map_or("-", policy_word);
        let count = counters.map(|counters| counters.policy(name, chain.name.as_str()));
        let Count { packets, bytes } = count.unwrap_or_default();
        let _ = writeln!(text, ":{} {policy} [{packets}:{bytes}]", chain.name);
    }
    for chain in &table.chains {
        for (index, rule) in chain.rules.iter().enumerate() {
            if let Some(counters) = counters {
                let Count { packets, bytes } = counters.rule(name, chain.name.as_str(), index);
                let _ = write!(text, "[{packets}:{bytes}] ");
            }
            let _ = writeln!(text, "-A {} {}", chain.name, rule_text(rule));
        }
    }
    text.push_str("COMMIT\n");
}

/// A policy as iptables writes it.
pub(super) fn policy_word(policy: ChainPolicy) -> &'static str {
    match policy {
        ChainPolicy::Accept => "ACCEPT",
        ChainPolicy::Drop => "DROP",
    }
}

/// A rule's conditions and target, without `-A CHAIN`.
pub fn rule_text(rule: &Rule) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut condition = |option: &str, negated: bool, value: String| {
        if negated {
            words.push("!".into());
        }
        words.push(option.into());
        words.push(value);
    };
    for (option, network) in [("-s", rule.source), ("-d", rule.destination)] {
        // "Any address" is no condition and is not printed.
        if let Some(Negatable { negated, value }) = network
            && (negated || value.prefix_len() > 0)
        {
            condition(option, negated, value.to_string());
        }
    }
    if let Some(Negatable { negated, value }) = rule.in_interface.as_deref() {
        condition("-i", *negated, interface(value));
    }
    if let Some(Negatable { negated, value }) = rule.out_interface.as_deref() {
        condition("-o", *negated, interface(value));
    }
    if let Some(Negatable { negated, value }) = rule.protocol {
        condition("-p", negated, protocol_word(value));
    }
    words.extend(rule.matches.iter().map(Match::print));
    words.extend(rule.target.as_ref().map(Target::print));
    words.join(" ")
}

/// A match as iptables-save prints it.
pub fn match_text(extension: &Match) -> String {
    extension.print()
}

fn interface(interface: &Interface) -> String {
    match interface {
        Interface::Loopback => "lo".into(),
        Interface::Named(name) => name.to_string(),
        Interface::Wildcard(start) => format!("{start}+"),
    }
}

fn protocol_word(protocol: Protocol) -> String {
    match protocol {
        Protocol::Tcp => "tcp".into(),
        Protocol::Udp => "udp".into(),
        Protocol::Icmp => "icmp".into(),
        Protocol::Icmpv6 => "ipv6-icmp".into(),
        Protocol::Number(number) => number.to_string(),
    }
}
