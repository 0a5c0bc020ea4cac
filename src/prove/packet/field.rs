//! The fields of a packet, including what the kernel records about it.

use crate::family::IpFamily;
use crate::netfilter::TupleAddress;

/// A field of a packet, or something that the kernel records about it. The order is the
/// variable order of the diagrams: fields that split packets into few kinds come first,
/// addresses before ports, and rarely tested fields last. A hardware address is tied to a
/// source address, and so comes right below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// The conntrack state, a [`State`].
    State,
    /// Whether the connection's destination is rewritten (DNAT).
    Dnat,
    /// Whether the connection's source is rewritten (SNAT).
    Snat,
    /// The incoming interface, as numbered by [`Interfaces`].
    In,
    /// The outgoing interface.
    Out,
    /// The source address.
    Source,
    /// The source of the connection's original direction (`--ctorigsrc`).
    CtOriginalSource,
    /// The source of the connection's reply direction (`--ctreplsrc`).
    CtReplySource,
    /// The source hardware address.
    Mac,
    /// The destination address.
    Destination,
    /// The destination address before DNAT; 0 if it was not rewritten.
    OriginalDestination,
    /// Whether the destination is one of the router's own addresses on the incoming
    /// interface.
    Local,
    /// Whether the destination is one of the router's own addresses on any interface, as the
    /// packet came: before DNAT.
    AnyLocal,
    /// The protocol number.
    Protocol,
    /// The destination port.
    DestinationPort,
    /// The destination port before DNAT; 0 if it was not rewritten.
    OriginalPort,
    /// The source port.
    SourcePort,
    /// The ICMP type.
    IcmpType,
    /// The ICMP code.
    IcmpCode,
    /// The TCP flags, as in the header.
    Flags,
    /// Whether it is a fragment other than the first.
    Fragment,
    /// The time to live (IPv4) or hop limit (IPv6).
    Hops,
    /// The firewall mark, as rules or the sending program set it.
    Mark,
    /// The firewall mark before rules changed it.
    OriginalMark,
    /// The packet's direction in its connection, a [`CtDirection`].
    CtDirection,
    /// Whether a helper expected the connection (`--ctstatus EXPECTED`).
    CtExpected,
    /// The helper that expected it, see [`helper_code`].
    CtHelper,
    /// The destination of the connection's original direction (`--ctorigdst`).
    CtOriginalDestination,
    /// The destination of the connection's reply direction (`--ctrepldst`).
    CtReplyDestination,
    /// The source port of the connection's original direction (`--ctorigsrcport`).
    CtOriginalSourcePort,
    /// The source port of the connection's reply direction (`--ctreplsrcport`).
    CtReplySourcePort,
    /// One bit for each condition that the packet does not decide (see `doubt`).
    Undecided,
}

impl Field {
    /// Every field, in order.
    pub const ALL: [Field; 32] = [
        Field::State,
        Field::Dnat,
        Field::Snat,
        Field::In,
        Field::Out,
        Field::Source,
        Field::CtOriginalSource,
        Field::CtReplySource,
        Field::Mac,
        Field::Destination,
        Field::OriginalDestination,
        Field::Local,
        Field::AnyLocal,
        Field::Protocol,
        Field::DestinationPort,
        Field::OriginalPort,
        Field::SourcePort,
        Field::IcmpType,
        Field::IcmpCode,
        Field::Flags,
        Field::Fragment,
        Field::Hops,
        Field::Mark,
        Field::OriginalMark,
        Field::CtDirection,
        Field::CtExpected,
        Field::CtHelper,
        Field::CtOriginalDestination,
        Field::CtReplyDestination,
        Field::CtOriginalSourcePort,
        Field::CtReplySourcePort,
        Field::Undecided,
    ];

    /// The fields that describe the packet's connection.
    pub const OF_CONNECTION: [Field; 9] = [
        Field::CtOriginalSource,
        Field::CtReplySource,
        Field::CtDirection,
        Field::CtExpected,
        Field::CtHelper,
        Field::CtOriginalDestination,
        Field::CtReplyDestination,
        Field::CtOriginalSourcePort,
        Field::CtReplySourcePort,
    ];

    /// The field for an address of the connection.
    pub const fn of_tuple(address: TupleAddress) -> Field {
        match address {
            TupleAddress::OriginalSource => Field::CtOriginalSource,
            TupleAddress::OriginalDestination => Field::CtOriginalDestination,
            TupleAddress::ReplySource => Field::CtReplySource,
            TupleAddress::ReplyDestination => Field::CtReplyDestination,
        }
    }

    pub(in crate::prove) fn bits(self, family: IpFamily, interfaces: u32) -> u32 {
        match self {
            Field::State => 3,
            Field::Dnat | Field::Snat | Field::Fragment | Field::Local | Field::AnyLocal => 1,
            Field::CtDirection | Field::CtExpected => 1,
            Field::CtHelper => 2,
            Field::In | Field::Out => interfaces,
            Field::Source
            | Field::CtOriginalSource
            | Field::CtReplySource
            | Field::Destination
            | Field::OriginalDestination
            | Field::CtOriginalDestination
            | Field::CtReplyDestination => match family {
                IpFamily::V4 => 32,
                IpFamily::V6 => 128,
            },
            Field::Mac => crate::prove::space::HARDWARE_BITS,
            Field::Protocol | Field::IcmpType | Field::IcmpCode | Field::Hops => 8,
            Field::DestinationPort | Field::OriginalPort | Field::SourcePort => 16,
            Field::CtOriginalSourcePort | Field::CtReplySourcePort => 16,
            Field::Flags => 6,
            Field::Mark | Field::OriginalMark => 32,
            Field::Undecided => 96,
        }
    }

    /// The fields whose bits are interleaved with this one's, so that comparing them with
    /// it, or moving it to them, costs little.
    pub(in crate::prove) fn beside(self) -> &'static [Field] {
        match self {
            // The sender of an ICMP error is compared with the ends of the connection.
            Field::Source => &[Field::CtOriginalSource, Field::CtReplySource],
            Field::Destination => &[Field::OriginalDestination],
            Field::DestinationPort => &[Field::OriginalPort],
            Field::Mark => &[Field::OriginalMark],
            _ => &[],
        }
    }

    /// Whether its bits are interleaved with another field's.
    pub(in crate::prove) fn is_beside(self) -> bool {
        Field::ALL
            .iter()
            .any(|field| field.beside().contains(&self))
    }
}
