//! Converts the kernel's dumps to `net::Current`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use futures_util::TryStreamExt;
use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressProtocol,
};
use netlink_packet_route::link::{
    InfoBridgePort, InfoData, InfoHsr, InfoKind, InfoPortData, InfoVlan, LinkAttribute, LinkFlags,
    LinkInfo, LinkMessage, LinkXdp, XdpAttached,
};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourState};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteType,
};
use rtnetlink::{Handle, RouteMessageBuilder};

use super::seen::{neighbour_address, six_bytes};
use super::{LEASED, NetlinkError, OUR_ROUTES, OURS, frames, rules, unmanaged};
use crate::net::{Current, Held, Link, LinkType, Neighbour, NextHop, OtherRoute, Route};

/// Reads everything.
pub async fn all(handle: &Handle) -> Result<Current, NetlinkError> {
    let failed = |what| move |error| NetlinkError::Read { what, error };
    let (mut links, names) = links(handle).await.map_err(failed("links"))?;
    let dump = handle.address().get().execute().try_collect().await;
    let messages: Vec<AddressMessage> = dump.map_err(failed("addresses"))?;
    for message in &messages {
        let link = names
            .get(&message.header.index)
            .and_then(|name| links.iter_mut().find(|link| link.name == *name));
        let Some(link) = link else {
            continue;
        };
        if let Some(IpAddr::V6(own)) = own_address(message).filter(is_link_local) {
            link.link_local.push(own);
        }
        if let Some(address) = address(message) {
            if message.header.flags.contains(AddressHeaderFlags::Dadfailed) {
                link.duplicates.push(address.value);
            }
            link.peers.extend(peer(message));
            link.addresses.push(address);
        }
    }
    frames::complete(handle, &mut links, &names)
        .await
        .map_err(failed("traffic control"))?;
    let (routes, other_routes) = routes(handle, &names).await.map_err(failed("routes"))?;
    let rules = rules::all(handle).await.map_err(failed("rules"))?;
    let neighbours = neighbours(handle, &names).await;
    let proxied = unmanaged::proxied(handle, &names).await;
    Ok(Current {
        routes,
        other_routes,
        rules: rules.marks,
        source_rules: rules.sources,
        other_rules: rules.others,
        neighbours: neighbours.map_err(failed("neighbours"))?,
        proxied: proxied.map_err(failed("proxied neighbours"))?,
        links,
    })
}

/// The kernel's indexes of the links, by name.
pub async fn indexes(handle: &Handle) -> Result<HashMap<String, u32>, NetlinkError> {
    let (_, names) = links(handle).await.map_err(|error| NetlinkError::Read {
        what: "links",
        error,
    })?;
    Ok(names
        .into_iter()
        .map(|(index, name)| (name, index))
        .collect())
}

pub type Names = HashMap<u32, String>;

/// All links, without their addresses, and the links' names by index.
pub async fn links(handle: &Handle) -> Result<(Vec<Link>, Names), rtnetlink::Error> {
    let messages: Vec<LinkMessage> = handle.link().get().execute().try_collect().await?;
    let name = |message: &LinkMessage| {
        message
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some(name.clone()),
                _ => None,
            })
    };
    let names: Names = messages
        .iter()
        .filter_map(|message| Some((message.header.index, name(message)?)))
        .collect();
    let links = messages
        .iter()
        .filter_map(|message| Some(link(message, names.get(&message.header.index)?, &names)))
        .collect();
    Ok((links, names))
}

fn link(message: &LinkMessage, name: &str, names: &Names) -> Link {
    let mut link = Link {
        name: name.to_owned(),
        up: message.header.flags.contains(LinkFlags::Up),
        carrier: message.header.flags.contains(LinkFlags::LowerUp),
        path: device_path(name),
        ..Link::default()
    };
    let mut elsewhere = false;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Promiscuity(count) => {
                let asked = message.header.flags.contains(LinkFlags::Promisc);
                link.promiscuity = count.saturating_sub(u32::from(asked));
            }
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Link(index) => link.lower.extend(names.get(index).cloned()),
            // Then the lower link's index belongs to another namespace.
            LinkAttribute::LinkNetNsId(_) => elsewhere = true,
            LinkAttribute::Controller(index) => link.controller = names.get(index).cloned(),
            LinkAttribute::Xdp(infos) => {
                let attached = |info: &LinkXdp| matches!(info, LinkXdp::Attached(way) if *way != XdpAttached::None);
                link.xdp = infos.iter().any(attached);
            }
            LinkAttribute::Address(bytes) => link.mac = six_bytes(bytes),
            LinkAttribute::LinkInfo(infos) => {
                infos.iter().for_each(|info| kind(&mut link, info, names));
            }
            _ => {}
        }
    }
    if elsewhere {
        link.lower.clear();
    }
    if let LinkType::Vlan { parent, .. } = &mut link.kind {
        *parent = link.lower.first().cloned();
    }
    link
}

