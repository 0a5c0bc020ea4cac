//! Parses what a DHCP client reports about its lease into an address and a default
//! route.
//!
//! The format is that of udhcpc's script (busybox, examples/udhcp/simple.script): the
//! event as an argument, the lease in the environment. What dhcpcd says is put into it before.

use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use thiserror::Error;

/// The resolver of the C library asks no more (MAXNS in resolv.h).
const MOST_NAME_SERVERS: usize = 3;

/// What to do with the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lease {
    /// There is no lease: remove the address and route.
    None,
    /// Set this address and, if there is one, this default route.
    Held {
        /// The router's own address, with the network's prefix length.
        address: Ipv4Net,
        /// The default gateway.
        gateway: Option<Ipv4Addr>,
        /// The name servers, in their order.
        name_servers: Vec<Ipv4Addr>,
    },
    /// The event requires no change.
    Unchanged,
}

/// Why a lease is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LeaseError {
    /// A value is missing or invalid.
    #[error("the DHCP client gave {name}={value:?}, which is no {expected}")]
    Value {
        /// The variable's name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What was expected.
        expected: &'static str,
    },
    /// No host can have such an address.
    #[error(
        "the DHCP server gave {address}, {what}; it is not taken: look at what the interface is plugged into"
    )]
    NoHost {
        /// The address and prefix length from the server.
        address: Ipv4Net,
        /// What kind of address it is.
        what: &'static str,
    },
    /// No packet can reach such a gateway.
    #[error(
        "the DHCP server gave {address} with the router {gateway}, {what}; it is not taken: look at what the interface is plugged into"
    )]
    NoRouter {
        /// The address and prefix length from the server.
        address: Ipv4Net,
        /// The gateway.
        gateway: Ipv4Addr,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The lease's network overlaps a network of the file.
    #[error(
        "the DHCP server gave {address}, which overlaps {}; it is not taken: give one of the two another network",
        .other
    )]
    Overlap {
        /// The address and prefix length from the server.
        address: Ipv4Net,
        /// The network that it overlaps.
        other: UsedNetwork,
    },
}

/// A network that another zone of the file uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedNetwork {
    /// The network.
    pub network: Ipv4Net,
    /// The zone that has the network, or through which it is routed.
    pub zone: String,
    /// Whether the network is the destination of a route.
    pub by_route: bool,
}

impl fmt::Display for UsedNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UsedNetwork { network, zone, .. } = self;
        match self.by_route {
            false => write!(f, "{network} of zone {zone}"),
            true => write!(f, "{network}, to which a route leads by zone {zone}"),
        }
    }
}

