//! Tests of `net::bypass`.

use super::*;
use crate::name::InterfaceName;
use crate::net::WantedLink;

type Result = std::result::Result<(), Box<dyn std::error::Error>>;

fn zone(name: &str, device: Device) -> std::result::Result<WantedLink, Box<dyn std::error::Error>> {
    Ok(WantedLink {
        name: InterfaceName::try_from(name)?,
        device,
        addresses: Vec::new(),
        address_source: crate::net::AddressSource::File,
        mtu: None,
        zone: "camera".into(),
        optional: false,
        metric: 0,
        slaac: false,
    })
}

fn wanted(links: Vec<WantedLink>) -> Wanted {
    Wanted {
        links,
        routes: Vec::new(),
        rules: Vec::new(),
        source_rules: Vec::new(),
        ways: Vec::new(),
        neighbours: Vec::new(),
        forwarding: Vec::new(),
        ipv6: false,
    }
}

fn link(name: &str, link_type: &str) -> Link {
    Link {
        name: name.into(),
        link_type: (!link_type.is_empty()).then(|| link_type.into()),
        ..Link::default()
    }
}

/// The descriptions for eth1, the zone's interface, with `others` as further links.
fn described(
    eth1: Link,
    others: Vec<Link>,
) -> std::result::Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut links = vec![eth1, link("eth9", "")];
    links.extend(others);
    let current = Current {
        links,
        ..Current::default()
    };
    let wanted = wanted(vec![zone("eth1", Device::Named)?]);
    let found = bypasses(&current, Some(&wanted));
    Ok(found.iter().map(ToString::to_string).collect())
}

fn on(name: &str, link_type: &str, lower: &str) -> Link {
    Link {
        lower: vec![lower.into()],
        ..link(name, link_type)
    }
}

fn port_of(controller: &str, port: Link) -> Link {
    Link {
        controller: Some(controller.into()),
        ..port
    }
}

#[test]
fn a_port_of_anything_is_told() -> Result {
    for (name, link_type) in [
        ("br9", "bridge"),
        ("ovs-system", "openvswitch"),
        ("bond0", "bond"),
        ("team0", "team"),
        ("vrf1", "vrf"),
    ] {
        let eth1 = port_of(name, link("eth1", ""));
        let lines = described(eth1, vec![link(name, link_type)])?;
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(&format!(
            "interface eth1: it is a port of {link_type} {name}, which"
        )));
    }
    assert!(described(link("eth1", ""), vec![port_of("br9", link("eth7", "veth"))])?.is_empty());
    Ok(())
}

#[test]
fn what_nftables_has_on_a_device_is_told() -> Result {
    for (hook, said) in [
        (FrameHook::Table("netdev t".into()), "table netdev t"),
        (
            FrameHook::Flowtable {
                table: "inet t".into(),
                name: "f".into(),
            },
            "flowtable f in table inet t",
        ),
    ] {
        let eth1 = Link {
            hooks: vec![hook],
            ..link("eth1", "")
        };
        let lines = described(eth1, Vec::new())?;
        let expected = format!("interface eth1: {said} of nftables");
        assert!(
            lines.len() == 1 && lines[0].starts_with(&expected),
            "{lines:?}"
        );
    }
    Ok(())
}

#[test]
fn who_takes_every_frame_is_told_where_it_is_not_known() -> Result {
    let taken = |promiscuity| Link {
        promiscuity,
        ..link("eth1", "")
    };
    assert!(described(taken(0), Vec::new())?.is_empty());
    assert!(described(taken(1), vec![on("eth1.7", "vlan", "eth1")])?.is_empty());
    let lines = described(taken(1), Vec::new())?;
    assert!(lines[0].starts_with("interface eth1: something takes every frame"));
    assert_eq!(
        described(taken(2), vec![on("eth1.7", "vlan", "eth1")])?.len(),
        1
    );
    Ok(())
}

#[test]
fn what_takes_frames_from_below_is_told_and_a_tunnel_is_not() -> Result {
    for link_type in [
        "macvlan", "macvtap", "ipvlan", "ipvtap", "hsr", "batadv", "rmnet", "new",
    ] {
        let lines = described(link("eth1", ""), vec![on("up0", link_type, "eth1")])?;
        let expected = format!("interface eth1: {link_type} up0 on it carries");
        assert!(
            lines.len() == 1 && lines[0].starts_with(&expected),
            "{lines:?}"
        );
        assert!(described(link("eth1", ""), vec![on("up0", link_type, "eth9")])?.is_empty());
    }
    for link_type in BESIDE.iter().chain(PART) {
        assert!(described(link("eth1", ""), vec![on("up0", link_type, "eth1")])?.is_empty());
    }
    Ok(())
}

