//! Converts the kernel's dumps to `net::Current`.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol,
};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteType,
};
use nix::libc;
use rtnetlink::RouteMessageBuilder;

use super::connection::NetlinkConnection;
use super::link::{self, DumpedLink, LinkRequest, number, six_bytes};
use super::seen::neighbour_address;
use super::{LEASED, NetlinkError, OUR_ROUTES, OURS, frames, rules, unmanaged};
use crate::host::nfnetlink::attribute;
use crate::net::{
    Current, Held, Link, LinkType, MAIN_TABLE, Neighbour, NextHop, OtherRoute, Route,
};

/// Reads everything.
pub fn all(connection: &mut NetlinkConnection) -> Result<Current, NetlinkError> {
    let failed = |what| move |error| NetlinkError::Read { what, error };
    let (mut links, names) = links(connection).map_err(failed("links"))?;
    let messages = addresses(connection).map_err(failed("addresses"))?;
    // Since Linux 5.18, that of the loopback among them.
    let has_protocols = messages.iter().any(|message| protocol(message).is_some());
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
        if is_advertised(message, has_protocols) {
            let own = own_address(message);
            let own = own.and_then(|own| IpNet::new(own, message.header.prefix_len).ok());
            link.advertised.extend(own);
            continue;
        }
        if let Some(address) = address(message) {
            if message.header.flags.contains(AddressHeaderFlags::Dadfailed) {
                link.duplicates.push(address.value);
            }
            link.peers.extend(peer(message));
            link.addresses.push(address);
        }
    }
    let forwarding = frames::forwarding(connection).map_err(failed("forwarding entries"))?;
    frames::complete(connection, &forwarding, &mut links, &names)
        .map_err(failed("traffic control"))?;
    let (routes, other_routes, kernel_routes) =
        routes(connection, &names).map_err(failed("routes"))?;
    let rules = rules::all(connection).map_err(failed("rules"))?;
    let neighbours = neighbours(connection, &names);
    let proxied = unmanaged::proxied(connection, &names);
    Ok(Current {
        routes,
        other_routes,
        kernel_routes,
        rules: rules.marks,
        source_rules: rules.sources,
        other_rules: rules.others,
        neighbours: neighbours.map_err(failed("neighbours"))?,
        forwarding: frames::bridged(&forwarding, &links, &names),
        proxied: proxied.map_err(failed("proxied neighbours"))?,
        links,
    })
}

