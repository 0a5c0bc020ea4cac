//! Who is there, by made-up facts.

use super::*;
use crate::name::CameraName;
use crate::net::{LinkCondition, SeenHost};
use crate::observe::attempt::Attempt;
use crate::observe::refusals::Refusals;
use crate::policy::Answers;
use crate::source::Source;

type Done = Result<(), Box<dyn std::error::Error>>;

const NOW: u64 = 1_000_000;
const POLICY: &str = "\
    [zones.camera]\nrole = \"camera\"\ninterface = \"eth1\"\naddress = \"192.168.8.1/24\"\n\
    [zones.home]\nrole = \"private\"\ninterface = \"eth2\"\naddress = \"192.168.5.1/24\"\n\
    [[cameras]]\nname = \"porch\"\naddress = \"192.168.8.110\"\nmac = \"02:00:00:00:00:01\"\n\
    [[cameras]]\nname = \"yard\"\naddress = \"192.168.8.111\"\nmac = \"02:00:00:00:00:02\"\n\
    [[cameras]]\nname = \"shed\"\naddress = \"192.168.8.112\"\n";

fn mac(last: u8) -> MacAddress {
    MacAddress::from([2, 0, 0, 0, 0, last])
}

fn host(link: &str, address: [u8; 4], last: u8, seconds: u64) -> SeenHost {
    SeenHost {
        link: link.into(),
        address: address.into(),
        mac: mac(last),
        seconds,
    }
}

/// What was refused: tag, source, hardware address, how many seconds ago.
type Refused<'a> = (&'a str, [u8; 4], u8, u64);

