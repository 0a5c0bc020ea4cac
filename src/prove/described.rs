//! A packet as somebody describes it, field by field, and what its words mean.

use std::net::IpAddr;
use std::str::FromStr;

use thiserror::Error;

use super::condition;
use super::hook_path::HookPath;
use super::packet::{Field, HELPER_OTHERS, Packet, State, helper_code};
use super::space::Space;
use super::witness::{self, Naming};
use crate::error::InvalidValue;
use crate::family::IpFamily;
use crate::field::IcmpType;
use crate::name::MacAddress;
use crate::netfilter::{CtDirection, Protocol, TcpFlags};

/// The end of a packet's way that is the router itself.
pub const ROUTER: &str = "router";

/// A packet; what is None is as in the first packet of a TCP connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DescribedPacket {
    /// The zone or interface that it comes from, or `router`.
    pub from: Option<String>,
    /// The zone or interface that it goes to, or `router`.
    pub to: Option<String>,
    /// Its addresses and its connection's.
    pub addresses: Vec<(PacketAddress, IpAddr)>,
    /// Its protocol.
    pub protocol: Option<Protocol>,
    /// Source port.
    pub source_port: Option<u16>,
    /// Destination port.
    pub destination_port: Option<u16>,
    /// Type and code of ICMP and ICMPv6; without a code it is 0.
    pub icmp_type: Option<IcmpType>,
    /// The TCP flags that are set.
    pub flags: Option<TcpFlags>,
    /// What conntrack takes it for.
    pub state: Option<State>,
    /// Source hardware address.
    pub mac: Option<SourceMac>,
    /// Mark.
    pub mark: Option<u32>,
    /// Time to live, or hop limit.
    pub hops: Option<u8>,
    /// Whether it is a fragment, and not the first.
    pub fragment: bool,
    /// Whether its connection's destination is rewritten.
    pub dnat: bool,
    /// Whether its connection's source is rewritten.
    pub snat: bool,
    /// The port that its connection was opened from.
    pub original_source_port: Option<u16>,
    /// The port that its connection is answered from.
    pub reply_source_port: Option<u16>,
    /// Its direction in its connection.
    pub direction: Option<CtDirection>,
    /// Whether a helper expected its connection.
    pub expected: bool,
    /// Which helper.
    pub helper: Option<ConnectionHelper>,
    /// Whether the destination is none of the router's addresses on the interface.
    pub elsewhere: bool,
}

/// Which of a packet's addresses, or of its connection's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketAddress {
    /// Its source.
    Source,
    /// Its destination.
    Destination,
    /// Who opened the connection.
    OriginalSource,
    /// Whom the connection was opened to.
    OriginalDestination,
    /// Who answers.
    ReplySource,
    /// Whom the answers go to.
    ReplyDestination,
}

impl PacketAddress {
    fn field(self) -> Field {
        match self {
            PacketAddress::Source => Field::Source,
            PacketAddress::Destination => Field::Destination,
            PacketAddress::OriginalSource => Field::CtOriginalSource,
            PacketAddress::OriginalDestination => Field::CtOriginalDestination,
            PacketAddress::ReplySource => Field::CtReplySource,
            PacketAddress::ReplyDestination => Field::CtReplyDestination,
        }
    }
}

/// A source hardware address as it may stand in a frame, a group's too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceMac(MacAddress);

/// The helper that expected a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionHelper {
    /// None did.
    None,
    /// The helper for FTP.
    Ftp,
    /// Any other.
    Other,
}

impl ConnectionHelper {
    fn code(self) -> u128 {
        match self {
            ConnectionHelper::None => helper_code(""),
            ConnectionHelper::Ftp => helper_code("ftp"),
            ConnectionHelper::Other => HELPER_OTHERS,
        }
    }
}

