//! Reports network objects that others added and that change the effect of the policy.
//!
//! Such objects are reported as drift but not removed, because they are not ours. Links
//! that the file does not name are not reported: no rule lets their packets through.

use std::net::IpAddr;

use ipnet::IpNet;

use super::advertised::advertised_routes;
use super::{Current, LOOPBACK, Link, Neighbour, NextHop, Wanted, WantedLink};

/// The most networks of other zones' that are told of one link.
const MOST_OVERLAPPING: usize = 4;

/// Describes addresses, routes, rules and neighbours that camfw does not manage. What a
/// DHCP lease or another program brings to a link is expected, as far as the file lets it be;
/// IPv6 is left to others unless the file defines it.
pub fn unmanaged(current: &Current, wanted: &Wanted) -> Vec<String> {
    let unmanaged = Unmanaged { current, wanted };
    let links = wanted.links.iter();
    let mut descriptions: Vec<String> = links.flat_map(|link| unmanaged.on(link)).collect();
    descriptions.extend(unmanaged.loopback());
    descriptions.extend(unmanaged.routes());
    descriptions.extend(unmanaged.rules());
    descriptions.extend(unmanaged.neighbours());
    descriptions
}

struct Unmanaged<'a> {
    current: &'a Current,
    wanted: &'a Wanted,
}

