//! Routes, rules and neighbours that camfw never creates, to report as drift.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{NeighbourFlags, NeighbourMessage};
use netlink_packet_route::route::{
    RouteAttribute, RouteLwEnCapType, RouteMessage, RouteProtocol, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use nix::libc;

use super::connection::NetlinkConnection;
use super::read::{Names, ip, is_the_kernels};
use super::seen::neighbour_address;
use super::{LEASED, OUR_ROUTES};
use crate::net::{MAIN_TABLE, OtherRoute, OtherRule};

/// RT_TABLE_DEFAULT and RT_TABLE_LOCAL of include/uapi/linux/rtnetlink.h.
const DEFAULT_TABLE: u32 = 253;
const LOCAL_TABLE: u32 = 255;

/// The predefined rules of each family: priority and table (fib_default_rules_init in
/// net/ipv4/fib_rules.c).
const KERNELS_RULES: [(u32, u32); 3] = [
    (0, LOCAL_TABLE),
    (32_766, MAIN_TABLE),
    (32_767, DEFAULT_TABLE),
];

/// A route that the kernel did not create, or that sends packets on before the firewall, whoever
/// it says that it is of.
pub fn route(message: &RouteMessage, names: &Names) -> Option<OtherRoute> {
    let header = &message.header;
    let is_ours = header.protocol == OUR_ROUTES || header.protocol == RouteProtocol::Other(LEASED);
    // Before Linux 4.16, IPv6 routes for the kernel's own addresses had no protocol.
    let unsaid = header.protocol == RouteProtocol::Unspec
        && matches!(header.kind, RouteType::Local | RouteType::Anycast)
        && header.address_family == AddressFamily::Inet6;
    let passes = passes_by(&message.attributes);
    if passes.is_none() && (is_ours || unsaid || is_the_kernels(message)) {
        return None;
    }
    let mut destination = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let (mut links, mut table, mut several) = (Vec::new(), u32::from(header.table), false);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => destination = ip(address)?,
            RouteAttribute::Oif(index) => links.extend(names.get(index).cloned()),
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::MultiPath(hops) => {
                several = true;
                let hops = hops.iter();
                links.extend(hops.filter_map(|hop| names.get(&hop.interface_index).cloned()));
            }
            _ => {}
        }
    }
    Some(OtherRoute {
        destination: IpNet::new(destination, header.destination_prefix_length).ok()?,
        passes_by: passes,
        kind: match header.kind {
            RouteType::Unicast if several => "multipath",
            RouteType::Unicast => "unicast",
            RouteType::Local => "local",
            RouteType::Broadcast => "broadcast",
            RouteType::Anycast => "anycast",
            RouteType::Multicast => "multicast",
            RouteType::Prohibit => "prohibit",
            RouteType::Throw => "throw",
            RouteType::Nat => "nat",
            _ => "other",
        },
        links,
        table,
    })
}

/// What sends on the packets of a route as they are routed, before the hooks of the firewall
/// (seg6_local_input in net/ipv6/seg6_local.c, bpf_input in net/core/lwt_bpf.c).
fn passes_by(attributes: &[RouteAttribute]) -> Option<&'static str> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::EncapType(RouteLwEnCapType::Seg6Local) => Some("seg6local"),
        RouteAttribute::EncapType(RouteLwEnCapType::Bpf) => Some("bpf"),
        RouteAttribute::MultiPath(hops) => hops.iter().find_map(|hop| passes_by(&hop.attributes)),
        _ => None,
    })
}

/// A rule that neither the kernel nor camfw created.
pub fn rule(message: &RuleMessage) -> Option<OtherRule> {
    let header = &message.header;
    let ipv6 = match header.family {
        AddressFamily::Inet => false,
        AddressFamily::Inet6 => true,
        _ => return None,
    };
    let (mut priority, mut table, mut protocol) = (0, u32::from(header.table), None);
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Priority(number) => priority = *number,
            RuleAttribute::Table(number) => table = *number,
            RuleAttribute::Protocol(number) => protocol = Some(*number),
            _ => {}
        }
    }
    // FRA_PROTOCOL exists since Linux 4.17.
    let looks_up = header.action == RuleAction::ToTable;
    let whole = !message.attributes.iter().any(narrows);
    let from_the_start = looks_up && whole && KERNELS_RULES.contains(&(priority, table));
    if from_the_start || protocol == Some(RouteProtocol::Kernel) {
        return None;
    }
    Some(OtherRule {
        priority,
        table: looks_up.then_some(table),
        ipv6,
    })
}

/// Whether an attribute restricts a rule to some packets.
pub fn narrows(attribute: &RuleAttribute) -> bool {
    match attribute {
        RuleAttribute::Priority(_)
        | RuleAttribute::Table(_)
        | RuleAttribute::Protocol(_)
        // -1 is the default, which suppresses nothing.
        | RuleAttribute::SuppressPrefixLen(u32::MAX)
        | RuleAttribute::SuppressIfGroup(u32::MAX)
        | RuleAttribute::FwMask(u32::MAX)
        // Padding, and attributes of later kernels.
        | RuleAttribute::Other(_) => false,
        RuleAttribute::FwMark(mark) => *mark != 0,
        RuleAttribute::FwMask(mask) => *mask != 0,
        RuleAttribute::L3MDev(is) => *is,
        RuleAttribute::TunId(id) => *id != 0,
        _ => true,
    }
}

/// Proxy entries: the kernel answers ARP requests or neighbour solicitations for them.
pub fn proxied(
    connection: &mut NetlinkConnection,
    names: &Names,
) -> io::Result<Vec<(IpAddr, String)>> {
    let mut request = NeighbourMessage::default();
    request.header.flags = NeighbourFlags::Proxy;
    let messages: Vec<NeighbourMessage> = connection.dump(libc::RTM_GETNEIGH, &request)?;
    let proxied = messages.iter().filter_map(|message| {
        let address = neighbour_address(message)?;
        // An entry without a link applies to all links.
        let link = names.get(&message.header.ifindex).cloned();
        Some((address, link.unwrap_or_default()))
    });
    Ok(proxied.collect())
}
