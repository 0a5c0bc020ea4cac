//! Cameras, routes, marks and kernel settings: written -> checked against the zones.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use toml::Spanned;

use super::own_address::needs_same;
use super::resolve::named;
use super::{Camera, Ipv6Mode, Origin, Role, Zone, ZoneIndex};
use crate::config::{self, Config};
use crate::name::{CameraName, MacAddress};
use crate::net::{LAST_METRICS, MAIN_TABLE, MarkRule, Route, Way, default_metric};
use crate::source::{Refusal, Source};

/// The cameras that the file names.
pub fn cameras(config: &Config, zones: &[Zone], source: &Source) -> Result<Vec<Camera>, Refusal> {
    let mut cameras: Vec<Camera> = Vec::new();
    // What each name, address and hardware address is taken by; there may be
    // thousands.
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for written in &config.cameras {
        let camera = camera(written, zones, source)?;
        let mac = written.mac.as_ref().zip(camera.mac);
        let own = [
            ("name", camera.name.to_string(), written.name.span()),
            (
                "address",
                camera.address.to_string(),
                written.address.span(),
            ),
        ];
        let mac = mac.map(|(written, mac)| ("hardware address", mac.to_string(), written.span()));
        for (what, value, span) in own.into_iter().chain(mac) {
            if let Some(other) = taken.insert(value, cameras.len()) {
                let other: &Camera = &cameras[other];
                return Err(source.refuse(
                    span,
                    format_args!(
                        "camera {} ({}) has this {what} already; give each its own",
                        other.name, other.origin
                    ),
                ));
            }
        }
        if let Some(zone) = zones
            .iter()
            .find(|zone| zone.name.as_str() == camera.name.as_str())
        {
            return Err(source.refuse(
                written.name.span(),
                format_args!(
                    "a zone is called {} ({}); give the camera another name",
                    zone.name, zone.origin
                ),
            ));
        }
        cameras.push(camera);
    }
    Ok(cameras)
}

fn camera(written: &config::Camera, zones: &[Zone], source: &Source) -> Result<Camera, Refusal> {
    let address = ipv4(&written.address, source)?;
    let refuse = |what: String| Err(source.refuse(written.address.span(), what));
    if zones
        .iter()
        .any(|zone| zone.addresses.iter().any(|own| own.addr() == address))
    {
        return refuse(format!(
            "{address} is the router's own address; give the camera's"
        ));
    }
    let Some((zone, network)) = zone_of(address.into(), zones) else {
        return refuse(format!(
            "{address} is in no zone's network; give the camera's address in one"
        ));
    };
    if network.prefix_len() < 31 && (address == network.network() || address == network.broadcast())
    {
        return refuse(format!(
            "{address} is no host's address in {network}; give the camera's"
        ));
    }
    let mac = written.mac.as_ref();
    Ok(Camera {
        name: named::<CameraName>(written.name.get_ref(), written.name.span(), source)?,
        address,
        mac: mac
            .map(|mac| named::<MacAddress>(mac.get_ref(), mac.span(), source))
            .transpose()?,
        zone,
        origin: Origin::new(source, written.name.span().start),
    })
}

fn zone_of(address: IpAddr, zones: &[Zone]) -> Option<(ZoneIndex, IpNet)> {
    zones.iter().enumerate().find_map(|(index, zone)| {
        let own = zone.own().find(|own| own.contains(&address))?;
        Some((ZoneIndex(index), own.trunc()))
    })
}

pub(super) fn ipv4(written: &Spanned<String>, source: &Source) -> Result<Ipv4Addr, Refusal> {
    written.get_ref().parse().map_err(|_| {
        source.refuse(
            written.span(),
            format_args!(
                "{:?} is not an IPv4 address; write it as 192.168.8.110",
                written.get_ref()
            ),
        )
    })
}

