//! Links, addresses and routes: Policy -> wanted, diff(current, wanted) -> changes.
//!
//! Owns what the network ought to be and what has to change. Sends nothing:
//! `host::netlink` does.

use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use thiserror::Error;

use crate::name::InterfaceName;
use crate::policy::{Policy, Zone};

/// What a policy wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// One per zone, in the order of the file.
    pub links: Vec<WantedLink>,
    /// The default route, where a zone has a gateway.
    pub default_route: Option<DefaultRoute>,
}

/// A link that is to be up with an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedLink {
    /// Its name.
    pub interface: InterfaceName,
    /// The router's address with the network's prefix.
    pub address: Ipv4Net,
    /// The zone it is, for messages.
    pub zone: String,
}

/// The way to everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultRoute {
    /// The next router.
    pub gateway: Ipv4Addr,
    /// The interface that leads to it.
    pub interface: InterfaceName,
}

/// What the kernel has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Current {
    /// Every link of the namespace.
    pub links: Vec<Link>,
    /// The gateway and the link's index of the default route with metric 0 in
    /// the main table, if there is one.
    pub default_route: Option<(Ipv4Addr, u32)>,
}

/// A link as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number for it.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is set up (IFF_UP), cable or not.
    pub up: bool,
    /// Its IPv4 addresses.
    pub addresses: Vec<Ipv4Net>,
}

/// The loopback's name, the same in every namespace.
pub const LOOPBACK: &str = "lo";

/// One change, with the kernel's own numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Give a link an address.
    AddAddress {
        /// The link's index.
        index: u32,
        /// The link's name, for messages.
        name: String,
        /// The address.
        address: Ipv4Net,
    },
    /// Set a link up.
    SetUp {
        /// The link's index.
        index: u32,
        /// The link's name, for messages.
        name: String,
    },
    /// Put the default route in, in place of another with metric 0.
    ReplaceDefaultRoute {
        /// The link's index.
        index: u32,
        /// The link's name, for messages.
        name: String,
        /// The next router.
        gateway: Ipv4Addr,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::AddAddress { name, address, .. } => {
                write!(f, "interface {name}: add address {address}")
            }
            Change::SetUp { name, .. } => write!(f, "interface {name}: set up"),
            Change::ReplaceDefaultRoute { name, gateway, .. } => {
                write!(f, "interface {name}: default route via {gateway}")
            }
        }
    }
}

/// What cannot be made so by any change.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NetworkError {
    /// The zone's device is not there.
    #[error(
        "interface {interface} of zone {zone} does not exist; check the cable's side of `ip link`, the driver and the name in the file"
    )]
    NoSuchLink {
        /// Its name.
        interface: InterfaceName,
        /// The zone it is.
        zone: String,
    },
}

/// What a policy wants of the network.
pub fn wanted(policy: &Policy) -> Wanted {
    let link = |zone: &Zone| WantedLink {
        interface: zone.interface.clone(),
        address: zone.address,
        zone: zone.name.to_string(),
    };
    let default_route = policy.zones.iter().find_map(|zone| {
        Some(DefaultRoute {
            gateway: zone.gateway?,
            interface: zone.interface.clone(),
        })
    });
    Wanted {
        links: policy.zones.iter().map(link).collect(),
        default_route,
    }
}

/// The changes that make what is into what is wanted, in the order in which
/// they can be made: addresses before a link is up, so that no packet meets a
/// link without its own; the route when its link is up. What is there beyond
/// what is wanted is left alone.
///
/// # Errors
/// A link that is not there. Nothing is to be changed then.
pub fn diff(current: &Current, wanted: &Wanted) -> Result<Vec<Change>, NetworkError> {
    let mut changes = Vec::new();
    let loopback = current.links.iter().find(|link| link.name == LOOPBACK);
    changes.extend(loopback.and_then(set_up));
    let mut ups = Vec::new();
    for link in &wanted.links {
        let found = find(current, &link.interface, &link.zone)?;
        if !found.addresses.contains(&link.address) {
            changes.push(Change::AddAddress {
                index: found.index,
                name: found.name.clone(),
                address: link.address,
            });
        }
        ups.extend(set_up(found));
    }
    changes.extend(ups);
    if let Some(route) = &wanted.default_route {
        let found = find(current, &route.interface, "external")?;
        if current.default_route != Some((route.gateway, found.index)) || !found.up {
            changes.push(Change::ReplaceDefaultRoute {
                index: found.index,
                name: found.name.clone(),
                gateway: route.gateway,
            });
        }
    }
    Ok(changes)
}

fn set_up(link: &Link) -> Option<Change> {
    (!link.up).then(|| Change::SetUp {
        index: link.index,
        name: link.name.clone(),
    })
}

fn find<'a>(
    current: &'a Current,
    interface: &InterfaceName,
    zone: &str,
) -> Result<&'a Link, NetworkError> {
    current
        .links
        .iter()
        .find(|link| link.name == interface.as_str())
        .ok_or_else(|| NetworkError::NoSuchLink {
            interface: interface.clone(),
            zone: zone.to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str, up: bool, addresses: &[&str]) -> Link {
        Link {
            index,
            name: name.into(),
            up,
            addresses: addresses.iter().filter_map(|a| a.parse().ok()).collect(),
        }
    }

    fn wanted() -> Result<Wanted, Box<dyn std::error::Error>> {
        let eth0 = InterfaceName::try_from("eth0")?;
        Ok(Wanted {
            links: vec![WantedLink {
                interface: eth0.clone(),
                address: "192.168.0.2/24".parse()?,
                zone: "external".into(),
            }],
            default_route: Some(DefaultRoute {
                gateway: "192.168.0.1".parse()?,
                interface: eth0,
            }),
        })
    }

    #[test]
    fn from_nothing_to_wanted_and_then_nothing_more() -> Result<(), Box<dyn std::error::Error>> {
        let current = Current {
            links: vec![
                link(1, "lo", false, &[]),
                link(2, "eth0", false, &["10.0.0.1/8"]),
            ],
            default_route: None,
        };
        let told: Vec<String> = diff(&current, &wanted()?)?
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            told,
            [
                "interface lo: set up",
                "interface eth0: add address 192.168.0.2/24",
                "interface eth0: set up",
                "interface eth0: default route via 192.168.0.1",
            ]
        );
        let current = Current {
            links: vec![
                link(1, "lo", true, &[]),
                link(2, "eth0", true, &["192.168.0.2/24"]),
            ],
            default_route: Some(("192.168.0.1".parse()?, 2)),
        };
        assert_eq!(diff(&current, &wanted()?)?, []);
        Ok(())
    }

    #[test]
    fn a_missing_link_is_named() -> Result<(), Box<dyn std::error::Error>> {
        let error = diff(&Current::default(), &wanted()?).map_err(|e| e.to_string());
        assert!(
            error.is_err_and(|e| e.starts_with("interface eth0 of zone external does not exist"))
        );
        Ok(())
    }
}
