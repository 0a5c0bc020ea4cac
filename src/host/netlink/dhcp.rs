//! Applies a DHCP lease: the link's address and the default route.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use netlink_packet_route::address::{AddressAttribute, AddressProtocol};
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteProtocol, RouteType};
use nix::libc;
use rtnetlink::{AddressMessageBuilder, RouteMessageBuilder};

use super::connection::{CHANGE, NetlinkConnection, REPLACE};
use super::{LEASED, NetlinkError, read};
use crate::net::Lease;

/// Sets the address and route of the lease and removes those of an earlier one.
pub fn set(
    connection: &mut NetlinkConnection,
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
    let indexes = read::indexes(connection)?;
    let index = *indexes
        .get(link)
        .ok_or_else(|| refused(io::Error::from_raw_os_error(libc::ENODEV)))?;
    if let Some(address) = address {
        let network = address.trunc();
        put_unreachable(connection, network, metric).map_err(refused)?;
    }
    replace(connection, index, address, gateway, default_metric).map_err(refused)
}

/// Adds an unreachable route to the lease's network, in place of that for an earlier
/// lease. It must remain when the lease or the link disappears: that is its purpose.
fn put_unreachable(
    connection: &mut NetlinkConnection,
    network: Ipv4Net,
    metric: u32,
) -> io::Result<()> {
    let mut route = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(network.network(), network.prefix_len())
        .priority(metric)
        .protocol(RouteProtocol::Other(LEASED))
        .build();
    route.header.kind = RouteType::Unreachable;
    connection.change(libc::RTM_NEWROUTE, REPLACE, &route)?;
    for old in all_routes(connection)? {
        let header = &old.header;
        let of_earlier = header.protocol == RouteProtocol::Other(LEASED)
            && header.kind == RouteType::Unreachable
            && old.attributes.contains(&RouteAttribute::Priority(metric));
        let same = header.destination_prefix_length == network.prefix_len()
            && old
                .attributes
                .contains(&RouteAttribute::Destination(network.network().into()));
        if of_earlier && !same {
            connection.change(libc::RTM_DELROUTE, CHANGE, &old)?;
        }
    }
    Ok(())
}

fn all_routes(connection: &mut NetlinkConnection) -> io::Result<Vec<RouteMessage>> {
    let request = RouteMessageBuilder::<Ipv4Addr>::new().build();
    connection.dump(libc::RTM_GETROUTE, &request)
}

fn replace(
    connection: &mut NetlinkConnection,
    index: u32,
    address: Option<Ipv4Net>,
    gateway: Option<Ipv4Addr>,
    metric: u32,
) -> io::Result<()> {
    let leased = AddressAttribute::Protocol(AddressProtocol::Other(LEASED));
    if let Some(address) = address {
        let mut message = AddressMessageBuilder::<Ipv4Addr>::new()
            .index(index)
            .address(address.addr(), address.prefix_len())
            .build();
        message.attributes.push(leased.clone());
        connection.change(libc::RTM_NEWADDR, REPLACE, &message)?;
    }
    for message in read::addresses(connection)? {
        let is_new = address.is_some_and(|address| {
            message.header.prefix_len == address.prefix_len()
                && message
                    .attributes
                    .contains(&AddressAttribute::Local(IpAddr::V4(address.addr())))
        });
        if message.header.index == index && message.attributes.contains(&leased) && !is_new {
            connection.change(libc::RTM_DELADDR, CHANGE, &message)?;
        }
    }
    if let Some(gateway) = gateway {
        let default = RouteMessageBuilder::<Ipv4Addr>::new()
            .output_interface(index)
            .priority(metric)
            .protocol(RouteProtocol::Other(LEASED));
        let route = default.gateway(gateway).build();
        connection.change(libc::RTM_NEWROUTE, REPLACE, &route)?;
    }
    for route in all_routes(connection)? {
        let leased = route.header.protocol == RouteProtocol::Other(LEASED);
        // A dump leaves out 0.
        let mut metrics = route.attributes.iter().filter_map(|it| match it {
            RouteAttribute::Priority(metric) => Some(*metric),
            _ => None,
        });
        let is_new = gateway.is_some() && metrics.next().unwrap_or(0) == metric;
        let is_here = route.attributes.contains(&RouteAttribute::Oif(index));
        if leased && is_here && !is_new {
            connection.change(libc::RTM_DELROUTE, CHANGE, &route)?;
        }
    }
    Ok(())
}
