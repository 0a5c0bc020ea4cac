//! Compares the tables with IANA's registries of special-purpose addresses as of 2025-10-09
//! (RFC 6890, RFC 8190), which are typed out here.

use std::error::Error;
use std::net::IpAddr;

use ipnet::{AddrParseError, IpNet};

use super::{IPV4, IPV6, SpecialPurpose};

/// The address block, and its columns Source and Globally Reachable.
type Row = (&'static str, bool, bool);

const YES: bool = true;
const NO: bool = false;

const IANA_IPV4: &[Row] = &[
    ("0.0.0.0/8", YES, NO),         // "This network"
    ("0.0.0.0/32", YES, NO),        // "This host on this network"
    ("10.0.0.0/8", YES, NO),        // Private-Use
    ("100.64.0.0/10", YES, NO),     // Shared Address Space
    ("127.0.0.0/8", NO, NO),        // Loopback
    ("169.254.0.0/16", YES, NO),    // Link Local
    ("172.16.0.0/12", YES, NO),     // Private-Use
    ("192.0.0.0/24", NO, NO),       // IETF Protocol Assignments
    ("192.0.0.0/29", YES, NO),      // IPv4 Service Continuity Prefix
    ("192.0.0.8/32", YES, NO),      // IPv4 dummy address
    ("192.0.0.9/32", YES, YES),     // Port Control Protocol Anycast
    ("192.0.0.10/32", YES, YES),    // Traversal Using Relays around NAT Anycast
    ("192.0.0.170/32", NO, NO),     // NAT64/DNS64 Discovery
    ("192.0.0.171/32", NO, NO),     // NAT64/DNS64 Discovery
    ("192.0.2.0/24", NO, NO),       // Documentation (TEST-NET-1)
    ("192.31.196.0/24", YES, YES),  // AS112-v4
    ("192.52.193.0/24", YES, YES),  // AMT
    ("192.168.0.0/16", YES, NO),    // Private-Use
    ("192.175.48.0/24", YES, YES),  // Direct Delegation AS112 Service
    ("198.18.0.0/15", YES, NO),     // Benchmarking
    ("198.51.100.0/24", NO, NO),    // Documentation (TEST-NET-2)
    ("203.0.113.0/24", NO, NO),     // Documentation (TEST-NET-3)
    ("240.0.0.0/4", NO, NO),        // Reserved
    ("255.255.255.255/32", NO, NO), // Limited Broadcast
];

const IANA_IPV6: &[Row] = &[
    ("::1/128", NO, NO),             // Loopback Address
    ("::/128", YES, NO),             // Unspecified Address
    ("::ffff:0:0/96", NO, NO),       // IPv4-mapped Address
    ("64:ff9b::/96", YES, YES),      // IPv4-IPv6 Translat.
    ("64:ff9b:1::/48", YES, NO),     // IPv4-IPv6 Translat.
    ("100::/64", YES, NO),           // Discard-Only Address Block
    ("100:0:0:1::/64", YES, NO),     // Dummy IPv6 Prefix
    ("2001:1::1/128", YES, YES),     // Port Control Protocol Anycast
    ("2001:1::2/128", YES, YES),     // Traversal Using Relays around NAT Anycast
    ("2001:1::3/128", YES, YES),     // DNS-SD Service Registration Protocol Anycast
    ("2001:2::/48", YES, NO),        // Benchmarking
    ("2001:3::/32", YES, YES),       // AMT
    ("2001:4:112::/48", YES, YES),   // AS112-v6
    ("2001:20::/28", YES, YES),      // ORCHIDv2
    ("2001:30::/28", YES, YES),      // Drone Remote ID Protocol Entity Tags
    ("2001:db8::/32", NO, NO),       // Documentation
    ("2620:4f:8000::/48", YES, YES), // Direct Delegation AS112 Service
    ("3fff::/20", NO, NO),           // Documentation
    ("5f00::/16", YES, NO),          // Segment Routing (SRv6) SIDs
    ("fc00::/7", YES, NO),           // Unique-Local
];

/// From other sources: never valid as a source, or deprecated.
const OTHERS: &[&str] = &[
    "224.0.0.0/4", // multicast: RFC 5771, RFC 1112
    "ff00::/8",    // multicast: RFC 4291, 2.7
    "fec0::/10",   // site-local: RFC 3879
];

/// Globally reachable anycast addresses within a block that is not: hosts that answer there
/// open no connections.
const ANYCAST: &[&str] = &["192.0.0.9/32", "192.0.0.10/32"];

fn ends(block: &str) -> Result<[IpAddr; 2], AddrParseError> {
    let network: IpNet = block.parse()?;
    Ok([network.network(), network.broadcast()])
}

fn is_listed(address: IpAddr) -> bool {
    let rows = IPV4.iter().chain(IPV6);
    rows.map(|row| row.network)
        .any(|network| network.contains(&address))
}

#[test]
fn every_block_of_the_registries_is_listed_or_not_as_they_say() -> Result<(), Box<dyn Error>> {
    for (block, source, global) in IANA_IPV4.iter().chain(IANA_IPV6) {
        let expected = !(*source && *global) || ANYCAST.contains(block);
        for address in ends(block)? {
            assert_eq!(is_listed(address), expected, "{block}: {address}");
        }
    }
    Ok(())
}

/// A block that is too wide would contain addresses of ordinary hosts.
#[test]
fn nothing_else_is_listed() -> Result<(), Box<dyn Error>> {
    let known: Vec<IpNet> = IANA_IPV4
        .iter()
        .chain(IANA_IPV6)
        .map(|(block, ..)| *block)
        .chain(OTHERS.iter().copied())
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    for SpecialPurpose { network, name, .. } in IPV4.iter().chain(IPV6) {
        assert!(known.contains(network), "{network} {name}");
    }
    for anybodys in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.0.3.0",
        "192.88.99.1",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "2000::",
        "2001:200::",
        "2001:db7:ffff::",
        "2001:db9::",
        "2606:4700::1111",
        "2a00::",
        "3ffe:ffff::",
        "3fff:1000::",
        "fe80::1",
        "febf::1",
    ] {
        assert!(!is_listed(anybodys.parse()?), "{anybodys}");
    }
    for other in OTHERS {
        assert!(ends(other)?.into_iter().all(is_listed), "{other}");
    }
    Ok(())
}

/// RFC 1918, RFC 6598, RFC 4193, RFC 8215: addresses for use within a network, which a
/// router behind another router may have or see.
#[test]
fn private_ones_are_those_for_use_inside_a_network() {
    let private: Vec<String> = IPV4
        .iter()
        .chain(IPV6)
        .filter(|row| row.private)
        .map(|row| row.network.to_string())
        .collect();
    let known = [
        "10.0.0.0/8",
        "100.64.0.0/10",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "64:ff9b:1::/48",
        "fc00::/7",
    ];
    assert_eq!(private, known);
}
