//! Resolves routes, and checks them against the zones.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::address::ipv4;
use super::mark::table_number;
use super::mistyped_address::{AddressForm, address_and_prefix, instead_of_address};
use super::own_address::require_ipv6_enabled;
use crate::config::{self, Config, Spanned};
use crate::net::{ASIDE, LAST_METRICS, MAIN_TABLE, NextHop, Route, default_metric};
use crate::policy::{Ipv6Mode, Role, Zone, ZoneIndex};
use crate::source::{Refusal, Refused, Source};

/// The routes that the file names.
pub fn routes(
    config: &Config,
    zones: &[Zone],
    mode: Ipv6Mode,
    source: &Source,
) -> Result<Vec<Route>, Refusal> {
    let mut routes: Vec<Route> = Vec::new();
    let mut refused = Refused::default();
    let networks = ZoneNetworks::of(zones);
    let mut taken: BTreeMap<(IpNet, u32, u32), usize> = BTreeMap::new();
    for written in &config.routes {
        let Some(route) = refused.note(route(written, zones, &networks, mode, source)) else {
            continue;
        };
        let slot = (route.destination, route.metric, route.table);
        let first = *taken.entry(slot).or_insert(written.span().start);
        if first != written.span().start {
            let first = source.pointer(first);
            let twice = source.refuse(
                written.span(),
                format_args!("there is a route to the same destination with the same metric already ({first}); remove one or give it another metric"),
            );
            refused.note::<()>(Err(twice));
        }
        routes.push(route);
    }
    // What a zone's hosts may have as their source is only known by such routes.
    for zone in zones {
        let leads_there = |route: &Route| {
            let by = matches!(&route.way, NextHop::Link { link, .. } if *link == zone.interface.as_str());
            by && route.destination.prefix_len() > 0
        };
        if zone.role != Role::External
            && zone.address_source.is_unknown()
            && !routes.iter().any(leads_there)
            && let Some((_, written)) = config
                .zones
                .iter()
                .find(|(name, _)| name.get_ref() == zone.name.as_str())
        {
            let unknown = source.refuse(
                written.address.span(),
                format_args!(
                    "who is in zone {name} is not known, so nothing of it would be let in; add [[routes]] to = \"10.8.0.0/24\" with its network, via = \"{name}\"",
                    name = zone.name
                ),
            );
            refused.note::<()>(Err(unknown));
        }
    }
    refused.or(routes)
}

