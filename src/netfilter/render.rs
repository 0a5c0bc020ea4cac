//! Ruleset -> the text that iptables-restore reads, in the very form that
//! iptables-save prints (1.8.9 was compared), so that the two can be compared.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{
    Count, Counters, CtStates, Interface, IpFamily, MarkBits, Match, Negatable, Policy, PortSide,
    Protocol, RecentCheck, Rule, Ruleset, Table, TableName, Target, TcpFlags, TupleAddress,
};
use crate::field::{PortRange, Rate};

/// What the limit match counts a second: XT_LIMIT_SCALE.
const LIMIT_TICKS: u64 = 10_000;

/// What hashlimit counts a second: XT_HASHLIMIT_SCALE_v2.
const HASHLIMIT_TICKS: u64 = 1_000_000;

/// The text of these tables of a ruleset, each loaded whole: iptables-restore
/// commits table by table, in this order.
pub fn restore_text(ruleset: &Ruleset, tables: &[TableName]) -> String {
    let mut text = String::new();
    for name in tables {
        table(&mut text, *name, &ruleset.table(*name), None);
    }
    text
}

/// The same with what each rule counted, for `iptables-restore --counters`.
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
    for (option, network) in [("-s", rule.source), ("-d", rule.destination)] {
        // Any address is no condition, and is not printed.
        if let Some(Negatable { negated, value }) = network
            && (negated || value.prefix_len() > 0)
        {
            condition(option, negated, value.to_string());
        }
    }
    if let Some(Negatable { negated, value }) = &rule.in_interface {
        condition("-i", *negated, interface(value));
    }
    if let Some(Negatable { negated, value }) = &rule.out_interface {
        condition("-o", *negated, interface(value));
    }
    if let Some(Negatable { negated, value }) = rule.protocol {
        condition("-p", negated, protocol_word(value));
    }
    for extension in &rule.matches {
        match_words(&mut words, extension);
    }
    if let Some(target) = &rule.target {
        target_words(&mut words, target);
    }
    words.join(" ")
}