/// Parses an event and its environment.
///
/// # Errors
/// Returns an error for an invalid value.
pub fn lease(
    event: &str,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Lease, LeaseError> {
    match event {
        "deconfig" => Ok(Lease::None),
        "bound" | "renew" => held(environment),
        _ => Ok(Lease::Unchanged),
    }
}

fn held(environment: impl Fn(&str) -> Option<String>) -> Result<Lease, LeaseError> {
    let value = |name: &str| environment(name).unwrap_or_default();
    let wrong = |name, expected| LeaseError::Value {
        name,
        value: value(name),
        expected,
    };
    let own: Ipv4Addr = value("ip")
        .parse()
        .map_err(|_| wrong("ip", "IPv4 address"))?;
    // `mask` is the prefix length, `subnet` the dotted mask.
    let address = match value("mask").parse() {
        Ok(length) => Ipv4Net::new(own, length).ok(),
        Err(_) => value("subnet")
            .parse()
            .ok()
            .and_then(|mask| Ipv4Net::with_netmask(own, mask).ok()),
    };
    let address = address.ok_or_else(|| wrong("mask", "prefix length"))?;
    if let Some(what) = no_host(address) {
        return Err(LeaseError::NoHost { address, what });
    }
    // The first of several routers is preferred (RFC 2132, 3.5).
    let gateway = match value("router").split_whitespace().next() {
        None => None,
        Some(first) => Some(first.parse().map_err(|_| wrong("router", "IPv4 address"))?),
    };
    if let Some(gateway) = gateway
        && let Some(what) = no_router(address, gateway)
    {
        return Err(LeaseError::NoRouter {
            address,
            gateway,
            what,
        });
    }
    // One that is none is left out: the address is good even so.
    let name_servers = value("dns");
    let name_servers = name_servers
        .split_whitespace()
        .filter_map(|server| server.parse().ok())
        .filter(|server| *server != own && can_answer(*server));
    Ok(Lease::Held {
        address,
        gateway,
        name_servers: name_servers.take(MOST_NAME_SERVERS).collect(),
    })
}

/// Whether a server of another host can have the address.
fn can_answer(server: Ipv4Addr) -> bool {
    let [first, ..] = server.octets();
    (1..224).contains(&first) && !server.is_loopback()
}

/// Why no host can have the address, according to RFC 6890.
fn no_host(address: Ipv4Net) -> Option<&'static str> {
    let own = address.addr();
    let [first, ..] = own.octets();
    match address.prefix_len() {
        0..8 => return Some("a network wider than any that there is"),
        32 => return Some("which is no network, so that no router is in it"),
        _ => {}
    }
    if first == 0 {
        Some("which stands for a host without an address")
    } else if own.is_loopback() {
        Some("an address of the loopback")
    } else if own.is_link_local() {
        Some("an address that a host gives itself where nobody else does")
    } else if own.is_multicast() {
        Some("a multicast group")
    } else if own.is_broadcast() {
        Some("the broadcast address")
    } else if first >= 240 {
        Some("which nobody has, since it is reserved")
    } else {
        no_host_of(address, own)
    }
}

/// The first and last address of a network are not hosts', except in a /31 (RFC 3021).
fn no_host_of(network: Ipv4Net, host: Ipv4Addr) -> Option<&'static str> {
    if network.prefix_len() >= 31 {
        None
    } else if host == network.network() {
        Some("the first address of its network, which is no host's")
    } else if host == network.broadcast() {
        Some("its network's broadcast address")
    } else {
        None
    }
}

fn no_router(address: Ipv4Net, gateway: Ipv4Addr) -> Option<&'static str> {
    if gateway == address.addr() {
        Some("which is the same address")
    } else if !address.contains(&gateway) {
        Some("which is not in that network")
    } else {
        no_host_of(address, gateway)
    }
}

