//! Netfilter rules as typed data.
//!
//! Owns tables, chains, rules, matches and targets as iptables has them, for
//! both families. Rules are made here and compared here; text is made in
//! `render` alone and read in `parse` alone.

mod diff;
mod features;
mod parse;
mod render;

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::field::{IcmpType, PortRange, Rate};
use crate::name::{ChainName, Comment, InterfaceName, LogPrefix};

pub use diff::{Difference, differences};
pub use features::Features;
pub use parse::{ParseError, parse};
pub use render::{restore_text, rule_text};

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
    pub policy: Option<Policy>,
    /// First match decides.
    pub rules: Vec<Rule>,
}

/// The policy of a built-in chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Let it through.
    Accept,
    /// Drop it.
    Drop,
}

/// A value that must, or must not, match.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    pub protocol: Option<Protocol>,
    /// Match extensions, in order.
    pub matches: Vec<Match>,
    /// What becomes of the packet; None counts and goes on.
    pub target: Option<Target>,
}

/// An interface as a rule names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interface {
    /// The loopback.
    Loopback,
    /// A network interface.
    Named(InterfaceName),
}

/// A protocol that our rules name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
    /// ICMP
    Icmp,
}

/// A match extension with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// `-m tcp`
    Tcp {
        /// Destination port.
        dport: Option<PortRange>,
        /// Only the first packet of a connection: SYN of SYN, ACK, FIN and RST.
        syn: bool,
    },
    /// `-m udp`
    Udp {
        /// Source port.
        sport: Option<PortRange>,
        /// Destination port.
        dport: Option<PortRange>,
    },
    /// `-m multiport --dports`, at most [`MULTIPORT_MAX`] ports.
    MultiportDestination(Vec<PortRange>),
    /// `-m icmp`
    Icmp(IcmpType),
    /// `-m conntrack --ctstate`
    Conntrack(CtStates),
    /// `-m limit`, with the rate's burst
    Limit(Rate),
    /// `-m hashlimit`, per source address, with the rate's burst
    HashlimitPerSource {
        /// At most this many.
        rate: Rate,
        /// The name of its table in /proc/net/ipt_hashlimit.
        name: ChainName,
    },
    /// `-m comment`
    Comment(Comment),
    /// An extension or option that we do not write: its words as they stand.
    Other(Vec<String>),
}

/// The most ports in one multiport match, a range counting as two:
/// XT_MULTI_PORTS (include/uapi/linux/netfilter/xt_multiport.h).
pub const MULTIPORT_MAX: usize = 15;

/// Conntrack states, as iptables lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CtStates {
    /// No state can be given to it.
    Invalid,
    /// The first packet of a connection.
    New,
    /// Part of, or brought about by, a connection that was let through.
    RelatedEstablished,
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Let it through.
    Accept,
    /// Drop it.
    Drop,
    /// Back to the calling chain, or to the policy.
    Return,
    /// On to a chain of our own.
    Jump(ChainName),
    /// Log and go on.
    Log(LogPrefix),
    /// Rewrite the source address to that of the interface it leaves by.
    Masquerade,
    /// A target that we do not write: its words as they stand.
    Other(Vec<String>),
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
        }
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
    pub fn with_policies(name: TableName, policies: &[(&str, Policy)]) -> Table {
        let chains = name.builtin_chains().iter().filter_map(|builtin| {
            let policy = policies
                .iter()
                .find(|(chain, _)| chain == builtin)
                .map_or(Policy::Accept, |(_, policy)| *policy);
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
        let index = match self.chains.iter().position(|chain| chain.name == *name) {
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
        let drop = |chain| (chain, Policy::Drop);
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
                .is_some_and(|chain| chain.policy == Some(Policy::Drop))
        })
    }
}
