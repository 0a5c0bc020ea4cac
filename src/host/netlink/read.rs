//! The kernel's dumps -> `network::Current`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use futures_util::TryStreamExt;
use ipnet::Ipv4Net;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressProtocol};
use netlink_packet_route::link::{
    InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoVlan, LinkAttribute, LinkFlags, LinkInfo,
    LinkMessage,
};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourState};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType,
};
use netlink_packet_route::rule::{RuleAttribute, RuleMessage};
use nix::libc;
use rtnetlink::{Handle, IpVersion, RouteMessageBuilder};

use super::{NetlinkError, OUR_ROUTES, OURS};
use crate::name::MacAddress;
use crate::network::{Current, Held, Kind, Link, MarkRule, Neighbour, Route, Way};

/// All of it.
pub async fn all(handle: &Handle) -> Result<Current, NetlinkError> {
    let failed = |what| move |error| NetlinkError::Read { what, error };
    let (mut links, names) = links(handle).await.map_err(failed("links"))?;
    let addresses = addresses(handle).await.map_err(failed("addresses"))?;
    for (index, address) in addresses {
        let link = names
            .get(&index)
            .and_then(|name| links.iter_mut().find(|link| link.name == *name));
        if let Some(link) = link {
            link.addresses.push(address);
        }
    }
    Ok(Current {
        routes: routes(handle, &names).await.map_err(failed("routes"))?,
        rules: rules(handle).await.map_err(failed("rules"))?,
        neighbours: neighbours(handle, &names)
            .await
            .map_err(failed("neighbours"))?,
        links,
    })
}

/// The kernel's numbers of the links.
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

type Names = HashMap<u32, String>;

/// Every link, without its addresses, and their names by number.
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
        path: device_path(name),
        ..Link::default()
    };
    let mut lower = None;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Link(index) => lower = names.get(index).cloned(),
            LinkAttribute::Controller(index) => link.bridge = names.get(index).cloned(),
            LinkAttribute::Address(bytes) => {
                link.mac = <[u8; 6]>::try_from(bytes.as_slice())
                    .ok()
                    .map(MacAddress::from);
            }
            LinkAttribute::LinkInfo(infos) => infos.iter().for_each(|info| kind(&mut link, info)),
            _ => {}
        }
    }
    if let Kind::Vlan { parent, .. } = &mut link.kind {
        *parent = lower;
    }
    link
}

fn kind(link: &mut Link, info: &LinkInfo) {
    match info {
        LinkInfo::Kind(InfoKind::Bridge) => link.kind = Kind::Bridge,
        LinkInfo::Data(InfoData::Vlan(vlan)) => {
            let id = vlan.iter().find_map(|info| match info {
                InfoVlan::Id(id) => Some(*id),
                _ => None,
            });
            if let Some(id) = id {
                link.kind = Kind::Vlan { id, parent: None };
            }
        }
        LinkInfo::PortData(InfoPortData::BridgePort(port)) => {
            link.isolated = port.contains(&InfoBridgePort::Isolated(true));
        }
        _ => {}
    }
}

/// Where the link's device is below /sys/devices; a link that is made has none.
fn device_path(name: &str) -> Option<String> {
    let device = Path::new("/sys/class/net").join(name).join("device");
    let path = std::fs::canonicalize(device).ok()?;
    let below = path.strip_prefix("/sys/devices").ok()?;
    Some(below.to_str()?.to_owned())
}

async fn addresses(handle: &Handle) -> Result<Vec<(u32, Held<Ipv4Net>)>, rtnetlink::Error> {
    let messages: Vec<_> = handle.address().get().execute().try_collect().await?;
    let held = messages
        .iter()
        .filter(|message| message.header.family == AddressFamily::Inet);
    let held = held.filter_map(|message| {
        // Local is our own end; on a point-to-point link Address is the peer's.
        let local = message
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
                _ => None,
            })?;
        let ours = AddressAttribute::Protocol(AddressProtocol::Other(OURS));
        let value = Ipv4Net::new(local, message.header.prefix_len).ok()?;
        let ours = message.attributes.contains(&ours);
        Some((message.header.index, Held { value, ours }))
    });
    Ok(held.collect())
}

