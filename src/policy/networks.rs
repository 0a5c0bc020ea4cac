//! The networks that the hosts of zones are in: their own, and those behind routes.

use std::collections::BTreeMap;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::zone::distinct;
use super::{Policy, Zone};
use crate::net::{MAIN_TABLE, MarkRule, NextHop, Route};

impl Policy {
    /// The IPv4 networks whose addresses a zone's hosts can have: its own networks, and
    /// those that routes lead to through it.
    pub fn networks_of(&self, zone: &Zone) -> Vec<Ipv4Net> {
        let routed = self.routed_by(zone).filter_map(|network| match network {
            IpNet::V4(network) => Some(network),
            IpNet::V6(_) => None,
        });
        distinct(zone.networks().into_iter().chain(routed))
    }

    /// The IPv6 networks of a zone's hosts, without the link-local one, which every zone
    /// has.
    pub fn networks6_of(&self, zone: &Zone) -> Vec<Ipv6Net> {
        let routed = self.routed_by(zone).filter_map(|network| match network {
            IpNet::V6(network) => Some(network),
            IpNet::V4(_) => None,
        });
        distinct(zone.networks6().into_iter().chain(routed))
    }

    /// The networks of both families whose addresses each zone's hosts can have, by the zone's
    /// interface: those of [`Policy::networks_of`] and [`Policy::networks6_of`], for whoever
    /// asks for those of every zone. The routes are gone through once.
    pub fn networks_by_interface(&self) -> BTreeMap<&str, Vec<IpNet>> {
        let mut networks: BTreeMap<&str, Vec<IpNet>> = BTreeMap::new();
        for zone in &self.zones {
            let own = zone.own().map(|own| own.trunc());
            networks.insert(zone.interface.as_str(), own.collect());
        }
        for (link, network) in self.routed() {
            if let Some(networks) = networks.get_mut(link) {
                networks.push(network);
            }
        }
        for networks in networks.values_mut() {
            *networks = distinct(std::mem::take(networks).into_iter());
        }
        networks
    }

    /// The destinations of routes through a zone, without the default route.
    fn routed_by(&self, zone: &Zone) -> impl Iterator<Item = IpNet> {
        let routed = self.routed();
        let routed = routed.filter(move |(link, _)| *link == zone.interface.as_str());
        routed.map(|(_, network)| network)
    }

    /// The destinations of routes, each with its link, without default routes, which do not
    /// say who is there.
    fn routed(&self) -> impl Iterator<Item = (&str, IpNet)> {
        // A routing table that no rule uses does not matter either.
        let consulted = |route: &Route| {
            let looks = |rule: &MarkRule| {
                rule.table == route.table && rule.ipv6 == route.destination.addr().is_ipv6()
            };
            route.table == MAIN_TABLE || self.mark_rules.iter().any(looks)
        };
        let leads = |route: &&Route| route.destination.prefix_len() > 0;
        self.routes
            .iter()
            .filter(leads)
            .filter_map(move |route| match &route.way {
                NextHop::Link { link, .. } => {
                    consulted(route).then_some((link.as_str(), route.destination))
                }
                NextHop::Blackhole | NextHop::Unreachable => None,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Answers;
    use crate::source::Source;

    #[test]
    fn the_networks_of_all_zones_are_those_of_each() -> Result<(), Box<dyn std::error::Error>> {
        let text = r#"
[ipv6]
mode = "same"
[zones.home]
interface = "eth0"
address = ["10.0.0.1/24", "fd00::1/64", "10.0.0.2/24"]
role = "private"
[zones.yard]
interface = "eth1"
address = "10.1.0.1/24"
role = "camera"
[[routes]]
to = "10.2.0.0/16"
via = "10.0.0.9"
[[routes]]
to = "fd00:1::/64"
via = "fd00::9"
[[routes]]
to = "10.2.0.0/16"
via = "10.0.0.8"
metric = 7
[[routes]]
to = "10.3.0.0/16"
via = "10.0.0.9"
table = 9
[[routes]]
to = "10.4.0.0/16"
blackhole = true
"#;
        let policy = crate::policy(&Source::new("c.toml", text), &Answers::new())?;
        let all = policy.networks_by_interface();
        for zone in &policy.zones {
            let ipv4 = policy.networks_of(zone).into_iter().map(IpNet::V4);
            let ipv6 = policy.networks6_of(zone).into_iter().map(IpNet::V6);
            let mut of_all = all[zone.interface.as_str()].clone();
            // The families are apart; within each the order is that of the rules.
            of_all.sort_by_key(|network| network.addr().is_ipv6());
            assert_eq!(of_all, ipv4.chain(ipv6).collect::<Vec<_>>());
        }
        let home: Vec<String> = all["eth0"].iter().map(ToString::to_string).collect();
        assert_eq!(
            home,
            ["10.0.0.0/24", "fd00::/64", "10.2.0.0/16", "fd00:1::/64"]
        );
        Ok(())
    }
}
