//! Address translation: masquerade, SNAT, port forwards, the transparent proxy, and what the
//! router answers in the place of others. None of them allows a connection by itself: each
//! needs an allow line.

use std::net::Ipv4Addr;

use super::{Origin, ZoneIndex};
use crate::field::PortRange;
use crate::netfilter::Protocol;

/// Rewrites the source addresses of connections from one zone to another, to the address of
/// the outgoing interface.
#[derive(Debug, Clone)]
pub struct Masquerade {
    /// The zone whose addresses are rewritten.
    pub from: ZoneIndex,
    /// The zone that the connections go to.
    pub to: ZoneIndex,
    /// The position in the file.
    pub origin: Origin,
}

/// Rewrites the source addresses of connections from one zone to another, to a given
/// address of the router.
#[derive(Debug, Clone)]
pub struct Snat {
    /// The zone whose addresses are rewritten.
    pub from: ZoneIndex,
    /// The zone that the connections go to.
    pub to: ZoneIndex,
    /// The router's address in that zone, the new source.
    pub address: Ipv4Addr,
    /// The position in the file.
    pub origin: Origin,
}

/// Redirects connections from ports of the router to a host. An allow line that names the
/// host then allows only redirected connections on that port, unless the forward is
/// `direct`; one with a network allows what it says.
#[derive(Debug, Clone)]
pub struct Forward {
    /// The zone that the connections come from.
    pub from: ZoneIndex,
    /// The zone whose addresses of the router they are opened to: the same, or another one
    /// for those who reach the host from inside by the address that is known outside.
    pub at: ZoneIndex,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The ports on the router.
    pub ports: PortRange,
    /// The zone of the host.
    pub to: ZoneIndex,
    /// The host.
    pub address: Ipv4Addr,
    /// The ports on the host: the same ones, each to its own, or one other in place of one.
    pub to_ports: PortRange,
    /// Whether the host's ports can also be reached directly.
    pub direct: bool,
    /// The position in the file.
    pub origin: Origin,
}

impl Forward {
    /// Whether each port stays as it is.
    pub fn keeps_ports(&self) -> bool {
        self.ports == self.to_ports
    }

    /// Whether it is for a zone inside, whose connections go to the address that is known
    /// outside. It has lines of its own, see [`Allow::by_forward`](super::Allow).
    pub fn is_loopback(&self) -> bool {
        self.from != self.at
    }

    /// Whether the host is in the zone that asks, so that it has to answer by way of the
    /// router and sees the router's address.
    pub fn turns_back(&self) -> bool {
        self.from == self.to
    }
}

/// Redirects connections from one zone to another to a proxy.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// The zone that the connections come from.
    pub from: ZoneIndex,
    /// The zone that they go to.
    pub to: ZoneIndex,
    /// The TCP ports that they go to.
    pub ports: Vec<PortRange>,
    /// Where the proxy is.
    pub way: ProxyWay,
    /// Whether a proxy's port on the router can also be reached directly.
    pub direct: bool,
    /// The position in the file.
    pub origin: Origin,
}

/// Redirects connections to these ports, wherever they go, to the same ports of the router.
/// These stay open to whoever asks the router itself.
#[derive(Debug, Clone)]
pub struct RedirectToRouter {
    /// The zone that the connections come from.
    pub from: ZoneIndex,
    /// The TCP ports that they go to.
    pub tcp: Vec<PortRange>,
    /// The UDP ports that they go to.
    pub udp: Vec<PortRange>,
    /// The position in the file.
    pub origin: Origin,
}

impl RedirectToRouter {
    /// The ports of each protocol.
    pub fn ports(&self) -> [(Protocol, &[PortRange]); 2] {
        [(Protocol::Tcp, &self.tcp), (Protocol::Udp, &self.udp)]
    }
}

/// Where a proxy runs.
#[derive(Debug, Clone)]
pub enum ProxyWay {
    /// On the router, at this port.
    Here(u16),
    /// On a host, which gets the packets unmodified, by a mark and a routing table.
    Host {
        /// Its address.
        address: Ipv4Addr,
        /// Its zone.
        zone: ZoneIndex,
        /// The number of the routing table and of the mark.
        table: u32,
    },
}
