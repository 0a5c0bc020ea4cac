//! Match and target extensions, one file each: its type, how iptables-save prints it, how
//! it is parsed, its name, and its kernel configuration option.
//!
//! To add one: a file here, a variant of [`Match`] or [`Target`], its entry in `MATCHES` or
//! `TARGETS`, its lines in [`Match::extension`] and [`Match::print`] (or the target's), and
//! its meaning in `prove::condition` or `prove::program`. One that occurs in other people's
//! dumps only, and that camfw never writes, belongs into `prove::foreign` alone.
//! A rule can express nothing that is not here; options that are not recognized are kept
//! verbatim, as [`Match::Other`] or [`Target::Other`].

mod addrtype;
mod bpf;
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
mod nflog;
mod recent;
mod reject;
mod tcp;
mod tcpmss;
mod time;
mod udp;
mod words;

use std::net::IpAddr;

use crate::family::IpFamily;
use crate::field::{IcmpType, PortRange, Rate, TimeWindow};
use crate::name::{ChainName, Comment, LogPrefix, MacAddress, ServiceName};
use crate::netfilter::Negatable;
pub use bpf::MacBits;
pub use connlimit::CountedTogether;
pub use conntrack::{Connection, CtDirection, CtStates, TupleAddress};
pub use iprange::AddressRanges;
pub use mark::MarkBits;
pub use multiport::{MULTIPORT_MAX, Multiport, PortSide};
pub use nflog::NFLOG_GROUP;
pub use recent::RecentCheck;
pub use reject::Answer;
pub use tcp::TcpFlags;
pub use tcpmss::{SYN, SegmentSize};
pub(super) use words::Words;
use words::{not, other_word};

/// A match extension with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// `-m tcp`
    Tcp {
        /// The source port.
        sport: Option<Negatable<PortRange>>,
        /// The destination port.
        dport: Option<Negatable<PortRange>>,
        /// The flags.
        flags: Option<Negatable<TcpFlags>>,
    },
    /// `-m udp`
    Udp {
        /// The source port.
        sport: Option<Negatable<PortRange>>,
        /// The destination port.
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
    /// `-m conntrack --ctstate` with more conditions on the connection
    Connection(Connection),
    /// `-m conntrack --ctstatus CONFIRMED`: a connection that is in the conntrack table,
    /// answered or not
    InTable,
    /// `-m conntrack --ctexpire 0:`: a connection whose entry in the conntrack table stays
    /// for no more than these seconds unless another packet comes
    ExpiresWithin(u32),
    /// `-m helper --helper`: connections that this helper expected
    ExpectedBy(ServiceName),
    /// `-m iprange`
    Addresses(Box<AddressRanges>),
    /// `-f`: fragments other than the first; negated, all other packets.
    Fragment(Negatable<()>),
    /// `-m mac --mac-source`
    Mac(Negatable<MacAddress>),
    /// `-m bpf`: bits of the source hardware address
    MacBits(MacBits),
    /// `-m mark --mark`
    Mark(Negatable<MarkBits>),
    /// `-m addrtype --dst-type LOCAL --limit-iface-in`: packets to one of this host's
    /// addresses on the incoming interface
    OwnAddress,
    /// `-m addrtype --dst-type LOCAL`: packets to one of this host's addresses, whichever
    /// interface has it
    AnyOwnAddress,
    /// `-m hl --hl-eq`, the IPv6 hop limit
    HopLimit(u8),
    /// `-m limit`, with the rate's burst
    Limit(Rate),
    /// `-m hashlimit`, per source address, with the rate's burst
    HashlimitPerSource {
        /// The rate up to which it matches.
        rate: Rate,
        /// The name of its table in /proc/net/ipt_hashlimit.
        name: ChainName,
    },
    /// `-m recent`, per source address
    Recent {
        /// What it tests or does.
        check: RecentCheck,
        /// The name of its list in /proc/net/xt_recent.
        name: ChainName,
    },
    /// `-m connlimit`: matches while at most this many connections are open, of those that
    /// passed this rule (each rule counts separately, net/netfilter/xt_connlimit.c)
    OpenConnections {
        /// The number of connections.
        most: u32,
        /// Which connections are counted together.
        of: CountedTogether,
    },
    /// `-m time`
    Time(TimeWindow),
    /// `-m comment`
    Comment(Comment),
    /// An extension or option that camfw does not write, verbatim.
    Other(Vec<String>),
}

