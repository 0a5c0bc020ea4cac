//! Tests of `net::diff`.

mod bridge_ports;
mod leaving;

use super::*;
use crate::name::MacAddress;
use crate::net::rename::is_at;

type Result = std::result::Result<(), Box<dyn std::error::Error>>;

fn link(name: &str) -> Link {
    Link {
        name: name.into(),
        up: true,
        mtu: 1500,
        ..Link::default()
    }
}

fn wanted(name: &str, device: Device) -> std::result::Result<Wanted, Box<dyn std::error::Error>> {
    Ok(Wanted {
        links: vec![WantedLink {
            name: InterfaceName::try_from(name)?,
            device,
            addresses: vec!["192.168.0.2/24".parse()?],
            address_source: crate::net::AddressSource::File,
            mtu: None,
            zone: "external".into(),
            optional: false,
            metric: 0,
            slaac: false,
        }],
        routes: vec![Route {
            destination: "0.0.0.0/0".parse()?,
            way: NextHop::Link {
                link: name.into(),
                gateway: Some("192.168.0.1".parse()?),
            },
            metric: 0,
            table: MAIN_TABLE,
        }],
        rules: Vec::new(),
        source_rules: Vec::new(),
        ways: Vec::new(),
        neighbours: Vec::new(),
        forwarding: Vec::new(),
        ipv6: false,
    })
}

fn described(current: &Current, wanted: &Wanted) -> Vec<String> {
    let diff = diff(current, wanted);
    let changes = diff.changes.iter().map(ToString::to_string);
    changes
        .chain(diff.problems.iter().map(ToString::to_string))
        .collect()
}

#[test]
fn from_nothing_to_wanted_and_then_nothing_more() -> Result {
    let wanted = wanted("eth0", Device::Named)?;
    let mut current = Current {
        links: vec![
            Link {
                up: false,
                ..link(LOOPBACK)
            },
            Link {
                up: false,
                ..link("eth0")
            },
        ],
        ..Current::default()
    };
    assert_eq!(
        described(&current, &wanted),
        [
            "interface eth0: add address 192.168.0.2/24",
            "interface lo: set up",
            "interface eth0: set up",
            "set route 0.0.0.0/0 via 192.168.0.1 on eth0",
        ]
    );
    for link in &mut current.links {
        link.up = true;
    }
    current.links[1].addresses = vec![Held {
        value: "192.168.0.2/24".parse()?,
        ours: true,
    }];
    current.routes = vec![Held {
        value: wanted.routes[0].clone(),
        ours: false,
    }];
    assert!(described(&current, &wanted).is_empty());
    Ok(())
}

#[test]
fn only_what_is_ours_is_removed() -> Result {
    let wanted = wanted("eth0", Device::Named)?;
    let route = |to: &str, ours| -> std::result::Result<_, Box<dyn std::error::Error>> {
        Ok(Held {
            value: Route {
                destination: to.parse()?,
                ..wanted.routes[0].clone()
            },
            ours,
        })
    };
    let mut eth0 = link("eth0");
    for (address, ours) in [
        ("192.168.0.2/24", true),
        ("10.0.0.1/8", true),
        ("10.0.0.2/8", false),
        ("192.168.0.9/24", true),
    ] {
        eth0.addresses.push(Held {
            value: address.parse()?,
            ours,
        });
    }
    let current = Current {
        links: vec![eth0],
        routes: vec![
            route("0.0.0.0/0", true)?,
            route("10.1.0.0/16", true)?,
            route("10.2.0.0/16", false)?,
        ],
        ..Current::default()
    };
    assert_eq!(
        described(&current, &wanted),
        [
            "interface eth0: remove address 10.0.0.1/8",
            "interface eth0: remove address 192.168.0.9/24",
            "remove route 10.1.0.0/16 via 192.168.0.1 on eth0",
        ]
    );
    Ok(())
}

#[test]
fn an_ipv6_address_is_on_a_link_once_whatever_its_prefix_length() -> Result {
    let mut wanted = wanted("eth0", Device::Named)?;
    wanted.links[0].addresses = vec!["fd00::1/64".parse()?];
    wanted.routes.clear();
    let with = |address: &str, ours| -> std::result::Result<_, Box<dyn std::error::Error>> {
        let mut eth0 = link("eth0");
        eth0.addresses.push(Held {
            value: address.parse()?,
            ours,
        });
        Ok(Current {
            links: vec![eth0],
            ..Current::default()
        })
    };
    assert_eq!(
        described(&with("fd00::1/48", true)?, &wanted),
        [
            "interface eth0: remove address fd00::1/48",
            "interface eth0: add address fd00::1/64",
        ]
    );
    assert_eq!(
        described(&with("fd00::1/48", false)?, &wanted),
        ["address fd00::1/64 of zone external is already on interface eth0; remove it there"]
    );
    assert!(described(&with("fd00::1/64", false)?, &wanted).is_empty());
    Ok(())
}