fn route(
    written: &Spanned<config::RouteEntry>,
    zones: &[Zone],
    networks: &ZoneNetworks,
    mode: Ipv6Mode,
    source: &Source,
) -> Result<Route, Refusal> {
    let config::RouteEntry {
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
    // A zone's name stands for its interface, at whose other end the destination is.
    let by_name = via.as_ref().and_then(|via| {
        let mut zones = zones.iter();
        zones.find(|zone| zone.name.as_str() == via.get_ref())
    });
    let way = match (via, by_name, blackhole) {
        (Some(via), Some(zone), false) if zone.is_carrier() => {
            return Err(source.refuse(
                via.span(),
                format_args!(
                    "zone {} has no address, so nothing is behind it by itself; name the zone that its interface carries",
                    zone.name
                ),
            ));
        }
        (_, Some(zone), false) => NextHop::Link {
            link: zone.interface.to_string(),
            gateway: None,
        },
        (Some(via), _, false) => {
            let gateway = next_router(via, &destination, source)?;
            let mut near = networks.overlapping(gateway.into());
            match near.next().map(|ZoneIndex(index)| &zones[index]) {
                Some(zone) if zone.own().all(|own| own.addr() != gateway) => NextHop::Link {
                    link: zone.interface.to_string(),
                    gateway: Some(gateway),
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
                    let peer = zones.iter().find(|zone| is_of_two(zone, gateway));
                    return Err(source.refuse(
                        via.span(),
                        match peer {
                            Some(zone) => format!(
                                "{gateway} is in no zone's network; for the other end of {name}, which has a single address here, write via = \"{name}\"",
                                name = zone.name
                            ),
                            None => format!(
                                "{gateway} is in no zone's network; give a router that is"
                            ),
                        },
                    ));
                }
            }
        }
        (None, _, true) => NextHop::Blackhole,
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
    // A route's destination becomes a possible source in its zone; an external zone's
    // sources are all but the other zones' networks.
    let by = match &way {
        NextHop::Link { link, .. } => zones.iter().find(|zone| zone.interface.as_str() == link),
        NextHop::Blackhole | NextHop::Unreachable => None,
    };
    let beside = || networks.overlapping(destination);
    if let Some(by) = by
        && by.role != Role::External
        && destination.prefix_len() > 0
        && let Some(ZoneIndex(first)) = beside()
            .filter(|ZoneIndex(index)| zones[*index].interface != by.interface)
            .min()
    {
        let zone = &zones[first];
        return Err(source.refuse(
            to.span(),
            format_args!("{destination} overlaps the network of zone {}, whose sources it would let in elsewhere; make the route narrower", zone.name),
        ));
    }
    let is_zones = |zone: &Zone| zone.own().any(|own| own.trunc() == destination);
    let has_gateway = |zone: &&Zone| zone.gateway.is_some();
    let is_one_of_several = || zones.iter().filter(has_gateway).count() > 1;
    let is_default = |zone: &Zone| match destination {
        IpNet::V4(_) => {
            let is_aside = metric == zone.metric + ASIDE && is_one_of_several();
            has_gateway(&zone) && (metric == zone.metric || is_aside)
        }
        IpNet::V6(_) => zone.has_gateway6() && metric == default_metric(&destination),
    };
    let is_direct = metric == default_metric(&destination)
        && beside().any(|ZoneIndex(index)| is_zones(&zones[index]));
    if table == MAIN_TABLE
        && (is_direct || (destination.prefix_len() == 0 && zones.iter().any(is_default)))
    {
        return Err(source.refuse(
            to.span(),
            format_args!(
                "{destination} already has a route through its zone; remove this one or give it a metric"
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

/// The networks of zones, in their order. No two zones have an address in common.
struct ZoneNetworks(Vec<(IpNet, ZoneIndex)>);

impl ZoneNetworks {
    fn of(zones: &[Zone]) -> ZoneNetworks {
        let mut networks: Vec<(IpNet, ZoneIndex)> = Vec::new();
        for (index, zone) in zones.iter().enumerate() {
            for own in zone.own().map(|own| own.trunc()) {
                let place = networks.partition_point(|(known, _)| *known < own);
                networks.insert(place, (own, ZoneIndex(index)));
            }
        }
        // One within another is of the same zone.
        networks.dedup_by(|(inner, _), (outer, _)| outer.contains(&*inner));
        ZoneNetworks(networks)
    }

    /// The zones with networks that have addresses of this one.
    fn overlapping(&self, network: IpNet) -> impl Iterator<Item = ZoneIndex> {
        let (before, from) = self
            .0
            .split_at(self.0.partition_point(|(own, _)| *own < network));
        let around = before.last().filter(|(own, _)| own.contains(&network));
        let inside = from
            .iter()
            .take_while(move |(own, _)| network.contains(own));
        around.into_iter().chain(inside).map(|(_, zone)| *zone)
    }
}

/// Whether a zone has single addresses of a family alone, as one of a point-to-point link.
fn is_of_two(zone: &Zone, other: IpAddr) -> bool {
    let mut own = zone
        .own()
        .filter(|own| own.addr().is_ipv4() == other.is_ipv4())
        .peekable();
    own.peek().is_some() && own.all(|own| own.prefix_len() == own.max_prefix_len())
}

fn destination(
    written: &Spanned<String>,
    mode: Ipv6Mode,
    source: &Source,
) -> Result<IpNet, Refusal> {
    let text = written.get_ref();
    let refuse = |what: String| Err(source.refuse(written.span(), what));
    let Some(network) = address_and_prefix(text) else {
        let (what, example) = match mode {
            Ipv6Mode::Drop => ("an IPv4 network", "10.1.0.0/16"),
            Ipv6Mode::Same => ("a network", "10.1.0.0/16 or fd00:1::/48"),
        };
        let instead = instead_of_address(text, AddressForm::WithPrefix(example));
        return refuse(format!("{text:?} is not {what}; {instead}"));
    };
    if network != network.trunc() {
        return refuse(format!(
            "{network} is a host with its network's prefix; write {} for the network",
            network.trunc()
        ));
    }
    if matches!(network, IpNet::V6(_)) {
        require_ipv6_enabled(text, mode, written.span(), source)?;
    }
    Ok(network)
}

/// The next router of a route, of the destination's family.
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

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use crate::policy::Answers;

    #[test]
    fn the_zones_around_a_network_and_in_it_are_found() -> Result<(), Box<dyn Error>> {
        // The second has one network within another, and addresses of both families.
        let text = r#"
[ipv6]
mode = "same"
[zones.a]
interface = "eth0"
address = ["10.0.0.1/24", "fd00:1::1/64"]
role = "private"
[zones.b]
interface = "eth1"
address = ["10.1.0.1/16", "10.1.2.1/24", "10.0.1.1/24"]
role = "private"
[zones.c]
interface = "eth2"
address = ["10.0.2.1/31", "fd00::1/64"]
role = "private"
"#;
        let source = Source::new("camfw.toml", text);
        let policy = crate::policy(&source, &Answers::new())?;
        let networks = ZoneNetworks::of(&policy.zones);
        for asked in [
            "0.0.0.0/0",
            "::/0",
            "10.0.0.0/15",
            "10.0.0.0/23",
            "10.0.0.0/24",
            "10.0.0.7/32",
            "10.0.2.0/32",
            "10.0.2.2/32",
            "10.0.3.0/24",
            "10.1.2.0/24",
            "10.1.2.9/32",
            "10.1.3.9/32",
            "10.2.0.0/16",
            "9.0.0.0/8",
            "11.0.0.0/8",
            "fd00::/16",
            "fd00:1::5/128",
            "fd00:2::/64",
        ] {
            let asked: IpNet = asked.parse()?;
            let near = |own: IpNet| asked.contains(&own) || own.contains(&asked);
            let near = |zone: &&Zone| zone.own().any(|own| near(own.trunc()));
            let expected: Vec<&str> = policy
                .zones
                .iter()
                .filter(near)
                .map(|it| it.name.as_str())
                .collect();
            let mut found: Vec<ZoneIndex> = networks.overlapping(asked).collect();
            found.sort_unstable();
            found.dedup();
            let found: Vec<&str> = found
                .iter()
                .map(|it| policy.zone(*it).name.as_str())
                .collect();
            assert_eq!(found, expected, "{asked}");
        }
        Ok(())
    }
}
