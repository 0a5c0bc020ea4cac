//! Netfilter rules as typed data.
//!
//! Owns tables, chains, rules, matches and targets as iptables has them, for
//! both families. Rules are made here and compared here; text is made in
//! `render` alone and read in `parse` alone.

mod agree;
mod count;
mod diff;
mod features;
mod hold;
mod parse;
mod render;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::field::{IcmpType, PortRange, Rate, TimeWindow};
use crate::name::{ChainName, Comment, InterfaceName, LogPrefix, MacAddress, ServiceName};

pub use agree::agrees;
pub use count::{Count, Counters};
pub use diff::{Difference, differences};
pub use features::{Feature, features, sample};
pub use hold::hold;
pub use parse::{ParseError, meant, named_family, parse, read};
pub use render::{match_text, restore_text, restore_text_counted, rule_text};

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
    pub line: Line,
}

/// A line of a text, from 1; 0 where there is none. It is no part of what a rule
/// says: rules on different lines are the same.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line(pub usize);

impl PartialEq for Line {
    fn eq(&self, _: &Line) -> bool {
        true
    }
}

impl Eq for Line {}

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

/// A match extension with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// `-m tcp`
    Tcp {
        /// Source port.
        sport: Option<Negatable<PortRange>>,
        /// Destination port.
        dport: Option<Negatable<PortRange>>,
        /// Flags.
        flags: Option<Negatable<TcpFlags>>,
    },
    /// `-m udp`
    Udp {
        /// Source port.
        sport: Option<Negatable<PortRange>>,
        /// Destination port.
        dport: Option<Negatable<PortRange>>,
    },
    /// `-m multiport`
    Multiport(Negatable<Multiport>),
    /// `-m icmp`
    Icmp(Negatable<IcmpType>),
    /// `-m icmp6`
    Icmpv6(Negatable<IcmpType>),
    /// `-m conntrack --ctstate`
    Conntrack(Negatable<CtStates>),
    /// `-m conntrack --ctstate` with more of the connection that it belongs to
    Connection(Connection),
    /// `-m helper --helper`: a connection that this helper expected
    ExpectedBy(ServiceName),
    /// `-m iprange`
    Addresses {
        /// First and last source address.
        source: Option<Negatable<(IpAddr, IpAddr)>>,
        /// First and last destination address.
        destination: Option<Negatable<(IpAddr, IpAddr)>>,
    },
    /// `-f`: a fragment, and not the first; or, negated, all others.
    Fragment(Negatable<()>),
    /// `-m mac --mac-source`
    Mac(Negatable<MacAddress>),
    /// `-m mark --mark`
    Mark(Negatable<MarkBits>),
    /// `-m addrtype --dst-type LOCAL --limit-iface-in`: to an address of this host's
    /// on the interface that the packet came in by
    OwnAddress,
    /// `-m hl --hl-eq`, the IPv6 hop limit
    HopLimit(u8),
    /// `-m limit`, with the rate's burst
    Limit(Rate),
    /// `-m hashlimit`, per source address, with the rate's burst
    HashlimitPerSource {
        /// At most this many.
        rate: Rate,
        /// The name of its table in /proc/net/ipt_hashlimit.
        name: ChainName,
    },
    /// `-m recent`, per source address
    Recent {
        /// What is done or asked.
        check: RecentCheck,
        /// The name of its list in /proc/net/xt_recent.
        name: ChainName,
    },
    /// `-m connlimit`: at most so many connections of one source address are open
    ConnectionsPerSource {
        /// How many.
        most: u32,
        /// The family, which decides how the mask is written.
        family: IpFamily,
    },
    /// `-m time`
    Time(TimeWindow),
    /// `-m comment`
    Comment(Comment),
    /// An extension or option that we do not write: its words as they stand.
    Other(Vec<String>),
}

/// Ports of either end, at most [`MULTIPORT_MAX`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multiport {
    /// Which end.
    pub side: PortSide,
    /// Any of these.
    pub ports: Vec<PortRange>,
}

/// Which of a packet's ports a multiport match looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortSide {
    /// `--sports`
    Source,
    /// `--dports`
    Destination,
    /// `--ports`: one of the two
    Either,
}

/// The most ports in one multiport match, a range counting as two:
/// XT_MULTI_PORTS (include/uapi/linux/netfilter/xt_multiport.h).
pub const MULTIPORT_MAX: usize = 15;

/// TCP flags: of those in `mask`, just those in `set` are on. Bits as in the
/// header: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpFlags {
    /// Those that are looked at.
    pub mask: u8,
    /// Those that must be on.
    pub set: u8,
}

