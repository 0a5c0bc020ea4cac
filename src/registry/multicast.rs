//! Multicast groups by which hosts discover each other, from IANA's registries of multicast
//! addresses.
//!
//! No router forwards them without a multicast routing daemon, and those with link scope
//! are never forwarded (RFC 5771, 4; RFC 4291, 2.7).

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

/// A protocol that discovers hosts by multicast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Discovery {
    /// Its UDP port.
    pub(crate) port: u16,
    /// Its IPv4 group.
    pub(crate) ipv4: Ipv4Addr,
    /// Its IPv6 group, with link scope.
    pub(crate) ipv6: Ipv6Addr,
}

/// WS-Discovery 1.1, 2.4 (used to discover ONVIF devices); UPnP Device Architecture 2.0,
/// 1.3; RFC 6762, 3; RFC 4795, 2.
pub(crate) const DISCOVERY: &[Discovery] = &[
    discovery(3702, [239, 255, 255, 250], [0xc]),
    discovery(1900, [239, 255, 255, 250], [0xc]),
    discovery(5353, [224, 0, 0, 251], [0xfb]),
    discovery(5355, [224, 0, 0, 252], [0x1_0003]),
];

const fn discovery(port: u16, [a, b, c, d]: [u8; 4], [group]: [u32; 1]) -> Discovery {
    Discovery {
        port,
        ipv4: Ipv4Addr::new(a, b, c, d),
        ipv6: Ipv6Addr::from_bits(0xff02 << 112 | group as u128),
    }
}

/// The local network control block (RFC 5771, 4), which no router forwards whatever its TTL.
const OF_ONE_LINK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 24);

/// Interface-local and link-local scope (RFC 4291, 2.7), with any flags.
const SCOPES_OF_ONE_LINK: [u16; 2] = [1, 2];

/// Whether every group of a network is one of a single link.
pub(crate) fn is_of_one_link(network: IpNet) -> bool {
    match network {
        IpNet::V4(network) => OF_ONE_LINK.contains(&network),
        IpNet::V6(network) => {
            let [first, ..] = network.network().segments();
            let is_whole = network.prefix_len() >= 16;
            is_whole && first >> 8 == 0xff && SCOPES_OF_ONE_LINK.contains(&(first & 0xf))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IANA, ipv4-multicast-addresses and ipv6-multicast-addresses.
    #[test]
    fn groups_are_those_of_the_registries() {
        let listed: Vec<(u16, String, String)> = DISCOVERY
            .iter()
            .map(|it| (it.port, it.ipv4.to_string(), it.ipv6.to_string()))
            .collect();
        let by_hand = [
            (3702, "239.255.255.250", "ff02::c"),
            (1900, "239.255.255.250", "ff02::c"),
            (5353, "224.0.0.251", "ff02::fb"),
            (5355, "224.0.0.252", "ff02::1:3"),
        ];
        let by_hand = by_hand.map(|(port, ipv4, ipv6)| (port, ipv4.to_owned(), ipv6.to_owned()));
        assert_eq!(listed, by_hand);
    }

    #[test]
    fn groups_of_one_link_are_told_from_those_that_a_daemon_passes_on()
    -> Result<(), Box<dyn std::error::Error>> {
        for (network, is) in [
            ("224.0.0.251/32", true),
            ("224.0.0.0/24", true),
            ("224.0.0.0/23", false),
            ("239.1.2.3/32", false),
            ("ff02::fb/128", true),
            ("ff12::/16", true),
            ("ff01::1/128", true),
            ("ff05::2/128", false),
            ("ff00::/8", false),
            ("fe02::/16", false),
        ] {
            assert_eq!(is_of_one_link(network.parse()?), is, "{network}");
        }
        Ok(())
    }
}