#[test]
fn another_device_does_not_take_the_place_by_its_name() -> Result {
    let mac = |last| MacAddress::from([2, 0, 0, 0, 0, last]);
    let with = |mac| Link {
        mac: Some(mac),
        ..link("eth0")
    };
    for device in [Device::Mac(mac(1)), Device::Path("usb1/1-1".into())] {
        let mut wanted = wanted("eth0", device)?;
        let mut current = Current {
            links: vec![with(mac(2))],
            ..Current::default()
        };
        wanted.links[0].optional = true;
        let described = described(&current, &wanted).join("; ");
        assert!(
            described.contains("is another device (no interface"),
            "{described}"
        );
        assert!(!described.contains("add address"), "{described}");
        assert!(
            !diff(&current, &wanted).lacks_links(),
            "nobody waits for it"
        );
        // The control.
        current.links[0].mac = Some(mac(1));
        current.links[0].path = Some("/devices/pci0/usb1/1-1".into());
        assert_eq!(diff(&current, &wanted).problems, []);
    }
    Ok(())
}

#[test]
fn what_another_program_gives_is_left_and_gets_its_route_once_it_is_up() -> Result {
    let mut wanted = wanted("ppp0", Device::Named)?;
    wanted.links[0].address_source = crate::net::AddressSource::Given;
    wanted.links[0].optional = true;
    wanted.links[0].addresses.clear();
    wanted.routes[0].way = NextHop::Link {
        link: "ppp0".into(),
        gateway: None,
    };
    let mut current = Current {
        links: vec![link(LOOPBACK)],
        ..Current::default()
    };
    assert_eq!(
        diff(&current, &wanted).absent,
        [wanted.links[0].name.clone()]
    );
    assert_eq!(described(&current, &wanted), [""; 0]);
    current.links.push(Link {
        up: false,
        ..link("ppp0")
    });
    assert_eq!(
        described(&current, &wanted),
        [""; 0],
        "its program sets it up"
    );
    current.links[1].up = true;
    current.links[1].addresses.push(Held {
        value: "100.64.1.2/32".parse()?,
        ours: false,
    });
    let route = "set route 0.0.0.0/0 on ppp0";
    assert_eq!(described(&current, &wanted), [route]);
    // One that camfw makes is camfw's to set up.
    wanted.links[0].device = Device::Vlan {
        id: 7,
        parent: InterfaceName::try_from("eth0")?,
    };
    current.links[1] = Link {
        up: false,
        kind: LinkType::Vlan {
            id: 7,
            parent: Some("eth0".into()),
        },
        ..link("ppp0")
    };
    current.links.push(link("eth0"));
    let described = described(&current, &wanted);
    assert_eq!(described.len(), 2, "{described:?}");
    assert_eq!(described[1], route);
    Ok(())
}

#[test]
fn of_two_alike_the_one_that_has_the_name_keeps_it() -> Result {
    let mac = MacAddress::from([2, 0, 0, 0, 0, 1]);
    let alike = |name| Link {
        mac: Some(mac),
        ..link(name)
    };
    let current = Current {
        links: vec![alike("eth7"), alike("eth0")],
        ..Current::default()
    };
    let described = described(&current, &wanted("eth0", Device::Mac(mac))?);
    assert!(
        !described
            .iter()
            .any(|described| described.contains("rename")),
        "{described:?}"
    );
    Ok(())
}

#[test]
fn what_was_on_a_renamed_link_is_gone_with_its_name() -> Result {
    let mac = MacAddress::from([2, 0, 0, 0, 0, 7]);
    let mut wanted = wanted("cam0", Device::Mac(mac))?;
    let on = |link: &str| -> std::result::Result<_, Box<dyn std::error::Error>> {
        Ok(Neighbour {
            address: "192.168.0.7".parse()?,
            mac,
            link: link.into(),
        })
    };
    let ours = |value| Held { value, ours: true };
    let mut current = Current {
        links: vec![
            link(LOOPBACK),
            Link {
                mac: Some(mac),
                ..link("eth1")
            },
        ],
        neighbours: vec![ours(on("eth1")?)],
        ..Current::default()
    };
    current.routes = wanted
        .routes
        .iter()
        .cloned()
        .map(|mut route| {
            route.way = NextHop::Link {
                gateway: "192.168.0.9".parse().ok(),
                link: "eth1".into(),
            };
            route.metric = 7;
            Held {
                value: route,
                ours: true,
            }
        })
        .collect();
    // A link that is up is set down to be renamed, which takes both away.
    let changes = [
        "interface eth1: rename to cam0",
        "interface cam0: add address 192.168.0.2/24",
        "interface cam0: set up",
        "set route 0.0.0.0/0 via 192.168.0.1 on cam0",
    ];
    assert_eq!(described(&current, &wanted), changes);
    // What is wanted there is set again, and not taken for what was there.
    wanted.neighbours = vec![on("cam0")?];
    let set = format!("set {}", on("cam0")?);
    assert_eq!(described(&current, &wanted).last(), Some(&set));
    // A link that was down keeps them.
    current.links[1].up = false;
    assert!(!described(&current, &wanted).contains(&set));
    wanted.neighbours.clear();
    let removed = format!("remove {}", on("cam0")?);
    assert_eq!(described(&current, &wanted).last(), Some(&removed));
    Ok(())
}

