//! A refused packet, as the kernel's packet log passes it on: who tried to reach what, and
//! why it was refused.
//!
//! Owns how packets are read. Only numbers are taken from them, since they come from
//! whoever sent them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::name::{MacAddress, ZoneName};
use crate::policy::RefusalTag;

/// TCP, UDP and UDP-Lite, whose headers begin with the ports, as those of DCCP and SCTP do.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];

/// ICMP and ICMPv6, whose headers begin with the type.
const WITH_TYPE: [u8; 2] = [1, 58];

/// IPv6 extension headers that have their length in their second byte: hop-by-hop options,
/// routing, destination options, mobility (RFC 8200, 4; RFC 6275).
const EXTENSIONS: [u8; 4] = [0, 43, 60, 135];
const FRAGMENT: u8 = 44;

/// One refused packet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Attempt {
    /// Where it came from, and why it was refused.
    pub(crate) tag: RefusalTag,
    /// Its source.
    pub(crate) source: IpAddr,
    /// Its destination, after it was rewritten.
    pub(crate) destination: IpAddr,
    /// The number of its protocol.
    pub(crate) protocol: u8,
    /// The destination port, or the ICMP type; 0 if it has neither.
    pub(crate) port: u16,
}

impl Attempt {
    /// Whether a host of a zone with this address surely sent it. One whose source may be made
    /// up is nobody's.
    pub(crate) fn is_from(&self, zone: &ZoneName, address: IpAddr) -> bool {
        self.source == address
            && self.tag.zone.as_ref() == Some(zone)
            && !self.tag.reason.has_unchecked_source()
    }

    /// Whether the router itself may have sent it: what it sends to a group or by broadcast the
    /// kernel hands to it as well, as if it had come in there, without a header of the link
    /// (dev_loopback_xmit in net/core/dev.c).
    pub(crate) fn may_be_the_routers(&self, hardware: Option<MacAddress>) -> bool {
        hardware.is_none() && self.tag.zone.is_some()
    }

    /// Whether it is from one of these addresses to a group or by broadcast.
    pub(crate) fn is_sent_to_all_by(&self, own: &[IpNet]) -> bool {
        let to_all = match self.destination {
            IpAddr::V4(address) => {
                let mut ends = own.iter().map(IpNet::broadcast);
                address.is_multicast() || address.is_broadcast() || ends.any(|end| end == address)
            }
            IpAddr::V6(address) => address.is_multicast(),
        };
        to_all && own.iter().any(|own| own.addr() == self.source)
    }

    /// Reads a packet that begins with its IP header. None if it is no IP packet, or if no
    /// rule of camfw's passed it on.
    pub(crate) fn new(prefix: &str, packet: &[u8]) -> Option<Attempt> {
        let tag = prefix.parse().ok()?;
        let (source, destination, protocol, header) = match packet.first()? >> 4 {
            4 => ipv4(packet)?,
            6 => ipv6(packet)?,
            _ => return None,
        };
        let port = match header {
            Some(header) if WITH_PORTS.contains(&protocol) => two(header, 2),
            Some(header) if WITH_TYPE.contains(&protocol) => header.first().copied().map(u16::from),
            _ => None,
        };
        Some(Attempt {
            tag,
            source,
            destination,
            protocol,
            port: port.unwrap_or_default(),
        })
    }
}

/// The hardware address of a packet's sender; None if it has none of Ethernet's.
pub(crate) fn sender(hardware: &[u8], packet: &[u8]) -> Option<MacAddress> {
    // Of what has no link's header older kernels told the bytes of IP's (nfnetlink_log.c did
    // not ask for the header's length).
    let is_of_ip = packet.get(6..12) == Some(hardware);
    let bytes: [u8; 6] = hardware.try_into().ok()?;
    Some(MacAddress::from(bytes)).filter(|_| !is_of_ip)
}

/// Source, destination, protocol and, unless the packet is a later fragment, what follows.
type Addressed<'a> = (IpAddr, IpAddr, u8, Option<&'a [u8]>);

fn ipv4(packet: &[u8]) -> Option<Addressed<'_>> {
    let address = |at: usize| {
        let bytes: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
        Some(IpAddr::V4(Ipv4Addr::from(bytes)))
    };
    let length = usize::from(packet.first()? & 0xf) * 4;
    let is_first = two(packet, 6)? & 0x1fff == 0;
    let rest = packet.get(length..).filter(|_| is_first);
    Some((address(12)?, address(16)?, *packet.get(9)?, rest))
}

