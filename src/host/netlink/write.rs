//! Applies changes as rtnetlink requests, one after the other.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressProtocol};
use netlink_packet_route::link::InfoBridgePort;
use netlink_packet_route::neighbour::NeighbourAttribute;
use netlink_packet_route::route::{
    RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use nix::libc;
use rtnetlink::{Handle, LinkBridge, LinkBridgePort, LinkUnspec, LinkVlan, RouteMessageBuilder};

use super::{LEASED, NetlinkError, OUR_ROUTES, OURS, read, rules};
use crate::net::{Neighbour, NetworkChange, NextHop, Route};

/// Applies all changes in order.
pub async fn all(handle: &Handle, changes: &[NetworkChange]) -> Result<(), NetlinkError> {
    let mut links = Links {
        handle,
        indexes: read::indexes(handle).await?,
    };
    for change in changes {
        match links.make(change).await {
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
            NetworkChange::Rename { from, to } => {
                if let Some(index) = links.indexes.remove(from) {
                    links.indexes.insert(to.clone(), index);
                }
            }
            // The kernel assigns the index of a new link.
            NetworkChange::AddVlan { .. } | NetworkChange::AddBridge { .. } => {
                links.indexes = read::indexes(handle).await?;
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
fn is_gone_already(change: &NetworkChange, error: &rtnetlink::Error) -> bool {
    let gone = match change {
        // A lease that ended or was renewed meanwhile took its earlier route away.
        NetworkChange::RemoveRoute(_) | NetworkChange::SetLeasedMetric { .. } => libc::ESRCH,
        NetworkChange::RemoveAddress { .. } => libc::EADDRNOTAVAIL,
        NetworkChange::RemoveRule(_)
        | NetworkChange::RemoveSourceRule(_)
        | NetworkChange::RemoveNeighbour(_) => libc::ENOENT,
        _ => return false,
    };
    matches!(error, rtnetlink::Error::NetlinkError(message) if message.raw_code() == -gone)
}

/// Sets links down; tries each one, even if another fails.
pub async fn set_down(handle: &Handle, links: &[String]) -> Result<(), NetlinkError> {
    let indexes = read::indexes(handle).await?;
    let mut failed = None;
    for link in links {
        let Some(index) = indexes.get(link) else {
            continue;
        };
        let message = LinkUnspec::new_with_index(*index).down().build();
        if let Err(error) = handle.link().set(message).execute().await {
            failed.get_or_insert(NetlinkError::Down {
                link: link.as_str().into(),
                error,
            });
        }
    }
    failed.map_or(Ok(()), Err)
}

enum RequestError {
    Kernel(rtnetlink::Error),
    NoLink(String),
}

impl From<rtnetlink::Error> for RequestError {
    fn from(error: rtnetlink::Error) -> RequestError {
        RequestError::Kernel(error)
    }
}

struct Links<'a> {
    handle: &'a Handle,
    indexes: HashMap<String, u32>,
}

impl Links<'_> {
    fn index(&self, name: &str) -> Result<u32, RequestError> {
        self.indexes
            .get(name)
            .copied()
            .ok_or_else(|| RequestError::NoLink(name.to_owned()))
    }

    async fn make(&self, change: &NetworkChange) -> Result<(), RequestError> {
        let link = self.handle.link();
        match change {
            NetworkChange::Rename { from, to } => {
                // A link that is up can be renamed only since Linux 6.2.
                let index = self.index(from)?;
                link.set(LinkUnspec::new_with_index(index).down().build())
                    .execute()
                    .await?;
                link.set(LinkUnspec::new_with_index(index).name(to).build())
                    .execute()
                    .await?;
            }
            NetworkChange::AddVlan { name, parent, id } => {
                let vlan = LinkVlan::new(name, self.index(parent)?, *id).build();
                link.add(vlan).execute().await?;
            }
            NetworkChange::AddBridge { name } => {
                link.add(LinkBridge::new(name).build()).execute().await?
            }
            NetworkChange::Enslave { port, bridge } => {
                let port = LinkUnspec::new_with_index(self.index(port)?);
                link.set(port.controller(self.index(bridge)?).build())
                    .execute()
                    .await?;
            }
            NetworkChange::Release { port, .. } => {
                let port = LinkUnspec::new_with_index(self.index(port)?);
                link.set(port.nocontroller().build()).execute().await?;
            }
            NetworkChange::Isolate { port } => {
                // The settings of a bridge port are accepted only with RTM_NEWLINK.
                let port = LinkBridgePort::new(self.index(port)?);
                let port = port.append_info_data(InfoBridgePort::Isolated(true));
                link.change(port.build()).execute().await?;
            }
            NetworkChange::SetMtu { name, mtu } => {
                let name = LinkUnspec::new_with_index(self.index(name)?);
                link.set(name.mtu(*mtu).build()).execute().await?;
            }
            NetworkChange::SetUp { name } => {
                let name = LinkUnspec::new_with_index(self.index(name)?);
                link.set(name.up().build()).execute().await?;
            }
            NetworkChange::AddAddress { name, address } => self.add_address(name, *address).await?,
            NetworkChange::RemoveAddress { name, address } => {
                let index = self.index(name)?;
                let mut request =
                    self.handle
                        .address()
                        .add(index, address.addr(), address.prefix_len());
                let message = request.message_mut().clone();
                self.handle.address().del(message).execute().await?;
            }
            NetworkChange::SetRoute(route) => {
                let message = self.route(route)?;
                self.handle.route().add(message).replace().execute().await?;
            }
            NetworkChange::RemoveRoute(route) => {
                let mut message = self.route(route)?;
                // It may have been set by a lease.
                message.header.protocol = RouteProtocol::Unspec;
                self.handle.route().del(message).execute().await?;
            }
            NetworkChange::AddRule(rule) => {
                let mut request = self.handle.rule().add();
                rules::mark_rule(request.message_mut(), rule);
                request.execute().await?;
            }
            NetworkChange::RemoveRule(rule) => {
                let mut request = self.handle.rule().add();
                rules::mark_rule(request.message_mut(), rule);
                let message = request.message_mut().clone();
                self.handle.rule().del(message).execute().await?;
            }
            NetworkChange::SetLeasedMetric { route, metric } => {
                let mut message = self.route(&Route {
                    metric: *metric,
                    ..route.clone()
                })?;
                message.header.protocol = RouteProtocol::Other(LEASED);
                self.handle.route().add(message).replace().execute().await?;
                let mut message = self.route(route)?;
                message.header.protocol = RouteProtocol::Unspec;
                self.handle.route().del(message).execute().await?;
            }
            NetworkChange::AddSourceRule(rule) => {
                let mut request = self.handle.rule().add();
                rules::source_rule(request.message_mut(), rule);
                request.execute().await?;
            }
            NetworkChange::RemoveSourceRule(rule) => {
                let mut request = self.handle.rule().add();
                rules::source_rule(request.message_mut(), rule);
                let message = request.message_mut().clone();
                self.handle.rule().del(message).execute().await?;
            }
            NetworkChange::SetNeighbour(Neighbour { address, mac, link }) => {
                let request = self.handle.neighbours().add(self.index(link)?, *address);
                let mut request = request.link_layer_address(mac.bytes()).replace();
                let ours = NeighbourAttribute::Protocol(OUR_ROUTES);
                request.message_mut().attributes.push(ours);
                request.execute().await?;
            }
            NetworkChange::RemoveNeighbour(Neighbour { address, link, .. }) => {
                let index = self.index(link)?;
                let message = self
                    .handle
                    .neighbours()
                    .add(index, *address)
                    .message_mut()
                    .clone();
                self.handle.neighbours().del(message).execute().await?;
            }
        }
        Ok(())
    }

    async fn add_address(&self, name: &str, address: IpNet) -> Result<(), RequestError> {
        let index = self.index(name)?;
        let own = address.addr();
        let mut request = self.handle.address().add(index, own, address.prefix_len());
        let ours = AddressAttribute::Protocol(AddressProtocol::Other(OURS));
        request.message_mut().attributes.push(ours);
        Ok(request.execute().await?)
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
