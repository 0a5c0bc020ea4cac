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

/// Redirects connections from ports of the router, or from one of its addresses, to a host.
/// An allow line that names the host then allows only redirected connections on these ports,
/// unless the forward is `direct`; one with a network allows what it says.
#[derive(Debug, Clone)]
pub struct Forward {
    /// The zone that the connections come from.
    pub from: ZoneIndex,
    /// The zone whose addresses of the router they are opened to: the same, or another one
    /// for those who reach the host from inside by the address that is known outside.
    pub at: ZoneIndex,
    /// The one of these addresses that it is for; None means all of them.
    pub own: Option<Ipv4Addr>,
    /// None means the whole of that address, whatever the protocol (1:1 NAT).
    pub ports: Option<ForwardedPorts>,
    /// The zone of the host.
    pub to: ZoneIndex,
    /// The host.
    pub address: Ipv4Addr,
    /// Whether the host's ports can also be reached directly.
    pub direct: bool,
    /// The position in the file.
    pub origin: Origin,
}

/// The ports of a forward.
#[derive(Debug, Clone, Copy)]
pub struct ForwardedPorts {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Those on the router.
    pub at: PortRange,
    /// Those on the host: the same ones, each to its own, or one other in place of one.
    pub to: PortRange,
}

impl Forward {
    /// The port on the host, where it is another one.
    pub fn other_port(&self) -> Option<u16> {
        let ports = self.ports.filter(|ports| ports.at != ports.to);
        ports.map(|ports| ports.to.first())
    }

    /// Whether it takes connections to any of these ports.
    pub fn takes(&self, protocol: Protocol, ports: PortRange) -> bool {
        self.ports
            .is_none_or(|own| own.protocol == protocol && own.at.common(ports).is_some())
    }

    /// Whether both take the same connections, if these are to the same zone's addresses.
    pub fn overlaps(&self, other: &Forward) -> bool {
        let of_one = self.own.zip(other.own);
        of_one.is_none_or(|(own, other)| own == other)
            && self
                .ports
                .is_none_or(|ports| other.takes(ports.protocol, ports.at))
    }

    /// The address that the host is seen with from outside when it opens connections: the one
    /// that is all its own.
    pub fn seen_as(&self) -> Option<Ipv4Addr> {
        let whole = self.ports.is_none() && !self.is_loopback();
        self.own.filter(|_| whole)
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
