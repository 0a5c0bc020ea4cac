//! What router advertisements brought to a link: addresses, and routes that the kernel made of
//! them.

use ipnet::IpNet;

use super::{Current, Link, NetworkChange, NextHop, Route, Wanted};

/// How many networks more than those that addresses were made of a link may be said to have.
const MOST: usize = 64;

/// Takes it away from a link on which no more of it is taken: it would stay until its
/// lifetime ends, for weeks perhaps.
pub fn advertised_on(current: &Current, name: &str) -> Vec<NetworkChange> {
    let mut links = current.links.iter();
    let Some(link) = links.find(|link| link.name == name) else {
        return Vec::new();
    };
    let addresses = link.advertised.iter();
    let addresses = addresses.map(|address| NetworkChange::RemoveAddress {
        name: name.to_owned(),
        address: *address,
    });
    let routes = advertised_routes(current, link).cloned();
    addresses
        .chain(routes.map(NetworkChange::RemoveRoute))
        .collect()
}

/// What is too much of it on links that go on taking it: whoever is there can advertise any number
/// of networks that last for ever, and each takes memory of the kernel's. The networks of addresses
/// that were made stay, and the default route.
pub fn advertised_too_much(current: &Current, wanted: &Wanted) -> Vec<NetworkChange> {
    let mut surplus = Vec::new();
    for link in wanted.links.iter().filter(|link| link.slaac) {
        let mut links = current.links.iter();
        let Some(link) = links.find(|there| there.name == link.name.as_str()) else {
            continue;
        };
        let routes = advertised_routes(current, link).filter(|route| {
            let network = route.destination;
            let mut made = link.advertised.iter();
            network.prefix_len() > 0 && !made.any(|made| network.contains(&made.addr()))
        });
        let routes: Vec<&Route> = routes.collect();
        if routes.len() > MOST {
            surplus.extend(routes.into_iter().cloned());
        }
    }
    let surplus = surplus.into_iter().map(NetworkChange::RemoveRoute);
    surplus.collect()
}

/// The routes of the kernel's by a link that follow from none of its other addresses.
pub(super) fn advertised_routes<'a>(
    current: &'a Current,
    link: &'a Link,
) -> impl Iterator<Item = &'a Route> {
    current.kernel_routes.iter().filter(|route| {
        let by = matches!(&route.way, NextHop::Link { link: by, .. } if *by == link.name);
        let own = link.addresses.iter().map(|held| &held.value);
        let mut own = own.chain(&link.peers).map(IpNet::trunc);
        by && !own.any(|own| own == route.destination)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Held, MAIN_TABLE};

    #[test]
    fn what_is_left_of_advertisements_is_told_from_what_other_addresses_bring()
    -> Result<(), Box<dyn std::error::Error>> {
        let route = |destination: &str, link: &str, gateway: Option<&str>| {
            Ok::<_, Box<dyn std::error::Error>>(Route {
                destination: destination.parse()?,
                way: NextHop::Link {
                    link: link.into(),
                    gateway: gateway.map(str::parse).transpose()?,
                },
                metric: 256,
                table: MAIN_TABLE,
            })
        };
        let current = Current {
            links: vec![Link {
                name: "eth0".into(),
                addresses: vec![Held {
                    value: "fd00:1::2/64".parse()?,
                    ours: true,
                }],
                advertised: vec!["fd00:2::7/64".parse()?],
                ..Link::default()
            }],
            kernel_routes: vec![
                route("fd00:1::/64", "eth0", None)?,
                route("fd00:2::/64", "eth0", None)?,
                route("::/0", "eth0", Some("fe80::1"))?,
                route("fd00:3::/64", "eth1", None)?,
            ],
            ..Current::default()
        };
        let told = |name: &str| -> Vec<String> {
            let changes = advertised_on(&current, name);
            changes.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            told("eth0"),
            [
                "interface eth0: remove address fd00:2::7/64",
                "remove route fd00:2::/64 on eth0, metric 256",
                "remove route ::/0 via fe80::1 on eth0, metric 256"
            ]
        );
        assert!(told("eth2").is_empty());
        Ok(())
    }
}