fn ipv6(packet: &[u8]) -> Option<Addressed<'_>> {
    let address = |at: usize| {
        let bytes: [u8; 16] = packet.get(at..at + 16)?.try_into().ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(bytes)))
    };
    let (source, destination) = (address(8)?, address(24)?);
    let (mut protocol, mut rest) = (*packet.get(6)?, packet.get(40..)?);
    // Each header is at least 8 bytes long, so this ends.
    while EXTENSIONS.contains(&protocol) || protocol == FRAGMENT {
        let [next, length, ..] = rest else {
            return Some((source, destination, protocol, None));
        };
        let is_later = protocol == FRAGMENT && two(rest, 2).is_none_or(|it| it & 0xfff8 != 0);
        let length = match protocol {
            FRAGMENT => 8,
            _ => 8 + usize::from(*length) * 8,
        };
        protocol = *next;
        match rest.get(length..).filter(|_| !is_later) {
            Some(after) => rest = after,
            None => return Some((source, destination, protocol, None)),
        }
    }
    Some((source, destination, protocol, Some(rest)))
}

fn two(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes: [u8; 2] = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_be_bytes(bytes))
}

/// A packet of UDP from zone camera; each destination has a port of its own.
#[cfg(test)]
pub(super) fn an_attempt(reason: &str, source: [u8; 4], to: u32) -> Option<Attempt> {
    Some(Attempt {
        tag: format!("camera {reason}").parse().ok()?,
        source: IpAddr::from(source),
        destination: IpAddr::V4(Ipv4Addr::from(to)),
        protocol: 17,
        port: (to % 65_536) as u16,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "camera not-allowed";

    fn ipv4_packet(protocol: u8, fragment: [u8; 2], rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![
            0x45,
            0,
            0,
            0,
            0,
            0,
            fragment[0],
            fragment[1],
            64,
            protocol,
            0,
            0,
        ];
        packet.extend([192, 168, 8, 110, 203, 0, 113, 7]);
        packet.extend(rest);
        packet
    }

    fn ipv6_packet(next: u8, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, next, 64];
        packet.extend([0xfd; 16]);
        packet.extend([0xfe; 16]);
        packet.extend(rest);
        packet
    }

    #[test]
    fn ports_and_types_are_read() {
        let read = |packet: Vec<u8>| Attempt::new(PREFIX, &packet).map(|it| (it.protocol, it.port));
        assert_eq!(
            read(ipv4_packet(6, [0, 0], &[1, 2, 1, 187])),
            Some((6, 443))
        );
        assert_eq!(
            read(ipv4_packet(17, [0, 0], &[1, 2])),
            Some((17, 0)),
            "short"
        );
        assert_eq!(
            read(ipv4_packet(17, [0, 9], &[1, 2, 3, 4])),
            Some((17, 0)),
            "a fragment"
        );
        assert_eq!(read(ipv4_packet(1, [0, 0], &[8, 0])), Some((1, 8)));
        assert_eq!(read(ipv6_packet(58, &[128, 0])), Some((58, 128)));
        let extended = [17, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 53];
        assert_eq!(read(ipv6_packet(0, &extended)), Some((17, 53)));
        assert_eq!(
            read(ipv6_packet(0, &[17, 255, 0, 0])),
            Some((17, 0)),
            "too long"
        );
        assert_eq!(read(ipv6_packet(0, &[])), Some((0, 0)));
        assert_eq!(read(vec![0x45, 0, 0]), None);
        assert_eq!(read(Vec::new()), None);
        assert_eq!(Attempt::new("other", &ipv4_packet(6, [0, 0], &[])), None);
    }

    #[test]
    fn what_the_router_sends_to_all_is_its_own() -> Result<(), Box<dyn std::error::Error>> {
        let packet = ipv4_packet(17, [0x40, 0], &[0, 67, 0, 68]);
        let of_ip = sender(&packet[6..12], &packet);
        let device = sender(&[2, 0, 0, 0, 0, 1], &packet);
        assert_eq!((of_ip, device.is_some()), (None, true));
        let mut attempt = Attempt::new(PREFIX, &packet).ok_or("an attempt")?;
        assert!(attempt.may_be_the_routers(of_ip) && !attempt.may_be_the_routers(device));
        let own: IpNet = "192.168.8.110/24".parse()?;
        let other: IpNet = "192.168.8.1/24".parse()?;
        for (to, is_to_all) in [
            ("203.0.113.7", false),
            ("255.255.255.255", true),
            ("192.168.8.255", true),
            ("224.0.0.251", true),
        ] {
            attempt.destination = to.parse()?;
            assert_eq!(attempt.is_sent_to_all_by(&[other, own]), is_to_all, "{to}");
            assert!(!attempt.is_sent_to_all_by(&[other]), "{to}");
        }
        Ok(())
    }
}
