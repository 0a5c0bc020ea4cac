//! IP protocols other than TCP, UDP and ICMP.
//!
//! Owns their names, which are the keywords of IANA's registry of assigned internet protocol
//! numbers, and which numbers a rule can ask for.

use crate::family::IpFamily;

const NAMES: [(&str, u8); 10] = [
    ("igmp", 2),
    ("ipv6", 41),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("ospf", 89),
    ("pim", 103),
    ("vrrp", 112),
    ("l2tp", 115),
    ("sctp", 132),
];

/// IGMP, OSPF, PIM and VRRP, whose packets go to groups of 224.0.0.0/24 (RFC 9776, RFC 2328,
/// RFC 7761, RFC 9568).
pub(crate) const TO_GROUPS: [u8; 4] = [2, 89, 103, 112];

/// The number of a protocol, by name or number. None for those that have keys of their own,
/// and for the headers of IPv6 that are no protocol of a connection (RFC 8200, section 4).
pub(crate) fn number(text: &str) -> Option<u8> {
    let named = NAMES.iter().find(|(name, _)| *name == text);
    let number = named.map_or_else(|| text.parse().ok(), |(_, number)| Some(*number))?;
    // 0 is any protocol for iptables, and hop-by-hop options for IPv6.
    (!matches!(number, 0 | 1 | 6 | 17 | 43 | 44 | 58 | 59 | 60 | 135)).then_some(number)
}

/// The name of a protocol, or its number.
pub(crate) fn shown(number: u8) -> String {
    let mut known = NAMES.iter();
    let known = known.find(|(_, known)| *known == number);
    known.map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
}

/// Whether rules of this family can ask for it: ip6tables goes past an authentication header
/// to what follows (is_exthdr in iptables/ip6tables.c).
pub(crate) fn is_asked_for(number: u8, family: IpFamily) -> bool {
    !(number == 51 && family == IpFamily::V6)
}

/// The names, for messages.
pub(crate) fn names() -> String {
    NAMES.map(|(name, _)| name).join(", ")
}