#[test]
fn a_renamed_link_gets_its_ipv6_addresses_again() -> Result {
    let mac = MacAddress::from([2, 0, 0, 0, 0, 1]);
    let mut wanted = wanted("ext0", Device::Mac(mac))?;
    wanted.links[0].addresses.push("fd00::1/64".parse()?);
    wanted.routes.clear();
    let mut eth0 = Link {
        mac: Some(mac),
        ..link("eth0")
    };
    for address in &wanted.links[0].addresses {
        eth0.addresses.push(Held {
            value: *address,
            ours: true,
        });
    }
    let current = Current {
        links: vec![eth0],
        ..Current::default()
    };
    assert_eq!(
        described(&current, &wanted),
        [
            "interface eth0: rename to ext0",
            "interface ext0: add address fd00::1/64",
            "interface ext0: set up",
        ]
    );
    Ok(())
}

#[test]
fn devices_swap_names() -> Result {
    let mac = |last| MacAddress::from([2, 0, 0, 0, 0, last]);
    let mut wanted_links = wanted("eth0", Device::Mac(mac(1)))?;
    wanted_links.links.push(WantedLink {
        name: InterfaceName::try_from("eth1")?,
        device: Device::Mac(mac(0)),
        addresses: Vec::new(),
        address_source: crate::net::AddressSource::File,
        mtu: Some(1400),
        zone: "camera".into(),
        optional: false,
        metric: 0,
        slaac: false,
    });
    let current = Current {
        links: vec![
            Link {
                mac: Some(mac(0)),
                ..link("eth0")
            },
            Link {
                mac: Some(mac(1)),
                ..link("eth1")
            },
        ],
        ..Current::default()
    };
    assert_eq!(
        described(&current, &wanted_links)[..5],
        [
            "interface eth1: rename to camfw-tmp1",
            "interface eth0: rename to camfw-tmp0",
            "interface camfw-tmp1: rename to eth0",
            "interface camfw-tmp0: rename to eth1",
            "interface eth1: set MTU 1400",
        ]
    );
    Ok(())
}

#[test]
fn what_cannot_be_is_told_and_keeps_nothing_else_back() -> Result {
    let mac = MacAddress::from([2, 0, 0, 0, 0, 9]);
    let mut wanted_links = wanted("ext0", Device::Mac(mac))?;
    wanted_links
        .links
        .extend(wanted("eth1", Device::Named)?.links);
    wanted_links.links[1].addresses = vec!["10.0.0.1/8".parse()?];
    let current = Current {
        links: vec![link("eth1")],
        ..Current::default()
    };
    assert_eq!(
        described(&current, &wanted_links),
        [
            "interface eth1: add address 10.0.0.1/8",
            "interface ext0 of zone external does not exist (no interface has the hardware address 02:00:00:00:00:09); look for it with `ip link`, check its driver and the file; if it may be absent, set optional = true on the zone",
        ]
    );
    Ok(())
}

#[test]
fn vlans_and_bridges_are_made_once() -> Result {
    let port = |name| InterfaceName::try_from(name);
    let bridge = wanted(
        "br0",
        Device::Bridge {
            ports: vec![port("eth1")?, port("eth2")?],
            not_isolated: Vec::new(),
        },
    )?;
    let mut current = Current {
        links: vec![link("eth1"), link("eth2")],
        ..Current::default()
    };
    assert_eq!(
        described(&current, &bridge)[..5],
        [
            "interface br0: make it a bridge",
            "interface eth1: make it a port of br0",
            "interface eth1: isolate it from other ports",
            "interface eth2: make it a port of br0",
            "interface eth2: isolate it from other ports",
        ]
    );
    for link in &mut current.links {
        link.controller = Some("br0".into());
        link.isolated = true;
    }
    let vlan = wanted(
        "eth1.20",
        Device::Vlan {
            id: 20,
            parent: port("eth1")?,
        },
    )?;
    current.links.push(Link {
        kind: LinkType::Bridge,
        ..link("br0")
    });
    current.links.push(Link {
        kind: LinkType::Vlan {
            id: 21,
            parent: Some("eth1".into()),
        },
        ..link("eth1.20")
    });
    assert!(
        !described(&current, &bridge)
            .iter()
            .any(|line| line.contains("port of") || line.contains("isolate"))
    );
    assert_eq!(
        described(&current, &vlan),
        [
            "interface eth1.20 exists and is not VLAN 20 on eth1; remove it or choose another name in the file"
        ]
    );
    Ok(())
}

#[test]
fn paths_match_part_by_part() {
    let there = "platform/soc/1af0000.fsl-dpaa/eth";
    assert!(is_at(there, "1af0000.fsl-dpaa/eth") && is_at(there, there));
    assert!(!is_at(there, "dpaa/eth") && !is_at(there, "soc"));
}
