//! Links, addresses and routes of the kernel, over rtnetlink.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use futures_util::TryStreamExt;
use ipnet::Ipv4Net;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::AddressAttribute;
use netlink_packet_route::link::{LinkAttribute, LinkFlags};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType,
};
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};
use thiserror::Error;

use crate::network::{Change, Current, Link};

/// Why the network could not be read or changed.
#[derive(Debug, Error)]
pub enum NetlinkError {
    /// No netlink at all.
    #[error("cannot open netlink: {0}")]
    Open(io::Error),
    /// A dump failed.
    #[error("cannot read {what} over netlink: {error}")]
    Read {
        /// links, addresses or routes
        what: &'static str,
        /// What the kernel said.
        error: rtnetlink::Error,
    },
    /// A change failed.
    #[error("{change}: {error}")]
    Change {
        /// Which.
        change: Change,
        /// What the kernel said.
        error: rtnetlink::Error,
    },
}

/// What the kernel has.
///
/// # Errors
/// Netlink cannot be opened or a dump fails.
pub fn read() -> Result<Current, NetlinkError> {
    with_handle(|handle| async move {
        let mut current = Current {
            links: links(&handle).await.map_err(reading("links"))?,
            default_route: default_route(&handle).await.map_err(reading("routes"))?,
        };
        let addresses = addresses(&handle).await.map_err(reading("addresses"))?;
        for (index, address) in addresses {
            if let Some(link) = current.links.iter_mut().find(|link| link.index == index) {
                link.addresses.push(address);
            }
        }
        Ok(current)
    })
}

fn reading(what: &'static str) -> impl Fn(rtnetlink::Error) -> NetlinkError {
    move |error| NetlinkError::Read { what, error }
}

/// Makes the changes, in order.
///
/// # Errors
/// The first that the kernel refuses; those before it are made.
pub fn carry_out(changes: &[Change]) -> Result<(), NetlinkError> {
    with_handle(|handle| async move {
        for change in changes {
            one(&handle, change)
                .await
                .map_err(|error| NetlinkError::Change {
                    change: change.clone(),
                    error,
                })?;
        }
        Ok(())
    })
}

/// Runs `work` with a connection; one thread, which is this one.
fn with_handle<T, F: Future<Output = Result<T, NetlinkError>>>(
    work: impl FnOnce(Handle) -> F,
) -> Result<T, NetlinkError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(NetlinkError::Open)?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(NetlinkError::Open)?;
        let connection = tokio::spawn(connection);
        let result = work(handle).await;
        connection.abort();
        result
    })
}

async fn links(handle: &Handle) -> Result<Vec<Link>, rtnetlink::Error> {
    let messages: Vec<_> = handle.link().get().execute().try_collect().await?;
    let name = |attributes: Vec<LinkAttribute>| {
        attributes
            .into_iter()
            .find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some(name),
                _ => None,
            })
    };
    Ok(messages
        .into_iter()
        .filter_map(|message| {
            Some(Link {
                index: message.header.index,
                up: message.header.flags.contains(LinkFlags::Up),
                name: name(message.attributes)?,
                addresses: Vec::new(),
            })
        })
        .collect())
}

async fn addresses(handle: &Handle) -> Result<Vec<(u32, Ipv4Net)>, rtnetlink::Error> {
    let messages: Vec<_> = handle.address().get().execute().try_collect().await?;
    Ok(messages
        .into_iter()
        .filter(|message| message.header.family == AddressFamily::Inet)
        .filter_map(|message| {
            // Local is our own end; on a point-to-point link Address is the peer's.
            let local = message
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
                    _ => None,
                })?;
            let network = Ipv4Net::new(local, message.header.prefix_len).ok()?;
            Some((message.header.index, network))
        })
        .collect())
}

/// The default route of the main table with metric 0, which is the one that the
/// kernel takes first.
async fn default_route(handle: &Handle) -> Result<Option<(Ipv4Addr, u32)>, rtnetlink::Error> {
    let request = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let routes: Vec<_> = handle.route().get(request).execute().try_collect().await?;
    Ok(routes.iter().find_map(as_default_route))
}

fn as_default_route(route: &RouteMessage) -> Option<(Ipv4Addr, u32)> {
    let RouteHeader {
        destination_prefix_length,
        table,
        kind,
        ..
    } = route.header;
    if destination_prefix_length != 0
        || table != RouteHeader::RT_TABLE_MAIN
        || kind != RouteType::Unicast
    {
        return None;
    }
    let (mut gateway, mut link) = (None, None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => gateway = Some(*address),
            RouteAttribute::Oif(index) => link = Some(*index),
            RouteAttribute::Priority(metric) if *metric != 0 => return None,
            _ => {}
        }
    }
    Some((gateway?, link?))
}

async fn one(handle: &Handle, change: &Change) -> Result<(), rtnetlink::Error> {
    match *change {
        Change::AddAddress { index, address, .. } => {
            handle
                .address()
                .add(index, IpAddr::V4(address.addr()), address.prefix_len())
                .execute()
                .await
        }
        Change::SetUp { index, .. } => {
            let up = LinkUnspec::new_with_index(index).up().build();
            handle.link().set(up).execute().await
        }
        Change::ReplaceDefaultRoute { index, gateway, .. } => {
            let route = RouteMessageBuilder::<Ipv4Addr>::new()
                .output_interface(index)
                .gateway(gateway)
                .build();
            handle.route().add(route).replace().execute().await
        }
    }
}