/// Why a packet cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PacketError {
    /// An address of the other family.
    #[error("{0}: is of the other family; give both of one")]
    Family(IpAddr),
    /// Addresses of a family that there are no rules of.
    #[error("the rules are of {rules} and the packet is of {packet}; give it addresses of {rules}")]
    NoRules {
        /// The family that there are rules of.
        rules: IpFamily,
        /// The packet's.
        packet: IpFamily,
    },
    /// An address is missing.
    #[error("a packet has an address at both ends; give --src and --dst")]
    NoAddress,
    /// It neither comes from nor goes to an interface.
    #[error("a packet needs --from or --to with a zone or an interface")]
    NoInterface,
    /// An interface that no rule and no zone names.
    #[error("no interface is called {0:?}")]
    UnknownInterface(String),
}

impl DescribedPacket {
    /// One of its addresses; the last, where it is given twice.
    pub(super) fn address(&self, which: PacketAddress) -> Option<IpAddr> {
        let mut given = self.addresses.iter().rev();
        given.find(|(known, _)| *known == which).map(|(_, it)| *it)
    }

    /// The family, by its ends.
    pub(super) fn family(&self) -> IpFamily {
        let ends = [PacketAddress::Source, PacketAddress::Destination];
        let mut ends = ends.into_iter().filter_map(|end| self.address(end));
        match ends.any(|end| end.is_ipv6()) {
            true => IpFamily::V6,
            false => IpFamily::V4,
        }
    }

    /// The packet, and its way through the rules.
    pub(super) fn packet(
        &self,
        space: &Space,
        naming: &Naming,
    ) -> Result<(HookPath, Packet), PacketError> {
        let mut packet = Packet::ZERO;
        let echo_request = match space.family {
            IpFamily::V4 => IcmpType::ECHO_REQUEST,
            IpFamily::V6 => IcmpType::by_number(128),
        };
        let icmp = self.icmp_type.unwrap_or(echo_request);
        let flags = self.flags.unwrap_or(TcpFlags::OPENING);
        let mac = self.mac.map_or(0, |mac| mac.0.number());
        for (field, value) in [
            (Field::State, self.state.unwrap_or(State::New) as u128),
            (
                Field::Protocol,
                self.protocol.unwrap_or(Protocol::Tcp).number().into(),
            ),
            (Field::SourcePort, self.source_port.unwrap_or(40_000).into()),
            (
                Field::DestinationPort,
                self.destination_port.unwrap_or(0).into(),
            ),
            (Field::IcmpType, icmp.number().into()),
            (Field::IcmpCode, icmp.code().unwrap_or(0).into()),
            (Field::Flags, flags.set.into()),
            (Field::Hops, self.hops.unwrap_or(64).into()),
            (Field::Mac, mac),
            (Field::Mark, self.mark.unwrap_or(0).into()),
            (Field::Fragment, self.fragment.into()),
            (Field::Dnat, self.dnat.into()),
            (Field::Snat, self.snat.into()),
            (
                Field::CtOriginalSourcePort,
                self.original_source_port.unwrap_or(0).into(),
            ),
            (
                Field::CtReplySourcePort,
                self.reply_source_port.unwrap_or(0).into(),
            ),
            (Field::CtExpected, self.expected.into()),
            (
                Field::CtDirection,
                self.direction.map_or(0, |it| it as u128),
            ),
            (
                Field::CtHelper,
                self.helper.map_or(0, ConnectionHelper::code),
            ),
        ] {
            packet.set(field, value);
        }
        for (which, address) in &self.addresses {
            if address.is_ipv4() != (space.family == IpFamily::V4) {
                return Err(PacketError::Family(*address));
            }
            packet.set(which.field(), condition::address(*address));
        }
        let from = place(space, naming, self.from.as_deref())?;
        let to = place(space, naming, self.to.as_deref())?;
        let way = match (from, to) {
            (Some(_), None) => HookPath::Input,
            (Some(_), Some(_)) => HookPath::Forward,
            (None, Some(_)) => HookPath::Output,
            (None, None) => return Err(PacketError::NoInterface),
        };
        packet.set(Field::In, from.unwrap_or(packet.value(Field::In)));
        packet.set(Field::Out, to.unwrap_or(packet.value(Field::Out)));
        // To the router is to its address there, unless it is known or said otherwise.
        let (inward, to) = (packet.value(Field::In), packet.value(Field::Destination));
        let local = !self.elsewhere && space.is_local(inward, to) != Some(false);
        packet.set(Field::Local, (way == HookPath::Input && local).into());
        Ok((way, packet))
    }
}

