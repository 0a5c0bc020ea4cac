//! One change of links, addresses, routes, rules or neighbours.

use std::fmt;

use ipnet::IpNet;

use super::{MarkRule, Neighbour, Route};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkChange {
    /// Give a link another name; it is set down for it.
    Rename {
        /// The name it has.
        from: String,
        /// The name it is to have.
        to: String,
    },
    /// Make a VLAN.
    AddVlan {
        /// Its name.
        name: String,
        /// The link it is on.
        parent: String,
        /// Its id.
        id: u16,
    },
    /// Make a bridge.
    AddBridge {
        /// Its name.
        name: String,
    },
    /// Make a link a port of a bridge.
    Enslave {
        /// The link.
        port: String,
        /// The bridge.
        bridge: String,
    },
    /// Take a link out of a bridge of an earlier file.
    Release {
        /// The link.
        port: String,
        /// The bridge.
        bridge: String,
    },
    /// Keep a port from the other ports.
    Isolate {
        /// The port.
        port: String,
    },
    /// Set the MTU.
    SetMtu {
        /// Of which link.
        name: String,
        /// Bytes.
        mtu: u32,
    },
    /// Give a link an address.
    AddAddress {
        /// Which link.
        name: String,
        /// The address.
        address: IpNet,
    },
    /// Take an address of ours from a link.
    RemoveAddress {
        /// Which link.
        name: String,
        /// The address.
        address: IpNet,
    },
    /// Set a link up.
    SetUp {
        /// Which.
        name: String,
    },
    /// Put a route in, in place of one to the same destination, with the same
    /// metric, in the same table.
    SetRoute(Route),
    /// Take a route of ours out.
    RemoveRoute(Route),
    /// Add a rule.
    AddRule(MarkRule),
    /// Take a rule of ours out.
    RemoveRule(MarkRule),
    /// Make a neighbour permanent.
    SetNeighbour(Neighbour),
    /// Take a neighbour of ours out.
    RemoveNeighbour(Neighbour),
}

impl NetworkChange {
    /// Whether it makes a link or gives it its name, so that the link's kernel
    /// settings can be written only after it.
    pub fn is_structural(&self) -> bool {
        matches!(
            self,
            NetworkChange::Rename { .. }
                | NetworkChange::AddVlan { .. }
                | NetworkChange::AddBridge { .. }
                | NetworkChange::Enslave { .. }
                | NetworkChange::Release { .. }
                | NetworkChange::Isolate { .. }
                | NetworkChange::SetMtu { .. }
        )
    }
}

impl fmt::Display for NetworkChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetworkChange::Rename { from, to } => write!(f, "interface {from}: rename to {to}"),
            NetworkChange::AddVlan { name, parent, id } => {
                write!(f, "interface {name}: make it VLAN {id} on {parent}")
            }
            NetworkChange::AddBridge { name } => write!(f, "interface {name}: make it a bridge"),
            NetworkChange::Enslave { port, bridge } => {
                write!(f, "interface {port}: make it a port of {bridge}")
            }
            NetworkChange::Release { port, bridge } => {
                write!(f, "interface {port}: take it out of {bridge}")
            }
            NetworkChange::Isolate { port } => {
                write!(f, "interface {port}: isolate it from other ports")
            }
            NetworkChange::SetMtu { name, mtu } => write!(f, "interface {name}: set MTU {mtu}"),
            NetworkChange::AddAddress { name, address } => {
                write!(f, "interface {name}: add address {address}")
            }
            NetworkChange::RemoveAddress { name, address } => {
                write!(f, "interface {name}: remove address {address}")
            }
            NetworkChange::SetUp { name } => write!(f, "interface {name}: set up"),
            NetworkChange::SetRoute(route) => write!(f, "set {route}"),
            NetworkChange::RemoveRoute(route) => write!(f, "remove {route}"),
            NetworkChange::AddRule(rule) => write!(f, "add {rule}"),
            NetworkChange::RemoveRule(rule) => write!(f, "remove {rule}"),
            NetworkChange::SetNeighbour(neighbour) => write!(f, "set {neighbour}"),
            NetworkChange::RemoveNeighbour(neighbour) => write!(f, "remove {neighbour}"),
        }
    }
}