/// A match as iptables-save prints it.
pub fn match_text(extension: &Match) -> String {
    let mut words = Vec::new();
    match_words(&mut words, extension);
    words.join(" ")
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

fn match_words(words: &mut Vec<String>, extension: &Match) {
    let mut add = |text: &str| words.push(text.to_owned());
    match extension {
        Match::Tcp {
            sport,
            dport,
            flags,
        } => {
            add("-m tcp");
            ports(&mut add, *sport, *dport);
            if let Some(Negatable { negated, value }) = flags {
                let (mask, set) = (flags_word(value.mask), flags_word(value.set));
                add(&format!("{}--tcp-flags {mask} {set}", not(*negated)));
            }
        }
        Match::Udp { sport, dport } => {
            add("-m udp");
            ports(&mut add, *sport, *dport);
        }
        Match::Multiport(Negatable { negated, value }) => {
            let list: Vec<String> = value.ports.iter().map(ToString::to_string).collect();
            let side = match value.side {
                PortSide::Source => "sports",
                PortSide::Destination => "dports",
                PortSide::Either => "ports",
            };
            let list = list.join(",");
            add(&format!("-m multiport {}--{side} {list}", not(*negated)));
        }
        Match::Icmp(Negatable { negated, value }) => {
            add(&format!("-m icmp {}--icmp-type {value}", not(*negated)));
        }
        Match::Icmpv6(Negatable { negated, value }) => {
            add(&format!("-m icmp6 {}--icmpv6-type {value}", not(*negated)));
        }
        Match::Conntrack(Negatable { negated, value }) => {
            let states = states_word(*value);
            add(&format!("-m conntrack {}--ctstate {states}", not(*negated)));
        }
        Match::Connection(connection) => {
            let states = states_word(connection.states);
            add(&format!("-m conntrack --ctstate {states}"));
            if let Some((which, network)) = connection.end {
                let mut options = TupleAddress::OPTIONS.into_iter();
                if let Some((_, option)) = options.find(|(known, _)| *known == which) {
                    // One address is printed without its length.
                    let network = match network.prefix_len() == network.max_prefix_len() {
                        true => network.addr().to_string(),
                        false => network.to_string(),
                    };
                    add(&format!("{option} {network}"));
                }
            }
            if connection.expected {
                add("--ctstatus EXPECTED");
            }
            if let Some(direction) = connection.direction {
                add(&format!("--ctdir {}", direction.as_str()));
            }
        }
        Match::ExpectedBy(helper) => add(&format!("-m helper --helper {helper}")),
        Match::Addresses {
            source,
            destination,
        } => {
            add("-m iprange");
            for (option, range) in [("--src-range", source), ("--dst-range", destination)] {
                if let Some(Negatable { negated, value }) = range {
                    let (first, last) = value;
                    add(&format!("{}{option} {first}-{last}", not(*negated)));
                }
            }
        }
        Match::Fragment(Negatable { negated, .. }) => add(&format!("{}-f", not(*negated))),
        Match::Mac(Negatable { negated, value }) => {
            add(&format!("-m mac {}--mac-source {value}", not(*negated)));
        }
        Match::Mark(Negatable { negated, value }) => {
            let MarkBits { value, mask } = value;
            add(&format!("-m mark {}--mark {value:#x}", not(*negated)));
            if *mask != u32::MAX {
                // The mask is part of the same word.
                if let Some(last) = words.last_mut() {
                    last.push_str(&format!("/{mask:#x}"));
                }
            }
        }
        Match::OwnAddress => add("-m addrtype --dst-type LOCAL --limit-iface-in"),
        Match::HopLimit(limit) => add(&format!("-m hl --hl-eq {limit}")),
        Match::Recent { check, name } => {
            add("-m recent");
            let family = match check {
                RecentCheck::Set(family) => {
                    add("--set");
                    family
                }
                RecentCheck::Update {
                    seconds,
                    hits,
                    family,
                } => {
                    add(&format!("--update --seconds {seconds} --hitcount {hits}"));
                    family
                }
            };
            let mask: IpAddr = match family {
                IpFamily::V4 => Ipv4Addr::BROADCAST.into(),
                IpFamily::V6 => Ipv6Addr::from(u128::MAX).into(),
            };
            add(&format!("--name {name} --mask {mask} --rsource"));
        }
        Match::ConnectionsPerSource { most, family } => {
            let mask = match family {
                IpFamily::V4 => 32,
                IpFamily::V6 => 128,
            };
            add(&format!(
                "-m connlimit --connlimit-upto {most} --connlimit-mask {mask} --connlimit-saddr"
            ));
        }
        Match::Time(window) => add(&format!("-m time {window}")),
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

fn not(negated: bool) -> &'static str {
    if negated { "! " } else { "" }
}

fn ports(
    add: &mut impl FnMut(&str),
    sport: Option<Negatable<PortRange>>,
    dport: Option<Negatable<PortRange>>,
) {
    for (option, ports) in [("--sport", sport), ("--dport", dport)] {
        if let Some(Negatable { negated, value }) = ports {
            add(&format!("{}{option} {value}", not(negated)));
        }
    }
}

fn flags_word(flags: u8) -> String {
    TcpFlags::names(flags.into()).unwrap_or_else(|| "NONE".into())
}

fn states_word(states: CtStates) -> String {
    let named = CtStates::NAMES.iter();
    let held: Vec<&str> = named
        .filter(|(state, _)| states.contains(*state))
        .map(|(_, name)| *name)
        .collect();
    held.join(",")
}

fn target_words(words: &mut Vec<String>, target: &Target) {
    let text = match target {
        Target::Accept => "-j ACCEPT".into(),
        Target::Drop => "-j DROP".into(),
        Target::Return => "-j RETURN".into(),
        Target::Jump(chain) => format!("-j {chain}"),
        Target::Goto(chain) => format!("-g {chain}"),
        Target::Log(prefix) => format!(
            "-j LOG --log-prefix {} --log-tcp-options --log-ip-options",
            quoted(prefix.as_str())
        ),
        Target::Masquerade => "-j MASQUERADE".into(),
        Target::Snat(to) => format!("-j SNAT --to-source {to}"),
        Target::Dnat(to, None) => format!("-j DNAT --to-destination {to}"),
        Target::Dnat(to, Some(port)) => {
            format!("-j DNAT --to-destination {}", SocketAddr::new(*to, *port))
        }
        Target::Redirect(port) => format!("-j REDIRECT --to-ports {port}"),
        Target::SetMark(mark) => format!("-j MARK --set-xmark {mark:#x}/0xffffffff"),
        Target::Helper(name) => format!("-j CT --helper {name}"),
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
