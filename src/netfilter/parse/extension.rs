//! A match extension's or a target's words -> its value. None where they say
//! what our rules cannot, so that the rule is kept word for word.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;

use crate::field::{IcmpType, PortRange, Rate, TimeWindow};
use crate::name::{ChainName, Comment, LogPrefix, MacAddress, ServiceName};
use crate::netfilter::{
    Connection, CtDirection, CtStates, IpFamily, MarkBits, Match, Multiport, Negatable, PortSide,
    RecentCheck, Target, TcpFlags, TupleAddress,
};

/// The words of a rule that are still to be read.
#[derive(Clone, Copy)]
pub(super) struct Words<'a>(&'a [String]);

impl<'a> Words<'a> {
    /// All of a rule's.
    pub(super) fn new(words: &'a [String]) -> Words<'a> {
        Words(words)
    }

    /// The next, which stays.
    pub(super) fn peek(&self) -> Option<&'a str> {
        self.0.first().map(String::as_str)
    }

    /// Takes the next.
    pub(super) fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// Takes the next if it is this one.
    pub(super) fn next_if_eq(&mut self, wanted: &str) -> Option<&'a str> {
        (self.peek()? == wanted).then(|| self.next())?
    }

    /// How many there are.
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    /// Goes on to the next of these, or to the `!` before it, or to the end.
    pub(super) fn skip_to(&mut self, starts: &[&str]) {
        while let Some(word) = self.peek() {
            let mut ahead = *self;
            ahead.next_if_eq("!");
            if starts.contains(&word) || ahead.peek().is_some_and(|word| starts.contains(&word)) {
                return;
            }
            self.next();
            if HAVE_TEXT.contains(&word) {
                self.next();
            }
        }
    }

    /// The words from here to a later place.
    pub(super) fn until(self, later: Words<'_>) -> Vec<String> {
        self.0[..self.0.len() - later.0.len()].to_vec()
    }
}

/// Options whose value is any text, even what looks like an option.
const HAVE_TEXT: [&str; 7] = [
    "--string",
    "--hex-string",
    "--comment",
    "--log-prefix",
    "--nflog-prefix",
    "--ulog-prefix",
    "--name",
];

/// The value of an option if it comes next.
fn option<'a>(words: &mut Words<'a>, name: &str) -> Option<&'a str> {
    words.next_if_eq(name)?;
    words.next()
}

