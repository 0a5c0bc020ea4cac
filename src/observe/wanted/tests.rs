//! What is told of refused attempts.

use std::error::Error;

use super::*;
use crate::observe::attempt::{Attempt, an_attempt};
use crate::policy::Answers;
use crate::source::Source;

#[test]
fn what_has_one_hardware_address_is_one_host() -> Result<(), Box<dyn Error>> {
    let text = "[ipv6]\nmode = \"same\"\n[zones.camera]\nrole = \"camera\"\ninterface = \"eth1\"\naddress = [\"192.168.8.1/24\", \"fd00:8::1/64\"]\n\
         [[cameras]]\nname = \"porch\"\naddress = \"192.168.8.110\"\n";
    let policy = crate::policy(&Source::new("camfw.toml", text), &Answers::new())?;
    let refused = |reason, source: IpAddr, device, last| {
        let attempt = an_attempt(reason, [0; 4], 0xcb00_7107)?;
        Some(RefusedAttempt {
            attempt: Attempt { source, ..attempt },
            hardware: Some(MacAddress::from([2, 0, 0, 0, 0, device])),
            count: 2,
            first: last - 1,
            last,
        })
    };
    let ipv6 = |last: u16| IpAddr::from([0xfd00, 8, 0, 0, 0, 0, 0, last]);
    let porch = IpAddr::from([192, 168, 8, 110]);
    let mut all = Vec::new();
    for number in 1..=100_u8 {
        all.extend(refused(
            "not-allowed",
            ipv6(number.into()),
            7,
            number.into(),
        ));
        all.extend(refused("not-allowed", [192, 168, 8, number].into(), 7, 1));
        // From beyond a router, whose hardware address all have.
        all.extend(refused("not-allowed", [10, 0, 0, number].into(), 9, 1));
    }
    all.extend(refused("not-allowed", porch, 7, 5));
    all.extend(refused("spoofed", porch, 8, 5));
    all.extend((1..100).filter_map(|it| refused("spoofed", ipv6(it), 8, 6)));
    let mut hosts = blocked(&all, &policy, &ResolvedHosts::default(), 0, None);
    let of_router = |host: &BlockedHost| host.hardware.as_deref() == Some("02:00:00:00:00:09");
    assert_eq!(hosts.iter().filter(|host| of_router(host)).count(), 100);
    hosts.retain(|host| !of_router(host));
    let [camera, device, spoofer] = &hosts[..] else {
        return Err(format!("{hosts:?}").into());
    };
    assert_eq!(camera.camera.as_deref(), Some("porch"));
    assert_eq!(
        (camera.addresses.as_slice(), camera.more_addresses),
        (&[porch][..], 0)
    );
    // The address of a camera is told, however many others there are.
    assert_eq!((spoofer.address, spoofer.more_addresses), (porch, 96));
    assert_eq!(device.address, IpAddr::from([192, 168, 8, 1]), "IPv4 first");
    assert_eq!(device.more_addresses, 196);
    assert_eq!(device.addresses.len(), MOST_ADDRESSES);
    let [tried] = &device.tried[..] else {
        return Err(format!("{device:?}").into());
    };
    assert_eq!((tried.count, tried.first, tried.last), (400, 0, 100));
    Ok(())
}

#[test]
fn what_is_denied_is_called_so_and_no_line_is_offered() -> Result<(), Box<dyn Error>> {
    let text = "[zones.camera]\nrole = \"private\"\ninterface = \"eth1\"\naddress = \"192.168.8.1/24\"\n\
         [zones.office]\nrole = \"private\"\ninterface = \"eth2\"\naddress = \"192.168.5.1/24\"\n\
         [[deny]]\nfrom = \"any\"\nto = \"office\"\naddress = \"192.168.5.64/26\"\n";
    let policy = crate::policy(&Source::new("camfw.toml", text), &Answers::new())?;
    let tried = |last: u8, protocol| {
        let to = u32::from_be_bytes([192, 168, 5, last]);
        let attempt = an_attempt("not-allowed", [192, 168, 8, 7], to)?;
        let refused = RefusedAttempt {
            attempt: Attempt {
                protocol,
                ..attempt
            },
            hardware: None,
            count: 1,
            first: 1,
            last: 1,
        };
        let hosts = blocked(&[refused], &policy, &ResolvedHosts::default(), 0, None);
        let tried = hosts.into_iter().flat_map(|host| host.tried).next()?;
        Some((tried.reason, tried.service, tried.allow.unwrap_or_default()))
    };
    let (reason, _, line) = tried(70, UDP).ok_or("nothing")?;
    assert_eq!((reason, line.as_str()), ("denied", ""));
    let (reason, service, line) = tried(7, 50).ok_or("nothing")?;
    assert_eq!((reason, service.as_str()), ("not allowed", "protocol esp"));
    assert!(line.contains("service = { protocol = \"esp\" }"), "{line}");
    Ok(())
}

