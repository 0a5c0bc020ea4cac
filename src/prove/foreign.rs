//! The meaning of matches that occur only in other people's rules, by their text. Each is
//! the kernel's (net/netfilter/xt_*.c, named at each).

use super::condition::{Clause, Test, address};
use super::packet::{Field, State};
use crate::family::IpFamily;
use crate::field::PortRange;
use crate::netfilter::Protocol;

/// What the words of a match test.
#[derive(Debug, Default)]
pub struct Meaning {
    /// The clauses, which must all hold.
    pub clauses: Vec<Clause>,
    /// Whether the clauses are the whole condition.
    pub certain: bool,
    /// Whether the match reads the transport header.
    pub header: bool,
}

impl Meaning {
    fn never() -> Meaning {
        Meaning::default().with(false, Vec::new()).certainly()
    }

    fn with(mut self, negated: bool, any: Vec<Test>) -> Meaning {
        self.clauses.push(Clause::new(negated, any));
        self
    }

    fn certainly(mut self) -> Meaning {
        self.certain = true;
        self
    }

    fn in_header(mut self) -> Meaning {
        self.header = true;
        self
    }
}

/// The meaning of a condition, or of an extension with its options; None if the words are
/// unknown.
pub fn meaning(words: &[String], family: IpFamily) -> Option<Meaning> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["!", side @ ("-s" | "-d"), text] => masked(side, text, true),
        [side @ ("-s" | "-d"), text] => masked(side, text, false),
        // Matches every interface, and thus every packet: iptables(8).
        ["-i" | "-o", "+"] => Some(Meaning::default().certainly()),
        ["!", "-i" | "-o", "+"] => Some(Meaning::never()),
        ["-m", "comment", "--comment", _] => Some(Meaning::default().certainly()),
        ["-m", "ttl", rest @ ..] if family == IpFamily::V4 => hops("--ttl-", rest),
        ["-m", "hl", rest @ ..] if family == IpFamily::V6 => hops("--hl-", rest),
        ["-m", "addrtype", rest @ ..] => address_types(rest, family),
        // `-p` selects the protocol; these options match its ports only.
        ["-m", "sctp" | "dccp" | "udplite", rest @ ..] => ports(rest),
        ["-m", "ah" | "esp" | "ipcomp" | "mh"] => Some(Meaning::default().certainly().in_header()),
        [option, ..] if option.starts_with("--ct") => connection(&words),
        ["!", option, ..] if option.starts_with("--ct") => connection(&words),
        ["-m", "conntrack", rest @ ..] => connection(rest),
        _ => None,
    }
}

/// Whether the next option is negated, and the words from that option on.
fn negation<'w, 's>(words: &'w [&'s str]) -> (bool, &'w [&'s str]) {
    match words {
        ["!", rest @ ..] => (true, rest),
        rest => (false, rest),
    }
}

/// An address with a mask that is no prefix (ip_packet_match in
/// net/ipv4/netfilter/ip_tables.c).
fn masked(side: &str, text: &str, negated: bool) -> Option<Meaning> {
    let (at, mask) = text.split_once('/')?;
    let at: std::net::IpAddr = at.parse().ok()?;
    let mask: std::net::IpAddr = mask.parse().ok()?;
    if at.is_ipv4() != mask.is_ipv4() {
        return None;
    }
    let field = match side {
        "-s" => Field::Source,
        _ => Field::Destination,
    };
    let test = Test::Masked(field, address(mask), address(at));
    Some(Meaning::default().with(negated, vec![test]).certainly())
}

/// xt_hl.c
fn hops(prefix: &str, words: &[&str]) -> Option<Meaning> {
    let (negated, words) = negation(words);
    let [option, number] = words else {
        return None;
    };
    let number = u128::from(number.parse::<u8>().ok()?);
    let tests = match (option.strip_prefix(prefix)?, number) {
        ("eq", _) => vec![Test::Range(Field::Hops, number, number)],
        ("lt", 0) | ("gt", 255) => Vec::new(),
        ("lt", _) => vec![Test::Range(Field::Hops, 0, number - 1)],
        ("gt", _) => vec![Test::Range(Field::Hops, number + 1, 255)],
        _ => return None,
    };
    Some(Meaning::default().with(negated, tests).certainly())
}

/// xt_addrtype.c. Local, broadcast and routed types depend on the routing table; multicast
/// depends on the address alone.
fn address_types(words: &[&str], family: IpFamily) -> Option<Meaning> {
    let mut meaning = Meaning::default().certainly();
    let mut words = words;
    loop {
        let (negated, rest) = negation(words);
        words = match rest {
            [] => return (!negated).then_some(meaning),
            [option @ ("--src-type" | "--dst-type"), types, rest @ ..] => {
                let field = match *option {
                    "--src-type" => Field::Source,
                    _ => Field::Destination,
                };
                let multicast = match family {
                    IpFamily::V4 => Test::Range(field, 0xe000_0000, 0xefff_ffff),
                    IpFamily::V6 => Test::Range(field, 0xff << 120, u128::MAX),
                };
                let types: Vec<&str> = types.split(',').collect();
                if types == ["MULTICAST"] {
                    meaning = meaning.with(negated, vec![multicast]);
                } else {
                    meaning.certain = false;
                    // An address of another type is not multicast.
                    if !negated && family == IpFamily::V4 && !types.contains(&"MULTICAST") {
                        meaning = meaning.with(true, vec![multicast]);
                    }
                }
                rest
            }
            [_, rest @ ..] => {
                meaning.certain = false;
                rest
            }
        };
    }
}

/// xt_sctp.c, xt_dccp.c, xt_tcpudp.c
fn ports(words: &[&str]) -> Option<Meaning> {
    let mut meaning = Meaning::default().certainly().in_header();
    let mut words = words;
    loop {
        let (negated, rest) = negation(words);
        words = match rest {
            [] => return (!negated).then_some(meaning),
            [option @ ("--sport" | "--dport"), value, rest @ ..] => {
                let field = match *option {
                    "--sport" => Field::SourcePort,
                    _ => Field::DestinationPort,
                };
                let range = PortRange::parse_any(value)?;
                let test = Test::Range(field, range.first().into(), range.last().into());
                meaning = meaning.with(negated, vec![test]);
                rest
            }
            // Chunks and types: skipped with their values.
            [_, rest @ ..] => {
                meaning.certain = false;
                rest
            }
        };
    }
}

/// xt_conntrack.c. The original tuple is unknown, but its protocol is the packet's, except
/// for ICMP errors about the connection.
fn connection(words: &[&str]) -> Option<Meaning> {
    let mut meaning = Meaning::default();
    let mut words = words;
    loop {
        words = match words {
            [] => return Some(meaning),
            ["!", _, rest @ ..] => rest,
            ["--ctproto", number, rest @ ..] => {
                if let Some(number) = protocol(number) {
                    let related = State::Related as u128;
                    meaning = meaning.with(
                        false,
                        vec![
                            Test::Range(Field::Protocol, number, number),
                            Test::Range(Field::State, related, related),
                        ],
                    );
                }
                rest
            }
            [_, rest @ ..] => rest,
        };
    }
}

fn protocol(text: &str) -> Option<u128> {
    let named = match text {
        "tcp" => Some(Protocol::Tcp.number()),
        "udp" => Some(Protocol::Udp.number()),
        "icmp" => Some(Protocol::Icmp.number()),
        number => number.parse().ok(),
    };
    named.map(u128::from)
}