impl Lease {
    /// Refuses a lease whose network overlaps that of another zone, or one routed
    /// through another zone. Leaves out name servers in those.
    ///
    /// # Errors
    /// Returns the network that it overlaps.
    pub fn apart_from(mut self, used: &[UsedNetwork]) -> Result<Lease, LeaseError> {
        if let Lease::Held {
            address,
            name_servers,
            ..
        } = &mut self
        {
            let is_elsewhere =
                |server: &Ipv4Addr| !used.iter().any(|other| other.network.contains(server));
            name_servers.retain(is_elsewhere);
            let network = address.trunc();
            let overlaps = |other: &&UsedNetwork| {
                let other = other.network;
                other.contains(&network.network()) || network.contains(&other.network())
            };
            if let Some(other) = used.iter().find(overlaps) {
                return Err(LeaseError::Overlap {
                    address: *address,
                    other: other.clone(),
                });
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(values: &[(&str, &str)]) -> Result<Lease, LeaseError> {
        let find = |name: &str| {
            values
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        lease("bound", find)
    }

    #[test]
    fn a_lease_is_read() -> Result<(), Box<dyn std::error::Error>> {
        let expected = Lease::Held {
            address: "192.168.0.9/24".parse()?,
            gateway: Some("192.168.0.1".parse()?),
            name_servers: Vec::new(),
        };
        let router = ("router", "192.168.0.1 192.168.0.3");
        assert_eq!(
            bound(&[("ip", "192.168.0.9"), ("mask", "24"), router])?,
            expected
        );
        assert_eq!(
            bound(&[("ip", "192.168.0.9"), ("subnet", "255.255.255.0"), router])?,
            expected
        );
        assert_eq!(lease("deconfig", |_| None)?, Lease::None);
        assert_eq!(lease("leasefail", |_| None)?, Lease::Unchanged);
        let used = |network: &str, by_route| -> Result<_, Box<dyn std::error::Error>> {
            Ok([UsedNetwork {
                network: network.parse()?,
                zone: "camera".into(),
                by_route,
            }])
        };
        let apart = |used: [UsedNetwork; 1]| expected.clone().apart_from(&used);
        assert!(apart(used("192.168.1.0/24", false)?).is_ok());
        for (network, by_route) in [("192.168.0.0/16", false), ("192.168.0.128/25", true)] {
            assert!(apart(used(network, by_route)?).is_err());
        }
        Ok(())
    }

    #[test]
    fn name_servers_are_those_that_others_can_be() -> Result<(), Box<dyn std::error::Error>> {
        let given = "192.168.0.9 127.0.0.53 x;y 224.0.0.251 0.0.0.0 192.168.8.110 192.168.0.1 9.9.9.9 9.9.9.10 9.9.9.11";
        let lease = bound(&[("ip", "192.168.0.9"), ("mask", "24"), ("dns", given)])?;
        let used = UsedNetwork {
            network: "192.168.8.0/24".parse()?,
            zone: "camera".into(),
            by_route: false,
        };
        let Lease::Held { name_servers, .. } = lease.apart_from(&[used])? else {
            return Err("no lease".into());
        };
        let expected: [Ipv4Addr; 2] = ["192.168.0.1".parse()?, "9.9.9.9".parse()?];
        assert_eq!(name_servers, expected);
        Ok(())
    }

    #[test]
    fn nonsense_is_refused() {
        for values in [
            &[("ip", "x"), ("mask", "24")][..],
            &[("ip", "10.0.0.1")],
            &[("ip", "10.0.0.1"), ("mask", "24"), ("router", "; reboot")],
        ] {
            assert!(bound(values).is_err(), "{values:?}");
        }
    }

    #[test]
    fn what_no_network_gives_is_refused_and_says_why() {
        for (ip, mask, router, why) in [
            ("127.0.0.5", "8", "", "loopback"),
            ("0.0.0.0", "24", "0.0.0.0", "without an address"),
            ("0.1.2.3", "24", "0.1.2.1", "without an address"),
            ("169.254.7.7", "16", "", "gives itself"),
            ("224.0.0.5", "24", "224.0.0.1", "multicast"),
            ("255.255.255.255", "24", "", "broadcast address"),
            ("240.0.0.1", "24", "", "reserved"),
            ("10.0.0.1", "0", "10.0.0.2", "wider"),
            ("10.0.0.1", "7", "10.0.0.2", "wider"),
            ("10.0.0.1", "32", "10.0.0.2", "no network"),
            ("10.0.0.0", "24", "10.0.0.2", "first address"),
            ("10.0.0.255", "24", "10.0.0.2", "broadcast address"),
            ("10.0.0.1", "24", "10.0.1.2", "not in that network"),
            ("10.0.0.1", "24", "0.0.0.0", "not in that network"),
            ("10.0.0.1", "24", "10.0.0.1", "the same address"),
            ("10.0.0.1", "24", "10.0.0.0", "first address"),
            ("10.0.0.1", "24", "10.0.0.255", "broadcast address"),
        ] {
            match bound(&[("ip", ip), ("mask", mask), ("router", router)]) {
                Err(error) => assert!(
                    error.to_string().contains(why),
                    "{ip}/{mask} {router}: {error}"
                ),
                Ok(lease) => panic!("{ip}/{mask} {router}: {lease:?}"),
            }
        }
        for (ip, mask, router) in [
            ("10.0.0.1", "31", "10.0.0.0"),
            ("100.64.0.9", "10", "100.64.0.1"),
            ("10.0.0.1", "24", ""),
        ] {
            assert!(
                bound(&[("ip", ip), ("mask", mask), ("router", router)]).is_ok(),
                "{ip}/{mask}"
            );
        }
    }
}
