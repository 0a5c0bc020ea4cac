//! What targets do to packets, camfw's own and others.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::FieldsUsed;
use crate::netfilter::Target;
use crate::prove::condition::{self};
use crate::prove::packet::Field;

/// What a rule does with the packets that it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Lets them through this table.
    Accept,
    /// Drops them.
    Drop,
    /// Returns them to the calling chain or, in a built-in chain, to its policy.
    Return,
    /// Sends them to a chain of the same table, by its index.
    Jump(usize),
    /// As `Jump`, but packets that reach that chain's end return to this chain's caller.
    Goto(usize),
    /// Decides nothing.
    Continue,
    /// Sets those bits of the mark that are set in the second number (the mask) to those of
    /// the first.
    Mark(u32, u32),
    /// Sets the mark to an unknown value.
    AnyMark,
    /// Sets the time to live or hop limit; None means to an unknown value.
    Hops(Option<u8>),
    /// Exempts them from conntrack.
    Untrack,
    /// Rewrites the destination address and port. Without an address (REDIRECT), the new
    /// one is the router's own on the incoming interface.
    Dnat(Option<Box<u128>>, Option<u16>),
    /// Rewrites the destination to an address of this range and, if given, a port of that
    /// range.
    AnyDnat(Option<Box<(u128, u128)>>, Option<(u16, u16)>),
    /// Rewrites the source or destination of this packet alone, independent of its
    /// connection, to an unknown value.
    Rewrite(Field),
    /// Sends a copy elsewhere, past the tables that the packet itself goes on through
    /// (nf_dup_ipv4 in net/ipv4/netfilter/nf_dup_ipv4.c).
    Copy,
    /// Unknown: neither the verdict nor the mark can be told.
    Unknown,
}

impl Effect {
    /// Whether it changes something that rules match on.
    pub fn changes(&self, asked: FieldsUsed) -> bool {
        match self {
            Effect::Mark(..) | Effect::AnyMark | Effect::Unknown => asked.marks,
            Effect::Hops(_) => asked.hops,
            Effect::Untrack
            | Effect::Dnat(..)
            | Effect::AnyDnat(..)
            | Effect::Rewrite(_)
            | Effect::Copy => true,
            _ => false,
        }
    }

    /// Whether the rule alone does not tell what it does.
    pub(in crate::prove) fn is_in_doubt(&self) -> bool {
        matches!(
            self,
            Effect::Unknown
                | Effect::AnyDnat(..)
                | Effect::AnyMark
                | Effect::Rewrite(_)
                | Effect::Hops(None)
        )
    }
}

pub(super) fn effect(target: Option<&Target>, places: &BTreeMap<&str, usize>) -> Effect {
    match target {
        None => Effect::Continue,
        Some(Target::Accept | Target::Masquerade | Target::Snat(_)) => Effect::Accept,
        // The answer is the router's own packet, which the claims about OUTPUT are about.
        Some(Target::Drop | Target::Reject(_)) => Effect::Drop,
        Some(Target::Return) => Effect::Return,
        Some(Target::Jump(chain)) => places
            .get(chain.as_str())
            .map_or(Effect::Unknown, |place| Effect::Jump(*place)),
        Some(Target::Goto(chain)) => places
            .get(chain.as_str())
            .map_or(Effect::Unknown, |place| Effect::Goto(*place)),
        Some(
            Target::Log(_) | Target::Nflog(_) | Target::Conntrack { .. } | Target::SegmentSize(_),
        ) => Effect::Continue,
        Some(Target::Dnat(to, port)) => Effect::Dnat(Some(condition::address(*to).into()), *port),
        Some(Target::Redirect(port)) => Effect::Dnat(None, *port),
        Some(Target::SetMark(mark)) => Effect::Mark(*mark, u32::MAX),
        Some(Target::Other(words)) => other_effect(words, places),
    }
}

