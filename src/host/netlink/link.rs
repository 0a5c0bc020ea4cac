//! The messages about links: reads what camfw looks at, and writes what it sets.
//!
//! Owns the numbers of their attributes. The messages of netlink-packet-route have the
//! attributes of each kind of link that there is, in 120 KB of code.

use netlink_packet_core::{DecodeError, DefaultNla, Emitable, Parseable};

use crate::host::nfnetlink::attribute;
use crate::name::MacAddress;

/// struct ifinfomsg (linux/rtnetlink.h).
const HEADER: usize = 16;

/// IFF_UP, IFF_PROMISC and IFF_LOWER_UP (linux/if.h).
pub const UP: u32 = 1;
pub const PROMISCUOUS: u32 = 1 << 8;
pub const LOWER_UP: u32 = 1 << 16;

/// IFLA_* (linux/if_link.h).
pub const ADDRESS: u16 = 1;
pub const NAME: u16 = 3;
pub const MTU: u16 = 4;
pub const LOWER: u16 = 5;
pub const CONTROLLER: u16 = 10;
pub const INFO: u16 = 18;
/// IFLA_IFALIAS
pub const ALIAS: u16 = 20;
pub const STATISTICS: u16 = 23;
/// IFLA_AF_SPEC
pub const OF_FAMILIES: u16 = 26;
pub const GROUP: u16 = 27;
pub const PROMISCUITY: u16 = 30;
pub const NAMESPACE: u16 = 37;
pub const XDP: u16 = 43;

/// IFLA_XDP_ATTACHED, in IFLA_XDP.
pub const XDP_ATTACHED: u16 = 2;

/// IFLA_INFO_*, in IFLA_LINKINFO.
pub const KIND: u16 = 1;
pub const DATA: u16 = 2;
pub const PORT_KIND: u16 = 4;
pub const PORT_DATA: u16 = 5;

/// IFLA_VLAN_ID, in the data of a VLAN.
pub const VLAN_ID: u16 = 1;
/// IFLA_BRPORT_*, in the data of a bridge's port.
pub const LEARNING: u16 = 8;
pub const FLUSH: u16 = 24;
pub const ISOLATED: u16 = 33;
/// Linux 5.16
pub const LOCKED: u16 = 39;
/// IFLA_HSR_SLAVE1, IFLA_HSR_SLAVE2 and IFLA_HSR_INTERLINK, in the data of an HSR link.
pub const HSR_PORTS: [u16; 3] = [1, 2, 8];

/// The group (`ip link set … group`) of each link that camfw makes. The kernel sets it as it
/// creates the link, so that there is none without; it goes with the link. Nobody's number: that
/// of a group which somebody uses is small.
pub const MADE: u32 = 0x6361_6d66;

/// One link of a dump.
pub struct DumpedLink {
    pub index: u32,
    pub flags: u32,
    attributes: Vec<u8>,
}

impl Parseable<[u8]> for DumpedLink {
    fn parse(payload: &[u8]) -> Result<DumpedLink, DecodeError> {
        let number = |at| number(payload.get(at..HEADER)?);
        let attributes = payload.get(HEADER..);
        match (number(4), number(8), attributes) {
            (Some(index), Some(flags), Some(attributes)) => Ok(DumpedLink {
                index,
                flags,
                attributes: attributes.to_vec(),
            }),
            _ => Err(DecodeError::from("a link's header is too short")),
        }
    }
}

impl DumpedLink {
    /// The value of an attribute.
    pub fn attribute(&self, kind: u16) -> Option<&[u8]> {
        attribute(&self.attributes, kind)
    }

    /// The value of an attribute that is a number.
    pub fn number(&self, kind: u16) -> Option<u32> {
        number(self.attribute(kind)?)
    }

    /// The name.
    pub fn name(&self) -> Option<String> {
        self.attribute(NAME).map(text)
    }
}

/// A number of four bytes at the beginning of a value.
pub fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(*value.first_chunk()?))
}

/// A text that ends with a NUL.
pub fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&value[..end.unwrap_or(value.len())]).into_owned()
}

/// A hardware address, if it is one of Ethernet's.
pub fn six_bytes(bytes: &[u8]) -> Option<MacAddress> {
    <[u8; 6]>::try_from(bytes).ok().map(MacAddress::from)
}

/// A request about a link: the header, and the attributes to set.
#[derive(Default)]
pub struct LinkRequest {
    index: u32,
    flags: u32,
    change: u32,
    attributes: Vec<DefaultNla>,
}

impl LinkRequest {
    /// For the link with this index.
    pub fn of(index: u32) -> LinkRequest {
        LinkRequest {
            index,
            ..LinkRequest::default()
        }
    }

    /// For a link of this kind, with this data.
    pub fn of_kind(kind: &str, data: Option<DefaultNla>) -> LinkRequest {
        let data = data.map(|data| nested(DATA, &[data]));
        let kind = DefaultNla::new(KIND, kind.as_bytes().to_vec());
        let info: Vec<DefaultNla> = [kind].into_iter().chain(data).collect();
        LinkRequest::default().with(nested(INFO, &info))
    }