#[test]
fn the_router_is_told_by_the_name_that_it_asked_for() -> Result<(), Box<dyn Error>> {
    let text = "[router]\negress = \"listed\"\n[zones.external]\nrole = \"external\"\ninterface = \"eth0\"\n\
         address = \"192.0.2.2/24\"\ngateway = \"192.0.2.1\"\n[zones.camera]\nrole = \"camera\"\n\
         interface = \"eth1\"\naddress = \"192.168.8.1/24\"\n[[allow]]\nfrom = \"router\"\nto = \"external\"\n\
         service = \"https\"\nhost = \"updates.example.org\"\n[[allow]]\nfrom = \"router\"\nto = \"external\"\nservice = \"dns\"\n";
    let policy = crate::policy(&Source::new("camfw.toml", text), &Answers::new())?;
    let mut resolved = ResolvedHosts::default();
    let name = HostName::try_from("updates.example.org")?;
    resolved.take_answer(name, vec![IpAddr::from([203, 0, 113, 7])], 1, 60)?;
    let tried = |zone: Option<&str>, source: [u8; 4]| {
        let mut attempt = an_attempt("not-allowed", source, 0xcb00_7107)?;
        attempt.tag.zone = zone.and_then(|zone| ZoneName::try_from(zone).ok());
        attempt.port = 80;
        let refused = RefusedAttempt {
            attempt,
            hardware: None,
            count: 1,
            first: 1,
            last: 1,
        };
        let hosts = blocked(&[refused], &policy, &resolved, 0, None);
        let tried = hosts.into_iter().flat_map(|host| host.tried).next()?;
        Some((tried.name?, tried.allow.unwrap_or_default()))
    };
    let (name, line) = tried(None, [192, 0, 2, 2]).ok_or("nothing")?;
    assert_eq!(name, "updates.example.org");
    assert!(line.ends_with("\nhost = \"updates.example.org\""), "{line}");
    // The control: nobody looks at what a camera asks for.
    let (name, _) = tried(Some("camera"), [192, 168, 8, 7]).ok_or("nothing")?;
    assert_eq!(name, "external");
    Ok(())
}

/// What a camera did by an address that is not the file's is told with the camera, and as not
/// surely its own.
#[test]
fn a_camera_is_found_by_its_hardware_address() -> Result<(), Box<dyn Error>> {
    let text = "[zones.camera]\nrole = \"camera\"\ninterface = \"eth1\"\naddress = \"192.168.8.1/24\"\n\
         [zones.home]\nrole = \"private\"\ninterface = \"eth2\"\naddress = \"192.168.5.1/24\"\n\
         [[cameras]]\nname = \"porch\"\naddress = \"192.168.8.110\"\nmac = \"02:00:00:00:00:01\"\n\
         [[cameras]]\nname = \"garage\"\naddress = \"192.168.8.111\"\nmac = \"02:00:00:00:00:02\"\n\
         [[cameras]]\nname = \"shed\"\naddress = \"192.168.8.112\"\n";
    let policy = crate::policy(&Source::new("camfw.toml", text), &Answers::new())?;
    let refused = |zone: &str, source: [u8; 4], device| {
        let mut attempt = an_attempt("not-allowed", source, 0xcb00_7107)?;
        attempt.tag.zone = ZoneName::try_from(zone).ok();
        Some(RefusedAttempt {
            attempt,
            hardware: Some(MacAddress::from([2, 0, 0, 0, 0, device])),
            count: 1,
            first: 1,
            last: 1,
        })
    };
    let all = [
        refused("camera", [192, 168, 8, 110], 1),
        refused("camera", [192, 168, 8, 111], 2),
        refused("camera", [192, 168, 8, 77], 2),
        refused("home", [192, 168, 5, 77], 2),
        refused("camera", [192, 168, 8, 78], 9),
    ];
    let all: Vec<RefusedAttempt> = all.into_iter().flatten().collect();
    let of = |camera| {
        let hosts = blocked(&all, &policy, &ResolvedHosts::default(), 0, camera);
        let told = hosts
            .into_iter()
            .map(|it| (it.address.to_string(), it.camera, it.hardware_of));
        told.collect::<Vec<_>>()
    };
    let garage = || Some("garage".to_owned());
    assert_eq!(
        of(Some("garage")),
        [
            ("192.168.8.111".to_owned(), garage(), None),
            ("192.168.8.77".to_owned(), None, garage()),
            ("192.168.5.77".to_owned(), None, garage()),
        ]
    );
    assert_eq!(of(Some("porch")).len(), 1);
    assert!(
        of(Some("shed")).is_empty(),
        "no hardware address is nobody's"
    );
    assert_eq!(of(None).len(), 5);
    Ok(())
}