/// What a rule does with a packet that matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Accepts it.
    Accept,
    /// Drops it.
    Drop,
    /// Drops it and answers its sender.
    Reject(Answer),
    /// Returns to the calling chain or, in a built-in chain, to its policy.
    Return,
    /// Continues in a user-defined chain.
    Jump(ChainName),
    /// Continues in a user-defined chain; at its end the packet returns to this chain's
    /// caller and not to this chain.
    Goto(ChainName),
    /// Logs the packet and continues.
    Log(LogPrefix),
    /// Passes the start of the packet to the program that listens to camfw's group, with
    /// these words, and continues.
    Nflog(LogPrefix),
    /// Rewrites the source address to that of the outgoing interface.
    Masquerade,
    /// Rewrites the source address.
    Snat(IpAddr),
    /// Rewrites the destination address and, if given, the port.
    Dnat(IpAddr, Option<u16>),
    /// Rewrites the destination to this port on the router itself.
    Redirect(Option<u16>),
    /// Lowers the largest segment of a TCP connection and continues.
    SegmentSize(SegmentSize),
    /// Sets the packet's mark and continues.
    SetMark(u32),
    /// Sets how conntrack handles the packet; the first such rule for a packet counts.
    Conntrack {
        /// The helper that inspects the connection.
        helper: Option<ServiceName>,
        /// The conntrack zone of the connection; None is zone 0.
        zone: Option<u16>,
    },
    /// A target that camfw does not write, verbatim.
    Other(Vec<String>),
}

/// A match or target extension of x_tables.
pub(super) struct Extension<T: 'static> {
    /// Its name after `-m` or `-j`, and in /proc/net/ip_tables_{matches,targets}.
    pub(super) name: &'static str,
    /// Its kernel configuration option (net/netfilter/Kconfig, 6.18); None if it is part of
    /// x_tables.
    pub(super) kernel_option: Option<&'static str>,
    /// Parses its options; None if camfw's rules cannot express them.
    pub(super) read: fn(&mut Words<'_>) -> Option<T>,
}

/// Every match extension that camfw knows.
const MATCHES: &[&Extension<Match>] = &[
    &addrtype::ADDRTYPE,
    &bpf::BPF,
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

/// Every target extension that camfw knows.
const TARGETS: &[&Extension<Target>] = &[
    &ct::CT,
    &log::LOG,
    &mark::MARK_TARGET,
    &nat::DNAT,
    &nat::MASQUERADE,
    &nat::REDIRECT,
    &nat::SNAT,
    &nflog::NFLOG,
    &reject::REJECT,
    &tcpmss::TCPMSS,
];

/// The kernel configuration option of a match extension.
pub(super) fn match_option(name: &str) -> Option<&'static str> {
    let extension = MATCHES.iter().find(|extension| extension.name == name)?;
    extension.kernel_option
}

/// The kernel configuration option of a target extension, of this family where the two
/// families have one each.
pub(super) fn target_option(name: &str, family: IpFamily) -> Option<&'static str> {
    let extension = TARGETS.iter().find(|extension| extension.name == name)?;
    extension
        .kernel_option
        .or_else(|| reject::option(name, family))
}

