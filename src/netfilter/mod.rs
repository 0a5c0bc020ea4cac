//! Netfilter rules as typed data.
//!
//! Owns tables, chains, rules, matches and targets as in iptables, for both families. Rules
//! are built and compared here; only `render` turns them into text, and only `parse` reads
//! text.

mod agree;
mod count;
mod diff;
mod extension;
mod features;
mod interim;
mod parse;
mod render;
mod tracked;

use std::borrow::Cow;
use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::name::{ChainName, Comment, InterfaceName};

pub(crate) use agree::agrees;
pub use count::{Count, Counters};
pub use diff::{Difference, differences};
pub use extension::{
    AddressRanges, Answer, Connection, CountedTogether, CtDirection, CtStates, MULTIPORT_MAX,
    MacBits, MarkBits, Match, Multiport, NFLOG_GROUP, PortSide, RecentCheck, SYN, SegmentSize,
    Target, TcpFlags, TupleAddress,
};
pub(crate) use features::{Feature, features, sample};
pub(crate) use interim::interim_filter;
pub(crate) use parse::interpret;
pub use parse::{ParseError, family_of_dump, parse, read};
pub(crate) use render::{match_text, restore_text_counted};
pub use render::{restore_text, rule_text};
pub use tracked::TrackedConnection;

/// The tables of one family. A table that is absent has no rules and accepts everything,
/// which is the kernel's initial state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    tables: BTreeMap<TableName, Table>,
}

/// The name of a table. The order is that of loading: tables that can only drop come before
/// those that accept or rewrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableName {
    /// Before conntrack.
    Raw,
    /// Modifies packets.
    Mangle,
    /// Accepts or drops packets.
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

    /// The name that iptables uses.
    pub fn as_str(self) -> &'static str {
        match self {
            TableName::Raw => "raw",
            TableName::Mangle => "mangle",
            TableName::Filter => "filter",
            TableName::Nat => "nat",
            TableName::Security => "security",
        }
    }

    /// The table's built-in chains (iptables(8), TABLES).
    pub fn builtin_chains(self) -> &'static [&'static str] {
        match self {
            TableName::Raw => &["PREROUTING", "OUTPUT"],
            TableName::Mangle => &["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"],
            TableName::Filter | TableName::Security => &["INPUT", "FORWARD", "OUTPUT"],
            TableName::Nat => &["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
        }
    }
}

/// A table: its chains, in the order in which they were created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The chains, built-in ones first.
    pub chains: Vec<Chain>,
}

/// A chain: its rules in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The name.
    pub name: ChainName,
    /// The fate of packets that no rule decides; None for a user-defined chain.
    pub policy: Option<ChainPolicy>,
    /// The rules; the first match decides.
    pub rules: Vec<Rule>,
}

/// The policy of a built-in chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainPolicy {
    /// Accepts packets.
    Accept,
    /// Drops packets.
    Drop,
}

/// A value that must match or, negated, must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negatable<T> {
    /// Whether it must not match.
    pub negated: bool,
    /// The value.
    pub value: T,
}

impl<T> Negatable<T> {
    /// A value that must match.
    pub fn is(value: T) -> Negatable<T> {
        Negatable {
            negated: false,
            value,
        }
    }

    /// A value that must not match.
    pub fn not(value: T) -> Negatable<T> {
        Negatable {
            negated: true,
            value,
        }
    }
}

/// One rule; all of its conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The source network.
    pub source: Option<Negatable<IpNet>>,
    /// The destination network.
    pub destination: Option<Negatable<IpNet>>,
    /// The incoming interface. Few rules name one, and there are thousands of them.
    pub in_interface: Option<Box<Negatable<Interface>>>,
    /// The outgoing interface.
    pub out_interface: Option<Box<Negatable<Interface>>>,
    /// The protocol.
    pub protocol: Option<Negatable<Protocol>>,
    /// Match extensions, in order.
    pub matches: Vec<Match>,
    /// What is done with the packet; without a target the rule only counts.
    pub target: Option<Target>,
    /// The line of the text that the rule was parsed from.
    pub line: TextLine,
}

