//! Applies a DHCP lease: the link's address and the default route.

use std::net::{IpAddr, Ipv4Addr};

use futures_util::TryStreamExt;
use ipnet::Ipv4Net;
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressProtocol};
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteProtocol, RouteType};
use rtnetlink::{Handle, RouteMessageBuilder};

use super::{LEASED, NetlinkError, read};
use crate::net::Lease;

/// Sets the address and route of the lease and removes those of an earlier one.
pub async fn set(
    handle: &Handle,
    link: &str,
    lease: &Lease,
    metric: u32,
    default_metric: u32,
) -> Result<(), NetlinkError> {
    let (address, gateway) = match lease {
        Lease::Unchanged => return Ok(()),
        Lease::None => (None, None),
        Lease::Held {
            address, gateway, ..
        } => (Some(*address), *gateway),
    };
    let refused = |error| NetlinkError::Lease {
        link: link.to_owned(),
        error,
    };
    let indexes = read::indexes(handle).await?;
    let index = *indexes
        .get(link)
        .ok_or_else(|| refused(rtnetlink::Error::RequestFailed))?;
    if let Some(address) = address {
        let network = address.trunc();
        put_unreachable(handle, network, metric)
            .await
            .map_err(refused)?;
    }
    replace(handle, index, address, gateway, default_metric)
        .await
        .map_err(refused)
}

/// Adds an unreachable route to the lease's network, in place of that for an earlier
/// lease. It must remain when the lease or the link disappears: that is its purpose.
async fn put_unreachable(
    handle: &Handle,
    network: Ipv4Net,
    metric: u32,
) -> Result<(), rtnetlink::Error> {
    let mut route = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(network.network(), network.prefix_len())
        .priority(metric)
        .protocol(RouteProtocol::Other(LEASED))
        .build();
    route.header.kind = RouteType::Unreachable;
    handle.route().add(route).replace().execute().await?;
    for old in all_routes(handle).await? {
        let header = &old.header;
        let of_earlier = header.protocol == RouteProtocol::Other(LEASED)
            && header.kind == RouteType::Unreachable
            && old.attributes.contains(&RouteAttribute::Priority(metric));
        let same = header.destination_prefix_length == network.prefix_len()
            && old
                .attributes
                .contains(&RouteAttribute::Destination(network.network().into()));
        if of_earlier && !same {
            handle.route().del(old).execute().await?;
        }
    }
    Ok(())
}

async fn all_routes(handle: &Handle) -> Result<Vec<RouteMessage>, rtnetlink::Error> {
    let request = RouteMessageBuilder::<Ipv4Addr>::new().build();
    handle.route().get(request).execute().try_collect().await
}

async fn replace(
    handle: &Handle,
    index: u32,
    address: Option<Ipv4Net>,
    gateway: Option<Ipv4Addr>,
    metric: u32,
) -> Result<(), rtnetlink::Error> {
    let leased = AddressAttribute::Protocol(AddressProtocol::Other(LEASED));
    if let Some(address) = address {
        let own = IpAddr::V4(address.addr());
        let mut request = handle
            .address()
            .add(index, own, address.prefix_len())
            .replace();
        request.message_mut().attributes.push(leased.clone());
        request.execute().await?;
    }
    let messages: Vec<AddressMessage> = handle.address().get().execute().try_collect().await?;
    for message in messages {
        let is_new = address.is_some_and(|address| {
            message.header.prefix_len == address.prefix_len()
                && message
                    .attributes
                    .contains(&AddressAttribute::Local(IpAddr::V4(address.addr())))
        });
        if message.header.index == index && message.attributes.contains(&leased) && !is_new {
            handle.address().del(message).execute().await?;
        }
    }
    if let Some(gateway) = gateway {
        let default = RouteMessageBuilder::<Ipv4Addr>::new()
            .output_interface(index)
            .priority(metric)
            .protocol(RouteProtocol::Other(LEASED));
        let route = default.gateway(gateway).build();
        handle.route().add(route).replace().execute().await?;
    }
    for route in all_routes(handle).await? {
        let leased = route.header.protocol == RouteProtocol::Other(LEASED);
        // A dump leaves out 0.
        let mut metrics = route.attributes.iter().filter_map(|it| match it {
            RouteAttribute::Priority(metric) => Some(*metric),
            _ => None,
        });
        let is_new = gateway.is_some() && metrics.next().unwrap_or(0) == metric;
        let is_here = route.attributes.contains(&RouteAttribute::Oif(index));
        if leased && is_here && !is_new {
            handle.route().del(route).execute().await?;
        }
    }
    Ok(())
}