fn kind(link: &mut Link, info: &LinkInfo, names: &Names) {
    match info {
        LinkInfo::Kind(kind) => {
            link.link_type = Some(kind.to_string());
            if *kind == InfoKind::Bridge {
                link.kind = LinkType::Bridge;
            }
        }
        // It is on two or three links, of which IFLA_LINK names only one.
        LinkInfo::Data(InfoData::Hsr(hsr)) => {
            link.lower.extend(hsr.iter().filter_map(|info| match info {
                InfoHsr::Port1(index) | InfoHsr::Port2(index) | InfoHsr::Interlink(index) => {
                    names.get(index).cloned()
                }
                _ => None,
            }));
        }
        LinkInfo::Data(InfoData::Vlan(vlan)) => {
            let id = vlan.iter().find_map(|info| match info {
                InfoVlan::Id(id) => Some(*id),
                _ => None,
            });
            if let Some(id) = id {
                link.kind = LinkType::Vlan { id, parent: None };
            }
        }
        LinkInfo::PortData(InfoPortData::BridgePort(port)) => {
            link.isolated = port.contains(&InfoBridgePort::Isolated(true));
        }
        _ => {}
    }
}

/// The link's device path below /sys/devices; None for virtual links.
fn device_path(name: &str) -> Option<String> {
    let device = Path::new("/sys/class/net").join(name).join("device");
    let path = std::fs::canonicalize(device).ok()?;
    let below = path.strip_prefix("/sys/devices").ok()?;
    Some(below.to_str()?.to_owned())
}

/// An address that the kernel did not assign by itself.
fn address(message: &AddressMessage) -> Option<Held<IpNet>> {
    let own = own_address(message).filter(|own| !is_link_local(own))?;
    let protocol = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            AddressAttribute::Protocol(number) => Some(*number),
            _ => None,
        });
    if protocol == Some(AddressProtocol::RouterAnnouncement) {
        return None;
    }
    let value = IpNet::new(own, message.header.prefix_len).ok()?;
    let ours = protocol == Some(AddressProtocol::Other(OURS));
    Some(Held { value, ours })
}

/// Local is our own address; on a point-to-point link, Address is the peer's. IPv6 has
/// Local only on such links (inet6_fill_ifaddr).
fn own_address(message: &AddressMessage) -> Option<IpAddr> {
    let (mut local, mut address) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(own) => local = Some(*own),
            AddressAttribute::Address(own) => address = Some(*own),
            _ => {}
        }
    }
    local.or(address)
}

/// The address at the other end of a point-to-point link.
fn peer(message: &AddressMessage) -> Option<IpNet> {
    let peer = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            AddressAttribute::Address(peer) => Some(*peer),
            _ => None,
        })?;
    let is_own = own_address(message) == Some(peer);
    IpNet::new(peer, message.header.prefix_len)
        .ok()
        .filter(|_| !is_own)
}

fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

type ReadRoutes = (Vec<Held<Route>>, Vec<OtherRoute>);

/// Routes of the kinds that camfw creates, and others that the kernel did not create. A
/// dump without a family covers all families of the kernel.
async fn routes(handle: &Handle, names: &Names) -> Result<ReadRoutes, rtnetlink::Error> {
    let request = RouteMessageBuilder::<IpAddr>::new().build();
    let messages: Vec<RouteMessage> = handle.route().get(request).execute().try_collect().await?;
    let mut others = Vec::new();
    let held = messages.iter().filter_map(|message| {
        let protocol = message.header.protocol;
        let is_written = protocol == OUR_ROUTES;
        let on_link = |route: &Route| matches!(route.way, NextHop::Link { gateway: None, .. });
        let value = route(message, names).filter(|route| is_written || !on_link(route));
        let Some(value) = value else {
            others.extend(unmanaged::route(message, names));
            return None;
        };
        let ours = is_written
            || value.way == NextHop::Unreachable && protocol == RouteProtocol::Other(LEASED);
        Some(Held { value, ours })
    });
    Ok((held.collect(), others))
}

/// Whether the kernel created the route by itself. A cloned route stores the path MTU
/// of one host; it even has the protocol number of the route it was cloned from, and
/// expires by itself.
pub fn is_the_kernels(message: &RouteMessage) -> bool {
    let kernels = matches!(
        message.header.protocol,
        RouteProtocol::Kernel | RouteProtocol::Ra | RouteProtocol::IcmpRedirect
    );
    kernels || message.header.flags.contains(RouteFlags::Cloned)
}

