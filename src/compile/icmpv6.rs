//! The ICMPv6 that IPv6 cannot live without (RFC 4890).
//!
//! Errors (types 1 to 4) belong to connections that were let through, and pass
//! as RELATED. Router advertisements are not taken: the router has its
//! addresses from the file.

use ipnet::Ipv6Net;

use super::{Direction, chain, purpose};
use crate::field::IcmpType;
use crate::ruleset::{Match, Negatable, Protocol, Rule, Table, Target};

/// Addresses of one link.
pub const LINK_LOCAL: Ipv6Net =
    Ipv6Net::new_assert(std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10);

/// Type, name, and the hop limit by which it is known not to come from afar.
/// Neighbour discovery (RFC 4861, 7.1), multicast listeners (RFC 3810, 5).
pub const NEIGHBOURS: &[(u8, &str, u8)] = &[
    (133, "router solicitation", 255),
    (135, "neighbour solicitation", 255),
    (136, "neighbour advertisement", 255),
    (130, "multicast listener query", 1),
    (131, "multicast listener report", 1),
    (132, "multicast listener done", 1),
    (143, "multicast listener report", 1),
];

/// Lets them in, and out where the router may not send just anything.
pub(super) fn neighbours(table: &mut Table) {
    let neighbours = chain("neighbours");
    for direction in [Direction::Input, Direction::Output] {
        let jump = Rule::new(Target::Jump(neighbours.clone())).of(Protocol::Icmpv6);
        // Before INVALID and right after the loopback: conntrack leaves them
        // untracked, and without them there is no link.
        table.rules_mut(&direction.chain()).insert(1, jump);
    }
    let rules = NEIGHBOURS.iter().map(|(number, name, hops)| {
        Rule::new(Target::Accept)
            .of(Protocol::Icmpv6)
            .matching(Match::Icmpv6(Negatable::is(IcmpType::by_number(*number))))
            .matching(Match::HopLimit(*hops))
            .matching(purpose(name))
    });
    table.rules_mut(&neighbours).extend(rules);
}

/// The ICMPv6 type that does what an ICMP type does; None where none does.
pub fn counterpart(icmp: IcmpType) -> Option<IcmpType> {
    let number = match icmp.number() {
        0 => 129,
        3 => 1,
        8 => 128,
        11 => 3,
        12 => 4,
        _ => return None,
    };
    Some(IcmpType::by_number(number))
}
