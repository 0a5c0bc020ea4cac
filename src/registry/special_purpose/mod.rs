//! Addresses that no new connection from the internet can have as its source.
//!
//! From IANA's registries of special-purpose addresses (RFC 6890): those that are not valid
//! as a source or not globally reachable, except for 2001::/23 as a whole, which contains
//! globally reachable addresses; multicast addresses (RFC 1112, 7.2 and RFC 4291, 2.7:
//! never a source); and the deprecated site-local ones (RFC 3879). Without IPv6 link-local
//! addresses, which are valid on every link.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

#[cfg(test)]
mod tests;

/// A row of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpecialPurpose {
    /// The address block.
    pub(crate) network: IpNet,
    /// Its name in the registry, in lower case.
    pub(crate) name: &'static str,
    /// Whether a router behind another router can be expected to have, or to see, such an
    /// address.
    pub(crate) private: bool,
}

/// IPv6 link-local addresses (RFC 4291, 2.5.6).
pub(crate) const LINK_LOCAL: Ipv6Net =
    Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10);

/// IPv6 multicast addresses (RFC 4291, 2.7).
pub(crate) const GROUPS: Ipv6Net =
    Ipv6Net::new_assert(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8);

/// The IPv4 rows.
pub(crate) const IPV4: &[SpecialPurpose] = &[
    v4([0, 0, 0, 0], 8, "this network"),
    private(v4([10, 0, 0, 0], 8, "private use")),
    private(v4([100, 64, 0, 0], 10, "shared address space")),
    v4([127, 0, 0, 0], 8, "loopback"),
    v4([169, 254, 0, 0], 16, "link local"),
    private(v4([172, 16, 0, 0], 12, "private use")),
    v4([192, 0, 0, 0], 24, "IETF protocol assignments"),
    v4([192, 0, 2, 0], 24, "documentation"),
    private(v4([192, 168, 0, 0], 16, "private use")),
    v4([198, 18, 0, 0], 15, "benchmarking"),
    v4([198, 51, 100, 0], 24, "documentation"),
    v4([203, 0, 113, 0], 24, "documentation"),
    v4([224, 0, 0, 0], 4, "multicast"),
    v4([240, 0, 0, 0], 4, "reserved"),
];

/// The IPv6 rows.
pub(crate) const IPV6: &[SpecialPurpose] = &[
    v6([0; 8], 128, "unspecified"),
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback"),
    v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, "IPv4-mapped"),
    private(v6(
        [0x64, 0xff9b, 1, 0, 0, 0, 0, 0],
        48,
        "IPv4-IPv6 translation",
    )),
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "discard only"),
    v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64, "dummy prefix"),
    v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, "benchmarking"),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "documentation"),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "documentation"),
    v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, "segment routing"),
    private(v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "unique local")),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "site local, deprecated"),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast"),
];

const fn v4(octets: [u8; 4], length: u8, name: &'static str) -> SpecialPurpose {
    let [a, b, c, d] = octets;
    SpecialPurpose {
        network: IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)),
        name,
        private: false,
    }
}

const fn v6(groups: [u16; 8], length: u8, name: &'static str) -> SpecialPurpose {
    let [a, b, c, d, e, f, g, h] = groups;
    let address = Ipv6Addr::new(a, b, c, d, e, f, g, h);
    SpecialPurpose {
        network: IpNet::V6(Ipv6Net::new_assert(address, length)),
        name,
        private: false,
    }
}

const fn private(row: SpecialPurpose) -> SpecialPurpose {
    SpecialPurpose {
        private: true,
        ..row
    }
}
