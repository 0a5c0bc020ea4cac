//! Whom dnsmasq answers which names: the cameras' to everybody who may ask; those of the
//! world, which it asks other servers for, to nobody who may not ask these himself.
//!
//! A name is a way out too: whoever has questions forwarded says what he likes in them to
//! the server of a name of his own. So a zone of cameras gets an interface in dnsmasq's
//! authoritative mode (`auth-server`), in which nothing is ever forwarded (answer_auth in
//! its src/auth.c).

use std::fmt::Write;

use super::NothingToServe;
use crate::policy::{Addresses, Policy, Zone, ZoneIndex, has_dns};

/// The names of the cameras, and who is told of these alone.
pub(super) fn name_lines(text: &mut String, policy: &Policy) -> Result<(), NothingToServe> {
    let zones = policy.indexed_zones();
    let (forwarded, local): (Vec<_>, Vec<_>) = zones
        .filter(|(index, _)| policy.answers_names(*index))
        .partition(|(index, _)| policy.forwards_names(*index));
    if forwarded.is_empty() && local.is_empty() {
        return Ok(());
    }
    if !policy.name_servers.is_empty() {
        let _ = writeln!(
            text,
            "\n# these are asked, and nobody of whom /etc/resolv.conf says\nno-resolv"
        );
    }
    for server in &policy.name_servers {
        let _ = writeln!(text, "server={server}");
    }
    if !policy.cameras.is_empty() {
        let _ = writeln!(
            text,
            "\n# cameras by their names, which nobody outside is asked for"
        );
    }
    for camera in &policy.cameras {
        let name = &camera.name;
        for address in camera.addresses() {
            let _ = writeln!(text, "host-record={name},{address}");
        }
        let _ = writeln!(text, "local=/{name}/");
    }
    if local.is_empty() {
        return Ok(());
    }
    for (index, zone) in &local {
        for (_, other) in &forwarded {
            not_by_another_address(policy, *index, zone, other)?;
        }
    }
    let interfaces = local.iter().map(|(_, zone)| zone.interface.as_str());
    let interfaces: Vec<&str> = interfaces.collect();
    let names = local.iter().map(|(_, zone)| zone.name.as_str());
    let names: Vec<&str> = names.collect();
    let _ = writeln!(
        text,
        "\n# told these names alone, and nothing is forwarded, since no line lets all who ask ask outside: {}\nauth-server=camfw,{}",
        names.join(", "),
        interfaces.join(",")
    );
    for camera in &policy.cameras {
        let _ = writeln!(text, "auth-zone={}", camera.name);
    }
    // whichdevice in dnsmasq's src/network.c does not count the interfaces of auth-server, and
    // no kernel has an interface whose name has a colon.
    let _ = writeln!(
        text,
        "# no interface has this name; without it dnsmasq might serve DHCP on the others alone\ninterface=:*"
    );
    Ok(())
}

