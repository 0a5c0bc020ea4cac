//! Policy -> what the network ought to be.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{MAIN_TABLE, Neighbour, Route, Wanted, WantedLink, Way, default_metric};
use crate::policy::{Ipv6Mode, Policy, Zone};

/// What a policy wants of the network.
pub fn wanted(policy: &Policy) -> Wanted {
    let link = |zone: &Zone| WantedLink {
        name: zone.interface.clone(),
        device: zone.device.clone(),
        addresses: zone.own().collect(),
        dhcp: zone.dhcp,
        mtu: zone.mtu,
        zone: zone.name.to_string(),
    };
    let default_routes = policy.zones.iter().flat_map(|zone| {
        let by = |destination: IpNet, gateway: IpAddr| Route {
            destination,
            way: Way::Gateway {
                gateway,
                link: zone.interface.to_string(),
            },
            metric: default_metric(&destination),
            table: MAIN_TABLE,
        };
        let ipv4 = zone
            .gateway
            .map(|gateway| by(Ipv4Net::default().into(), gateway.into()));
        let ipv6 = zone
            .gateway6
            .map(|gateway| by(Ipv6Net::default().into(), gateway.into()));
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
            .collect(),
        rules: policy.mark_rules.clone(),
        neighbours: neighbours.collect(),
        ipv6: policy.ipv6 == Ipv6Mode::Same,
    }
}
