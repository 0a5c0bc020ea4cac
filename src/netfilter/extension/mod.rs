//! Match and target extensions: one file each, with its type, how iptables-save
//! prints it, how it is read, its name and its option in the kernel's configuration.
//!
//! To add one: a file here, a variant of [`Match`] or [`Target`], its lines in
//! [`Match::extension`] and [`Match::print`] (or the target's), and its meaning in
//! `prove`. A rule says nothing that is not here; what is read and not understood is
//! kept word for word as [`Match::Other`] or [`Target::Other`].

mod addrtype;
mod comment;
mod connlimit;
mod conntrack;
mod ct;
mod hashlimit;
mod helper;
mod hl;
mod icmp;
mod iprange;
mod limit;
mod log;
mod mac;
mod mark;
mod multiport;
mod nat;
mod recent;
mod tcp;
mod time;
mod udp;
mod words;

use std::net::IpAddr;

use crate::field::{IcmpType, PortRange, Rate, TimeWindow};
use crate::name::{ChainName, Comment, LogPrefix, MacAddress, ServiceName};
use crate::netfilter::Negatable;
pub use connlimit::CountedTogether;
pub use conntrack::{Connection, CtDirection, CtStates, TupleAddress};
pub use mark::MarkBits;
pub use multiport::{MULTIPORT_MAX, Multiport, PortSide};
pub use recent::RecentCheck;
pub use tcp::TcpFlags;
pub(super) use words::Words;
use words::{not, other_word};

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
    /// `-m conntrack --ctstatus CONFIRMED`: of a connection that the kernel's table
    /// has, answered or not
    InTable,
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
    /// `-m connlimit`: at most so many connections are open, of those that came by
    /// this rule (each has a count of its own, net/netfilter/xt_connlimit.c)
    OpenConnections {
        /// How many.
        most: u32,
        /// Whose.
        of: CountedTogether,
    },
    /// `-m time`
    Time(TimeWindow),
    /// `-m comment`
    Comment(Comment),
    /// An extension or option that we do not write: its words as they stand.
    Other(Vec<String>),
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
    /// Say how conntrack takes the packet; the first that does so for a packet holds.
    Conntrack {
        /// The helper that looks at the connection.
        helper: Option<ServiceName>,
        /// The zone that the connection is in; None is 0.
        zone: Option<u16>,
    },
    /// A target that we do not write: its words as they stand.
    Other(Vec<String>),
}

/// A match or target extension of x_tables.
pub(super) struct Extension<T: 'static> {
    /// As in `-m NAME` or `-j NAME`, and in /proc/net/ip_tables_{matches,targets}.
    pub(super) name: &'static str,
    /// Its option in the kernel's configuration (net/netfilter/Kconfig, 6.18); None for
    /// what is part of x_tables.
    pub(super) kernel_option: Option<&'static str>,
    /// Reads what follows its name; None where that says what our rules cannot.
    pub(super) read: fn(&mut Words<'_>) -> Option<T>,
}

/// Every match extension that is understood.
const MATCHES: [&Extension<Match>; 19] = [
    &addrtype::ADDRTYPE,
    &comment::COMMENT,
    &connlimit::CONNLIMIT,
    &conntrack::CONNTRACK,
    &conntrack::STATE,
    &hashlimit::HASHLIMIT,
    &helper::HELPER,
    &hl::HL,
    &icmp::ICMP,
    &icmp::ICMP6,
    &iprange::IPRANGE,
    &limit::LIMIT,
    &mac::MAC,
    &mark::MARK_MATCH,
    &multiport::MULTIPORT,
    &recent::RECENT,
    &tcp::TCP,
    &time::TIME,
    &udp::UDP,
];

/// Every target extension that is understood.
const TARGETS: [&Extension<Target>; 7] = [
    &ct::CT,
    &log::LOG,
    &mark::MARK_TARGET,
    &nat::DNAT,
    &nat::MASQUERADE,
    &nat::REDIRECT,
    &nat::SNAT,
];

/// The option in the kernel's configuration of a match extension.
pub(super) fn match_option(name: &str) -> Option<&'static str> {
    let extension = MATCHES.iter().find(|extension| extension.name == name)?;
    extension.kernel_option
}

/// The option in the kernel's configuration of a target extension.
pub(super) fn target_option(name: &str) -> Option<&'static str> {
    let extension = TARGETS.iter().find(|extension| extension.name == name)?;
    extension.kernel_option
}

