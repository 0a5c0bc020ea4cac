//! Policy -> desired links, addresses, routes, rules and neighbours.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::net::{
    ForwardingEntry, LAST_METRIC, MAIN_TABLE, Neighbour, NextHop, Route, WAY_TABLES, Wanted,
    WantedLink, WayOut, default_metric, unreachable_behind,
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
        metric: zone.metric,
        slaac: zone.slaac,
    };
    let default_routes = policy.zones.iter().flat_map(|zone| {
        let by = |destination: IpNet, gateway: Option<IpAddr>| Route {
            destination,
            way: NextHop::Link {
                link: zone.interface.to_string(),
                gateway,
            },
            metric: match destination {
                IpNet::V4(_) => zone.metric,
                IpNet::V6(_) => default_metric(&destination),
            },
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
    let neighbours = policy.cameras.iter().flat_map(|camera| {
        let bound = camera.mac.map(|mac| (camera, mac));
        let bound = bound.into_iter();
        bound.flat_map(|(camera, mac)| {
            camera.addresses().map(move |address| Neighbour {
                address,
                mac,
                link: policy.zone(camera.zone).interface.to_string(),
            })
        })
    });
    let forwarding = policy.cameras.iter().filter_map(|camera| {
        Some(ForwardingEntry {
            mac: camera.mac?,
            port: camera.port.as_ref()?.to_string(),
            bridge: policy.zone(camera.zone).interface.to_string(),
        })
    });
    let ways = ways_out(policy);
    let mut wanted = Wanted {
        links: policy.zones.iter().map(link).collect(),
        routes: default_routes
            .chain(policy.routes.iter().cloned())
            .chain(unreachable(policy))
            .collect(),
        rules: policy.mark_rules.clone(),
        source_rules: Vec::new(),
        ways: Vec::new(),
        neighbours: neighbours.collect(),
        forwarding: forwarding.collect(),
        ipv6: policy.ipv6 == Ipv6Mode::Same,
    };
    for (way, zone) in &ways {
        wanted.routes.push(unreachable_behind(way));
        let next = match zone.gateway {
            Some(Gateway::Router(gateway)) => Some(gateway.into()),
            _ => None,
        };
        // What DHCP or another program brings is known once it is there.
        if let Some(next) = next {
            let own = zone.addresses.iter().map(|own| own.addr());
            wanted.add_way(way, Some(next), own);
        }
    }
    wanted.ways = ways.into_iter().map(|(way, _)| way).collect();
    wanted.ways.sort_by_key(|way| way.metric());
    wanted
}

/// The zones by which an IPv4 default route leads, if there are several.
fn ways_out(policy: &Policy) -> Vec<(WayOut, &Zone)> {
    let zones = policy.ways_out().into_iter();
    let ways = zones.zip(0..).map(|(zone, place)| {
        let way = WayOut {
            zone: zone.name.to_string(),
            link: zone.interface.to_string(),
            preference: zone.metric,
            by_dhcp: zone.by_dhcp(),
            gateway: match zone.gateway {
                Some(Gateway::Router(gateway)) => Some(gateway.into()),
                _ => None,
            },
            table: WAY_TABLES + place,
            is_aside: false,
        };
        (way, zone)
    });
    ways.collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Current, Held, Link, NetworkChange, WayTrouble, diff};

    use crate::policy::Answers;
    use crate::source::Source;

    type Result = std::result::Result<(), Box<dyn std::error::Error>>;

    fn policy(more: &str) -> std::result::Result<Wanted, Box<dyn std::error::Error>> {
        let text = format!(
            "[zones.wan]\ninterface = \"eth0\"\n{more}\nrole = \"external\"\n[zones.lte]\ninterface = \"eth5\"\naddress = \"203.0.113.2/24\"\ngateway = \"203.0.113.1\"\nmetric = 100\nrole = \"external\"\n"
        );
        Ok(crate::plan(&Source::new("c.toml", &text), &Answers::default())?.network)
    }

    const STATIC: &str = "address = \"198.51.100.2/24\"\ngateway = \"198.51.100.1\"";

    fn described(current: &Current, wanted: &Wanted) -> Vec<String> {
        let changes = diff(current, wanted).changes;
        changes.iter().map(ToString::to_string).collect()
    }

    fn links() -> std::result::Result<Current, Box<dyn std::error::Error>> {
        let link = |name: &str, address: &str| -> std::result::Result<_, ipnet::AddrParseError> {
            Ok(Link {
                name: name.into(),
                up: true,
                carrier: true,
                addresses: vec![Held {
                    value: address.parse()?,
                    ours: true,
                }],
                ..Link::default()
            })
        };
        Ok(Current {
            links: vec![
                link("eth0", "198.51.100.2/24")?,
                link("eth5", "203.0.113.2/24")?,
            ],
            ..Current::default()
        })
    }

    #[test]
    fn a_way_that_is_set_aside_keeps_its_route_behind_the_others() -> Result {
        let mut wanted = policy(STATIC)?;
        let defaults = |wanted: &Wanted| -> Vec<String> {
            let routes = wanted.routes.iter();
            let main = routes.filter(|route| wanted.ways.iter().any(|way| way.is_default(route)));
            main.map(ToString::to_string).collect()
        };
        let before = wanted.clone();
        assert_eq!(
            defaults(&wanted),
            [
                "route 0.0.0.0/0 via 198.51.100.1 on eth0",
                "route 0.0.0.0/0 via 203.0.113.1 on eth5, metric 100"
            ]
        );
        wanted.set_aside(|zone| zone == "wan");
        assert_eq!(
            defaults(&wanted)[0],
            "route 0.0.0.0/0 via 198.51.100.1 on eth0, metric 10000"
        );
        wanted.set_aside(|_| true);
        assert_eq!(
            defaults(&wanted)[1],
            "route 0.0.0.0/0 via 203.0.113.1 on eth5, metric 10100"
        );
        wanted.set_aside(|_| false);
        assert_eq!(wanted, before);
        Ok(())
    }

    #[test]
    fn answers_leave_by_the_way_that_their_address_is_of() -> Result {
        let rules = policy(STATIC)?.source_rules;
        let rules: Vec<String> = rules.iter().map(ToString::to_string).collect();
        assert_eq!(
            rules,
            [
                "rule: from 198.51.100.2 looks at table 254, without its default routes",
                "rule: from 198.51.100.2 looks at table 4294967040",
                "rule: from 203.0.113.2 looks at table 254, without its default routes",
                "rule: from 203.0.113.2 looks at table 4294967041"
            ]
        );
        Ok(())
    }

    #[test]
    fn a_leased_way_has_what_follows_from_its_lease() -> Result {
        let mut wanted = policy("address = \"dhcp\"")?;
        assert_eq!(wanted.source_rules.len(), 2);
        let mut current = links()?;
        let way = wanted.ways[0].clone();
        assert_eq!(way.trouble(&current), Some(WayTrouble::NoAddress));
        current.routes.push(Held {
            value: Route {
                destination: "0.0.0.0/0".parse()?,
                way: NextHop::Link {
                    link: "eth0".into(),
                    gateway: Some("198.51.100.9".parse()?),
                },
                metric: 0,
                table: MAIN_TABLE,
            },
            ours: false,
        });
        assert_eq!(way.trouble(&current), None);
        assert_eq!(way.router(&current), Some("198.51.100.9".parse()?));
        let changes = described(&current, &wanted);
        for change in [
            "set route 0.0.0.0/0 via 198.51.100.9 on eth0, table 4294967040",
            "add rule: from 198.51.100.2 looks at table 4294967040",
        ] {
            assert!(changes.iter().any(|it| it == change), "{changes:?}");
        }
        assert!(!changes.iter().any(|it| it.contains("to metric")));
        wanted.set_aside(|zone| zone == "wan");
        assert_eq!(wanted.leased_route_metric("eth0"), 10_000);
        let changes = diff(&current, &wanted).changes;
        let moved = |change: &NetworkChange| {
            matches!(
                change,
                NetworkChange::SetLeasedMetric { metric: 10_000, .. }
            )
        };
        assert!(changes.iter().any(moved), "{changes:?}");
        Ok(())
    }

    #[test]
    fn what_ails_a_way_is_told() -> Result {
        let way = policy(STATIC)?.ways[0].clone();
        let mut current = links()?;
        assert_eq!(way.trouble(&current), None);
        current.links[0].carrier = false;
        assert_eq!(way.trouble(&current), Some(WayTrouble::NoCarrier));
        current.links[0].up = false;
        assert_eq!(way.trouble(&current), Some(WayTrouble::Down));
        current.links.remove(0);
        assert_eq!(way.trouble(&current), Some(WayTrouble::NoInterface));
        Ok(())
    }
}