#[test]
fn a_vlan_that_is_bridged_takes_the_wires_tagged_frames() -> Result {
    let vlan = port_of("br9", on("eth1.5", "vlan", "eth1"));
    let lines = described(link("eth1", ""), vec![vlan, link("br9", "bridge")])?;
    assert!(
        lines.len() == 1 && lines[0].starts_with("interface eth1.5: it is a port of bridge br9")
    );
    let above = vec![
        on("eth1.5", "vlan", "eth1"),
        on("eth1.5.6", "vlan", "eth1.5"),
        on("mv", "macvlan", "eth1.5.6"),
    ];
    assert_eq!(described(link("eth1", ""), above)?.len(), 1);
    Ok(())
}

#[test]
fn the_files_own_bridge_has_its_ports_and_no_others() -> Result {
    let ports = vec![InterfaceName::try_from("eth1")?];
    let wanted = wanted(vec![zone(
        "br-cam",
        Device::Bridge {
            ports,
            not_isolated: Vec::new(),
        },
    )?]);
    let mut current = Current {
        links: vec![
            port_of("br-cam", link("eth1", "")),
            link("br-cam", "bridge"),
        ],
        ..Current::default()
    };
    assert!(bypasses(&current, Some(&wanted)).is_empty());
    current.links.push(port_of("br-cam", link("tap0", "tun")));
    let found = bypasses(&current, Some(&wanted));
    assert_eq!(found.len(), 1);
    assert!(
        found[0]
            .to_string()
            .starts_with("interface br-cam: tap0 is a port of it")
    );
    Ok(())
}

#[test]
fn programs_and_filters_that_can_carry_frames_are_told() -> Result {
    let with = |filter: TrafficFilter| Link {
        filters: vec![filter],
        ..link("eth1", "")
    };
    let filter = |kind: &str, actions: Vec<FilterAction>| TrafficFilter {
        kind: kind.into(),
        actions,
    };
    let to = |link: &str| FilterAction::Redirect(Some(link.into()));
    for (found, filter) in [
        (0, filter("u32", vec![])),
        (0, filter("matchall", vec![FilterAction::Limit])),
        (1, filter("bpf", vec![])),
        (
            1,
            filter("flower", vec![FilterAction::Other("pedit".into())]),
        ),
        (1, filter("u32", vec![FilterAction::Limit, to("eth9")])),
        (1, filter("u32", vec![FilterAction::Redirect(None)])),
        (0, filter("u32", vec![to("ifb0")])),
    ] {
        let lines = described(with(filter.clone()), vec![link("ifb0", "ifb")])?;
        assert_eq!(lines.len(), found, "{filter:?}: {lines:?}");
    }
    // A shaper that sends the frames to another link.
    let ifb = Link {
        filters: vec![filter("u32", vec![to("eth9")])],
        ..link("ifb0", "ifb")
    };
    let lines = described(with(filter("u32", vec![to("ifb0")])), vec![ifb])?;
    assert!(lines.len() == 1 && lines[0].starts_with("interface ifb0: a traffic control"));
    let xdp = Link {
        xdp: true,
        ..link("eth1", "")
    };
    assert_eq!(described(xdp, vec![])?.len(), 1);
    let moved = Link {
        also_receives: vec![MacAddress::from([2, 0, 0, 0, 0, 9])],
        ..link("eth1", "")
    };
    assert_eq!(described(moved, vec![])?.len(), 1);
    Ok(())
}

#[test]
fn a_link_is_watched_by_the_name_it_will_have_and_without_a_file_by_its_device() -> Result {
    let mac = MacAddress::from([2, 0, 0, 0, 0, 1]);
    let wanted = wanted(vec![zone("cam0", Device::Mac(mac))?]);
    let eth1 = Link {
        mac: Some(mac),
        up: true,
        path: Some("platform/eth".into()),
        ..port_of("br9", link("eth1", ""))
    };
    let current = Current {
        links: vec![eth1, port_of("docker0", link("veth7", "veth"))],
        ..Current::default()
    };
    for wanted in [Some(&wanted), None] {
        let found = bypasses(&current, wanted);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].link == "eth1" && found[0].is_up);
    }
    Ok(())
}
