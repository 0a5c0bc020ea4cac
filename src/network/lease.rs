//! What a DHCP client says of its lease -> the address and the default route.
//!
//! The words are those of udhcpc's script (busybox,
//! examples/udhcp/simple.script): an event as argument, the lease in the
//! environment.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use thiserror::Error;

/// What to do with the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lease {
    /// There is none: take address and route away.
    None,
    /// These are the address and, if there is one, the next router.
    Held {
        /// The router's own address, with the network's prefix.
        address: Ipv4Net,
        /// The next router.
        gateway: Option<Ipv4Addr>,
    },
    /// An event that changes nothing.
    Unchanged,
}

/// What the client said that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LeaseError {
    /// A value is missing or is not what it ought to be.
    #[error("the DHCP client gave {name}={value:?}, which is no {expected}")]
    Value {
        /// Its name.
        name: &'static str,
        /// What it is.
        value: String,
        /// What it ought to be.
        expected: &'static str,
    },
    /// The lease is for a network of another zone.
    #[error(
        "the DHCP server gave {address}, which overlaps {other} of zone {zone}; it is not taken"
    )]
    Overlap {
        /// What it gave.
        address: Ipv4Net,
        /// The network.
        other: Ipv4Net,
        /// Whose it is.
        zone: String,
    },
}

/// Reads an event and its environment.
///
/// # Errors
/// A value that is not what it ought to be.
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
    // `mask` is the prefix length, `subnet` the mask with dots.
    let address = match value("mask").parse() {
        Ok(length) => Ipv4Net::new(own, length).ok(),
        Err(_) => value("subnet")
            .parse()
            .ok()
            .and_then(|mask| Ipv4Net::with_netmask(own, mask).ok()),
    };
    let address = address.filter(|network| (8..=32).contains(&network.prefix_len()));
    let address = address.ok_or_else(|| wrong("mask", "prefix length"))?;
    // The first of several routers is the one to use (RFC 2132, 3.5).
    let gateway = match value("router").split_whitespace().next() {
        None => None,
        Some(first) => Some(first.parse().map_err(|_| wrong("router", "IPv4 address"))?),
    };
    Ok(Lease::Held { address, gateway })
}

impl Lease {
    /// Refuses a lease that would make the external network another zone's.
    ///
    /// # Errors
    /// The network that it overlaps.
    pub fn apart_from(self, networks: &[(Ipv4Net, String)]) -> Result<Lease, LeaseError> {
        if let Lease::Held { address, .. } = &self {
            let network = address.trunc();
            let overlaps = |other: &Ipv4Net| {
                other.contains(&network.network()) || network.contains(&other.network())
            };
            if let Some((other, zone)) = networks.iter().find(|(other, _)| overlaps(other)) {
                return Err(LeaseError::Overlap {
                    address: *address,
                    other: *other,
                    zone: zone.clone(),
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
        let camera = [("192.168.0.0/16".parse()?, "camera".to_owned())];
        assert!(expected.apart_from(&camera).is_err());
        Ok(())
    }

    #[test]
    fn nonsense_is_refused() {
        for values in [
            &[("ip", "x"), ("mask", "24")][..],
            &[("ip", "10.0.0.1"), ("mask", "0")],
            &[("ip", "10.0.0.1")],
            &[("ip", "10.0.0.1"), ("mask", "24"), ("router", "; reboot")],
        ] {
            assert!(bound(values).is_err(), "{values:?}");
        }
    }
}
