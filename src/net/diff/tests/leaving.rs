//! Tests of what an earlier file had.

use super::*;
fn bridge_of(
    name: &str,
    ports: &[&str],
) -> std::result::Result<Wanted, Box<dyn std::error::Error>> {
    let ports = ports.iter().map(|port| InterfaceName::try_from(*port));
    let ports = ports.collect::<std::result::Result<Vec<_>, _>>()?;
    wanted(
        name,
        Device::Bridge {
            not_isolated: ports.clone(),
            ports,
        },
    )
}

fn made(name: &str) -> Link {
    Link {
        kind: LinkType::Bridge,
        made: true,
        ..link(name)
    }
}

fn port(name: &str, bridge: &str) -> Link {
    Link {
        controller: Some(bridge.into()),
        ..link(name)
    }
}

fn of(links: Vec<Link>) -> Current {
    Current {
        links,
        ..Current::default()
    }
}

/// What comes first, of what is about these links.
fn first(current: &Current, wanted: &Wanted, count: usize) -> Vec<String> {
    let mut lines = described(current, wanted);
    lines.truncate(count);
    lines
}

#[test]
fn ports_leave_a_bridge_that_camfw_made_and_it_goes() -> Result {
    let ports = || {
        vec![
            port("eth1", "br0"),
            port("eth2", "br0"),
            port("tap0", "br0"),
        ]
    };
    let current = of([ports(), vec![made("br0")]].concat());
    let plain = wanted("eth1", Device::Named)?;
    assert_eq!(
        first(&current, &plain, 4),
        [
            "interface eth1: take it out of br0",
            "interface eth2: take it out of br0",
            "interface tap0: take it out of br0",
            "interface br0: remove it",
        ]
    );
    let renamed = bridge_of("br1", &["eth1", "eth2"])?;
    assert_eq!(
        first(&current, &renamed, 6)[2..],
        [
            "interface tap0: take it out of br0",
            "interface br0: remove it",
            "interface br1: make it a bridge",
            "interface eth1: make it a port of br1",
        ]
    );
    let smaller = bridge_of("br0", &["eth1"])?;
    assert_eq!(
        first(&current, &smaller, 3),
        [
            "interface eth2: take it out of br0",
            "interface tap0: take it out of br0",
            "interface br0: add address 192.168.0.2/24",
        ]
    );
    // One of others is left to them, whatever group or alias it has.
    let others = Link {
        made: false,
        alias: "camfw".into(),
        ..made("br0")
    };
    let current = of([ports(), vec![others]].concat());
    for wanted in [&plain, &renamed, &smaller] {
        let lines = described(&current, wanted);
        let is_taken = |line: &String| line.contains("take it out") || line.contains("remove it");
        assert!(!lines.iter().any(is_taken), "{}", lines.join("; "));
    }
    Ok(())
}

#[test]
fn a_vlan_that_camfw_made_is_made_anew_where_the_file_has_another() -> Result {
    let vlan = |id, made| Link {
        kind: LinkType::Vlan {
            id,
            parent: Some("eth1".into()),
        },
        made,
        ..link("guest")
    };
    let parent = InterfaceName::try_from("eth1")?;
    let wanted = wanted("guest", Device::Vlan { id: 20, parent })?;
    let current = of(vec![link("eth1"), vlan(21, true)]);
    assert_eq!(
        first(&current, &wanted, 2),
        [
            "interface guest: remove it",
            "interface guest: make it VLAN 20 on eth1"
        ]
    );
    assert_eq!(
        diff(&current, &wanted).to_shut(&current, &wanted),
        ["guest"]
    );
    let same = of(vec![link("eth1"), vlan(20, true)]);
    assert!(described(&same, &wanted)[0].contains("add address"));
    let others = of(vec![link("eth1"), vlan(21, false)]);
    assert!(described(&others, &wanted)[0].contains("exists and is not VLAN 20"));
    Ok(())
}

/// The links after the renames of a diff, with what is noted.
fn renamed(current: &Current, wanted: &Wanted) -> Current {
    let mut after = current.clone();
    for change in diff(current, wanted).changes {
        if let NetworkChange::Rename { from, to, alias } = change {
            let link = after.links.iter_mut().find(|link| link.name == from);
            if let Some(link) = link {
                (link.name, link.alias) = (to, alias);
            }
        }
    }
    after
}

fn names(current: &Current) -> Vec<(&str, &str)> {
    let links = current.links.iter();
    let names = links.map(|link| (link.name.as_str(), link.alias.as_str()));
    names.collect()
}

