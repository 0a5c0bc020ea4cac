//! A single change to links, addresses, routes, rules or neighbours.

use std::fmt;

use ipnet::IpNet;

use super::{ForwardingEntry, MarkRule, Neighbour, Route, SourceRule};

/// A single change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkChange {
    /// Rename a link, which requires setting it down.
    Rename {
        /// The current name.
        from: String,
        /// The new name.
        to: String,
        /// The text that is kept with it from then on.
        alias: String,
    },
    /// Remove a link that camfw made.
    RemoveLink {
        /// Its name.
        name: String,
    },
    /// Create a VLAN.
    AddVlan {
        /// Its name.
        name: String,
        /// The link that it is on.
        parent: String,
        /// The VLAN id.
        id: u16,
    },
    /// Create a bridge.
    AddBridge {
        /// Its name.
        name: String,
    },
    /// Make a link a bridge port.
    Enslave {
        /// The link.
        port: String,
        /// The bridge.
        bridge: String,
    },
    /// Remove a link from a bridge of an earlier configuration.
    Release {
        /// The link.
        port: String,
        /// The bridge.
        bridge: String,
    },
    /// Set how a port treats others and what it receives.
    SetPort {
        /// The port.
        port: String,
        /// Whether it is isolated from the other isolated ports.
        isolated: bool,
        /// Whether it takes only frames from sources with a forwarding entry, and learns none.
        locked: bool,
    },
    /// Add a forwarding entry, or move the address to this port.
    AddForwarding(ForwardingEntry),
    /// Remove a forwarding entry of a port.
    RemoveForwarding(ForwardingEntry),
    /// Set the MTU of a link.
    SetMtu {
        /// The link.
        name: String,
        /// The MTU, in bytes.
        mtu: u32,
    },
    /// Add an address to a link.
    AddAddress {
        /// The link.
        name: String,
        /// The address.
        address: IpNet,
    },
    /// Remove an address that camfw added to a link.
    RemoveAddress {
        /// The link.
        name: String,
        /// The address.
        address: IpNet,
    },
    /// Set a link up.
    SetUp {
        /// The link.
        name: String,
    },
    /// Add a route, replacing one with the same destination, metric and table.
    SetRoute(Route),
    /// Remove a route that camfw added.
    RemoveRoute(Route),
    /// Add a rule.
    AddRule(MarkRule),
    /// Remove a rule that camfw added.
    RemoveRule(MarkRule),
    /// Give the default route of a lease another metric.
    SetLeasedMetric {
        /// The route.
        route: Route,
        /// The metric.
        metric: u32,
    },
    /// Add a source rule.
    AddSourceRule(SourceRule),
    /// Remove a source rule that camfw added.
    RemoveSourceRule(SourceRule),
    /// Add a permanent neighbour entry.
    SetNeighbour(Neighbour),
    /// Remove a neighbour entry that camfw added.
    RemoveNeighbour(Neighbour),
}

impl NetworkChange {
    /// Whether the change creates, removes or renames a link: only then can the link's kernel
    /// settings be written.
    pub fn is_structural(&self) -> bool {
        matches!(
            self,
            NetworkChange::Rename { .. }
                | NetworkChange::RemoveLink { .. }
                | NetworkChange::AddVlan { .. }
                | NetworkChange::AddBridge { .. }
                | NetworkChange::Enslave { .. }
                | NetworkChange::Release { .. }
                | NetworkChange::SetPort { .. }
                | NetworkChange::AddForwarding(_)
                | NetworkChange::RemoveForwarding(_)
                | NetworkChange::SetMtu { .. }
        )
    }
}

impl fmt::Display for NetworkChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetworkChange::Rename { from, to, .. } => {
                write!(f, "interface {from}: rename to {to}")
            }
            NetworkChange::RemoveLink { name } => write!(f, "interface {name}: remove it"),
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
            NetworkChange::SetPort {
                port,
                isolated,
                locked,
            } => {
                let isolated = match isolated {
                    true => "isolate it from other ports",
                    false => "let it reach every port",
                };
                let locked = match locked {
                    true => ", lock it",
                    false => "",
                };
                write!(f, "interface {port}: {isolated}{locked}")
            }
            NetworkChange::AddForwarding(entry) => write!(f, "set {entry}"),
            NetworkChange::RemoveForwarding(entry) => write!(f, "remove {entry}"),
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
            NetworkChange::SetLeasedMetric { route, metric } => {
                write!(f, "set {route}, to metric {metric}")
            }
            NetworkChange::AddSourceRule(rule) => write!(f, "add {rule}"),
            NetworkChange::RemoveSourceRule(rule) => write!(f, "remove {rule}"),
            NetworkChange::SetNeighbour(neighbour) => write!(f, "set {neighbour}"),
            NetworkChange::RemoveNeighbour(neighbour) => write!(f, "remove {neighbour}"),
        }
    }
}