fn route(message: &RouteMessage, names: &Names) -> Option<Route> {
    let RouteHeader {
        address_family,
        destination_prefix_length,
        table,
        kind,
        ..
    } = message.header;
    if is_the_kernels(message) {
        return None;
    }
    let mut destination = match address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let (mut gateway, mut link, mut metric, mut table) = (None, None, 0, u32::from(table));
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => destination = ip(address)?,
            RouteAttribute::Gateway(address) => gateway = ip(address),
            RouteAttribute::Oif(index) => link = names.get(index).cloned(),
            RouteAttribute::Priority(priority) => metric = *priority,
            RouteAttribute::Table(number) => table = *number,
            // Several next hops, a tunnel, or a gateway of the other family.
            RouteAttribute::MultiPath(_)
            | RouteAttribute::EncapType(_)
            | RouteAttribute::Via(_)
            | RouteAttribute::Source(_) => return None,
            _ => {}
        }
    }
    let way = match kind {
        RouteType::Unicast => NextHop::Link {
            gateway,
            link: link?,
        },
        RouteType::BlackHole => NextHop::Blackhole,
        RouteType::Unreachable => NextHop::Unreachable,
        _ => return None,
    };
    let destination = IpNet::new(destination, destination_prefix_length).ok()?;
    Some(Route {
        destination,
        way,
        metric,
        table,
    })
}

pub fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

async fn neighbours(
    handle: &Handle,
    names: &Names,
) -> Result<Vec<Held<Neighbour>>, rtnetlink::Error> {
    let messages: Vec<_> = handle.neighbours().get().execute().try_collect().await?;
    let permanent = messages
        .iter()
        .filter(|message| message.header.state == NeighbourState::Permanent);
    let held = permanent.filter_map(|message| {
        let (mut mac, mut ours) = (None, false);
        for attribute in &message.attributes {
            match attribute {
                NeighbourAttribute::LinkLayerAddress(bytes) => mac = six_bytes(bytes),
                NeighbourAttribute::Protocol(protocol) => ours = *protocol == OUR_ROUTES,
                _ => {}
            }
        }
        let link = names.get(&message.header.ifindex)?.clone();
        Some(Held {
            value: Neighbour {
                address: neighbour_address(message)?,
                mac: mac?,
                link,
            },
            ours,
        })
    });
    Ok(held.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(index: u32, attributes: Vec<LinkAttribute>) -> Link {
        let names: Names = ["eth1", "eth2", "ovs-system", "up0"]
            .iter()
            .zip(1..)
            .map(|(name, index)| (index, (*name).to_owned()))
            .collect();
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes = attributes;
        link(&message, &names[&index], &names)
    }

    fn of_kind(kind: InfoKind) -> LinkAttribute {
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)])
    }

    #[test]
    fn kinds_that_are_not_in_every_kernel_are_seen_by_their_attributes() {
        let ovs = InfoKind::Other("openvswitch".into());
        assert_eq!(
            seen(3, vec![of_kind(ovs)]).link_type.as_deref(),
            Some("openvswitch")
        );
        let port = seen(1, vec![LinkAttribute::Controller(3)]);
        assert_eq!(port.controller.as_deref(), Some("ovs-system"));
        let ipvlan = seen(4, vec![LinkAttribute::Link(1), of_kind(InfoKind::IpVlan)]);
        assert_eq!(ipvlan.lower, ["eth1"]);
        assert_eq!(ipvlan.link_type.as_deref(), Some("ipvlan"));
        // Its lower link has index 1 in another namespace.
        let elsewhere = vec![LinkAttribute::Link(1), LinkAttribute::LinkNetNsId(0)];
        assert!(seen(4, elsewhere).lower.is_empty());
        let ports = vec![InfoHsr::Port1(1), InfoHsr::Port2(2)];
        let info = vec![
            LinkInfo::Kind(InfoKind::Hsr),
            LinkInfo::Data(InfoData::Hsr(ports)),
        ];
        let hsr = seen(4, vec![LinkAttribute::LinkInfo(info)]);
        assert_eq!(hsr.lower, ["eth1", "eth2"]);
    }

    #[test]
    fn an_xdp_program_is_one_that_is_attached() {
        let with = |attached| {
            let info = LinkAttribute::Xdp(vec![LinkXdp::Attached(attached)]);
            seen(1, vec![info]).xdp
        };
        assert!(!with(XdpAttached::None));
        for attached in [
            XdpAttached::Driver,
            XdpAttached::SocketBuffer,
            XdpAttached::Hardware,
            XdpAttached::Multiple,
        ] {
            assert!(with(attached));
        }
    }
}