fn look(
    hosts: Vec<SeenHost>,
    refused: &[Refused<'_>],
    packets: &[(&str, u64)],
) -> Result<Presence, Box<dyn std::error::Error>> {
    look_by(POLICY, hosts, refused, packets)
}

fn look_by(
    policy: &str,
    hosts: Vec<SeenHost>,
    refused: &[Refused<'_>],
    packets: &[(&str, u64)],
) -> Result<Presence, Box<dyn std::error::Error>> {
    let policy = crate::policy(&Source::new("c.toml", policy), &Answers::new())?;
    let mut refusals = Refusals::default();
    for (tag, source, last, ago) in refused {
        let attempt = Attempt {
            tag: tag.parse().map_err(|_| "a tag")?,
            source: (*source).into(),
            destination: [203, 0, 113, 7].into(),
            protocol: 17,
            port: 9,
        };
        refusals.add(&attempt, Some(mac(*last)), NOW - ago);
    }
    let counts: Vec<CameraCount> = packets
        .iter()
        .map(|(name, packets)| CameraCount {
            line: String::new(),
            name: (*name).into(),
            packets: *packets,
            bytes: 0,
        })
        .collect();
    let mut sightings = Sightings::default();
    sightings.compare(&policy, &[], &[], NOW - 60);
    let link = LinkCondition {
        name: "eth1".into(),
        up: true,
        ..LinkCondition::default()
    };
    Ok(presence(
        &policy,
        &HostFacts {
            seen: &SeenOnLinks {
                links: vec![link],
                hosts,
            },
            leases: &crate::observe::leased_host::leases(
                "0 02:00:00:00:00:09 192.168.8.150 ip-cam *\n",
                NOW,
            ),
            refused: &refusals.all(),
            counts: Some(&counts),
            sightings: &sightings,
            patience: 180,
            now: NOW,
        },
    ))
}

fn told(presence: &Presence) -> Vec<(&str, HostProblemKind)> {
    let problems = presence.problems.iter();
    problems.map(|it| (it.camera.as_str(), it.kind)).collect()
}

#[test]
fn cameras_are_there_or_not() -> Done {
    let hosts = vec![host("eth1", [192, 168, 8, 112], 3, 7200)];
    let here = look(hosts, &[], &[("porch", 5)])?;
    let states: Vec<_> = here
        .zones
        .iter()
        .flat_map(|zone| &zone.cameras)
        .map(|it| (it.name.as_str(), it.state, it.last_seen))
        .collect();
    assert_eq!(
        states,
        [
            ("porch", CameraState::Seen, Some(NOW)),
            ("yard", CameraState::NeverSeen, None),
            ("shed", CameraState::Silent, Some(NOW - 7200)),
        ]
    );
    assert!(here.problems.is_empty(), "{:?}", here.problems);
    let zone = &here.zones[0];
    assert!(zone.interface.up && !zone.interface.link && zone.interface.exists);
    assert!(!here.zones[1].interface.exists);
    let others: Vec<_> = zone.others.iter().map(|it| &it.calls_itself).collect();
    assert_eq!(others, [&Some("ip-cam".to_owned())], "the lease alone");
    Ok(())
}

#[test]
fn a_camera_is_silent_after_what_the_file_says() -> Done {
    let after = |says: &str| -> Result<_, Box<dyn std::error::Error>> {
        let file = format!("{POLICY}[watch]\n{says}\n");
        let policy = crate::policy(&Source::new("c.toml", &file), &Answers::new())?;
        let hosts = vec![host("eth1", [192, 168, 8, 112], 3, 7200)];
        let (seen, sightings) = (
            SeenOnLinks {
                hosts,
                ..SeenOnLinks::default()
            },
            Sightings::default(),
        );
        let here = presence(
            &policy,
            &HostFacts {
                seen: &seen,
                leases: &[],
                refused: &[],
                counts: None,
                sightings: &sightings,
                patience: 180,
                now: NOW,
            },
        );
        Ok((here.silent_after, here.zones[0].cameras[2].state))
    };
    assert_eq!(after("")?, (3600, CameraState::Silent));
    let late = after("silent-after = \"2 hours\"")?;
    assert_eq!(late, (7200, CameraState::Seen));
    let soon = after("silent-after = \"90s\"\ninterval = 45")?;
    assert_eq!(soon, (90, CameraState::Silent));
    // A camera that sends all the time is not silent between two looks.
    assert_eq!(after("interval = 7200")?, (14_400, CameraState::Seen));
    Ok(())
}

#[test]
fn each_problem_is_told_as_what_it_is() -> Done {
    let on_another_wire = [
        ("home spoofed", [192, 168, 8, 110], 1, 5),
        ("home spoofed", [0, 0, 0, 0], 1, 5),
    ];
    let found = look(Vec::new(), &on_another_wire, &[])?;
    assert_eq!(told(&found), [("porch", HostProblemKind::OtherZone)]);
    assert!(found.problems[0].text.contains("zone home (eth2)"));
    // It came back: its own packets are newer.
    let before = [("home spoofed", [192, 168, 8, 110], 1, 200)];
    assert_eq!(told(&look(Vec::new(), &before, &[])?).len(), 1);
    let back = look(Vec::new(), &before, &[("porch", 1)])?;
    assert_eq!(told(&back), []);
    // They are newer than the last look, and that is newer than what was elsewhere.
    let before = [("home spoofed", [192, 168, 8, 110], 1, 100)];
    let back = look(Vec::new(), &before, &[("porch", 1)])?;
    assert_eq!(told(&back), []);
    let since = [("home spoofed", [192, 168, 8, 110], 1, 50)];
    let unclear = look(Vec::new(), &since, &[("porch", 1)])?;
    assert_eq!(told(&unclear), [("porch", HostProblemKind::OtherZone)]);
    let moved = look(vec![host("eth2", [192, 168, 5, 9], 1, 0)], &[], &[])?;
    assert_eq!(told(&moved), [("porch", HostProblemKind::OtherZone)]);
    assert!(moved.zones[1].others.is_empty(), "it is listed");
    let unnamed = [("home spoofed", [192, 168, 8, 112], 7, 5)];
    assert_eq!(
        told(&look(Vec::new(), &unnamed, &[])?),
        [("shed", HostProblemKind::OtherZone)]
    );

    let other = [("camera spoofed", [192, 168, 8, 110], 8, 5)];
    let found = look(Vec::new(), &other, &[])?;
    assert_eq!(told(&found), [("porch", HostProblemKind::OtherDevice)]);
    assert!(
        found.zones[0]
            .others
            .iter()
            .all(|it| it.last_seen.is_none())
    );
    let both = look(Vec::new(), &other, &[("porch", 1)])?;
    assert_eq!(told(&both), [("porch", HostProblemKind::TwoDevices)]);

    let address = [("camera spoofed", [192, 168, 8, 77], 2, 5)];
    let found = look(Vec::new(), &address, &[("porch", 1)])?;
    assert_eq!(told(&found), [("yard", HostProblemKind::OtherAddress)]);
    assert!(found.problems[0].text.contains("uses 192.168.8.77 and not"));
    // It has its own as well.
    let own = host("eth1", [192, 168, 8, 111], 2, 9);
    let found = look(vec![own], &address, &[])?;
    assert!(
        found.problems[0]
            .text
            .contains("uses 192.168.8.77 beside 192.168.8.111")
    );
    // Who forges many is told in one text, however many more come.
    let many = [address[0], ("camera spoofed", [192, 168, 8, 78], 2, 4)];
    let found = look(Vec::new(), &many, &[])?;
    assert!(
        found.problems[0]
            .text
            .contains("uses other addresses and not")
    );
    Ok(())
}

#[test]
fn who_takes_turns_is_two() -> Done {
    let policy = crate::policy(&Source::new("c.toml", POLICY), &Answers::new())?;
    let mut sightings = Sightings::default();
    for (at, last) in [(30, 7), (20, 6), (10, 7)] {
        let hosts = [host("eth1", [192, 168, 8, 112], last, 0)];
        sightings.compare(&policy, &[], &hosts, NOW - at);
    }
    let facts = HostFacts {
        seen: &SeenOnLinks::default(),
        leases: &[],
        refused: &[],
        counts: None,
        sightings: &sightings,
        patience: 180,
        now: NOW,
    };
    let found = presence(&policy, &facts);
    assert_eq!(told(&found), [("shed", HostProblemKind::TwoDevices)]);
    let shed = CameraName::try_from("shed")?;
    assert_eq!(sightings.of(&shed).and_then(|it| it.last), Some(NOW - 10));
    Ok(())
}

#[test]
fn hosts_that_nobody_listed_are_one_each() -> Done {
    let hosts = vec![
        host("eth1", [192, 168, 8, 150], 9, 3),
        host("eth1", [192, 168, 8, 151], 9, 9),
        host("eth1", [192, 168, 8, 110], 1, 0),
        host("eth0", [192, 168, 8, 152], 5, 0),
    ];
    let refused = [("camera spoofed", [8, 8, 8, 8], 10, 1)];
    let found = look(hosts, &refused, &[])?;
    let others: Vec<_> = found.zones[0]
        .others
        .iter()
        .map(|it| (it.hardware.clone(), it.addresses.len(), it.last_seen))
        .collect();
    let of = |last: u8| Some(mac(last).to_string());
    assert_eq!(
        others,
        [(of(10), 0, Some(NOW - 1)), (of(9), 2, Some(NOW - 3))]
    );
    Ok(())
}

/// Who has an address with a right of its own is told with the line, and each device that has
/// it.
#[test]
fn who_has_an_address_of_a_line_is_told() -> Done {
    let policy = format!(
        "{POLICY}[[allow]]\nfrom = \"home\"\nto = \"porch\"\nservice = \"rtsp\"\nsource = \"192.168.5.20\"\n"
    );
    let hosts = || {
        vec![
            host("eth2", [192, 168, 5, 19], 20, 1),
            host("eth2", [192, 168, 5, 20], 20, 3),
            host("eth2", [192, 168, 5, 20], 21, 5),
            host("eth2", [192, 168, 5, 30], 30, 5),
        ]
    };
    let found = look_by(&policy, hosts(), &[], &[])?;
    let home = &found.zones[1];
    let named = home.named.iter();
    let named: Vec<_> = named
        .map(|it| {
            (
                it.hardware.clone(),
                it.addresses.clone(),
                it.line.as_deref(),
            )
        })
        .collect();
    let of = |last: u8| Some(mac(last).to_string());
    let address = |last: u8| IpAddr::from([192, 168, 5, last]);
    assert_eq!(
        named,
        [
            (of(20), vec![address(20), address(19)], Some("c.toml:20")),
            (of(21), vec![address(20)], Some("c.toml:20")),
        ]
    );
    let others: Vec<_> = home.others.iter().map(|it| it.hardware.clone()).collect();
    assert_eq!(others, [of(30)]);
    // Without the line they are as others.
    let found = look(hosts(), &[], &[])?;
    assert!(found.zones[1].named.is_empty() && found.zones[1].others.len() == 3);
    Ok(())
}
