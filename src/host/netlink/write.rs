//! Applies changes as rtnetlink requests, one after the other.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_core::DefaultNla;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressProtocol};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use nix::libc;
use rtnetlink::{AddressMessageBuilder, RouteMessageBuilder};

use super::connection::{ADD, CHANGE, NetlinkConnection, REPLACE};
use super::link::{self, LinkRequest, nested};
use super::{LEASED, NetlinkError, OUR_ROUTES, OURS, read, rules};
use crate::net::{ForwardingEntry, Neighbour, NetworkChange, NextHop, Route};

/// Applies all changes in order.
pub fn all(
    connection: &mut NetlinkConnection,
    changes: &[NetworkChange],
) -> Result<(), NetlinkError> {
    let mut links = Links {
        indexes: read::indexes(connection)?,
        connection,
    };
    for change in changes {
        match links.make(change) {
            Ok(()) => {}
            Err(RequestError::Kernel(error)) if is_gone_already(change, &error) => {}
            Err(RequestError::Kernel(error)) => {
                return Err(NetlinkError::NetworkChange {
                    change: Box::new(change.clone()),
                    error,
                });
            }
            Err(RequestError::NoLink(name)) => {
                return Err(NetlinkError::NoLink {
                    change: Box::new(change.clone()),
                    name,
                });
            }
        }
        match change {
            NetworkChange::Rename { from, to, .. } => {
                if let Some(index) = links.indexes.remove(from) {
                    links.indexes.insert(to.clone(), index);
                }
            }
            // The kernel assigns the index of a new link, and removes VLANs with what they
            // are on.
            NetworkChange::AddVlan { .. }
            | NetworkChange::AddBridge { .. }
            | NetworkChange::RemoveLink { .. } => {
                links.indexes = read::indexes(links.connection)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a removal failed because there is nothing to remove: with an address, the
/// kernel also removes the routes that depend on it (fib_sync_down_addr and
/// fib_table_flush in net/ipv4/fib_frontend.c). The state is read back after all
/// changes.
fn is_gone_already(change: &NetworkChange, error: &io::Error) -> bool {
    let gone = match change {
        // A lease that ended or was renewed meanwhile took its earlier route away.
        NetworkChange::RemoveRoute(_) | NetworkChange::SetLeasedMetric { .. } => libc::ESRCH,
        NetworkChange::RemoveAddress { .. } => libc::EADDRNOTAVAIL,
        NetworkChange::RemoveRule(_)
        | NetworkChange::RemoveSourceRule(_)
        | NetworkChange::RemoveNeighbour(_)
        | NetworkChange::RemoveForwarding(_) => libc::ENOENT,
        _ => return false,
    };
    error.raw_os_error() == Some(gone)
}

/// Sets links down; tries each one, even if another fails.
pub fn set_down(connection: &mut NetlinkConnection, links: &[String]) -> Result<(), NetlinkError> {
    let indexes = read::indexes(connection)?;
    let mut failed = None;
    for link in links {
        let Some(index) = indexes.get(link) else {
            continue;
        };
        let message = LinkRequest::of(*index).up(false);
        if let Err(error) = connection.change(libc::RTM_SETLINK, CHANGE, &message) {
            failed.get_or_insert(NetlinkError::Down {
                link: link.as_str().into(),
                error,
            });
        }
    }
    failed.map_or(Ok(()), Err)
}

enum RequestError {
    Kernel(io::Error),
    NoLink(String),
}

impl From<io::Error> for RequestError {
    fn from(error: io::Error) -> RequestError {
        RequestError::Kernel(error)
    }
}

struct Links<'a> {
    connection: &'a mut NetlinkConnection,
    indexes: HashMap<String, u32>,
}

impl Links<'_> {
    fn index(&self, name: &str) -> Result<u32, RequestError> {
        self.indexes
            .get(name)
            .copied()
            .ok_or_else(|| RequestError::NoLink(name.to_owned()))
    }

    fn make(&mut self, change: &NetworkChange) -> Result<(), RequestError> {
        match change {
            NetworkChange::Rename { from, to, alias } => {
                // A link that is up can be renamed only since Linux 6.2.
                let index = self.index(from)?;
                self.set_link(LinkRequest::of(index).up(false))?;
                let alias = DefaultNla::new(link::ALIAS, alias.as_bytes().to_vec());
                self.set_link(LinkRequest::of(index).with_name(to).with(alias))?;
            }
            NetworkChange::RemoveLink { name } => {
                if let Ok(index) = self.index(name) {
                    let link = LinkRequest::of(index);
                    self.connection.change(libc::RTM_DELLINK, CHANGE, &link)?;
                }
            }
            NetworkChange::AddVlan { name, parent, id } => {
                let id = DefaultNla::new(link::VLAN_ID, id.to_ne_bytes().to_vec());
                let vlan = LinkRequest::of_kind("vlan", Some(id)).with_name(name);
                let vlan = vlan.with_number(link::LOWER, self.index(parent)?);
                let vlan = vlan.with_number(link::GROUP, link::MADE);
                self.connection.change(libc::RTM_NEWLINK, ADD, &vlan)?;
            }
            NetworkChange::AddBridge { name } => {
                let bridge = LinkRequest::of_kind("bridge", None)
                    .with_name(name)
                    .with_number(link::GROUP, link::MADE)
                    .up(true);
                self.connection.change(libc::RTM_NEWLINK, ADD, &bridge)?;
            }
            NetworkChange::Enslave { port, bridge } => {
                // Until it has its settings it would pass frames to every other port.
                let index = self.index(port)?;
                self.set_link(LinkRequest::of(index).up(false))?;
                let port = LinkRequest::of(index);
                self.set_link(port.with_number(link::CONTROLLER, self.index(bridge)?))?;
            }
            NetworkChange::Release { port, .. } => {
                let port = LinkRequest::of(self.index(port)?);
                self.set_link(port.with_number(link::CONTROLLER, 0))?;
            }
            NetworkChange::SetPort {
                port,
                isolated,
                locked,
            } => {
                let kind = DefaultNla::new(link::PORT_KIND, b"bridge".to_vec());
                let setting = |kind, on: bool| DefaultNla::new(kind, vec![u8::from(on)]);
                let mut settings = vec![
                    setting(link::ISOLATED, *isolated),
                    setting(link::LOCKED, *locked),
                    setting(link::LEARNING, !*locked),
                ];
                if *locked {
                    // Whoever was learnt before would be let in until the entry expires.
                    settings.push(DefaultNla::new(link::FLUSH, Vec::new()));
                }
                let info = nested(link::INFO, &[kind, nested(link::PORT_DATA, &settings)]);
                let port = LinkRequest::of(self.index(port)?).with(info);
                // The settings of a bridge port are accepted only with RTM_NEWLINK.
                self.connection.change(libc::RTM_NEWLINK, CHANGE, &port)?;
            }
            NetworkChange::SetMtu { name, mtu } => {
                let name = LinkRequest::of(self.index(name)?);
                self.set_link(name.with_number(link::MTU, *mtu))?;
            }
            NetworkChange::SetUp { name } => {
                self.set_link(LinkRequest::of(self.index(name)?).up(true))?;
            }
            NetworkChange::AddAddress { name, address } => {
                let mut message = own_address(self.index(name)?, *address);
                let ours = AddressAttribute::Protocol(AddressProtocol::Other(OURS));
                message.attributes.push(ours);
                self.connection.change(libc::RTM_NEWADDR, ADD, &message)?;
            }
            NetworkChange::RemoveAddress { name, address } => {
                let message = own_address(self.index(name)?, *address);
                self.connection
                    .change(libc::RTM_DELADDR, CHANGE, &message)?;
            }
            NetworkChange::SetRoute(route) => {
                let message = self.route(route)?;
                self.connection
                    .change(libc::RTM_NEWROUTE, REPLACE, &message)?;
            }
            NetworkChange::RemoveRoute(route) => {
                let mut message = self.route(route)?;
                // It may have been set by a lease.
                message.header.protocol = RouteProtocol::Unspec;
                self.connection
                    .change(libc::RTM_DELROUTE, CHANGE, &message)?;
            }
            NetworkChange::AddRule(rule) => {
                let message = rules::mark_rule(rule);
                self.connection.change(libc::RTM_NEWRULE, ADD, &message)?;
            }
            NetworkChange::RemoveRule(rule) => {
                let message = rules::mark_rule(rule);
                self.connection
                    .change(libc::RTM_DELRULE, CHANGE, &message)?;
            }
            NetworkChange::SetLeasedMetric { route, metric } => {
                let mut message = self.route(&Route {
                    metric: *metric,
                    ..route.clone()
                })?;
                message.header.protocol = RouteProtocol::Other(LEASED);
                self.connection
                    .change(libc::RTM_NEWROUTE, REPLACE, &message)?;
                let mut message = self.route(route)?;
                message.header.protocol = RouteProtocol::Unspec;
                self.connection
                    .change(libc::RTM_DELROUTE, CHANGE, &message)?;
            }
            NetworkChange::AddSourceRule(rule) => {
                let message = rules::source_rule(rule);
                self.connection.change(libc::RTM_NEWRULE, ADD, &message)?;
            }
            NetworkChange::RemoveSourceRule(rule) => {
                let message = rules::source_rule(rule);
                self.connection
                    .change(libc::RTM_DELRULE, CHANGE, &message)?;
            }
            NetworkChange::AddForwarding(entry) => {
                let message = forwarding(self.index(&entry.port)?, entry);
                self.connection
                    .change(libc::RTM_NEWNEIGH, REPLACE, &message)?;
            }
            NetworkChange::RemoveForwarding(entry) => {
                let message = forwarding(self.index(&entry.port)?, entry);
                self.connection
                    .change(libc::RTM_DELNEIGH, CHANGE, &message)?;
            }
            NetworkChange::SetNeighbour(Neighbour { address, mac, link }) => {
                let mut message = permanent(self.index(link)?, *address);
                message.attributes.extend([
                    NeighbourAttribute::LinkLayerAddress(mac.bytes().to_vec()),
                    NeighbourAttribute::Protocol(OUR_ROUTES),
                ]);
                self.connection
                    .change(libc::RTM_NEWNEIGH, REPLACE, &message)?;
            }
            NetworkChange::RemoveNeighbour(Neighbour { address, link, .. }) => {
                let message = permanent(self.index(link)?, *address);
                self.connection
                    .change(libc::RTM_DELNEIGH, CHANGE, &message)?;
            }
        }
        Ok(())
    }

    fn set_link(&mut self, message: LinkRequest) -> io::Result<()> {
        self.connection.change(libc::RTM_SETLINK, CHANGE, &message)
    }

    fn route(&self, route: &Route) -> Result<RouteMessage, RequestError> {
        let mut message = RouteMessageBuilder::<IpAddr>::new()
            .priority(route.metric)
            .table_id(route.table)
            .protocol(OUR_ROUTES)
            .build();
        let destination = route.destination;
        message.header.address_family = family(destination.addr());
        message.header.destination_prefix_length = destination.prefix_len();
        let attributes = &mut message.attributes;
        attributes.push(RouteAttribute::Destination(destination.addr().into()));
        match &route.way {
            NextHop::Link { link, gateway } => {
                match gateway {
                    Some(gateway) => attributes.push(RouteAttribute::Gateway((*gateway).into())),
                    None => message.header.scope = RouteScope::Link,
                }
                attributes.push(RouteAttribute::Oif(self.index(link)?));
            }
            NextHop::Blackhole => message.header.kind = RouteType::BlackHole,
            NextHop::Unreachable => message.header.kind = RouteType::Unreachable,
        }
        Ok(message)
    }
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn own_address(index: u32, address: IpNet) -> AddressMessage {
    match address {
        IpNet::V4(own) => AddressMessageBuilder::<Ipv4Addr>::new()
            .index(index)
            .address(own.addr(), own.prefix_len())
            .build(),
        IpNet::V6(own) => AddressMessageBuilder::<Ipv6Addr>::new()
            .index(index)
            .address(own.addr(), own.prefix_len())
            .build(),
    }
}

/// An entry of the bridge that the port is of, which neither expires nor moves to another
/// port: a static one that is not sticky follows its source (br_fdb_update in
/// net/bridge/br_fdb.c).
fn forwarding(port: u32, entry: &ForwardingEntry) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Bridge;
    message.header.ifindex = port;
    message.header.state = NeighbourState::Noarp;
    message.header.flags = NeighbourFlags::Controller | NeighbourFlags::Sticky;
    message.header.kind = RouteType::Unspec;
    let mac = NeighbourAttribute::LinkLayerAddress(entry.mac.bytes().to_vec());
    message.attributes.push(mac);
    message
}

/// An entry that does not expire.
pub fn permanent(index: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(address);
    message.header.ifindex = index;
    message.header.state = NeighbourState::Permanent;
    message.header.kind = RouteType::Unspec;
    let destination = NeighbourAttribute::Destination(match address {
        IpAddr::V4(address) => NeighbourAddress::Inet(address),
        IpAddr::V6(address) => NeighbourAddress::Inet6(address),
    });
    message.attributes.push(destination);
    message
}