impl Match {
    /// Its extension; None for what iptables itself matches, and what is not understood.
    fn extension(&self) -> Option<&'static Extension<Match>> {
        Some(match self {
            Match::Tcp { .. } => &tcp::TCP,
            Match::Udp { .. } => &udp::UDP,
            Match::Multiport(_) => &multiport::MULTIPORT,
            Match::Icmp(_) => &icmp::ICMP,
            Match::Icmpv6(_) => &icmp::ICMP6,
            Match::Conntrack(_) | Match::Connection(_) | Match::InTable => &conntrack::CONNTRACK,
            Match::ExpectedBy(_) => &helper::HELPER,
            Match::Addresses { .. } => &iprange::IPRANGE,
            Match::Mac(_) => &mac::MAC,
            Match::Mark(_) => &mark::MARK_MATCH,
            Match::OwnAddress => &addrtype::ADDRTYPE,
            Match::HopLimit(_) => &hl::HL,
            Match::Limit(_) => &limit::LIMIT,
            Match::HashlimitPerSource { .. } => &hashlimit::HASHLIMIT,
            Match::Recent { .. } => &recent::RECENT,
            Match::OpenConnections { .. } => &connlimit::CONNLIMIT,
            Match::Time(_) => &time::TIME,
            Match::Comment(_) => &comment::COMMENT,
            Match::Fragment(_) | Match::Other(_) => return None,
        })
    }

    /// Its extension's name.
    pub(super) fn extension_name(&self) -> Option<&'static str> {
        self.extension().map(|extension| extension.name)
    }

    /// As iptables-save prints it.
    pub(super) fn print(&self) -> String {
        let options = match self {
            Match::Tcp {
                sport,
                dport,
                flags,
            } => tcp::print(*sport, *dport, *flags),
            Match::Udp { sport, dport } => words::print_ports(*sport, *dport),
            Match::Multiport(ports) => multiport::print(ports),
            Match::Icmp(kind) => icmp::print("--icmp-type", *kind),
            Match::Icmpv6(kind) => icmp::print("--icmpv6-type", *kind),
            Match::Conntrack(states) => conntrack::print_states(*states),
            Match::Connection(connection) => conntrack::print(connection),
            Match::InTable => conntrack::IN_TABLE.into(),
            Match::ExpectedBy(helper) => format!(" --helper {helper}"),
            Match::Addresses {
                source,
                destination,
            } => iprange::print(*source, *destination),
            Match::Fragment(Negatable { negated, .. }) => return format!("{}-f", not(*negated)),
            Match::Mac(Negatable { negated, value }) => {
                format!(" {}--mac-source {value}", not(*negated))
            }
            Match::Mark(bits) => mark::print(*bits),
            Match::OwnAddress => addrtype::OPTIONS.into(),
            Match::HopLimit(limit) => format!(" --hl-eq {limit}"),
            Match::Limit(rate) => limit::print(*rate),
            Match::HashlimitPerSource { rate, name } => hashlimit::print(*rate, name),
            Match::Recent { check, name } => recent::print(*check, name),
            Match::OpenConnections { most, of } => connlimit::print(*most, *of),
            Match::Time(window) => format!(" {window}"),
            Match::Comment(comment) => comment::print(comment),
            Match::Other(words) => return other_words(words),
        };
        format!("-m {}{options}", self.extension_name().unwrap_or_default())
    }

    /// Reads the match of the extension whose name was just read.
    pub(super) fn read(name: &str, words: &mut Words<'_>) -> Option<Match> {
        let extension = MATCHES.iter().find(|extension| extension.name == name)?;
        (extension.read)(words)
    }
}

impl Target {
    /// Its extension; None for verdicts and jumps, and what is not understood.
    fn extension(&self) -> Option<&'static Extension<Target>> {
        Some(match self {
            Target::Log(_) => &log::LOG,
            Target::Masquerade => &nat::MASQUERADE,
            Target::Snat(_) => &nat::SNAT,
            Target::Dnat(..) => &nat::DNAT,
            Target::Redirect(_) => &nat::REDIRECT,
            Target::SetMark(_) => &mark::MARK_TARGET,
            Target::Conntrack { .. } => &ct::CT,
            Target::Accept
            | Target::Drop
            | Target::Return
            | Target::Jump(_)
            | Target::Goto(_)
            | Target::Other(_) => return None,
        })
    }

    /// Its extension's name.
    pub(super) fn extension_name(&self) -> Option<&'static str> {
        self.extension().map(|extension| extension.name)
    }

    /// As iptables-save prints it.
    pub(super) fn print(&self) -> String {
        let options = match self {
            Target::Accept => return "-j ACCEPT".into(),
            Target::Drop => return "-j DROP".into(),
            Target::Return => return "-j RETURN".into(),
            Target::Jump(chain) => return format!("-j {chain}"),
            Target::Goto(chain) => return format!("-g {chain}"),
            Target::Other(words) => return other_words(words),
            Target::Log(prefix) => log::print(prefix),
            Target::Masquerade => String::new(),
            Target::Snat(to) => format!(" --to-source {to}"),
            Target::Dnat(to, port) => nat::print_destination(*to, *port),
            Target::Redirect(port) => format!(" --to-ports {port}"),
            Target::SetMark(mark) => format!(" --set-xmark {mark:#x}/0xffffffff"),
            Target::Conntrack { helper, zone } => ct::print(helper.as_ref(), *zone),
        };
        format!("-j {}{options}", self.extension_name().unwrap_or_default())
    }

    /// Reads the target after `-j`.
    pub(super) fn read(words: &mut Words<'_>) -> Option<Target> {
        match words.next()? {
            "ACCEPT" => Some(Target::Accept),
            "DROP" => Some(Target::Drop),
            "RETURN" => Some(Target::Return),
            // Names in capitals are the extensions'.
            name if name.bytes().all(|b| b.is_ascii_uppercase()) => {
                let extension = TARGETS.iter().find(|extension| extension.name == name)?;
                (extension.read)(words)
            }
            name => ChainName::try_from(name).ok().map(Target::Jump),
        }
    }
}

fn other_words(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| other_word(word)).collect();
    words.join(" ")
}
