//! Reads which hosts the kernel knows on its links, and the links' condition.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use ipnet::{Ipv4Net, Ipv6Net};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};

use super::connection::NetlinkConnection;
use super::link::{self, DumpedLink, six_bytes};
use super::read::{Names, addresses, dumped_links, dumped_neighbours, own_address};
use crate::net::{LinkCondition, SeenHost, SeenOnLinks};

/// The unit of the times in NDA_CACHEINFO: USER_HZ, 100 on every architecture but alpha and
/// ia64 (jiffies_to_clock_t in kernel/time/time.c).
const TICKS_A_SECOND: u32 = 100;

/// Reads links and neighbours.
pub fn all(connection: &mut NetlinkConnection) -> Result<SeenOnLinks, (&'static str, io::Error)> {
    let links = dumped_links(connection).map_err(|error| ("links", error))?;
    let addresses = addresses(connection).map_err(|error| ("addresses", error))?;
    let hosts = dumped_neighbours(connection).map_err(|error| ("neighbours", error))?;
    let mut names = Names::new();
    let mut conditions = Vec::new();
    for message in &links {
        let index = message.index;
        let mut condition = condition(message);
        let own = || addresses.iter().filter(|own| own.header.index == index);
        condition.ipv4 = own().filter_map(ipv4).next();
        condition.ipv6 = own().filter_map(ipv6).next();
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

/// One that duplicate address detection is done with (RFC 4862, 5.4).
fn ipv6(message: &AddressMessage) -> Option<Ipv6Net> {
    let unusable = AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed;
    let own = match own_address(message)? {
        IpAddr::V6(own) if !own.is_unicast_link_local() && !own.is_loopback() => own,
        _ => return None,
    };
    let is_usable = !message.header.flags.intersects(unusable);
    Ipv6Net::new(own, message.header.prefix_len)
        .ok()
        .filter(|_| is_usable)
}

fn condition(message: &DumpedLink) -> LinkCondition {
    // struct rtnl_link_stats64: six numbers, the last two of which count errors.
    let statistics = message.attribute(link::STATISTICS).unwrap_or_default();
    let (counters, _) = statistics.as_chunks();
    let counter = |at: usize| {
        counters
            .get(at)
            .map_or(0, |bytes| u64::from_ne_bytes(*bytes))
    };
    let mut condition = LinkCondition {
        name: message.name().unwrap_or_default(),
        up: message.flags & link::UP != 0,
        // IFF_LOWER_UP: IFLA_CARRIER is the same, of newer kernels.
        carrier: message.flags & link::LOWER_UP != 0,
        receive_errors: counter(4),
        transmit_errors: counter(5),
        ..LinkCondition::default()
    };
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