/// Targets of other people's rules. One that is not listed may do anything, including those
/// that hand packets to a program (NFQUEUE, QUEUE) or send them back (MIRROR, ECHO). Those
/// that only notify a program (NFLOG, ULOG) let nothing through.
fn other_effect(words: &[String], places: &BTreeMap<&str, usize>) -> Effect {
    let name = words.get(1).map_or("", String::as_str);
    if let Some(place) = places.get(name) {
        return match words[0].as_str() {
            "-g" => Effect::Goto(*place),
            _ => Effect::Jump(*place),
        };
    }
    let option = |wanted: &str| {
        let place = words.iter().position(|word| word == wanted)?;
        words.get(place + 1).map(String::as_str)
    };
    let has = |wanted: &str| words.iter().any(|word| word == wanted);
    match name {
        // Some of these answer; none passes the packet on.
        "REJECT" | "TARPIT" | "DELUDE" | "CHAOS" | "STEAL" => Effect::Drop,
        "TEE" => Effect::Copy,
        "SNAT" | "MASQUERADE" | "SAME" => Effect::Accept,
        "DNAT" => destination(words),
        "NETMAP" => {
            let network = option("--to").and_then(|text| text.parse().ok());
            Effect::AnyDnat(network.map(condition::network_range).map(Box::new), None)
        }
        "REDIRECT" => match option("--to-ports").map(port_range) {
            None => Effect::Dnat(None, None),
            Some(Some((first, last))) if first == last => Effect::Dnat(None, Some(first)),
            Some(ports) => Effect::AnyDnat(None, ports.or(Some((0, u16::MAX)))),
        },
        // These translate prefixes and raw addresses, outside of any connection.
        "DNPT" | "RAWDNAT" => Effect::Rewrite(Field::Destination),
        "SNPT" | "RAWSNAT" => Effect::Rewrite(Field::Source),
        "NOTRACK" => Effect::Untrack,
        "CT" if has("--notrack") => Effect::Untrack,
        "TTL" | "HL" => {
            let set = option("--ttl-set").or_else(|| option("--hl-set"));
            Effect::Hops(set.and_then(|text| text.parse().ok()))
        }
        "MARK" => mark(words).map_or(Effect::AnyMark, |(value, mask)| Effect::Mark(value, mask)),
        "HMARK" => Effect::AnyMark,
        // May restore a mark to the packet, from its connection or from a set.
        "CONNMARK" if has("--restore-mark") => Effect::AnyMark,
        "SET" if has("--map-mark") => Effect::AnyMark,
        "CONNMARK" | "CT" | "LOG" | "ULOG" | "NFLOG" | "TRACE" | "CLASSIFY" | "TOS" | "DSCP"
        | "ECN" | "TCPMSS" | "TCPOPTSTRIP" | "CHECKSUM" | "SECMARK" | "CONNSECMARK" | "RATEEST"
        | "AUDIT" | "SET" | "IDLETIMER" | "LED" | "ACCOUNT" | "CONTINUE" => Effect::Continue,
        _ => Effect::Unknown,
    }
}

/// The value and the mask that MARK sets (mark_tg in xt_mark.c); None if the result depends
/// on the previous mark.
fn mark(words: &[String]) -> Option<(u32, u32)> {
    let [_, _, option, text] = words else {
        return None;
    };
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let (value, mask) = match text.split_once('/') {
        Some((value, mask)) => (number(value)?, number(mask)?),
        None => (number(text)?, u32::MAX),
    };
    match option.as_str() {
        "--set-xmark" if value & !mask == 0 => Some((value, mask)),
        "--set-mark" => Some((value, mask | value)),
        "--and-mark" => Some((0, !value)),
        "--or-mark" => Some((value, value)),
        _ => None,
    }
}

/// The new destination of DNAT: one address or a range (in IPv6 with a port, within
/// brackets), and one port or a range.
fn destination(words: &[String]) -> Effect {
    let unknown = Effect::AnyDnat(None, Some((0, u16::MAX)));
    let mut texts = words
        .windows(2)
        .filter(|pair| pair[0] == "--to-destination")
        .map(|pair| pair[1].as_str());
    // Until Linux 2.6.10 there could be several.
    let (Some(text), None) = (texts.next(), texts.next()) else {
        return unknown;
    };
    let found = addresses(text).or_else(|| {
        let (at, ports) = text.rsplit_once(':')?;
        let at = at
            .strip_prefix('[')
            .and_then(|at| at.strip_suffix(']'))
            .unwrap_or(at);
        Some((addresses(at)?.0, Some(port_range(ports)?)))
    });
    match found {
        Some((to, ports)) => match (to.0 == to.1, ports) {
            (true, None) => Effect::Dnat(Some(to.0.into()), None),
            (true, Some((first, last))) if first == last => {
                Effect::Dnat(Some(to.0.into()), Some(first))
            }
            _ => Effect::AnyDnat(Some(to.into()), ports),
        },
        None => unknown,
    }
}

type AddressRange = ((u128, u128), Option<(u16, u16)>);

fn addresses(text: &str) -> Option<AddressRange> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (IpAddr, IpAddr) = (first.parse().ok()?, last.parse().ok()?);
    let ordered = first.is_ipv4() == last.is_ipv4() && first <= last;
    ordered.then(|| ((condition::address(first), condition::address(last)), None))
}

/// Parses `80`, or `80-90`; with `/` and a base port, which shifts the mapping, it can be
/// any port of the range.
fn port_range(text: &str) -> Option<(u16, u16)> {
    let text = text.split('/').next()?;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}
