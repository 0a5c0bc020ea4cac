//! The fields of a packet, and what the kernel notes beside it.

use crate::family::IpFamily;
use crate::netfilter::TupleAddress;

/// A field of a packet, or what the kernel notes beside it. The order is that
/// of the diagrams: what splits packets into few kinds comes first, addresses
/// before ports, and what few rules ask for last. A hardware address is bound to
/// a source address and so stands right below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// What conntrack takes it for, a [`State`].
    State,
    /// Whether its connection's destination is rewritten.
    Dnat,
    /// Whether its connection's source is rewritten.
    Snat,
    /// The interface it came in by, by [`Interfaces`].
    In,
    /// The interface it goes out by.
    Out,
    /// Source address.
    Source,
    /// Who opened its connection, as conntrack's tuple has it (`--ctorigsrc`).
    CtOriginalSource,
    /// Who answers in its connection (`--ctreplsrc`).
    CtReplySource,
    /// Source hardware address.
    Mac,
    /// Destination address.
    Destination,
    /// The destination address before it was rewritten, 0 if it was not.
    OriginalDestination,
    /// Whether the destination is an address of the router's own on the interface
    /// that the packet came in by.
    Local,
    /// Protocol number.
    Protocol,
    /// Destination port.
    DestinationPort,
    /// The destination port before the destination was rewritten, 0 if it was not.
    OriginalPort,
    /// Source port.
    SourcePort,
    /// ICMP type.
    IcmpType,
    /// ICMP code.
    IcmpCode,
    /// TCP flags, as in the header.
    Flags,
    /// Whether it is a fragment and not the first.
    Fragment,
    /// How many more routers it may pass.
    Hops,
    /// The mark that rules give it.
    Mark,
    /// Which way it takes in its connection, a [`CtDirection`].
    CtDirection,
    /// Whether a helper expected its connection (`--ctstatus EXPECTED`).
    CtExpected,
    /// The helper that did, by [`helper_code`].
    CtHelper,
    /// To whom its connection was opened (`--ctorigdst`).
    CtOriginalDestination,
    /// To whom its connection is answered (`--ctrepldst`).
    CtReplyDestination,
    /// From which port its connection was opened (`--ctorigsrcport`).
    CtOriginalSourcePort,
    /// From which port its connection is answered (`--ctreplsrcport`).
    CtReplySourcePort,
    /// What cannot be told from the packet, a bit for each thing that rules ask
    /// (see `doubt`).
    Undecided,
}

impl Field {
    /// Every field, in order.
    pub const ALL: [Field; 30] = [
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
        Field::CtDirection,
        Field::CtExpected,
        Field::CtHelper,
        Field::CtOriginalDestination,
        Field::CtReplyDestination,
        Field::CtOriginalSourcePort,
        Field::CtReplySourcePort,
        Field::Undecided,
    ];

    /// What is known of a packet by its connection alone.
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

    /// The field of an address of the connection.
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
            Field::Dnat | Field::Snat | Field::Fragment | Field::Local => 1,
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
            Field::Mark => 32,
            Field::Undecided => 96,
        }
    }

    /// The fields whose bits lie between this one's, so that they can be compared
    /// with it, or it be moved to them, at little cost.
    pub(in crate::prove) fn beside(self) -> &'static [Field] {
        match self {
            // An ICMP error's sender is held against an end of the connection.
            Field::Source => &[Field::CtOriginalSource, Field::CtReplySource],
            Field::Destination => &[Field::OriginalDestination],
            Field::DestinationPort => &[Field::OriginalPort],
            _ => &[],
        }
    }

    /// Whether its bits lie between another's.
    pub(in crate::prove) fn is_beside(self) -> bool {
        Field::ALL
            .iter()
            .any(|field| field.beside().contains(&self))
    }
}
