//! Netfilter rules as typed data.
//!
//! Owns tables, chains, rules, matches and targets as iptables has them, for
//! both families. Rules are made here and compared here; text is made in
//! `render` alone and read in `parse` alone.

mod agree;
mod count;
mod diff;
mod extension;
mod features;
mod interim;
mod parse;
mod render;
mod tracked;

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::name::{ChainName, Comment, InterfaceName};

pub use agree::agrees;
pub use count::{Count, Counters};
pub use diff::{Difference, differences};
pub use extension::{
    Connection, CountedTogether, CtDirection, CtStates, MULTIPORT_MAX, MarkBits, Match, Multiport,
    PortSide, RecentCheck, Target, TcpFlags, TupleAddress,
};
pub use features::{Feature, features, sample};
pub use interim::interim_filter;
pub use parse::{ParseError, interpret, named_family, parse, read};
pub use render::{match_text, restore_text, restore_text_counted, rule_text};
pub use tracked::TrackedConnection;

/// The tables of one family. A table that is not in it holds no rule and
/// accepts everything, which is how the kernel begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    tables: BTreeMap<TableName, Table>,
}

/// A table's name. The order is the order of loading: what can only drop
/// comes before what lets through and what rewrites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableName {
    /// Before conntrack.
    Raw,
    /// Alters packets.
    Mangle,
    /// Lets through or drops.
    Filter,
    /// Rewrites addresses.
    Nat,
    /// Mandatory access control, after filter.
    Security,
}

impl TableName {
    /// Every table, in the order of loading.
    pub const ALL: [TableName; 5] = [
        TableName::Raw,
        TableName::Mangle,
        TableName::Filter,
        TableName::Nat,
        TableName::Security,
    ];

    /// As iptables calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            TableName::Raw => "raw",
            TableName::Mangle => "mangle",
            TableName::Filter => "filter",
            TableName::Nat => "nat",
            TableName::Security => "security",
        }
    }

    /// Its built-in chains (iptables(8), TABLES).
    pub fn builtin_chains(self) -> &'static [&'static str] {
        match self {
            TableName::Raw => &["PREROUTING", "OUTPUT"],
            TableName::Mangle => &["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"],
            TableName::Filter | TableName::Security => &["INPUT", "FORWARD", "OUTPUT"],
            TableName::Nat => &["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
        }
    }
}

/// Chains in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// Built-in chains first.
    pub chains: Vec<Chain>,
}

/// Rules in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: ChainName,
    /// What becomes of a packet that no rule decides; None for a chain of our own.
    pub policy: Option<ChainPolicy>,
    /// First match decides.
    pub rules: Vec<Rule>,
}

/// The policy of a built-in chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainPolicy {
    /// Let it through.
    Accept,
    /// Drop it.
    Drop,
}

/// A value that must, or must not, match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negatable<T> {
    /// Whether it must not.
    pub negated: bool,
    /// The value.
    pub value: T,
}

impl<T> Negatable<T> {
    /// It must match.
    pub fn is(value: T) -> Negatable<T> {
        Negatable {
            negated: false,
            value,
        }
    }

    /// It must not match.
    pub fn not(value: T) -> Negatable<T> {
        Negatable {
            negated: true,
            value,
        }
    }
}

/// One rule; every condition must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Source network.
    pub source: Option<Negatable<IpNet>>,
    /// Destination network.
    pub destination: Option<Negatable<IpNet>>,
    /// Interface it came in by.
    pub in_interface: Option<Negatable<Interface>>,
    /// Interface it goes out by.
    pub out_interface: Option<Negatable<Interface>>,
    /// Protocol.
    pub protocol: Option<Negatable<Protocol>>,
    /// Match extensions, in order.
    pub matches: Vec<Match>,
    /// What becomes of the packet; None counts and goes on.
    pub target: Option<Target>,
    /// Where it stands in somebody's text.
    pub line: TextLine,
}

/// A line of a text, from 1; 0 where there is none. It is no part of what a rule
/// says: rules on different lines are the same.
#[derive(Debug, Clone, Copy, Default)]
pub struct TextLine(pub usize);

impl PartialEq for TextLine {
    fn eq(&self, _: &TextLine) -> bool {
        true
    }
}

impl Eq for TextLine {}

/// An interface as a rule names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interface {
    /// The loopback.
    Loopback,
    /// A network interface.
    Named(InterfaceName),
    /// Every interface whose name begins so: `eth+`.
    Wildcard(InterfaceName),
}