/// The routes that the file names.
pub fn routes(
    config: &Config,
    zones: &[Zone],
    mode: Ipv6Mode,
    source: &Source,
) -> Result<Vec<Route>, Refusal> {
    let mut routes: Vec<Route> = Vec::new();
    for written in &config.routes {
        let route = route(written, zones, mode, source)?;
        let slot = |route: &Route| (route.destination, route.metric, route.table);
        if routes.iter().any(|other| slot(other) == slot(&route)) {
            return Err(source.refuse(
                written.span(),
                "there is a route to the same destination with the same metric already; remove one or give it another metric",
            ));
        }
        routes.push(route);
    }
    Ok(routes)
}

fn route(
    written: &Spanned<config::Route>,
    zones: &[Zone],
    mode: Ipv6Mode,
    source: &Source,
) -> Result<Route, Refusal> {
    let config::Route {
        to,
        via,
        blackhole,
        metric,
        table,
    } = written.get_ref();
    let destination = destination(to, mode, source)?;
    let metric = match *metric {
        0 => default_metric(&destination),
        metric if metric >= LAST_METRICS => {
            return Err(source.refuse(
                written.span(),
                format_args!("metrics from {LAST_METRICS} on are those of the unreachable routes which camfw puts behind others; use a lower one"),
            ));
        }
        metric => metric,
    };
    let way = match (via, blackhole) {
        (Some(via), false) => {
            let gateway = next_router(via, &destination, source)?;
            let zone = zone_of(gateway, zones).map(|(ZoneIndex(index), _)| &zones[index]);
            match zone {
                Some(zone) if zone.own().all(|own| own.addr() != gateway) => Way::Gateway {
                    gateway,
                    link: zone.interface.to_string(),
                },
                Some(_) => {
                    return Err(source.refuse(
                        via.span(),
                        format_args!(
                            "{gateway} is the router's own address; give the next router's"
                        ),
                    ));
                }
                None => {
                    return Err(source.refuse(
                        via.span(),
                        format_args!("{gateway} is in no zone's network; give a router that is"),
                    ));
                }
            }
        }
        (None, true) => Way::Blackhole,
        _ => {
            return Err(source.refuse(
                written.span(),
                "a route is either via a router or blackhole = true; write one of the two",
            ));
        }
    };
    let table = match table {
        Some(table) => table_number(table, source)?,
        None => MAIN_TABLE,
    };
    // What a route leads to is taken for the sources of its zone; an external
    // zone's are anything but the others' networks.
    let by = match &way {
        Way::Gateway { link, .. } => zones.iter().find(|zone| zone.interface.as_str() == link),
        Way::Blackhole | Way::Unreachable => None,
    };
    let overlaps = |own: IpNet| destination.contains(&own.network()) || own.contains(&destination);
    if let Some(by) = by
        && by.role != Role::External
        && destination.prefix_len() > 0
        && let Some(zone) = zones
            .iter()
            .find(|zone| zone.interface != by.interface && zone.own().any(overlaps))
    {
        return Err(source.refuse(
            to.span(),
            format_args!("{destination} overlaps the network of zone {}, whose sources it would let in elsewhere; make the route narrower", zone.name),
        ));
    }
    let is_zones = |zone: &Zone| zone.own().any(|own| own.trunc() == destination);
    let has_gateway = |zone: &Zone| match destination {
        IpNet::V4(_) => zone.dhcp || zone.gateway.is_some(),
        IpNet::V6(_) => zone.gateway6.is_some(),
    };
    if table == MAIN_TABLE
        && metric == default_metric(&destination)
        && (zones.iter().any(is_zones)
            || (destination.prefix_len() == 0 && zones.iter().any(has_gateway)))
    {
        return Err(source.refuse(
            to.span(),
            format_args!(
                "{destination} has a route by its zone already; remove this one or give it a metric"
            ),
        ));
    }
    Ok(Route {
        destination,
        way,
        metric,
        table,
    })
}