impl Unmanaged<'_> {
    /// Whether the file defines the network's addresses and routes of this family.
    fn says(&self, is_ipv4: bool) -> bool {
        is_ipv4 || self.wanted.ipv6
    }

    fn names(&self, link: &str) -> bool {
        self.wanted.names().any(|name| name == link)
    }

    /// Whether a route to this network, by this link alone, is expected: a DHCP client
    /// manages the link, ours or another, or another program gives it its addresses, and it
    /// is in no network that is elsewhere.
    fn is_expected(&self, network: &IpNet, link: &str) -> bool {
        let mut links = self.wanted.links.iter();
        let link = links.find(|it| it.name.as_str() == link);
        let is_brought = link.is_some_and(|link| match link.is_given() {
            true => !self.is_elsewhere(network, link),
            false => link.by_dhcp(),
        });
        is_brought && network.addr().is_ipv4()
    }

    /// Whether a network is in one that belongs to another link.
    fn is_elsewhere(&self, network: &IpNet, link: &WantedLink) -> bool {
        let others = self.wanted.links.iter();
        let others = others.filter(|other| other.name != link.name);
        let mut own = others.flat_map(|other| &other.addresses);
        let mut routed = self.wanted.routes.iter().filter(|route| {
            let elsewhere =
                matches!(&route.way, NextHop::Link { link: by, .. } if link.name.as_str() != by);
            elsewhere && route.destination.prefix_len() > 0
        });
        own.any(|own| own.contains(network)) || routed.any(|it| it.destination.contains(network))
    }

    /// Addresses that others added to a link or that conflict with another host, and
    /// routes through it.
    fn on(&self, link: &WantedLink) -> Vec<String> {
        let mut found = Vec::new();
        let name = link.name.as_str();
        let is_asked = |network: &IpNet| match network {
            IpNet::V4(_) => !self.is_expected(network, name),
            IpNet::V6(_) => self.wanted.ipv6,
        };
        let there = self.current.links.iter().find(|there| there.name == name);
        let claimed = there.into_iter().flat_map(|there| &there.duplicates);
        found.extend(
            claimed
                .filter(|address| link.addresses.contains(address))
                .map(|address| format!("interface {name}: address {address} is not in use, since another host there says it is its own; take it from that host, then set the interface down and run camfw apply")),
        );
        let addresses = there.into_iter().flat_map(|there| &there.addresses);
        let strange = addresses
            .filter(|held| !held.ours && is_asked(&held.value))
            .filter(|held| !link.addresses.contains(&held.value));
        found.extend(
            strange.map(|held| format!("interface {name}: address {} is not ours", held.value)),
        );
        let peers = there.into_iter().flat_map(|there| &there.peers);
        let taken = peers.filter(|peer| link.is_given() && self.is_elsewhere(peer, link));
        found.extend(taken.map(|peer| {
            format!("interface {name}: its other end has the address {peer}, which is in the network of another zone, and what is for it goes there; have the program that gives the address refuse it")
        }));
        found.extend(
            there
                .into_iter()
                .flat_map(|there| self.advertised(there, link)),
        );
        let routes = self.current.routes.iter().filter(|held| {
            let by = matches!(&held.value.way, NextHop::Link { link, .. } if link == name);
            let asked = by && is_asked(&held.value.destination);
            asked && !held.ours && !self.wanted.routes.contains(&held.value)
        });
        found.extend(routes.map(|held| format!("{} is not ours", held.value)));
        found
    }

    /// Networks that a router advertised and that belong to another zone: which ones come is
    /// not known before.
    fn advertised(&self, there: &Link, link: &WantedLink) -> Vec<String> {
        let advertised = link.slaac.then(|| advertised_routes(self.current, there));
        let advertised = advertised.into_iter().flatten();
        let advertised = advertised.filter(|route| route.destination.prefix_len() > 0);
        let overlapping = advertised.filter_map(|route| {
            let network = route.destination;
            let others = self.wanted.links.iter();
            let mut others = others.filter(|other| other.name != link.name);
            let theirs = others.find(|other| {
                let mut own = other.addresses.iter();
                own.any(|own| own.contains(&network.network()) || network.contains(&own.addr()))
            })?;
            Some(format!(
                "interface {}: a router advertised {network}, which overlaps the network of zone {}; what is for that zone is not let out there: look at what the interface is plugged into, or give the zone another network",
                link.name, theirs.zone
            ))
        });
        let mut told: Vec<String> = overlapping.collect();
        // Whoever advertises can do so thousands of times.
        if let Some(more @ 1..) = told.len().checked_sub(MOST_OVERLAPPING) {
            told.truncate(MOST_OVERLAPPING);
            told.push(format!(
                "interface {}: routers advertised more networks that overlap other zones': {more}",
                link.name
            ));
        }
        told
    }

    /// Addresses on the loopback belong to the router, and every zone that may reach
    /// the router can reach them.
    fn loopback(&self) -> Vec<String> {
        let loopback = self.current.links.iter().find(|link| link.name == LOOPBACK);
        let addresses = loopback.into_iter().flat_map(|link| &link.addresses);
        let unmanaged = addresses.filter(|held| {
            let own = held.value.addr();
            !own.is_loopback() && self.says(own.is_ipv4())
        });
        let descriptions = unmanaged.map(|held| {
            let address = held.value;
            format!("interface {LOOPBACK}: address {address} is not ours; remove it: ip address del {address} dev {LOOPBACK}")
        });
        descriptions.collect()
    }

    /// Routes that lead nowhere, to the router itself, or through a link of the file in
    /// a way that camfw's own never do.
    fn routes(&self) -> Vec<String> {
        let nowhere = self.current.routes.iter().filter(|held| {
            let route = &held.value;
            let leads_nowhere = matches!(route.way, NextHop::Blackhole | NextHop::Unreachable);
            let asked = self.says(route.destination.addr().is_ipv4());
            leads_nowhere && asked && !held.ours && !self.wanted.routes.contains(route)
        });
        let mut descriptions: Vec<String> = nowhere
            .map(|held| format!("{} is not ours", held.value))
            .collect();
        let others = self.current.other_routes.iter().filter(|route| {
            let by_links = ["unicast", "multipath"].contains(&route.kind);
            let is_ipv4 = route.destination.addr().is_ipv4();
            let here = route.links.iter().any(|link| {
                let is_reported = self.names(link) && !self.is_expected(&route.destination, link);
                link == LOOPBACK || is_reported
            });
            route.passes_by.is_some() || self.says(is_ipv4) && (here || !by_links)
        });
        descriptions.extend(others.map(|route| {
            let by = match route.links.as_slice() {
                [] => String::new(),
                links => format!(" on {}", links.join(", ")),
            };
            let (kind, to, table) = (route.kind, route.destination, route.table);
            let encap = route.passes_by.map(|encap| {
                format!(": encap {encap} sends its packets on past the firewall; remove it: ip route del {to} table {table}")
            });
            let encap = encap.unwrap_or_default();
            format!("{kind} route {to}{by}, table {table} is not ours{encap}")
        }));
        descriptions
    }

    fn rules(&self) -> Vec<String> {
        let marks = self.current.rules.iter().filter(|held| {
            !held.ours && !self.wanted.rules.contains(&held.value) && self.says(!held.value.ipv6)
        });
        let mut descriptions: Vec<String> = marks
            .map(|held| format!("{} is not ours", held.value))
            .collect();
        let others = self.current.other_rules.iter();
        let others = others.filter(|rule| self.says(!rule.ipv6));
        descriptions.extend(others.map(|rule| {
            let (family, option) = if rule.ipv6 { ("IPv6 ", " -6") } else { ("", "") };
            let what = match rule.table {
                Some(table) => format!("looks at table {table}"),
                None => "does not look at a table".to_owned(),
            };
            format!(
                "{family}rule {0} {what}, and is not ours: what it matches goes another way; remove it: ip{option} rule del priority {0}",
                rule.priority
            )
        }));
        descriptions
    }

    /// Permanent neighbour entries, which decide who receives an address's frames, and
    /// addresses that the kernel answers for on behalf of others.
    fn neighbours(&self) -> Vec<String> {
        let unmanaged = self.current.neighbours.iter().filter(|held| {
            let Neighbour { address, link, .. } = &held.value;
            let is_place = |wanted: &Neighbour| wanted.address == *address && wanted.link == *link;
            // One that replaced ours is reported as a pending change instead.
            let place_of_ours = self.wanted.neighbours.iter().any(is_place);
            !held.ours && !place_of_ours && self.names(link) && self.says(address.is_ipv4())
        });
        let mut descriptions: Vec<String> = unmanaged
            .map(|held| format!("{} is not ours", held.value))
            .collect();
        let proxied = self.current.proxied.iter().filter(|(address, link)| {
            let here = link.is_empty() || self.names(link);
            here && self.says(matches!(address, IpAddr::V4(_)))
        });
        descriptions.extend(proxied.map(|(address, link)| {
            format!("interface {link}: the kernel answers for the neighbour {address}, which is not ours; remove it: ip neigh del proxy {address} dev {link}")
        }));
        descriptions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::InterfaceName;
    use crate::net::{AddressSource, Device, Held, MarkRule, OtherRoute, OtherRule, Route};

    type Result = std::result::Result<(), Box<dyn std::error::Error>>;

    fn wanted() -> std::result::Result<Wanted, Box<dyn std::error::Error>> {
        Ok(Wanted {
            links: vec![WantedLink {
                name: InterfaceName::try_from("eth0")?,
                device: Device::Named,
                addresses: Vec::new(),
                address_source: AddressSource::File,
                mtu: None,
                zone: "external".into(),
                optional: false,
                metric: 0,
                slaac: false,
            }],
            routes: Vec::new(),
            rules: Vec::new(),
            source_rules: Vec::new(),
            ways: Vec::new(),
            neighbours: Vec::new(),
            forwarding: Vec::new(),
            ipv6: false,
        })
    }

    #[test]
    fn addresses_of_others_are_told_in_the_families_that_the_file_speaks_of() -> Result {
        let mut wanted = wanted()?;
        let mut links = Vec::new();
        for (name, addresses) in [
            ("eth0", ["10.0.0.2/8", "fd00::9/64"]),
            ("lo", ["127.0.0.1/8", "::1/128"]),
            ("lo", ["10.7.7.7/32", "fd00:7::7/128"]),
            ("wlan0", ["10.8.8.8/24", "fd00:8::8/64"]),
        ] {
            let mut link = Link {
                name: name.into(),
                ..Link::default()
            };
            for address in addresses {
                link.addresses.push(Held {
                    value: address.parse()?,
                    ours: false,
                });
            }
            links.push(link);
        }
        // The loopback is in the list once.
        let more = links.remove(2).addresses;
        links[1].addresses.extend(more);
        let current = Current {
            links,
            ..Current::default()
        };
        let descriptions = |wanted: &Wanted| -> Vec<String> {
            let descriptions = unmanaged(&current, wanted).into_iter();
            descriptions
                .map(|line| line.split(';').next().unwrap_or_default().to_owned())
                .collect()
        };
        let ipv4 = "interface eth0: address 10.0.0.2/8 is not ours";
        let ipv6 = "interface eth0: address fd00::9/64 is not ours";
        let on_loopback = "interface lo: address 10.7.7.7/32 is not ours";
        let on_loopback6 = "interface lo: address fd00:7::7/128 is not ours";
        assert_eq!(descriptions(&wanted), [ipv4, on_loopback]);
        wanted.ipv6 = true;
        assert_eq!(
            descriptions(&wanted),
            [ipv4, ipv6, on_loopback, on_loopback6]
        );
        wanted.links[0].address_source = AddressSource::Dhcp;
        assert_eq!(descriptions(&wanted), [ipv6, on_loopback, on_loopback6]);
        Ok(())
    }

    #[test]
    fn what_another_program_gives_is_told_where_it_takes_from_another_zone() -> Result {
        let mut wanted = wanted()?;
        wanted.links[0].address_source = AddressSource::Given;
        wanted.links.push(WantedLink {
            name: InterfaceName::try_from("eth1")?,
            addresses: vec!["192.168.8.1/24".parse()?],
            address_source: AddressSource::File,
            ..wanted.links[0].clone()
        });
        let held = |address: &str| -> std::result::Result<_, Box<dyn std::error::Error>> {
            Ok(Held {
                value: address.parse()?,
                ours: false,
            })
        };
        let other =
            |destination: &str, link: &str| -> std::result::Result<_, Box<dyn std::error::Error>> {
                Ok(OtherRoute {
                    destination: destination.parse()?,
                    kind: "unicast",
                    links: vec![link.to_owned()],
                    passes_by: None,
                    table: 254,
                })
            };
        let mut current = Current {
            links: vec![Link {
                name: "eth0".into(),
                addresses: vec![held("100.64.1.2/32")?],
                peers: vec!["100.64.0.1/32".parse()?],
                ..Link::default()
            }],
            other_routes: vec![
                other("0.0.0.0/0", "eth0")?,
                other("198.51.100.0/24", "eth0")?,
            ],
            ..Current::default()
        };
        assert_eq!(unmanaged(&current, &wanted), [""; 0]);
        current.links[0].addresses.push(held("192.168.8.99/25")?);
        current.links[0].peers.push("192.168.8.11/32".parse()?);
        current
            .other_routes
            .push(other("192.168.8.128/25", "eth0")?);
        // By a link of the file's own.
        current.other_routes.push(other("10.1.0.0/16", "eth1")?);
        let told = unmanaged(&current, &wanted);
        assert_eq!(told.len(), 4, "{told:?}");
        assert!(told[0].contains("192.168.8.99/25 is not ours"));
        assert!(told[1].contains("its other end has the address 192.168.8.11/32"));
        Ok(())
    }

    #[test]
    fn an_advertised_network_is_told_where_it_takes_from_another_zone() -> Result {
        let mut wanted = wanted()?;
        wanted.ipv6 = true;
        wanted.links[0].slaac = true;
        wanted.links.push(WantedLink {
            name: InterfaceName::try_from("eth1")?,
            addresses: vec!["fd00:8::1/64".parse()?],
            zone: "camera".into(),
            slaac: false,
            ..wanted.links[0].clone()
        });
        let mut current = Current {
            links: vec![Link {
                name: "eth0".into(),
                advertised: vec!["fd00:1::7/64".parse()?],
                ..Link::default()
            }],
            ..Current::default()
        };
        for (network, is_told) in [
            ("::/0", false),
            ("fd00:1::/64", false),
            ("fd00:8::/64", true),
            ("fd00:8::110/128", true),
            ("fd00::/16", true),
        ] {
            current.kernel_routes = vec![Route {
                destination: network.parse()?,
                way: NextHop::Link {
                    link: "eth0".into(),
                    gateway: None,
                },
                metric: 256,
                table: 254,
            }];
            let told = unmanaged(&current, &wanted);
            assert_eq!(told.len(), usize::from(is_told), "{told:?}");
            let names = |line: &String| line.contains(network) && line.contains("zone camera");
            assert!(told.iter().all(names), "{told:?}");
        }
        Ok(())
    }

    #[test]
    fn routes_and_rules_of_others_are_told_where_they_have_to_do_with_the_file() -> Result {
        let mut wanted = wanted()?;
        let other = |destination: &str,
                     kind,
                     links: &[&str]|
         -> std::result::Result<_, Box<dyn std::error::Error>> {
            Ok(OtherRoute {
                destination: destination.parse()?,
                kind,
                links: links.iter().map(|link| (*link).to_owned()).collect(),
                passes_by: None,
                table: 254,
            })
        };
        let blackhole = Route {
            destination: "10.5.0.0/16".parse()?,
            way: NextHop::Blackhole,
            metric: 0,
            table: 254,
        };
        let current = Current {
            routes: vec![Held {
                value: blackhole.clone(),
                ours: false,
            }],
            other_routes: vec![
                other("10.1.0.0/16", "unicast", &["eth0"])?,
                other("10.2.0.0/16", "unicast", &["wlan0"])?,
                other("10.3.0.0/16", "multipath", &["wlan0", "eth0"])?,
                other("10.4.0.0/16", "local", &["wlan0"])?,
                other("fd00:4::/64", "local", &["lo"])?,
            ],
            rules: vec![Held {
                value: MarkRule {
                    mark: 3,
                    table: 7,
                    ipv6: false,
                },
                ours: false,
            }],
            other_rules: vec![
                OtherRule {
                    priority: 100,
                    table: Some(77),
                    ipv6: false,
                },
                OtherRule {
                    priority: 101,
                    table: None,
                    ipv6: true,
                },
            ],
            ..Current::default()
        };
        let descriptions = unmanaged(&current, &wanted);
        let expected = [
            "route 10.5.0.0/16 to nowhere is not ours",
            "unicast route 10.1.0.0/16 on eth0,",
            "multipath route 10.3.0.0/16 on wlan0, eth0,",
            "local route 10.4.0.0/16 on wlan0,",
            "rule: mark 3 looks at table 7 is not ours",
            "rule 100 looks at table 77,",
        ];
        assert_eq!(descriptions.len(), expected.len(), "{descriptions:?}");
        for (line, expected) in descriptions.iter().zip(expected) {
            assert!(line.starts_with(expected), "{line}");
        }
        wanted.ipv6 = true;
        assert_eq!(unmanaged(&current, &wanted).len(), expected.len() + 2);
        wanted.routes.push(blackhole);
        assert_eq!(unmanaged(&current, &wanted).len(), expected.len() + 1);
        Ok(())
    }
}