#[test]
fn a_device_gets_its_name_back_once_no_file_gives_it_another() -> Result {
    let mac = MacAddress::from([2, 0, 0, 0, 0, 1]);
    let before = of(vec![Link {
        mac: Some(mac),
        alias: "to the house".into(),
        ..link("eth2")
    }]);
    let found = wanted("lan0", Device::Mac(mac))?;
    let after = renamed(&before, &found);
    assert_eq!(names(&after), [("lan0", "to the house camfw: was eth2")]);
    assert_eq!(names(&renamed(&after, &found)), names(&after));
    // By another name it is still eth2.
    let other = renamed(&after, &wanted("lan1", Device::Mac(mac))?);
    assert_eq!(names(&other), [("lan1", "to the house camfw: was eth2")]);
    for named in ["eth2", "eth7"] {
        let back = renamed(&other, &wanted(named, Device::Named)?);
        assert_eq!(names(&back), names(&before), "{named}");
    }
    // The file has the name that it got.
    let kept = renamed(&after, &wanted("lan0", Device::Named)?);
    assert_eq!(names(&kept), names(&after));
    // Somebody else has its name by now.
    let mut taken = after.clone();
    taken.links.push(link("eth2"));
    let kept = renamed(&taken, &wanted("eth2", Device::Named)?);
    assert_eq!(names(&kept), names(&taken));
    Ok(())
}

#[test]
fn exchanged_names_are_exchanged_back_and_down_before() -> Result {
    let mac = |last| MacAddress::from([2, 0, 0, 0, 0, last]);
    let at = |name: &str, last| Link {
        mac: Some(mac(last)),
        ..link(name)
    };
    let before = of(vec![at("eth0", 1), at("eth1", 2)]);
    let mut found = wanted("eth1", Device::Mac(mac(1)))?;
    found
        .links
        .extend(wanted("eth0", Device::Mac(mac(2)))?.links);
    let after = renamed(&before, &found);
    let exchanged = [("eth1", "camfw: was eth0"), ("eth0", "camfw: was eth1")];
    assert_eq!(names(&after), exchanged);
    let mut plain = wanted("eth0", Device::Named)?;
    plain.links.extend(wanted("eth1", Device::Named)?.links);
    assert_eq!(names(&renamed(&after, &plain)), names(&before));
    assert_eq!(
        diff(&after, &plain).to_shut(&after, &plain),
        ["eth1", "eth0"]
    );
    Ok(())
}

#[test]
fn what_is_down_for_it_and_not_in_the_file_is_up_afterwards() -> Result {
    let current = of(vec![
        port("eth1", "br0"),
        port("eth2", "br0"),
        Link {
            up: false,
            ..port("eth3", "br0")
        },
        made("br0"),
    ]);
    let wanted = wanted("eth1", Device::Named)?;
    let diff = diff(&current, &wanted);
    let shut = diff.to_shut(&current, &wanted);
    assert_eq!(shut, ["eth1", "eth2"]);
    let ups = diff.unshut(&shut, &wanted);
    let ups: Vec<String> = ups.iter().map(ToString::to_string).collect();
    assert_eq!(ups, ["interface eth2: set up"]);
    Ok(())
}

#[test]
fn what_no_way_back_undoes_is_known_before() -> Result {
    let left = |current: &Current, new: &Wanted, old: &Wanted| -> Vec<String> {
        let changes = left_behind(current, new, old);
        changes.iter().map(ToString::to_string).collect()
    };
    let plain = wanted("eth1", Device::Named)?;
    let bridge = bridge_of("br0", &["eth1"])?;
    let others = Link {
        made: false,
        ..made("br0")
    };
    let none = [""; 0];
    let free = of(vec![link("eth1")]);
    assert_eq!(left(&free, &bridge, &plain), none);
    let own = of(vec![link("eth1"), made("br0")]);
    assert_eq!(left(&own, &bridge, &plain), none);
    let current = of(vec![link("eth1"), others.clone()]);
    assert_eq!(
        left(&current, &bridge, &plain),
        ["interface eth1: make it a port of br0",]
    );
    let isolated = Link {
        isolated: true,
        ..port("eth1", "br0")
    };
    let current = of(vec![isolated, others]);
    let set = ["interface eth1: let it reach every port"];
    assert_eq!(left(&current, &bridge, &plain), set);
    assert_eq!(left(&current, &bridge, &bridge), none);

    let mut small = plain.clone();
    small.links[0].mtu = Some(1400);
    assert_eq!(
        left(&free, &small, &plain),
        ["interface eth1: set MTU 1400"]
    );
    let mac = MacAddress::from([2, 0, 0, 0, 0, 1]);
    let mut found = wanted("lan0", Device::Mac(mac))?;
    found.links[0].mtu = Some(1400);
    let free = of(vec![Link {
        mac: Some(mac),
        ..link("eth1")
    }]);
    assert_eq!(
        left(&free, &found, &plain),
        ["interface lan0: set MTU 1400"]
    );
    assert_eq!(left(&free, &found, &small), none);
    let mut usual = plain.clone();
    usual.links[0].mtu = Some(1500);
    assert_eq!(left(&free, &small, &usual), none);
    Ok(())
}