    /// Sets the link up or down.
    pub fn up(mut self, up: bool) -> LinkRequest {
        self.flags = if up { UP } else { 0 };
        self.change = UP;
        self
    }

    /// Sets an attribute.
    pub fn with(mut self, attribute: DefaultNla) -> LinkRequest {
        self.attributes.push(attribute);
        self
    }

    /// Sets an attribute that is a number.
    pub fn with_number(self, kind: u16, number: u32) -> LinkRequest {
        self.with(DefaultNla::new(kind, number.to_ne_bytes().to_vec()))
    }

    /// Sets the name.
    pub fn with_name(self, name: &str) -> LinkRequest {
        let mut bytes = name.as_bytes().to_vec();
        bytes.push(0);
        self.with(DefaultNla::new(NAME, bytes))
    }
}

impl Emitable for LinkRequest {
    fn buffer_len(&self) -> usize {
        HEADER + self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        buffer[4..8].copy_from_slice(&self.index.to_ne_bytes());
        buffer[8..12].copy_from_slice(&self.flags.to_ne_bytes());
        buffer[12..16].copy_from_slice(&self.change.to_ne_bytes());
        self.attributes.as_slice().emit(&mut buffer[HEADER..]);
    }
}

/// An attribute of attributes.
pub fn nested(kind: u16, attributes: &[DefaultNla]) -> DefaultNla {
    let mut bytes = vec![0; attributes.buffer_len()];
    attributes.emit(&mut bytes);
    DefaultNla::new(kind, bytes)
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::link::{InfoBridgePort, LinkMessage};
    use rtnetlink::{LinkBridge, LinkBridgePort, LinkUnspec, LinkVlan};

    use super::*;

    fn emitted(message: &impl Emitable) -> Vec<u8> {
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        bytes
    }

    #[test]
    fn requests_are_those_of_rtnetlink() -> Result<(), DecodeError> {
        let vlan_id = DefaultNla::new(VLAN_ID, 7u16.to_ne_bytes().to_vec());
        let settings = [(ISOLATED, 1), (LEARNING, 0), (LOCKED, 1)];
        let settings = settings.map(|(kind, value)| DefaultNla::new(kind, vec![value]));
        let settings = nested(PORT_DATA, &settings);
        let port = nested(
            INFO,
            &[DefaultNla::new(PORT_KIND, b"bridge".to_vec()), settings],
        );
        let link = || LinkUnspec::new_with_index(3);
        let own = || LinkRequest::of(3);
        for (ours, theirs) in [
            (own().up(true), link().up().build()),
            (own().up(false), link().down().build()),
            (own().with_name("cam0"), link().name("cam0").build()),
            (own().with_number(MTU, 1400), link().mtu(1400).build()),
            (
                own().with_number(CONTROLLER, 9),
                link().controller(9).build(),
            ),
            (
                own().with_number(CONTROLLER, 0),
                link().nocontroller().build(),
            ),
            (
                LinkRequest::of_kind("bridge", None)
                    .with_name("br0")
                    .up(true),
                LinkBridge::new("br0").build(),
            ),
            (
                LinkRequest::of_kind("vlan", Some(vlan_id))
                    .with_name("eth0.7")
                    .with_number(LOWER, 5),
                LinkVlan::new("eth0.7", 5, 7).build(),
            ),
            (
                own().with(port),
                LinkBridgePort::new(3)
                    .append_info_data(InfoBridgePort::Isolated(true))
                    .append_info_data(InfoBridgePort::Learning(false))
                    .append_info_data(InfoBridgePort::Locked(true))
                    .build(),
            ),
        ] {
            let ours = LinkMessage::parse(&emitted(&ours))?;
            assert_eq!(ours.header, theirs.header);
            assert_eq!(ours.attributes.len(), theirs.attributes.len(), "{theirs:?}");
            for attribute in &theirs.attributes {
                assert!(
                    ours.attributes.contains(attribute),
                    "{attribute:?}, {ours:?}"
                );
            }
        }
        Ok(())
    }

    #[test]
    fn a_link_is_read_whatever_is_cut_off() -> Result<(), DecodeError> {
        let link = LinkRequest::of(3).up(true).with_name("cam0");
        let bytes = emitted(&link.with_number(MTU, 1400));
        for length in 0..bytes.len() {
            let link = DumpedLink::parse(&bytes[..length]);
            assert_eq!(link.is_ok(), length >= HEADER, "{length}");
            assert_eq!(link.ok().and_then(|link| link.number(MTU)), None);
        }
        let link = DumpedLink::parse(&bytes)?;
        assert_eq!((link.index, link.flags), (3, UP));
        assert_eq!(link.name().as_deref(), Some("cam0"));
        assert_eq!(link.number(MTU), Some(1400));
        Ok(())
    }
}
