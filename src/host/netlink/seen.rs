//! Reads which hosts the kernel knows on its links, and the links' condition.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use futures_util::TryStreamExt;
use ipnet::Ipv4Net;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use rtnetlink::Handle;

use super::read::Names;
use crate::name::MacAddress;
use crate::net::{LinkCondition, SeenHost, SeenOnLinks};

/// The unit of the times in NDA_CACHEINFO: USER_HZ, 100 on every architecture but alpha and
/// ia64 (jiffies_to_clock_t in kernel/time/time.c).
const TICKS_A_SECOND: u32 = 100;

/// Reads links and neighbours.
pub async fn all(handle: &Handle) -> Result<SeenOnLinks, (&'static str, rtnetlink::Error)> {
    let links = handle.link().get().execute().try_collect().await;
    let links: Vec<LinkMessage> = links.map_err(|error| ("links", error))?;
    let addresses = handle.address().get().execute().try_collect().await;
    let addresses: Vec<AddressMessage> = addresses.map_err(|error| ("addresses", error))?;
    let hosts = handle.neighbours().get().execute().try_collect().await;
    let hosts: Vec<NeighbourMessage> = hosts.map_err(|error| ("neighbours", error))?;
    let mut names = Names::new();
    let mut conditions = Vec::new();
    for message in &links {
        let index = message.header.index;
        let mut condition = condition(message);
        let own = addresses.iter().filter(|own| own.header.index == index);
        condition.ipv4 = own.filter_map(ipv4).next();
        names.insert(index, condition.name.clone());
        conditions.push(condition);
    }
    Ok(SeenOnLinks {
        hosts: hosts.iter().filter_map(|it| host(it, &names)).collect(),
        links: conditions,
    })
}

/// Its own end of the link; on one to a single host the other attribute is that host's.
fn ipv4(message: &AddressMessage) -> Option<Ipv4Net> {
    let mut attributes = message.attributes.iter();
    let own = attributes.find_map(|attribute| match attribute {
        AddressAttribute::Local(IpAddr::V4(own)) => Some(*own),
        _ => None,
    })?;
    Ipv4Net::new(own, message.header.prefix_len).ok()
}

fn condition(message: &LinkMessage) -> LinkCondition {
    let mut condition = LinkCondition {
        up: message.header.flags.contains(LinkFlags::Up),
        // IFF_LOWER_UP: IFLA_CARRIER is the same, of newer kernels.
        carrier: message.header.flags.contains(LinkFlags::LowerUp),
        ..LinkCondition::default()
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => condition.name.clone_from(name),
            LinkAttribute::Stats64(stats) => {
                condition.receive_errors = stats.rx_errors;
                condition.transmit_errors = stats.tx_errors;
            }
            _ => {}
        }
    }
    if condition.carrier {
        condition.speed = speed(&condition.name);
    }
    condition
}

/// In Mbit/s. Links without one give -1, or an error.
fn speed(name: &str) -> Option<u32> {
    let path = Path::new("/sys/class/net").join(name).join("speed");
    let text = fs::read_to_string(path).ok()?;
    text.trim().parse().ok().filter(|speed| *speed > 0)
}

/// An entry that the kernel has learned: one that failed has no hardware address
/// (neigh_fill_info in net/core/neighbour.c).
fn host(message: &NeighbourMessage, names: &Names) -> Option<SeenHost> {
    let state = message.header.state;
    if matches!(state, NeighbourState::Permanent | NeighbourState::Noarp) {
        return None;
    }
    let (mut mac, mut ticks) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = six_bytes(bytes),
            // When it was used says that the router sent, and when it was updated that its
            // state changed: only this says that the host answered.
            NeighbourAttribute::CacheInfo(info) => ticks = Some(info.confirmed),
            _ => {}
        }
    }
    Some(SeenHost {
        link: names.get(&message.header.ifindex)?.clone(),
        address: neighbour_address(message)?,
        mac: mac?,
        seconds: u64::from(ticks? / TICKS_A_SECOND),
    })
}

/// A hardware address, if it is one of Ethernet's.
pub fn six_bytes(bytes: &[u8]) -> Option<MacAddress> {
    <[u8; 6]>::try_from(bytes).ok().map(MacAddress::from)
}

/// The address that an entry is for.
pub fn neighbour_address(message: &NeighbourMessage) -> Option<IpAddr> {
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => {
                Some(IpAddr::V4(*address))
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => {
                Some(IpAddr::V6(*address))
            }
            _ => None,
        })
}