/// The kernel's indexes of the links, by name.
pub fn indexes(connection: &mut NetlinkConnection) -> Result<HashMap<String, u32>, NetlinkError> {
    let (_, names) = links(connection).map_err(|error| NetlinkError::Read {
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
pub fn links(connection: &mut NetlinkConnection) -> io::Result<(Vec<Link>, Names)> {
    let messages = dumped_links(connection)?;
    let names: Names = messages
        .iter()
        .filter_map(|message| Some((message.index, message.name()?)))
        .collect();
    let links = messages
        .iter()
        .filter_map(|message| Some(link(message, names.get(&message.index)?, &names)))
        .collect();
    Ok((links, names))
}

pub fn dumped_links(connection: &mut NetlinkConnection) -> io::Result<Vec<DumpedLink>> {
    connection.dump(libc::RTM_GETLINK, &LinkRequest::default())
}

pub fn addresses(connection: &mut NetlinkConnection) -> io::Result<Vec<AddressMessage>> {
    connection.dump(libc::RTM_GETADDR, &AddressMessage::default())
}

fn link(message: &DumpedLink, name: &str, names: &Names) -> Link {
    let named = |index: Option<u32>| index.and_then(|index| names.get(&index).cloned());
    let mut link = Link {
        name: name.to_owned(),
        up: message.flags & link::UP != 0,
        carrier: message.flags & link::LOWER_UP != 0,
        path: device_path(name),
        mtu: message.number(link::MTU).unwrap_or_default(),
        made: message.number(link::GROUP) == Some(link::MADE),
        alias: message
            .attribute(link::ALIAS)
            .map(link::text)
            .unwrap_or_default(),
        controller: named(message.number(link::CONTROLLER)),
        mac: message.attribute(link::ADDRESS).and_then(six_bytes),
        ..Link::default()
    };
    let asked = message.flags & link::PROMISCUOUS != 0;
    let promiscuity = message.number(link::PROMISCUITY).unwrap_or_default();
    link.promiscuity = promiscuity.saturating_sub(u32::from(asked));
    // With a namespace the lower link's index belongs to that.
    let elsewhere = message.attribute(link::NAMESPACE).is_some();
    link.lower = match elsewhere {
        true => Vec::new(),
        false => named(message.number(link::LOWER)).into_iter().collect(),
    };
    let xdp = message.attribute(link::XDP);
    let attached = xdp.and_then(|xdp| attribute(xdp, link::XDP_ATTACHED)?.first());
    link.xdp = attached.is_some_and(|way| *way != 0);
    if let Some(info) = message.attribute(link::INFO) {
        let kind = attribute(info, link::KIND).map(link::text);
        let data = attribute(info, link::DATA).unwrap_or_default();
        match kind.as_deref() {
            Some("bridge") => link.kind = LinkType::Bridge,
            Some("vlan") => {
                if let Some(id) = attribute(data, link::VLAN_ID).and_then(|id| id.first_chunk()) {
                    link.kind = LinkType::Vlan {
                        id: u16::from_ne_bytes(*id),
                        parent: link.lower.first().cloned(),
                    };
                }
            }
            // It is on two or three links, of which IFLA_LINK names only one.
            Some("hsr") if !elsewhere => {
                let ports = link::HSR_PORTS.into_iter();
                let ports = ports.filter_map(|port| number(attribute(data, port)?));
                link.lower
                    .extend(ports.filter_map(|port| named(Some(port))));
            }
            _ => {}
        }
        link.link_type = kind;
        if attribute(info, link::PORT_KIND).map(link::text).as_deref() == Some("bridge") {
            let data = attribute(info, link::PORT_DATA).unwrap_or_default();
            let setting = |kind| attribute(data, kind).and_then(<[u8]>::first);
            link.isolated = setting(link::ISOLATED).is_some_and(|is| *is != 0);
            link.locked = setting(link::LOCKED).is_some_and(|is| *is != 0);
            link.learns_nothing = setting(link::LEARNING) == Some(&0);
        }
    }
    link
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
    let value = IpNet::new(own, message.header.prefix_len).ok()?;
    let ours = protocol(message) == Some(AddressProtocol::Other(OURS));
    Some(Held { value, ours })
}

fn protocol(message: &AddressMessage) -> Option<AddressProtocol> {
    let mut attributes = message.attributes.iter();
    attributes.find_map(|attribute| match attribute {
        AddressAttribute::Protocol(number) => Some(*number),
        _ => None,
    })
}

/// Whether the kernel made an address of a router advertisement. Where it does not say so,
/// such an address has a flag that others rarely have (addrconf_prefix_rcv_add_addr in
/// net/ipv6/addrconf.c).
fn is_advertised(message: &AddressMessage, has_protocols: bool) -> bool {
    if has_protocols {
        return protocol(message) == Some(AddressProtocol::RouterAnnouncement);
    }
    let mut attributes = message.attributes.iter();
    attributes.any(|attribute| match attribute {
        AddressAttribute::Flags(flags) => flags.contains(AddressFlags::Managetempaddr),
        _ => false,
    })
}

/// Local is our own address; on a point-to-point link, Address is the peer's. IPv6 has
/// Local only on such links (inet6_fill_ifaddr).
pub fn own_address(message: &AddressMessage) -> Option<IpAddr> {
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

type ReadRoutes = (Vec<Held<Route>>, Vec<OtherRoute>, Vec<Route>);

/// Routes of the kinds that camfw creates, others that the kernel did not create, and IPv6
/// ones that it did. A dump without a family covers all families of the kernel.
fn routes(connection: &mut NetlinkConnection, names: &Names) -> io::Result<ReadRoutes> {
    let request = RouteMessageBuilder::<IpAddr>::new().build();
    let messages: Vec<RouteMessage> = connection.dump(libc::RTM_GETROUTE, &request)?;
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
    let held = held.collect();
    let kernels = messages.iter().filter(|it| is_the_kernels(it));
    let kernels = kernels.filter(|it| !it.header.flags.contains(RouteFlags::Cloned));
    let kernels = kernels.filter_map(|message| parsed(message, names));
    let kernels = kernels.filter(|route| {
        let is_link_local = is_link_local(&route.destination.addr());
        route.destination.addr().is_ipv6() && route.table == MAIN_TABLE && !is_link_local
    });
    Ok((held, others, kernels.collect()))
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
    match is_the_kernels(message) {
        true => None,
        false => parsed(message, names),
    }
}

fn parsed(message: &RouteMessage, names: &Names) -> Option<Route> {
    let RouteHeader {
        address_family,
        destination_prefix_length,
        table,
        kind,
        ..
    } = message.header;
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

pub fn dumped_neighbours(connection: &mut NetlinkConnection) -> io::Result<Vec<NeighbourMessage>> {
    connection.dump(libc::RTM_GETNEIGH, &NeighbourMessage::default())
}

fn neighbours(
    connection: &mut NetlinkConnection,
    names: &Names,
) -> io::Result<Vec<Held<Neighbour>>> {
    let messages = dumped_neighbours(connection)?;
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
    use netlink_packet_core::{Emitable, Parseable};
    use netlink_packet_route::link::{
        InfoData, InfoHsr, InfoKind, LinkAttribute, LinkInfo, LinkMessage, LinkXdp, XdpAttached,
    };

    use super::*;

    /// A link, read from the format that the kernel sends.
    fn seen(index: u32, attributes: Vec<LinkAttribute>) -> Link {
        let names: Names = ["eth1", "eth2", "ovs-system", "up0"]
            .iter()
            .zip(1..)
            .map(|(name, index)| (index, (*name).to_owned()))
            .collect();
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes = attributes;
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        let Ok(message) = DumpedLink::parse(&bytes) else {
            panic!("no link: {bytes:?}");
        };
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
