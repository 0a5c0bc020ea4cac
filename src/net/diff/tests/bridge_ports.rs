//! Tests of the ports of bridges.

use super::*;
use crate::net::ForwardingEntry;

/// A bridge of eth1 and eth2, of which eth2 reaches every port.
fn bridge_with_locked_ports() -> std::result::Result<Wanted, Box<dyn std::error::Error>> {
    let port = |name| InterfaceName::try_from(name);
    let mut wanted = wanted(
        "br0",
        Device::Bridge {
            ports: vec![port("eth1")?, port("eth2")?],
            not_isolated: vec![port("eth2")?],
        },
    )?;
    wanted.forwarding = vec![entry("02:00:00:00:00:11", "eth1")?];
    Ok(wanted)
}

fn entry(
    mac: &str,
    port: &str,
) -> std::result::Result<ForwardingEntry, Box<dyn std::error::Error>> {
    Ok(ForwardingEntry {
        mac: MacAddress::try_from(mac)?,
        port: port.into(),
        bridge: "br0".into(),
    })
}

#[test]
fn a_port_is_set_up_once_it_is_locked_and_has_its_entries() -> Result {
    let wanted = bridge_with_locked_ports()?;
    let mut current = Current {
        links: vec![link("eth1"), link("eth2")],
        ..Current::default()
    };
    for link in &mut current.links {
        link.up = true;
    }
    let changes = [
        "interface br0: make it a bridge",
        "interface eth1: make it a port of br0",
        "interface eth1: isolate it from other ports, lock it",
        "interface eth2: make it a port of br0",
        "interface eth2: let it reach every port, lock it",
        "set hardware address 02:00:00:00:00:11 is on port eth1 of br0",
    ];
    let found = described(&current, &wanted);
    assert_eq!(found[..6], changes);
    // They were up, and are set down to become ports.
    for up in ["interface eth1: set up", "interface eth2: set up"] {
        assert!(found[6..].iter().any(|change| change == up), "{up}");
    }
    let mut diff = diff(&current, &wanted).changes.into_iter();
    let then = diff.position(|change| !change.is_structural());
    assert_eq!(then, Some(6));
    Ok(())
}

#[test]
fn ports_and_entries_that_differ_are_put_right() -> Result {
    let mut wanted = bridge_with_locked_ports()?;
    let port = |name: &str, isolated| Link {
        controller: Some("br0".into()),
        isolated,
        locked: true,
        learns_nothing: true,
        up: true,
        ..link(name)
    };
    let bridge = Link {
        kind: LinkType::Bridge,
        up: true,
        ..link("br0")
    };
    let held = |value, ours| Held { value, ours };
    let mut current = Current {
        links: vec![port("eth1", true), port("eth2", false), bridge],
        forwarding: vec![
            held(entry("02:00:00:00:00:11", "eth1")?, true),
            // The same of a VLAN of the port.
            held(entry("02:00:00:00:00:11", "eth1")?, false),
        ],
        ..Current::default()
    };
    let of_ports = |current: &Current, wanted: &Wanted| -> Vec<String> {
        let mut changes = described(current, wanted);
        changes.retain(|change| change.contains("eth"));
        changes
    };
    assert_eq!(of_ports(&current, &wanted), [""; 0]);

    // Whatever is not the file's lets somebody in by a locked port.
    current.links[0].locked = false;
    current.links[1].learns_nothing = false;
    current.forwarding = vec![
        held(entry("02:00:00:00:00:11", "eth2")?, true),
        held(entry("02:00:00:00:00:66", "eth2")?, false),
        held(entry("02:00:00:00:00:66", "eth2")?, false),
    ];
    assert_eq!(
        of_ports(&current, &wanted),
        [
            "remove hardware address 02:00:00:00:00:11 is on port eth2 of br0",
            "remove hardware address 02:00:00:00:00:66 is on port eth2 of br0",
            "interface eth1: isolate it from other ports, lock it",
            "interface eth2: let it reach every port, lock it",
            "set hardware address 02:00:00:00:00:11 is on port eth1 of br0",
        ]
    );

    // Without cameras that have a port, what others learnt or set stays.
    wanted.forwarding.clear();
    assert_eq!(
        of_ports(&current, &wanted),
        [
            "remove hardware address 02:00:00:00:00:11 is on port eth2 of br0",
            "interface eth1: isolate it from other ports",
            "interface eth2: let it reach every port",
        ]
    );
    Ok(())
}

#[test]
fn what_isolates_a_port_comes_before_what_no_longer_does() -> Result {
    let mut wanted = bridge_with_locked_ports()?;
    wanted.forwarding.clear();
    let port = |name: &str, isolated| Link {
        controller: Some("br0".into()),
        isolated,
        ..link(name)
    };
    let current = Current {
        links: vec![
            port("eth2", true),
            port("eth1", false),
            Link {
                kind: LinkType::Bridge,
                ..link("br0")
            },
        ],
        ..Current::default()
    };
    assert_eq!(
        described(&current, &wanted)[..2],
        [
            "interface eth1: isolate it from other ports",
            "interface eth2: let it reach every port",
        ]
    );
    // A port of an earlier bridge is known by those beside it.
    let eth1 = &current.links[1];
    let bridge = current.earlier_bridge_of(eth1).map(|it| it.name.as_str());
    assert_eq!(bridge, Some("br0"));
    Ok(())
}