/// A line number in a text, from 1; 0 if there is none. It does not take part in
/// comparisons: rules on different lines can be equal.
#[derive(Debug, Clone, Copy, Default)]
pub struct TextLine(pub usize);

impl PartialEq for TextLine {
    fn eq(&self, _: &TextLine) -> bool {
        true
    }
}

impl Eq for TextLine {}

/// An interface condition in a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interface {
    /// The loopback.
    Loopback,
    /// The interface of this name.
    Named(InterfaceName),
    /// Every interface whose name starts like this: `eth+`.
    Wildcard(InterfaceName),
}

/// An IP protocol.
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
    /// Another protocol, by its number.
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

    /// Restricts the rule to this protocol.
    pub fn of(mut self, protocol: Protocol) -> Rule {
        self.protocol = Some(Negatable::is(protocol));
        self
    }

    /// Adds a match to the rule.
    pub fn matching(mut self, extension: Match) -> Rule {
        self.matches.push(extension);
        self
    }

    /// The rule's comment; in camfw's rules it names the line of the file.
    pub fn comment(&self) -> Option<&Comment> {
        self.matches.iter().find_map(|extension| match extension {
            Match::Comment(comment) => Some(comment),
            _ => None,
        })
    }
}

impl Table {
    /// A table with empty built-in chains that have these policies. A chain that is not in
    /// `policies` accepts.
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

    /// A table without rules that accepts everything: the kernel's initial state.
    pub fn untouched(name: TableName) -> Table {
        Table::with_policies(name, &[])
    }

    /// The chain of this name.
    pub fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name.as_str() == name)
    }

    /// Every chain by its name, for who looks up many.
    pub(crate) fn by_name(&self) -> BTreeMap<&str, &Chain> {
        let chains = self.chains.iter();
        chains.map(|chain| (chain.name.as_str(), chain)).collect()
    }

    /// The rules of a chain, which is created if necessary.
    pub fn rules_mut(&mut self, name: &ChainName) -> &mut Vec<Rule> {
        let place = self.place_of(name);
        &mut self.chains[place].rules
    }

    /// The place of a chain in `chains`, which is created if necessary; for who adds many rules
    /// to it.
    pub(crate) fn place_of(&mut self, name: &ChainName) -> usize {
        // The chain that is being filled is usually the last.
        let place = self.chains.iter().rposition(|chain| chain.name == *name);
        place.unwrap_or_else(|| {
            self.chains.push(Chain {
                name: name.clone(),
                policy: None,
                rules: Vec::new(),
            });
            self.chains.len() - 1
        })
    }
}

impl Ruleset {
    /// The rules of a closed box: every chain of filter drops, and there are no rules.
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

    /// Frees the memory that lists of rules and matches were given to grow.
    pub fn shrink_to_fit(&mut self) {
        for chain in self.tables.values_mut().flat_map(|table| &mut table.chains) {
            chain.rules.shrink_to_fit();
            for rule in &mut chain.rules {
                rule.matches.shrink_to_fit();
            }
        }
    }

    /// Sets a table.
    pub fn set(&mut self, name: TableName, table: Table) {
        self.tables.insert(name, table);
    }

    /// A table; if it is not in the ruleset, an untouched one.
    pub fn table(&self, name: TableName) -> Cow<'_, Table> {
        self.tables
            .get(&name)
            .map_or_else(|| Cow::Owned(Table::untouched(name)), Cow::Borrowed)
    }

    /// The tables of the ruleset, in the order of loading.
    pub fn tables(&self) -> impl Iterator<Item = (TableName, &Table)> {
        self.tables.iter().map(|(name, table)| (*name, table))
    }

    /// Whether incoming and forwarded packets are dropped unless a rule accepts them.
    pub fn is_closed(&self) -> bool {
        let filter = self.table(TableName::Filter);
        ["INPUT", "FORWARD"].iter().all(|name| {
            filter
                .chain(name)
                .is_some_and(|chain| chain.policy == Some(ChainPolicy::Drop))
        })
    }
}
