//! `-m icmp` and `-m icmp6`: a message's type, and optionally its code.

use super::words::not;
use super::{Extension, Match, Negatable};
use crate::field::IcmpType;

pub(super) const ICMP: Extension<Match> = Extension {
    name: "icmp",
    kernel_option: None,
    read: |words| {
        words
            .negatable("--icmp-type", |text, _| icmp_type(text))?
            .map(Match::Icmp)
    },
};

pub(super) const ICMP6: Extension<Match> = Extension {
    name: "icmp6",
    kernel_option: None,
    read: |words| {
        words
            .negatable("--icmpv6-type", |text, _| icmp_type(text))?
            .map(Match::Icmpv6)
    },
};

pub(super) fn print(option: &str, kind: Negatable<IcmpType>) -> String {
    let Negatable { negated, value } = kind;
    format!(" {}{option} {value}", not(negated))
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