async fn routes(handle: &Handle, names: &Names) -> Result<Vec<Held<Route>>, rtnetlink::Error> {
    let request = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let messages: Vec<RouteMessage> = handle.route().get(request).execute().try_collect().await?;
    let held = messages.iter().filter_map(|message| {
        let ours = message.header.protocol == OUR_ROUTES;
        Some(Held {
            value: route(message, names)?,
            ours,
        })
    });
    Ok(held.collect())
}

fn route(message: &RouteMessage, names: &Names) -> Option<Route> {
    let RouteHeader {
        destination_prefix_length,
        table,
        kind,
        ..
    } = message.header;
    let mut destination = Ipv4Addr::UNSPECIFIED;
    let (mut gateway, mut link, mut metric, mut table) = (None, None, 0, u32::from(table));
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => destination = *address,
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => gateway = Some(*address),
            RouteAttribute::Oif(index) => link = names.get(index).cloned(),
            RouteAttribute::Priority(priority) => metric = *priority,
            RouteAttribute::Table(number) => table = *number,
            _ => {}
        }
    }
    let way = match kind {
        RouteType::Unicast => Way::Gateway {
            gateway: gateway?,
            link: link?,
        },
        RouteType::BlackHole => Way::Blackhole,
        _ => return None,
    };
    let destination = Ipv4Net::new(destination, destination_prefix_length).ok()?;
    Some(Route {
        destination,
        way,
        metric,
        table,
    })
}

async fn rules(handle: &Handle) -> Result<Vec<Held<MarkRule>>, rtnetlink::Error> {
    let messages = rule_messages(handle).await?.unwrap_or_default();
    Ok(messages.iter().filter_map(rule).collect())
}

/// Whether the kernel has rules at all (CONFIG_IP_MULTIPLE_TABLES).
pub async fn has_rules(handle: &Handle) -> Result<bool, NetlinkError> {
    let messages = rule_messages(handle).await;
    let messages = messages.map_err(|error| NetlinkError::Read {
        what: "rules",
        error,
    })?;
    Ok(messages.is_some())
}

async fn rule_messages(handle: &Handle) -> Result<Option<Vec<RuleMessage>>, rtnetlink::Error> {
    let messages = handle.rule().get(IpVersion::V4).execute().try_collect();
    match messages.await {
        Ok(messages) => Ok(Some(messages)),
        Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc::EOPNOTSUPP => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A rule that looks at a mark and at nothing else.
fn rule(message: &RuleMessage) -> Option<Held<MarkRule>> {
    let (mut mark, mut table, mut ours) = (None, u32::from(message.header.table), false);
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::FwMark(value) => mark = Some(*value),
            RuleAttribute::Table(value) => table = *value,
            RuleAttribute::Protocol(protocol) => ours = *protocol == OUR_ROUTES,
            RuleAttribute::Source(_)
            | RuleAttribute::Destination(_)
            | RuleAttribute::Iifname(_)
            | RuleAttribute::Oifname(_)
            | RuleAttribute::IpProtocol(_)
            | RuleAttribute::SourcePortRange(_)
            | RuleAttribute::DestinationPortRange(_) => return None,
            _ => {}
        }
    }
    let value = MarkRule { mark: mark?, table };
    Some(Held { value, ours })
}

async fn neighbours(
    handle: &Handle,
    names: &Names,
) -> Result<Vec<Held<Neighbour>>, rtnetlink::Error> {
    let request = handle
        .neighbours()
        .get()
        .set_address_family(AddressFamily::Inet);
    let messages: Vec<_> = request.execute().try_collect().await?;
    let permanent = messages
        .iter()
        .filter(|message| message.header.state == NeighbourState::Permanent);
    let held = permanent.filter_map(|message| {
        let (mut address, mut mac, mut ours) = (None, None, false);
        for attribute in &message.attributes {
            match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(value)) => {
                    address = Some(*value)
                }
                NeighbourAttribute::LinkLayerAddress(bytes) => {
                    mac = <[u8; 6]>::try_from(bytes.as_slice())
                        .ok()
                        .map(MacAddress::from);
                }
                NeighbourAttribute::Protocol(protocol) => ours = *protocol == OUR_ROUTES,
                _ => {}
            }
        }
        let link = names.get(&message.header.ifindex)?.clone();
        Some(Held {
            value: Neighbour {
                address: address?,
                mac: mac?,
                link,
            },
            ours,
        })
    });
    Ok(held.collect())
}
