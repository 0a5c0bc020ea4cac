//! Rewritten addresses: masquerade, SNAT, port forwards and the transparent proxy.
//! None of them allows anything: each goes with an allow line.

use std::net::Ipv4Addr;

use super::{Origin, ZoneIndex};
use crate::field::PortRange;
use crate::netfilter::Protocol;

/// Rewrites the source addresses of what one zone sends to another, to that of
/// the interface it leaves by.
#[derive(Debug, Clone)]
pub struct Masquerade {
    /// Whose addresses.
    pub from: ZoneIndex,
    /// On the way to which zone.
    pub to: ZoneIndex,
    /// Where the file says so.
    pub origin: Origin,
}

/// Rewrites the source addresses of what one zone sends to another, to one of
/// the router's.
#[derive(Debug, Clone)]
pub struct Snat {
    /// Whose addresses.
    pub from: ZoneIndex,
    /// On the way to which zone.
    pub to: ZoneIndex,
    /// The router's address there that is seen instead.
    pub address: Ipv4Addr,
    /// Where the file says so.
    pub origin: Origin,
}

/// Sends connections to a port of the router on to a host. An allow line that names
/// the host lets in to that port what came by the forward, and no more unless the
/// forward is `direct`; one that names a network says what it says.
#[derive(Debug, Clone)]
pub struct Forward {
    /// Whose connections.
    pub from: ZoneIndex,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port on the router.
    pub port: u16,
    /// The zone of the host.
    pub to: ZoneIndex,
    /// The host.
    pub address: Ipv4Addr,
    /// The host's port.
    pub to_port: u16,
    /// Whether the host's port is reached without the forward too.
    pub direct: bool,
    /// Where the file says so.
    pub origin: Origin,
}

/// Takes connections from one zone to another to a proxy.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Whose connections.
    pub from: ZoneIndex,
    /// Those that go to this zone.
    pub to: ZoneIndex,
    /// Those to these TCP ports.
    pub ports: Vec<PortRange>,
    /// Where the proxy is.
    pub way: ProxyWay,
    /// Whether a proxy's port on the router is reached without it too.
    pub direct: bool,
    /// Where the file says so.
    pub origin: Origin,
}

/// Where a proxy is.
#[derive(Debug, Clone)]
pub enum ProxyWay {
    /// On the router, at this port.
    Here(u16),
    /// A host, which gets the packets as they are, by a mark and a table.
    Host {
        /// Its address.
        address: Ipv4Addr,
        /// Its zone.
        zone: ZoneIndex,
        /// The table's number, and the mark's.
        table: u32,
    },
}
