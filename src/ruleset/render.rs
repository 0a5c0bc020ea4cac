//! Ruleset -> the text that iptables-restore reads, in the very form that
//! iptables-save prints (1.8.9 was compared), so that the two can be compared.

use std::fmt::Write;

use super::{
    Chain, CtStates, Interface, Match, Negatable, Policy, Protocol, Rule, Ruleset, Table,
    TableName, Target,
};
use crate::field::Rate;

/// What the limit match counts a second: XT_LIMIT_SCALE.
const LIMIT_TICKS: u64 = 10_000;

/// What hashlimit counts a second: XT_HASHLIMIT_SCALE_v2.
const HASHLIMIT_TICKS: u64 = 1_000_000;

/// The text of these tables of a ruleset, each loaded whole: iptables-restore
/// commits table by table, in this order.
pub fn restore_text(ruleset: &Ruleset, tables: &[TableName]) -> String {
    let mut text = String::new();
    for name in tables {
        table(&mut text, *name, &ruleset.table(*name));
    }
    text
}

fn table(text: &mut String, name: TableName, table: &Table) {
    let _ = writeln!(text, "*{}", name.as_str());
    for Chain { name, policy, .. } in &table.chains {
        let policy = policy.map_or("-", policy_word);
        let _ = writeln!(text, ":{name} {policy} [0:0]");
    }
    for chain in &table.chains {
        for rule in &chain.rules {
            let _ = writeln!(text, "-A {} {}", chain.name, rule_text(rule));
        }
    }
    text.push_str("COMMIT\n");
}

/// A policy as iptables writes it.
pub(super) fn policy_word(policy: Policy) -> &'static str {
    match policy {
        Policy::Accept => "ACCEPT",
        Policy::Drop => "DROP",
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
    if let Some(Negatable { negated, value }) = &rule.source {
        condition("-s", *negated, value.to_string());
    }
    if let Some(Negatable { negated, value }) = &rule.destination {
        condition("-d", *negated, value.to_string());
    }
    if let Some(Negatable { negated, value }) = &rule.in_interface {
        condition("-i", *negated, interface(value).into());
    }
    if let Some(Negatable { negated, value }) = &rule.out_interface {
        condition("-o", *negated, interface(value).into());
    }
    if let Some(protocol) = rule.protocol {
        condition("-p", false, protocol_word(protocol).into());
    }
    for extension in &rule.matches {
        match_words(&mut words, extension);
    }
    if let Some(target) = &rule.target {
        target_words(&mut words, target);
    }
    words.join(" ")
}

fn interface(interface: &Interface) -> &str {
    match interface {
        Interface::Loopback => "lo",
        Interface::Named(name) => name.as_str(),
    }
}

fn protocol_word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Icmp => "icmp",
    }
}

fn match_words(words: &mut Vec<String>, extension: &Match) {
    let mut add = |text: &str| words.push(text.to_owned());
    match extension {
        Match::Tcp { dport, syn } => {
            add("-m tcp");
            if let Some(dport) = dport {
                add(&format!("--dport {dport}"));
            }
            if *syn {
                add("--tcp-flags FIN,SYN,RST,ACK SYN");
            }
        }
        Match::Udp { sport, dport } => {
            add("-m udp");
            if let Some(sport) = sport {
                add(&format!("--sport {sport}"));
            }
            if let Some(dport) = dport {
                add(&format!("--dport {dport}"));
            }
        }
        Match::MultiportDestination(ports) => {
            let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
            add(&format!("-m multiport --dports {}", ports.join(",")));
        }
        Match::Icmp(icmp) => add(&format!("-m icmp --icmp-type {icmp}")),
        Match::Conntrack(states) => {
            add(&format!("-m conntrack --ctstate {}", states_word(*states)))
        }
        Match::Limit(rate) => {
            let rate = rate.canonical(LIMIT_TICKS);
            add(&format!("-m limit --limit {rate}"));
            // The default burst is not printed.
            if rate.burst() != Rate::BURST {
                add(&format!("--limit-burst {}", rate.burst()));
            }
        }
        Match::HashlimitPerSource { rate, name } => {
            let rate = rate.canonical(HASHLIMIT_TICKS);
            add(&format!(
                "-m hashlimit --hashlimit-upto {rate} --hashlimit-burst {} --hashlimit-mode srcip --hashlimit-name {name}",
                rate.burst()
            ));
        }
        Match::Comment(comment) => add(&format!(
            "-m comment --comment {}",
            quoted(comment.as_str())
        )),
        Match::Other(other) => other.iter().for_each(|word| add(&other_word(word))),
    }
}

fn states_word(states: CtStates) -> &'static str {
    match states {
        CtStates::Invalid => "INVALID",
        CtStates::New => "NEW",
        CtStates::RelatedEstablished => "RELATED,ESTABLISHED",
    }
}

fn target_words(words: &mut Vec<String>, target: &Target) {
    let text = match target {
        Target::Accept => "-j ACCEPT".into(),
        Target::Drop => "-j DROP".into(),
        Target::Return => "-j RETURN".into(),
        Target::Jump(chain) => format!("-j {chain}"),
        Target::Log(prefix) => format!(
            "-j LOG --log-prefix {} --log-tcp-options --log-ip-options",
            quoted(prefix.as_str())
        ),
        Target::Masquerade => "-j MASQUERADE".into(),
        Target::Other(other) => other
            .iter()
            .map(|word| other_word(word))
            .collect::<Vec<_>>()
            .join(" "),
    };
    words.push(text);
}

/// A value as xtables_save_string prints it: bare where it is letters, digits,
/// `_` and `-`, else in double quotes with `"`, `\` and `'` escaped.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    in_quotes(value)
}

/// A word of a rule that is not ours, in quotes only where it has to be.
fn other_word(word: &str) -> String {
    if word.is_empty() || word.contains(|c: char| c.is_whitespace() || "\"\\'".contains(c)) {
        in_quotes(word)
    } else {
        word.to_owned()
    }
}

fn in_quotes(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        if "\"\\'".contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}