fn destination(
    written: &Spanned<String>,
    mode: Ipv6Mode,
    source: &Source,
) -> Result<IpNet, Refusal> {
    let text = written.get_ref();
    match text.parse::<IpNet>() {
        Ok(network) if network == network.trunc() => {
            if matches!(network, IpNet::V6(_)) {
                needs_same(text, mode, written.span(), source)?;
            }
            Ok(network)
        }
        _ => {
            let what = match mode {
                Ipv6Mode::Drop => "an IPv4 network; write it as 10.1.0.0/16",
                Ipv6Mode::Same => "a network; write it as 10.1.0.0/16 or fd00:1::/48",
            };
            Err(source.refuse(written.span(), format_args!("{text:?} is not {what}")))
        }
    }
}

/// The router that a route leads by, of the destination's family.
fn next_router(
    written: &Spanned<String>,
    destination: &IpNet,
    source: &Source,
) -> Result<IpAddr, Refusal> {
    let text = written.get_ref();
    let refuse = |what: String| Err(source.refuse(written.span(), what));
    match (destination, text.parse::<IpAddr>()) {
        (IpNet::V4(_), Ok(IpAddr::V6(_))) | (IpNet::V6(_), Ok(IpAddr::V4(_))) => refuse(format!(
            "{text} is of another family than {destination}; give a router of the same"
        )),
        (_, Ok(IpAddr::V6(router))) if router.is_unicast_link_local() => refuse(format!(
            "{text} is link-local, which does not say on which interface; give the router's address in a zone's network"
        )),
        (_, Ok(router)) => Ok(router),
        (IpNet::V4(_), Err(_)) => ipv4(written, source).map(IpAddr::V4),
        (IpNet::V6(_), Err(_)) => refuse(format!(
            "{text:?} is not an IPv6 address; write it as fd00:8::110"
        )),
    }
}

/// The rules that send marked packets to tables of their own, for each family
/// that the file has pass.
pub fn mark_rules(
    config: &Config,
    mode: Ipv6Mode,
    source: &Source,
) -> Result<Vec<MarkRule>, Refusal> {
    let families: &[bool] = match mode {
        Ipv6Mode::Drop => &[false],
        Ipv6Mode::Same => &[false, true],
    };
    let mut rules = Vec::new();
    for written in &config.marks {
        let (mark, table) = mark_rule(written, source)?;
        rules.extend(families.iter().map(|ipv6| MarkRule {
            mark,
            table,
            ipv6: *ipv6,
        }));
    }
    Ok(rules)
}

fn mark_rule(written: &config::Mark, source: &Source) -> Result<(u32, u32), Refusal> {
    let mark = u32::try_from(*written.fwmark.get_ref())
        .ok()
        .filter(|mark| *mark > 0);
    let mark = mark.ok_or_else(|| {
        source.refuse(
            written.fwmark.span(),
            "a mark is 1 to 4294967295; 0 is no mark",
        )
    })?;
    Ok((mark, table_number(&written.table, source)?))
}

pub(super) fn table_number(written: &Spanned<i64>, source: &Source) -> Result<u32, Refusal> {
    // 253 to 255 are default, main and local (include/uapi/linux/rtnetlink.h).
    u32::try_from(*written.get_ref())
        .ok()
        .filter(|table| *table > 0 && !(253..=255).contains(table))
        .ok_or_else(|| {
            source.refuse(
                written.span(),
                format_args!(
                    "{} is not a table of your own; use 1 to 252 or 256 and more",
                    written.get_ref()
                ),
            )
        })
}

/// The kernel settings that the file sets otherwise; only those that camfw sets.
pub fn sysctls(
    config: &Config,
    known: &[String],
    source: &Source,
) -> Result<BTreeMap<String, String>, Refusal> {
    config
        .sysctls
        .iter()
        .map(|(key, value)| {
            let config::SysctlValue(text) = value.get_ref();
            if !known.contains(key.get_ref()) {
                return Err(source.refuse(
                    key.span(),
                    format_args!("camfw does not set {:?}; `camfw show sysctls` lists what it sets, put others into sysctl.conf", key.get_ref()),
                ));
            }
            // One number is all that any of them takes.
            match text.parse::<i32>() {
                Ok(number) => Ok((key.get_ref().clone(), number.to_string())),
                Err(_) => Err(source.refuse(value.span(), format_args!("{text:?} is not a number; give one"))),
            }
        })
        .collect()
}
