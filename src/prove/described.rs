//! A packet as a user describes it, field by field, and the meaning of the words used.

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
use crate::registry::protocol;

/// The word for the router itself as source or destination.
pub const ROUTER: &str = "router";

/// A packet description; an absent field has the value it has in the first packet of a TCP
/// connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DescribedPacket {
    /// The zone or interface it comes from, or `router`.
    pub from: Option<String>,
    /// The zone or interface it goes to, or `router`.
    pub to: Option<String>,
    /// Addresses of the packet and of its connection.
    pub addresses: Vec<(PacketAddress, IpAddr)>,
    /// The protocol.
    pub protocol: Option<Protocol>,
    /// The source port.
    pub source_port: Option<u16>,
    /// The destination port.
    pub destination_port: Option<u16>,
    /// ICMP or ICMPv6 type and code; the code is 0 if absent.
    pub icmp_type: Option<IcmpType>,
    /// The TCP flags that are set.
    pub flags: Option<TcpFlags>,
    /// The conntrack state.
    pub state: Option<State>,
    /// The source hardware address.
    pub mac: Option<SourceMac>,
    /// The firewall mark.
    pub mark: Option<u32>,
    /// Time to live (IPv4) or hop limit (IPv6).
    pub hops: Option<u8>,
    /// Whether it is a fragment other than the first.
    pub fragment: bool,
    /// Whether its connection's destination is rewritten (DNAT).
    pub dnat: bool,
    /// Whether its connection's source is rewritten (SNAT).
    pub snat: bool,
    /// The source port of the connection's original direction.
    pub original_source_port: Option<u16>,
    /// The source port of the connection's reply direction.
    pub reply_source_port: Option<u16>,
    /// Its direction within the connection.
    pub direction: Option<CtDirection>,
    /// Whether a conntrack helper expected the connection.
    pub expected: bool,
    /// The helper that expected it.
    pub helper: Option<ConnectionHelper>,
    /// Whether the destination is not one of the router's addresses on the incoming
    /// interface.
    pub elsewhere: bool,
    /// Whether the destination is one of the router's addresses on another interface than
    /// the incoming one.
    pub own: bool,
}

/// One of the addresses of a packet or of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketAddress {
    /// The packet's source.
    Source,
    /// The packet's destination.
    Destination,
    /// The source of the original direction: who opened the connection.
    OriginalSource,
    /// The destination of the original direction: whom it was opened to.
    OriginalDestination,
    /// The source of the reply direction: who answers.
    ReplySource,
    /// The destination of the reply direction: whom answers go to.
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

/// A source hardware address as it may appear in a frame; group addresses are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceMac(MacAddress);

impl From<MacAddress> for SourceMac {
    fn from(mac: MacAddress) -> SourceMac {
        SourceMac(mac)
    }
}

/// The conntrack helper that expected a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionHelper {
    /// No helper.
    None,
    /// The FTP helper.
    Ftp,
    /// Any other helper.
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

/// Why a description is not a possible packet.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PacketError {
    /// The addresses are of different families.
    #[error("{0}: is of the other family; give both of one")]
    Family(IpAddr),
    /// The rules have no family in common with the packet's addresses.
    #[error("the rules are of {rules} and the packet is of {packet}; give it addresses of {rules}")]
    NoRules {
        /// The family of the rules.
        rules: IpFamily,
        /// The family of the packet.
        packet: IpFamily,
    },
    /// An address is missing.
    #[error("a packet has an address at both ends; give --src and --dst")]
    NoAddress,
    /// The packet neither enters nor leaves by an interface.
    #[error("a packet needs --from or --to with a zone or an interface")]
    NoInterface,
    /// The interface is named by no rule and no zone.
    #[error("no interface is called {0:?}")]
    UnknownInterface(String),
}

impl DescribedPacket {
    /// The given address; the last one if it was given twice.
    pub(super) fn address(&self, which: PacketAddress) -> Option<IpAddr> {
        let mut given = self.addresses.iter().rev();
        given.find(|(known, _)| *known == which).map(|(_, it)| *it)
    }

    /// The family, by the packet's source and destination.
    pub(super) fn family(&self) -> IpFamily {
        let ends = [PacketAddress::Source, PacketAddress::Destination];
        let mut ends = ends.into_iter().filter_map(|end| self.address(end));
        match ends.any(|end| end.is_ipv6()) {
            true => IpFamily::V6,
            false => IpFamily::V4,
        }
    }

    /// The packet and its path through the hooks.
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
        // A packet to the router goes to an address of the incoming interface, unless that
        // is known to be false or the description says otherwise.
        let (inward, to) = (packet.value(Field::In), packet.value(Field::Destination));
        let local = way == HookPath::Input && !self.elsewhere && !self.own;
        let local = local && space.is_local(inward, to) != Some(false);
        packet.set(Field::Local, local.into());
        let own = space.is_any_local(to).unwrap_or(local || self.own);
        packet.set(Field::AnyLocal, own.into());
        Ok((way, packet))
    }
}

/// The number of the interface; None for the router, and if the description does not name
/// one.
fn place(space: &Space, naming: &Naming, end: Option<&str>) -> Result<Option<u128>, PacketError> {
    let Some(name) = end.filter(|name| *name != ROUTER) else {
        return Ok(None);
    };
    let known = space.interfaces.place(naming.interface(name));
    // An interface that no rule and no zone names is represented by the one that stands for
    // all such.
    let place = known.or_else(|| space.interfaces.like(name));
    match place {
        None => Err(PacketError::UnknownInterface(name.to_owned())),
        known => Ok(known),
    }
}

impl FromStr for Protocol {
    type Err = InvalidValue;

    /// Parses a protocol name or number.
    fn from_str(text: &str) -> Result<Protocol, InvalidValue> {
        let mut known = [1, 6, 17, 58].into_iter();
        let named = known.find(|number| witness::protocol_name(u128::from(*number)) == Some(text));
        let number = named
            .or_else(|| protocol::number(text))
            .or_else(|| text.parse().ok());
        number.map(Protocol::Number).ok_or(InvalidValue(
            "is no protocol; use tcp, udp, icmp, icmpv6, a number, or a name of protocol in [services]",
        ))
    }
}

impl FromStr for IcmpType {
    type Err = InvalidValue;

    /// Parses `8` or, with a code, `3/1`.
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

    /// Parses `SYN,ACK`, or `NONE`: the flags that are set; all others are clear.
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