impl Match {
    /// Its extension; None for conditions that need none, and for unknown matches.
    fn extension(&self) -> Option<&'static Extension<Match>> {
        Some(match self {
            Match::Tcp { .. } => &tcp::TCP,
            Match::Udp { .. } => &udp::UDP,
            Match::Multiport(_) => &multiport::MULTIPORT,
            Match::Icmp(_) => &icmp::ICMP,
            Match::Icmpv6(_) => &icmp::ICMP6,
            Match::Conntrack(_)
            | Match::Connection(_)
            | Match::InTable
            | Match::ExpiresWithin(_) => &conntrack::CONNTRACK,
            Match::ExpectedBy(_) => &helper::HELPER,
            Match::Addresses(_) => &iprange::IPRANGE,
            Match::Mac(_) => &mac::MAC,
            Match::MacBits(_) => &bpf::BPF,
            Match::Mark(_) => &mark::MARK_MATCH,
            Match::OwnAddress | Match::AnyOwnAddress => &addrtype::ADDRTYPE,
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

    /// The name of its extension.
    pub(super) fn extension_name(&self) -> Option<&'static str> {
        self.extension().map(|extension| extension.name)
    }

    /// The match as iptables-save prints it.
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
            Match::ExpiresWithin(seconds) => conntrack::print_expires(*seconds),
            Match::ExpectedBy(helper) => format!(" --helper {helper}"),
            Match::Addresses(ranges) => iprange::print(ranges.source, ranges.destination),
            Match::Fragment(Negatable { negated, .. }) => return format!("{}-f", not(*negated)),
            Match::Mac(Negatable { negated, value }) => {
                format!(" {}--mac-source {value}", not(*negated))
            }
            Match::MacBits(bits) => bpf::print(*bits),
            Match::Mark(bits) => mark::print(*bits),
            Match::OwnAddress => addrtype::OPTIONS.into(),
            Match::AnyOwnAddress => addrtype::ON_ANY_INTERFACE.into(),
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

    /// Parses the options of the extension with this name.
    pub(super) fn read(name: &str, words: &mut Words<'_>) -> Option<Match> {
        let extension = MATCHES.iter().find(|extension| extension.name == name)?;
        (extension.read)(words)
    }
}

impl Target {
    /// Its extension; None for verdicts, jumps and unknown targets.
    fn extension(&self) -> Option<&'static Extension<Target>> {
        Some(match self {
            Target::Log(_) => &log::LOG,
            Target::Nflog(_) => &nflog::NFLOG,
            Target::Masquerade => &nat::MASQUERADE,
            Target::Snat(_) => &nat::SNAT,
            Target::Dnat(..) => &nat::DNAT,
            Target::Redirect(_) => &nat::REDIRECT,
            Target::Reject(_) => &reject::REJECT,
            Target::SegmentSize(_) => &tcpmss::TCPMSS,
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

    /// The name of its extension.
    pub(super) fn extension_name(&self) -> Option<&'static str> {
        self.extension().map(|extension| extension.name)
    }

    /// The target as iptables-save prints it.
    pub(super) fn print(&self) -> String {
        let options = match self {
            Target::Accept => return "-j ACCEPT".into(),
            Target::Drop => return "-j DROP".into(),
            Target::Return => return "-j RETURN".into(),
            Target::Jump(chain) => return format!("-j {chain}"),
            Target::Goto(chain) => return format!("-g {chain}"),
            Target::Other(words) => return other_words(words),
            Target::Log(prefix) => log::print(prefix),
            Target::Nflog(prefix) => nflog::print(prefix),
            Target::Masquerade => String::new(),
            Target::Snat(to) => format!(" --to-source {to}"),
            Target::Dnat(to, port) => nat::print_destination(*to, *port),
            Target::Redirect(port) => {
                port.map_or_else(String::new, |port| format!(" --to-ports {port}"))
            }
            Target::Reject(answer) => reject::print(*answer),
            Target::SegmentSize(size) => tcpmss::print(*size),
            Target::SetMark(mark) => format!(" --set-xmark {mark:#x}/0xffffffff"),
            Target::Conntrack { helper, zone } => ct::print(helper.as_ref(), *zone),
        };
        format!("-j {}{options}", self.extension_name().unwrap_or_default())
    }

    /// Parses the target after `-j`.
    pub(super) fn read(words: &mut Words<'_>) -> Option<Target> {
        match words.next()? {
            "ACCEPT" => Some(Target::Accept),
            "DROP" => Some(Target::Drop),
            "RETURN" => Some(Target::Return),
            // Names in capitals are those of extensions.
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