/// A TCP connection is for the interface whose address it goes to, whatever interface it came
/// in by (check_dns_listeners in dnsmasq's src/dnsmasq.c).
fn not_by_another_address(
    policy: &Policy,
    index: ZoneIndex,
    zone: &Zone,
    other: &Zone,
) -> Result<(), NothingToServe> {
    for allow in policy.dns_lines(index) {
        let by_tcp = allow.services.iter().any(|it| has_dns(&it.tcp));
        if !by_tcp || allow.destinations == Addresses::Any {
            continue;
        }
        let mut others = other.own();
        if let Some(own) = others.find(|own| allow.destinations.holds(own.addr())) {
            return Err(NothingToServe(format!(
                "the allow line at {} lets zone {} ask the router at {}, where dnsmasq asks others outside for zone {}; remove that address from the line, or add [[allow]] from = \"{}\", to an external zone, service = \"dns\"",
                allow.origin,
                zone.name,
                own.addr(),
                other.name,
                zone.name
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::super::dnsmasq;
    use crate::policy::Answers;
    use crate::source::Source;

    /// What dnsmasq is told of two zones of cameras and a house, with these lines besides.
    fn told(more: &[&str]) -> Result<String, Box<dyn Error>> {
        let text = format!(
            r#"
            [zones.external]
            interface = "eth0"
            address = "192.168.0.2/24"
            gateway = "192.168.0.1"
            role = "external"
            [zones.camera]
            interface = "eth1"
            address = "192.168.8.1/24"
            role = "camera"
            [zones.yard]
            interface = "eth3"
            address = "192.168.9.1/24"
            role = "camera"
            [zones.home]
            interface = "eth2"
            address = "192.168.5.1/24"
            role = "private"
            [[cameras]]
            name = "porch"
            address = "192.168.8.11"
            mac = "00:11:22:33:44:01"
            [[cameras]]
            name = "gate"
            address = "192.168.9.11"
            {}
            "#,
            more.concat()
        );
        let policy = crate::policy(&Source::new("c.toml", text), &Answers::new())?;
        Ok(dnsmasq(&policy)?)
    }

    const HOME: &str =
        "[[allow]]\nfrom = \"home\"\nto = \"router\"\nservice = [\"dhcp\", \"dns\"]\n";
    const CAMERA: &str = "[[allow]]\nfrom = \"camera\"\nto = \"router\"\nservice = \"dns\"\n";
    const LIFTED: &str =
        "[[exceptions]]\nfrom = \"camera\"\nto = \"external\"\nservice = \"dns\"\n";
    const OUT: &str = "[[allow]]\nfrom = \"camera\"\nto = \"external\"\nservice = \"dns\"\n";

    /// The interfaces where nothing is forwarded.
    fn local(said: &str) -> Option<&str> {
        let mut lines = said.lines();
        lines.find_map(|line| line.strip_prefix("auth-server=camfw,"))
    }

    #[test]
    fn every_camera_has_its_name_with_and_without_a_lease() -> Result<(), Box<dyn Error>> {
        let said = told(&[HOME])?;
        for (name, address) in [("porch", "192.168.8.11"), ("gate", "192.168.9.11")] {
            let record = format!("host-record={name},{address}\nlocal=/{name}/\n");
            assert!(said.contains(&record), "{said}");
        }
        assert_eq!(local(&said), None);
        // Where nobody asks for names there are none.
        let dhcp = HOME.replace("\"dhcp\", \"dns\"", "\"dhcp\"");
        assert!(!told(&[&dhcp])?.contains("host-record"));
        Ok(())
    }

    #[test]
    fn a_cameras_name_has_all_of_its_addresses() -> Result<(), Box<dyn Error>> {
        let hall = "[zones.hall]\ninterface = \"eth4\"\nrole = \"camera\"\n\
            address = [\"192.168.7.1/24\", \"fd00:7::1/64\"]\n[ipv6]\nmode = \"same\"\n\
            [[cameras]]\nname = \"door\"\naddress = [\"192.168.7.11\", \"fd00:7::11\", \"fd00:7::12\"]\n";
        let said = told(&[HOME, hall])?;
        let records = "host-record=door,192.168.7.11\nhost-record=door,fd00:7::11\nhost-record=door,fd00:7::12\nlocal=/door/\n";
        assert!(said.contains(records), "{said}");
        Ok(())
    }

    #[test]
    fn cameras_are_told_these_names_alone() -> Result<(), Box<dyn Error>> {
        let yard = CAMERA.replace("camera", "yard");
        let said = told(&[HOME, CAMERA])?;
        assert_eq!(local(&said), Some("eth1"));
        for line in ["auth-zone=porch", "auth-zone=gate", "interface=:*"] {
            assert!(said.lines().any(|it| it == line), "{line}: {said}");
        }
        assert_eq!(local(&told(&[HOME, CAMERA, &yard])?), Some("eth1,eth3"));
        // Also those that are redirected there.
        let redirect = "[[redirects]]\nfrom = \"yard\"\nto = \"router\"\nservice = \"dns\"\n";
        assert_eq!(local(&told(&[CAMERA, &yard, redirect])?), Some("eth1,eth3"));
        Ok(())
    }

    #[test]
    fn a_line_outside_has_their_questions_forwarded() -> Result<(), Box<dyn Error>> {
        assert_eq!(local(&told(&[HOME, CAMERA, LIFTED, OUT])?), None);
        // Who asks at times, or a few times, has no such server behind him.
        for less in [
            "when = { from = \"08:00\", to = \"10:00\" }\n",
            "limit = \"6/minute\"\n",
            "source = \"192.168.8.11\"\n",
        ] {
            let said = told(&[HOME, CAMERA, LIFTED, OUT, less])?;
            assert_eq!(local(&said), Some("eth1"), "{less}");
        }
        Ok(())
    }

    #[test]
    fn the_servers_of_the_file_are_asked_alone() -> Result<(), Box<dyn Error>> {
        let names = "[names]\nservers = [\"9.9.9.9\", \"192.168.5.2\"]\n";
        let said = told(&[HOME, names])?;
        assert!(
            said.contains("\nno-resolv\nserver=9.9.9.9\nserver=192.168.5.2\n"),
            "{said}"
        );
        let without = told(&[HOME])?;
        assert!(!without.contains("server=") && !without.contains("no-resolv"));
        // Where nobody asks for names nobody else is asked for them.
        let dhcp = HOME.replace("\"dhcp\", \"dns\"", "\"dhcp\"");
        assert!(!told(&[&dhcp, names])?.contains("server="));
        Ok(())
    }

    #[test]
    fn one_camera_opens_the_way_for_no_other() -> Result<(), Box<dyn Error>> {
        let porch = |text: &str| text.replace("\"camera\"", "\"porch\"");
        let (asks, out, lifted) = (porch(CAMERA), porch(OUT), porch(LIFTED));
        assert_eq!(local(&told(&[CAMERA, &out, &lifted])?), Some("eth1"));
        assert_eq!(local(&told(&[&asks, &out, &lifted])?), None);
        assert_eq!(local(&told(&[&asks, OUT, LIFTED])?), None);
        Ok(())
    }

    #[test]
    fn an_address_where_others_are_forwarded_is_refused() -> Result<(), Box<dyn Error>> {
        let there = "address = [\"192.168.8.1\", \"192.168.5.1\"]\n";
        let refused = told(&[HOME, CAMERA, there]);
        let refused = refused.err().map(|error| error.to_string());
        let expected = "lets zone camera ask the router at 192.168.5.1, where dnsmasq asks others outside for zone home";
        assert!(
            refused.as_ref().is_some_and(|it| it.contains(expected)),
            "{refused:?}"
        );
        let own = "address = \"192.168.8.1\"\n";
        assert_eq!(local(&told(&[HOME, CAMERA, own])?), Some("eth1"));
        Ok(())
    }
}