/// A protocol that our rules name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
    /// ICMP, of IPv4
    Icmp,
    /// ICMPv6
    Icmpv6,
    /// Another, by its number.
    Number(u8),
}

impl Protocol {
    /// Its number in the IP header.
    pub const fn number(self) -> u8 {
        match self {
            Protocol::Icmp => 1,
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Icmpv6 => 58,
            Protocol::Number(number) => number,
        }
    }
}

impl Rule {
    /// A rule that matches every packet.
    pub fn new(target: Target) -> Rule {
        Rule {
            target: Some(target),
            ..Rule::untargeted()
        }
    }

    /// A rule that matches every packet and only counts it.
    pub fn untargeted() -> Rule {
        Rule {
            source: None,
            destination: None,
            in_interface: None,
            out_interface: None,
            protocol: None,
            matches: Vec::new(),
            target: None,
            line: TextLine::default(),
        }
    }

    /// The same, of this protocol.
    pub fn of(mut self, protocol: Protocol) -> Rule {
        self.protocol = Some(Negatable::is(protocol));
        self
    }

    /// The same, with one more match.
    pub fn matching(mut self, extension: Match) -> Rule {
        self.matches.push(extension);
        self
    }

    /// The rule's comment, which for ours names the line it comes from.
    pub fn comment(&self) -> Option<&Comment> {
        self.matches.iter().find_map(|extension| match extension {
            Match::Comment(comment) => Some(comment),
            _ => None,
        })
    }
}

impl Table {
    /// A table with its built-in chains, empty, with these policies. A chain
    /// that is not in `policies` accepts.
    pub fn with_policies(name: TableName, policies: &[(&str, ChainPolicy)]) -> Table {
        let chains = name.builtin_chains().iter().filter_map(|builtin| {
            let policy = policies
                .iter()
                .find(|(chain, _)| chain == builtin)
                .map_or(ChainPolicy::Accept, |(_, policy)| *policy);
            Some(Chain {
                name: ChainName::try_from(*builtin).ok()?,
                policy: Some(policy),
                rules: Vec::new(),
            })
        });
        Table {
            chains: chains.collect(),
        }
    }

    /// A table that does nothing: how the kernel begins.
    pub fn untouched(name: TableName) -> Table {
        Table::with_policies(name, &[])
    }

    /// A chain by name.
    pub fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name.as_str() == name)
    }

    /// The rules of a chain, made if it is not there.
    pub fn rules_mut(&mut self, name: &ChainName) -> &mut Vec<Rule> {
        // The one that is being filled is mostly the last.
        let index = match self.chains.iter().rposition(|chain| chain.name == *name) {
            Some(index) => index,
            None => {
                self.chains.push(Chain {
                    name: name.clone(),
                    policy: None,
                    rules: Vec::new(),
                });
                self.chains.len() - 1
            }
        };
        &mut self.chains[index].rules
    }
}

impl Ruleset {
    /// The closed box: all of filter drops, and there is no rule.
    pub fn sealed() -> Ruleset {
        let drop = |chain| (chain, ChainPolicy::Drop);
        let mut ruleset = Ruleset::default();
        ruleset.set(
            TableName::Filter,
            Table::with_policies(
                TableName::Filter,
                &[drop("INPUT"), drop("FORWARD"), drop("OUTPUT")],
            ),
        );
        ruleset
    }

    /// Puts a table in.
    pub fn set(&mut self, name: TableName, table: Table) {
        self.tables.insert(name, table);
    }

    /// A table, as it is where nobody touched it if it is not in the ruleset.
    pub fn table(&self, name: TableName) -> Table {
        self.tables
            .get(&name)
            .cloned()
            .unwrap_or_else(|| Table::untouched(name))
    }

    /// The tables that are in it, in the order of loading.
    pub fn tables(&self) -> impl Iterator<Item = (TableName, &Table)> {
        self.tables.iter().map(|(name, table)| (*name, table))
    }

    /// Whether what comes in or passes through is dropped unless a rule says
    /// otherwise.
    pub fn is_closed(&self) -> bool {
        let filter = self.table(TableName::Filter);
        ["INPUT", "FORWARD"].iter().all(|name| {
            filter
                .chain(name)
                .is_some_and(|chain| chain.policy == Some(ChainPolicy::Drop))
        })
    }
}
