//! Policy -> what the network ought to be.

use ipnet::Ipv4Net;

use super::{MAIN_TABLE, MarkRule, Neighbour, Route, Wanted, WantedLink, Way};
use crate::policy::{Policy, Zone};

/// What a policy wants of the network.
pub fn wanted(policy: &Policy) -> Wanted {
    let link = |zone: &Zone| WantedLink {
        name: zone.interface.clone(),
        device: zone.device.clone(),
        addresses: zone.addresses.clone(),
        dhcp: zone.dhcp,
        mtu: zone.mtu,
        zone: zone.name.to_string(),
    };
    let default_route = policy.zones.iter().filter_map(|zone| {
        Some(Route {
            destination: Ipv4Net::default(),
            way: Way::Gateway {
                gateway: zone.gateway?,
                link: zone.interface.to_string(),
            },
            metric: 0,
            table: MAIN_TABLE,
        })
    });
    let neighbours = policy.cameras.iter().filter_map(|camera| {
        Some(Neighbour {
            address: camera.address,
            mac: camera.mac?,
            link: policy.zone(camera.zone).interface.to_string(),
        })
    });
    Wanted {
        links: policy.zones.iter().map(link).collect(),
        routes: default_route.chain(policy.routes.iter().cloned()).collect(),
        rules: policy
            .mark_rules
            .iter()
            .map(|rule| MarkRule {
                mark: rule.mark,
                table: rule.table,
            })
            .collect(),
        neighbours: neighbours.collect(),
    }
}