/// What `read` makes of an option's value, and whether a `!` stands before the
/// option. None if the option does not come next.
fn negatable<T>(
    words: &mut Words<'_>,
    name: &str,
    read: impl Fn(&str, &mut Words<'_>) -> Option<T>,
) -> Option<Option<Negatable<T>>> {
    // A `!` belongs to whichever option follows it: look at both.
    let mut ahead = *words;
    let negated = ahead.next_if_eq("!").is_some();
    let Some(text) = option(&mut ahead, name) else {
        return Some(None);
    };
    // Up to iptables 1.4.2 the `!` stands behind the option.
    let (negated, text) = match text {
        "!" if !negated => (true, ahead.next()?),
        _ => (negated, text),
    };
    let value = read(text, &mut ahead)?;
    *words = ahead;
    Some(Some(Negatable { negated, value }))
}

fn ports(words: &mut Words<'_>, name: &str) -> Option<Option<Negatable<PortRange>>> {
    negatable(words, name, |text, _| PortRange::parse_any(text))
}

/// Flags as a list, or those of a connection's first packet, as people write it.
fn flags(words: &mut Words<'_>) -> Option<Option<Negatable<TcpFlags>>> {
    let mut ahead = *words;
    let negated = ahead.next_if_eq("!").is_some();
    if ahead.next_if_eq("--syn").is_some() {
        *words = ahead;
        let value = TcpFlags::OPENING;
        return Some(Some(Negatable { negated, value }));
    }
    negatable(words, "--tcp-flags", |mask, words| {
        Some(TcpFlags {
            mask: tcp_flags(mask)?,
            set: tcp_flags(words.next()?)?,
        })
    })
}

fn tcp_flags(text: &str) -> Option<u8> {
    let bit = |name: &str| TcpFlags::NAMES.iter().position(|known| *known == name);
    match text {
        "NONE" => Some(0),
        "ALL" => Some(0x3f),
        names => names
            .split(',')
            .try_fold(0, |flags, name| Some(flags | 1 << bit(name)?)),
    }
}

fn icmp_type(text: &str) -> Option<IcmpType> {
    if let Some(named) = IcmpType::by_name(text) {
        return Some(named);
    }
    match text.split_once('/') {
        // icmp_type_code_match in net/ipv4/netfilter/ip_tables.c
        None if text == "any" => Some(IcmpType::by_number(255)),
        None => Some(IcmpType::by_number(text.parse().ok()?)),
        Some((number, code)) => {
            let number = IcmpType::by_number(number.parse().ok()?);
            Some(number.with_code(code.parse().ok()?))
        }
    }
}

fn hexadecimal(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn mark_bits(text: &str) -> Option<MarkBits> {
    let (value, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
    Some(MarkBits {
        value: hexadecimal(value)?,
        mask: hexadecimal(mask)?,
    })
}

/// The family of a mask that takes an address whole.
fn family_of_mask(text: &str) -> Option<IpFamily> {
    match text.parse().ok()? {
        IpAddr::V4(mask) => (mask == Ipv4Addr::BROADCAST).then_some(IpFamily::V4),
        IpAddr::V6(mask) => (u128::from(mask) == u128::MAX).then_some(IpFamily::V6),
    }
}

fn recent(words: &mut Words<'_>) -> Option<Match> {
    let update = words.next_if_eq("--set").is_none();
    let (mut seconds, mut hits) = (0, 0);
    if update {
        words.next_if_eq("--update")?;
        seconds = option(words, "--seconds")?.parse().ok()?;
        hits = option(words, "--hitcount")?.parse().ok()?;
    }
    let name = ChainName::try_from(option(words, "--name")?).ok()?;
    let family = family_of_mask(option(words, "--mask")?)?;
    words.next_if_eq("--rsource")?;
    let check = match update {
        false => RecentCheck::Set(family),
        true => RecentCheck::Update {
            seconds,
            hits,
            family,
        },
    };
    Some(Match::Recent { check, name })
}

fn connlimit(words: &mut Words<'_>) -> Option<Match> {
    let most = option(words, "--connlimit-upto")?.parse().ok()?;
    let family = match option(words, "--connlimit-mask")? {
        "32" => IpFamily::V4,
        "128" => IpFamily::V6,
        _ => return None,
    };
    words.next_if_eq("--connlimit-saddr")?;
    Some(Match::ConnectionsPerSource { most, family })
}

fn time(words: &mut Words<'_>) -> Option<Match> {
    let start = option(words, "--timestart");
    let stop = option(words, "--timestop");
    let days = option(words, "--weekdays");
    let window = TimeWindow::as_printed(start, stop, days)?;
    words.next_if_eq("--contiguous");
    Some(Match::Time(window))
}

/// A state alone, or with more of the connection; None where it is more than we
/// ever ask.
fn conntrack(words: &mut Words<'_>) -> Option<Match> {
    let states = negatable(words, "--ctstate", |text, _| CtStates::by_names(text))??;
    let mut end = None;
    for (which, name) in TupleAddress::OPTIONS {
        if let Some(text) = option(words, name) {
            let network = text.parse().ok();
            let network = network.or_else(|| text.parse().ok().map(|at: IpAddr| IpNet::from(at)));
            if end.replace((which, network?)).is_some() {
                return None;
            }
        }
    }
    let expected = match option(words, "--ctstatus") {
        None => false,
        Some("EXPECTED") => true,
        Some(_) => return None,
    };
    let direction = match option(words, "--ctdir") {
        None => None,
        Some("ORIGINAL") => Some(CtDirection::Original),
        Some("REPLY") => Some(CtDirection::Reply),
        Some(_) => return None,
    };
    if end.is_none() && !expected && direction.is_none() {
        return Some(Match::Conntrack(states));
    }
    (!states.negated).then_some(Match::Connection(Connection {
        states: states.value,
        end,
        expected,
        direction,
    }))
}

/// The match whose name was just read.
pub(super) fn extension_match(extension: &str, words: &mut Words<'_>) -> Option<Match> {
    match extension {
        "tcp" => Some(Match::Tcp {
            sport: ports(words, "--sport")?,
            dport: ports(words, "--dport")?,
            flags: flags(words)?,
        }),
        "udp" => Some(Match::Udp {
            sport: ports(words, "--sport")?,
            dport: ports(words, "--dport")?,
        }),
        "multiport" => {
            let sides = [
                ("--sports", PortSide::Source),
                ("--dports", PortSide::Destination),
                ("--ports", PortSide::Either),
            ];
            for (name, side) in sides {
                let found = negatable(words, name, |text, _| {
                    let ports = text.split(',').map(PortRange::parse_any);
                    let ports = ports.collect::<Option<Vec<_>>>()?;
                    Some(Multiport { side, ports })
                })?;
                if let Some(found) = found {
                    return Some(Match::Multiport(found));
                }
            }
            None
        }
        "icmp" => negatable(words, "--icmp-type", |text, _| icmp_type(text))?.map(Match::Icmp),
        "icmp6" => negatable(words, "--icmpv6-type", |text, _| icmp_type(text))?.map(Match::Icmpv6),
        "conntrack" => conntrack(words),
        "helper" => {
            let helper = ServiceName::try_from(option(words, "--helper")?).ok()?;
            Some(Match::ExpectedBy(helper))
        }
        "state" => {
            negatable(words, "--state", |text, _| CtStates::by_names(text))?.map(Match::Conntrack)
        }
        "iprange" => {
            let range = |text: &str, _: &mut Words<'_>| {
                let (first, last) = text.split_once('-').unwrap_or((text, text));
                Some((first.parse().ok()?, last.parse().ok()?))
            };
            Some(Match::Addresses {
                source: negatable(words, "--src-range", range)?,
                destination: negatable(words, "--dst-range", range)?,
            })
        }
        "mac" => negatable(words, "--mac-source", |text, _| {
            MacAddress::try_from(text).ok()
        })?
        .map(Match::Mac),
        "mark" => negatable(words, "--mark", |text, _| mark_bits(text))?.map(Match::Mark),
        "addrtype" => {
            words.next_if_eq("--dst-type")?;
            words.next_if_eq("LOCAL")?;
            words.next_if_eq("--limit-iface-in")?;
            Some(Match::OwnAddress)
        }
        "hl" => {
            let limit = option(words, "--hl-eq")?.parse().ok()?;
            Some(Match::HopLimit(limit))
        }
        "recent" => recent(words),
        "connlimit" => connlimit(words),
        "time" => time(words),
        // Of another burst it would not be the same.
        "limit" => {
            let rate = Rate::parse(option(words, "--limit")?)?;
            let burst =
                option(words, "--limit-burst").map_or(Some(Rate::BURST), |it| it.parse().ok())?;
            (burst == rate.burst()).then_some(Match::Limit(rate))
        }
        "hashlimit" => {
            let rate = Rate::parse(option(words, "--hashlimit-upto")?)?;
            let burst: u64 = option(words, "--hashlimit-burst")?.parse().ok()?;
            let mode = option(words, "--hashlimit-mode")?;
            let name = ChainName::try_from(option(words, "--hashlimit-name")?).ok()?;
            let is_ours = burst == rate.burst() && mode == "srcip";
            is_ours.then_some(Match::HashlimitPerSource { rate, name })
        }
        "comment" => Comment::try_from(option(words, "--comment")?)
            .ok()
            .map(Match::Comment),
        _ => None,
    }
}

/// The target after `-j`.
pub(super) fn target(words: &mut Words<'_>) -> Option<Target> {
    match words.next()? {
        "ACCEPT" => Some(Target::Accept),
        "DROP" => Some(Target::Drop),
        "RETURN" => Some(Target::Return),
        "MASQUERADE" => Some(Target::Masquerade),
        "SNAT" => {
            let to = option(words, "--to-source")?.parse().ok()?;
            Some(Target::Snat(to))
        }
        "DNAT" => {
            let to = option(words, "--to-destination")?;
            let alone = to.parse().ok().map(|address| Target::Dnat(address, None));
            alone.or_else(|| {
                let to: SocketAddr = to.parse().ok()?;
                Some(Target::Dnat(to.ip(), Some(to.port())))
            })
        }
        "REDIRECT" => {
            let port = option(words, "--to-ports")?.parse().ok()?;
            Some(Target::Redirect(port))
        }
        "MARK" => {
            let bits = mark_bits(option(words, "--set-xmark")?)?;
            (bits.mask == u32::MAX).then_some(Target::SetMark(bits.value))
        }
        "CT" => {
            let helper = ServiceName::try_from(option(words, "--helper")?).ok()?;
            Some(Target::Helper(helper))
        }
        "LOG" => {
            let prefix = LogPrefix::try_from(option(words, "--log-prefix")?).ok()?;
            words.next_if_eq("--log-tcp-options")?;
            words.next_if_eq("--log-ip-options")?;
            Some(Target::Log(prefix))
        }
        // Names in capitals are the extensions'.
        name if name.bytes().all(|b| b.is_ascii_uppercase()) => None,
        name => ChainName::try_from(name).ok().map(Target::Jump),
    }
}
