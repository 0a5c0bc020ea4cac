//! What a target does to a packet, of our own rules and of others.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::FieldsUsed;
use crate::netfilter::Target;
use crate::prove::condition::{self};
use crate::prove::packet::Field;

/// What a rule does with the packets that it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Lets them through, as far as its table goes.
    Accept,
    /// Drops them.
    Drop,
    /// Sends them back to the calling chain, or to the policy.
    Return,
    /// Sends them to a chain of this table.
    Jump(usize),
    /// The same, and from its end to where this chain was called from.
    Goto(usize),
    /// Nothing that decides.
    Continue,
    /// Sets the bits of their mark that the second number has to those of the
    /// first.
    Mark(u32, u32),
    /// Gives them a mark that cannot be told.
    AnyMark,
    /// Sets how many more routers they may pass; None to what cannot be told.
    Hops(Option<u8>),
    /// Keeps them from conntrack.
    Untrack,
    /// Rewrites the destination: address, port. Where the address is none, to the
    /// router's own on the interface that they came in by.
    Dnat(Option<u128>, Option<u16>),
    /// Rewrites the destination to one of these addresses, and the port to one of
    /// these where there are any.
    AnyDnat(Option<(u128, u128)>, Option<(u16, u16)>),
    /// Rewrites the source or the destination of this packet alone, whatever
    /// connection it is part of, to what cannot be told.
    Rewrite(Field),
    /// Sends a copy elsewhere, outside of the tables that the packet goes on
    /// through (nf_dup_ipv4 in net/ipv4/netfilter/nf_dup_ipv4.c).
    Copy,
    /// Nobody can tell: not its verdict, and not its mark.
    Unknown,
}

impl Effect {
    /// Whether it changes what rules ask packets for.
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

    /// Whether what it does cannot be told from the rule.
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
        Some(Target::Drop) => Effect::Drop,
        Some(Target::Return) => Effect::Return,
        Some(Target::Jump(chain)) => places
            .get(chain.as_str())
            .map_or(Effect::Unknown, |place| Effect::Jump(*place)),
        Some(Target::Goto(chain)) => places
            .get(chain.as_str())
            .map_or(Effect::Unknown, |place| Effect::Goto(*place)),
        Some(Target::Log(_) | Target::Conntrack { .. }) => Effect::Continue,
        Some(Target::Dnat(to, port)) => Effect::Dnat(Some(condition::address(*to)), *port),
        Some(Target::Redirect(port)) => Effect::Dnat(None, Some(*port)),
        Some(Target::SetMark(mark)) => Effect::Mark(*mark, u32::MAX),
        Some(Target::Other(words)) => other_effect(words, places),
    }
}

/// The targets of other people's rules. One that is not here may do anything:
/// those that hand packets to a program (NFQUEUE, QUEUE) or send them back (MIRROR,
/// ECHO) among them. What only tells a program of them (NFLOG, ULOG) lets nothing
/// through.
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
        // Some of them answer, none passes anything on.
        "REJECT" | "TARPIT" | "DELUDE" | "CHAOS" | "STEAL" => Effect::Drop,
        "TEE" => Effect::Copy,
        "SNAT" | "MASQUERADE" | "SAME" => Effect::Accept,
        "DNAT" => destination(words),
        "NETMAP" => {
            let network = option("--to").and_then(|text| text.parse().ok());
            Effect::AnyDnat(network.map(condition::network_range), None)
        }
        "REDIRECT" => match option("--to-ports").map(port_range) {
            None => Effect::Dnat(None, None),
            Some(Some((first, last))) if first == last => Effect::Dnat(None, Some(first)),
            Some(ports) => Effect::AnyDnat(None, ports.or(Some((0, u16::MAX)))),
        },
        // Prefixes are translated, and raw addresses, outside of any connection.
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
        // It may bring a mark to the packet: a connection's, a set's.
        "CONNMARK" if has("--restore-mark") => Effect::AnyMark,
        "SET" if has("--map-mark") => Effect::AnyMark,
        "CONNMARK" | "CT" | "LOG" | "ULOG" | "NFLOG" | "TRACE" | "CLASSIFY" | "TOS" | "DSCP"
        | "ECN" | "TCPMSS" | "TCPOPTSTRIP" | "CHECKSUM" | "SECMARK" | "CONNSECMARK" | "RATEEST"
        | "AUDIT" | "SET" | "IDLETIMER" | "LED" | "ACCOUNT" | "CONTINUE" => Effect::Continue,
        _ => Effect::Unknown,
    }
}

/// The bits that MARK sets, and which (mark_tg in xt_mark.c); None where they
/// depend on those that were there.
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

/// To where DNAT sends: one address or several in a row, in IPv6 with ports
/// between brackets, and one port or several.
fn destination(words: &[String]) -> Effect {
    let unknown = Effect::AnyDnat(None, Some((0, u16::MAX)));
    let mut texts = words
        .windows(2)
        .filter(|pair| pair[0] == "--to-destination")
        .map(|pair| pair[1].as_str());
    // Up to Linux 2.6.10 there may be several.
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
            (true, None) => Effect::Dnat(Some(to.0), None),
            (true, Some((first, last))) if first == last => Effect::Dnat(Some(to.0), Some(first)),
            _ => Effect::AnyDnat(Some(to), ports),
        },
        None => unknown,
    }
}

type Addresses = ((u128, u128), Option<(u16, u16)>);

fn addresses(text: &str) -> Option<Addresses> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (IpAddr, IpAddr) = (first.parse().ok()?, last.parse().ok()?);
    let ordered = first.is_ipv4() == last.is_ipv4() && first <= last;
    ordered.then(|| ((condition::address(first), condition::address(last)), None))
}

/// `80`, or `80-90`; with `/` and the port that is mapped to the first, any of
/// these.
fn port_range(text: &str) -> Option<(u16, u16)> {
    let text = text.split('/').next()?;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}