impl TcpFlags {
    /// The first packet of a connection: SYN of SYN, ACK, FIN and RST.
    pub const OPENING: TcpFlags = TcpFlags {
        mask: 0b01_0111,
        set: 0b00_0010,
    };
    /// A reset: RST, whatever else.
    pub const RESET: TcpFlags = TcpFlags {
        mask: 0b00_0100,
        set: 0b00_0100,
    };
    /// Their names, from the lowest bit.
    pub const NAMES: [&'static str; 6] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"];

    /// The names of those that are on, with commas between them; None if none is.
    pub fn names(flags: u128) -> Option<String> {
        let named = TcpFlags::NAMES.iter().enumerate();
        let on: Vec<&str> = named
            .filter(|(bit, _)| flags >> bit & 1 == 1)
            .map(|(_, name)| *name)
            .collect();
        (!on.is_empty()).then(|| on.join(","))
    }
}

/// A packet's mark, under a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkBits {
    /// The value.
    pub value: u32,
    /// The bits that are compared.
    pub mask: u32,
}

/// A set of conntrack states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CtStates(u8);

impl CtStates {
    /// No state can be given to it.
    pub const INVALID: CtStates = CtStates(1);
    /// The first packet of a connection.
    pub const NEW: CtStates = CtStates(2);
    /// Brought about by a connection that was let through.
    pub const RELATED: CtStates = CtStates(4);
    /// Part of a connection that was let through.
    pub const ESTABLISHED: CtStates = CtStates(8);
    /// Kept from conntrack by table raw.
    pub const UNTRACKED: CtStates = CtStates(16);
    /// Its source address is rewritten.
    pub const SNAT: CtStates = CtStates(32);
    /// Its destination address is rewritten.
    pub const DNAT: CtStates = CtStates(64);

    /// Each with its name, in the order in which iptables lists them.
    pub const NAMES: [(CtStates, &'static str); 7] = [
        (CtStates::INVALID, "INVALID"),
        (CtStates::NEW, "NEW"),
        (CtStates::RELATED, "RELATED"),
        (CtStates::ESTABLISHED, "ESTABLISHED"),
        (CtStates::UNTRACKED, "UNTRACKED"),
        (CtStates::SNAT, "SNAT"),
        (CtStates::DNAT, "DNAT"),
    ];

    /// Whether every state of `other` is in it.
    pub const fn contains(self, other: CtStates) -> bool {
        self.0 & other.0 == other.0
    }

    /// By their names; None if one is none or there is none.
    pub fn by_names(names: &str) -> Option<CtStates> {
        let mut bits = 0;
        for name in names.split(',') {
            let (state, _) = CtStates::NAMES.iter().find(|(_, known)| *known == name)?;
            bits |= state.0;
        }
        Some(CtStates(bits))
    }
}

/// What is asked of the connection that a packet belongs to, beside its state.
/// All of it must hold: ends in one match are ANDed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// The packet's states, any of these.
    pub states: CtStates,
    /// An address of the connection.
    pub end: Option<(TupleAddress, IpNet)>,
    /// `--ctstatus EXPECTED`: whether a helper expected it.
    pub expected: bool,
    /// The way that the packet takes in it.
    pub direction: Option<CtDirection>,
}

/// An address of conntrack's tuples: of the one in the direction in which the
/// connection was opened, and of the one in which it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TupleAddress {
    /// `--ctorigsrc`: who opened it.
    OriginalSource,
    /// `--ctorigdst`: to whom, before rewriting.
    OriginalDestination,
    /// `--ctreplsrc`: who answers.
    ReplySource,
    /// `--ctrepldst`: to whom, before that is rewritten back.
    ReplyDestination,
}

impl TupleAddress {
    /// Each with its option, in the order in which iptables-save prints them.
    pub const OPTIONS: [(TupleAddress, &'static str); 4] = [
        (TupleAddress::OriginalSource, "--ctorigsrc"),
        (TupleAddress::OriginalDestination, "--ctorigdst"),
        (TupleAddress::ReplySource, "--ctreplsrc"),
        (TupleAddress::ReplyDestination, "--ctrepldst"),
    ];
}

/// `--ctdir`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CtDirection {
    /// As the packet that opened the connection.
    Original,
    /// As its answers.
    Reply,
}

impl CtDirection {
    /// As iptables has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            CtDirection::Original => "ORIGINAL",
            CtDirection::Reply => "REPLY",
        }
    }
}

/// What a `recent` match does with its list of source addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecentCheck {
    /// Puts the address on the list; always matches.
    Set(IpFamily),
    /// Matches an address that came so often within so many seconds, and notes
    /// that it came again.
    Update {
        /// Within how long.
        seconds: u32,
        /// How often.
        hits: u8,
        /// The family, which decides how the mask is written.
        family: IpFamily,
    },
}

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IpFamily {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl fmt::Display for IpFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IpFamily::V4 => "IPv4",
            IpFamily::V6 => "IPv6",
        })
    }
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
    /// On to a chain of our own, and from its end not back here but to where
    /// this chain was called from.
    Goto(ChainName),
    /// Log and go on.
    Log(LogPrefix),
    /// Rewrite the source address to that of the interface it leaves by.
    Masquerade,
    /// Rewrite the source address.
    Snat(IpAddr),
    /// Rewrite the destination address, and the port if there is one.
    Dnat(IpAddr, Option<u16>),
    /// To this port of the router itself.
    Redirect(u16),
    /// Mark the packet and go on.
    SetMark(u32),
    /// Let conntrack's helper of this name look at the connection.
    Helper(ServiceName),
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
            line: Line::default(),
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
