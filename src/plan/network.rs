//! Policy -> desired links, addresses, routes, rules and neighbours.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::net::{
    LAST_METRIC, MAIN_TABLE, Neighbour, NextHop, Route, Wanted, WantedLink, default_metric,
};
use crate::policy::{Gateway, Ipv6Mode, Policy, Zone};

/// The network state that a policy requires.
pub fn wanted(policy: &Policy) -> Wanted {
    let link = |zone: &Zone| WantedLink {
        name: zone.interface.clone(),
        device: zone.device.clone(),
        addresses: zone.own().collect(),
        address_source: zone.address_source,
        mtu: zone.mtu,
        zone: zone.name.to_string(),
        optional: zone.optional,
    };
    let default_routes = policy.zones.iter().flat_map(|zone| {
        let by = |destination: IpNet, gateway: Option<IpAddr>| Route {
            destination,
            way: NextHop::Link {
                link: zone.interface.to_string(),
                gateway,
            },
            metric: default_metric(&destination),
            table: MAIN_TABLE,
        };
        let ipv4 = match zone.gateway {
            Some(Gateway::Router(gateway)) => Some(Some(gateway.into())),
            Some(Gateway::Device) => Some(None),
            Some(Gateway::Given) | None => None,
        };
        let ipv4 = ipv4.map(|gateway| by(Ipv4Net::default().into(), gateway));
        let ipv6 = zone
            .gateway6
            .map(|gateway| by(Ipv6Net::default().into(), Some(gateway.into())));
        ipv4.into_iter().chain(ipv6)
    });
    let neighbours = policy.cameras.iter().filter_map(|camera| {
        Some(Neighbour {
            address: camera.address.into(),
            mac: camera.mac?,
            link: policy.zone(camera.zone).interface.to_string(),
        })
    });
    Wanted {
        links: policy.zones.iter().map(link).collect(),
        routes: default_routes
            .chain(policy.routes.iter().cloned())
            .chain(unreachable(policy))
            .collect(),
        rules: policy.mark_rules.clone(),
        neighbours: neighbours.collect(),
        ipv6: policy.ipv6 == Ipv6Mode::Same,
    }
}

/// Adds, behind each zone's network and each route of the file, an unreachable route to
/// the same destination. If an interface disappears, such as a VPN's, its traffic does
/// not leave unencrypted by the default route; nor do marked packets whose table has
/// lost its default route.
fn unreachable(policy: &Policy) -> Vec<Route> {
    let networks = policy.zones.iter().flat_map(Zone::own);
    let networks = networks.map(|own| (own.trunc(), MAIN_TABLE));
    let by_gateway = |route: &&Route| matches!(route.way, NextHop::Link { .. });
    let routed = policy.routes.iter().filter(by_gateway);
    let routed = routed.map(|route| (route.destination, route.table));
    let mut routes: Vec<Route> = Vec::new();
    let mut known = HashSet::new();
    for (destination, table) in networks.chain(routed) {
        if known.insert((destination, table)) {
            routes.push(Route {
                destination,
                way: NextHop::Unreachable,
                metric: LAST_METRIC,
                table,
            });
        }
    }
    routes
}
