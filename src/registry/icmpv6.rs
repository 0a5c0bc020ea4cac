//! The ICMPv6 messages that IPv6 needs to work, and the ICMPv6 equivalents of ICMP types.
//!
//! From RFC 4890, 4.4.1: messages that must not be dropped on a link. Router advertisements
//! (134) are left out, since the router has its addresses from the file; it takes them where
//! the file says so, and sends them where it has hosts make theirs. Errors (types 1 to 4)
//! pass only as part of a connection.

use crate::field::IcmpType;

/// A message between neighbours on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NeighbourMessage {
    /// Its ICMPv6 type.
    pub(crate) number: u8,
    /// Its name in its RFC.
    pub(crate) name: &'static str,
    /// The hop limit that it must have, which proves that no router forwarded it.
    pub(crate) hop_limit: u8,
}

/// RFC 4861, 4.2.
pub(crate) const ROUTER_ADVERTISEMENT: u8 = 134;

/// RFC 4861, 4.4.
pub(crate) const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// Neighbour discovery (RFC 4861, 7.1) and multicast listener discovery (RFC 3810, 5; RFC
/// 2710, 3).
pub(crate) const NEIGHBOURS: &[NeighbourMessage] = &[
    message(133, "router solicitation", 255),
    message(135, "neighbour solicitation", 255),
    message(NEIGHBOUR_ADVERTISEMENT, "neighbour advertisement", 255),
    message(130, "multicast listener query", 1),
    message(131, "multicast listener report", 1),
    message(132, "multicast listener done", 1),
    message(143, "multicast listener report", 1),
];

const fn message(number: u8, name: &'static str, hop_limit: u8) -> NeighbourMessage {
    NeighbourMessage {
        number,
        name,
        hop_limit,
    }
}

/// The ICMPv6 type with the meaning of an ICMP type (RFC 792, RFC 4443); None if there is
/// none.
pub(crate) fn counterpart(icmp: IcmpType) -> Option<IcmpType> {
    let number = match icmp.number() {
        // Echo reply, destination unreachable, echo request.
        0 => 129,
        3 => 1,
        8 => 128,
        // Time exceeded, parameter problem.
        11 => 3,
        12 => 4,
        _ => return None,
    };
    Some(IcmpType::by_number(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4890, 4.4.1 and 4.3.1, with the hop limits that RFC 4861 (6.1.1, 7.1.1, 7.1.2),
    /// RFC 2710 (3) and RFC 3810 (5) require.
    #[test]
    fn what_a_link_needs_is_let_through_and_nothing_that_moves_the_router() {
        let needed = [
            (130, 1),   // multicast listener query
            (131, 1),   // multicast listener report
            (132, 1),   // multicast listener done
            (133, 255), // router solicitation
            (135, 255), // neighbour solicitation
            (136, 255), // neighbour advertisement
            (143, 1),   // multicast listener report, version 2
        ];
        let mut listed: Vec<(u8, u8)> = NEIGHBOURS
            .iter()
            .map(|it| (it.number, it.hop_limit))
            .collect();
        listed.sort_unstable();
        assert_eq!(listed, needed);
        // Router advertisement, redirect, router renumbering, node information, and the
        // certification path of SEND.
        for number in [134, 137, 138, 139, 140, 148, 149] {
            assert!(listed.iter().all(|(other, _)| *other != number), "{number}");
        }
    }

    /// RFC 792 beside RFC 4443, type by type.
    #[test]
    fn counterparts() {
        let by_hand = [
            (0, Some(129)), // echo reply
            (3, Some(1)),   // destination unreachable
            (4, None),      // source quench
            (5, None),      // redirect: neighbour discovery's own (137), of another form
            (8, Some(128)), // echo request
            (9, None),      // router advertisement
            (10, None),     // router solicitation
            (11, Some(3)),  // time exceeded
            (12, Some(4)),  // parameter problem
            (13, None),     // timestamp
            (14, None),     // timestamp reply
            (15, None),     // information request
            (16, None),     // information reply
            (17, None),     // address mask request
            (18, None),     // address mask reply
        ];
        for number in 0..=u8::MAX {
            let row = by_hand.iter().find(|(of, _)| *of == number);
            let expected = row.and_then(|(_, to)| *to).map(IcmpType::by_number);
            assert_eq!(
                counterpart(IcmpType::by_number(number)),
                expected,
                "{number}"
            );
        }
    }
}