/// The number of the interface at an end; None for the router, and where it is not
/// said.
fn place(space: &Space, naming: &Naming, end: Option<&str>) -> Result<Option<u128>, PacketError> {
    let Some(name) = end.filter(|name| *name != ROUTER) else {
        return Ok(None);
    };
    let known = space.interfaces.place(naming.interface(name));
    // One that no rule and no zone names is like all such.
    let place = known.or_else(|| space.interfaces.like(name));
    match place {
        None => Err(PacketError::UnknownInterface(name.to_owned())),
        known => Ok(known),
    }
}

impl FromStr for Protocol {
    type Err = InvalidValue;

    /// By its name or its number.
    fn from_str(text: &str) -> Result<Protocol, InvalidValue> {
        let mut known = [1, 6, 17, 58].into_iter();
        let named = known.find(|number| witness::protocol_name(u128::from(*number)) == Some(text));
        let number = named.or_else(|| text.parse().ok());
        number.map(Protocol::Number).ok_or(InvalidValue(
            "is no protocol; use tcp, udp, icmp, icmpv6 or a number",
        ))
    }
}

impl FromStr for IcmpType {
    type Err = InvalidValue;

    /// `8` or, with its code, `3/1`.
    fn from_str(text: &str) -> Result<IcmpType, InvalidValue> {
        let byte = |text: &str| {
            let wrong = InvalidValue("is no ICMP type; write it as 8 or 3/1");
            text.parse::<u8>().map_err(|_| wrong)
        };
        match text.split_once('/') {
            Some((number, code)) => Ok(IcmpType::by_number(byte(number)?).with_code(byte(code)?)),
            None => Ok(IcmpType::by_number(byte(text)?)),
        }
    }
}

impl FromStr for TcpFlags {
    type Err = InvalidValue;

    /// `SYN,ACK`, or `NONE`: every flag is looked at.
    fn from_str(text: &str) -> Result<TcpFlags, InvalidValue> {
        let mut flags = TcpFlags { mask: 0x3f, set: 0 };
        for name in text.split(',').filter(|name| *name != "NONE") {
            let bit = TcpFlags::NAMES.iter().position(|known| *known == name);
            flags.set |= 1
                << bit.ok_or(InvalidValue(
                    "is no list of TCP flags; write it as SYN,ACK, or NONE",
                ))?;
        }
        Ok(flags)
    }
}

impl FromStr for State {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<State, InvalidValue> {
        let mut all = State::ALL.into_iter();
        let known = all.find(|(_, _, known)| *known == text);
        known.map(|(state, ..)| state).ok_or(InvalidValue(
            "is no state; use NEW, ESTABLISHED, RELATED, INVALID or UNTRACKED",
        ))
    }
}

impl FromStr for CtDirection {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<CtDirection, InvalidValue> {
        let mut both = [CtDirection::Original, CtDirection::Reply].into_iter();
        both.find(|known| known.as_str() == text)
            .ok_or(InvalidValue("is no direction; use ORIGINAL or REPLY"))
    }
}

impl FromStr for SourceMac {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<SourceMac, InvalidValue> {
        let bytes = text.split(':').map(|part| u8::from_str_radix(part, 16));
        let bytes: Option<Vec<u8>> = bytes.collect::<Result<_, _>>().ok();
        let bytes = bytes.and_then(|bytes| <[u8; 6]>::try_from(bytes).ok());
        bytes
            .map(|bytes| SourceMac(bytes.into()))
            .ok_or(InvalidValue(
                "is no hardware address; write it as 00:04:9f:00:00:01",
            ))
    }
}

impl FromStr for ConnectionHelper {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<ConnectionHelper, Self::Err> {
        Ok(match text {
            "" | "none" => ConnectionHelper::None,
            "ftp" => ConnectionHelper::Ftp,
            _ => ConnectionHelper::Other,
        })
    }
}
