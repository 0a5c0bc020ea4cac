//! dnsmasq(8): a DHCP server, which gives each camera in the file its own address, and in
//! zones whose hosts need not be listed the others one of a range; router advertisements,
//! of which IPv6 hosts make their addresses; and DNS for the zones that may ask the router.

use std::fmt::Write;

use super::NothingToServe;
use super::dns::name_lines;
use super::lease_range::lease_ranges;
use crate::policy::{Egress, Policy, Role, Zone, ZoneIndex};
use crate::registry::port;

/// What a host must not call itself, as dnsmasq tells whoever asks by what name a host took its
/// lease: browsers and systems look for these by themselves, and do what they find there.
const NOT_TAKEN: &str = "
# names that no host can give itself: programs trust who has them
dhcp-name-match=set:camfw.taken,wpad
dhcp-name-match=set:camfw.taken,isatap
dhcp-name-match=set:camfw.taken,localhost
dhcp-ignore-names=tag:camfw.taken
";

/// The lines for dnsmasq.conf.
///
/// # Errors
/// Returns an error if no allow line lets DHCP or DNS reach the router, or if one lets a
/// zone ask where dnsmasq answers another one.
pub fn dnsmasq(policy: &Policy) -> Result<String, NothingToServe> {
    let gives_leases = |index| {
        let mut lines = policy.offers_udp(index, port::DHCP_SERVER);
        lines.next().is_some()
    };
    let served: Vec<(ZoneIndex, &Zone)> = policy
        .indexed_zones()
        .filter(|(index, _)| {
            gives_leases(*index) || policy.answers_names(*index) || policy.advertises(*index)
        })
        .collect();
    if served.is_empty() {
        return Err(NothingToServe(
            "no allow line lets DHCP or DNS reach the router; add [[allow]] from the zone, to = \"router\", service = [\"dhcp\", \"dns\"]".into(),
        ));
    }
    let answers = served.iter().any(|(index, _)| policy.answers_names(*index));
    let what = match answers {
        false => "leases, and no DNS\nport=0",
        true => "leases and DNS; port=0 where another server on this router answers DNS",
    };
    let mut text = format!(
        "# for dnsmasq.conf: {what}\nbind-dynamic\nexcept-interface=lo\ndhcp-authoritative\n"
    );
    if answers {
        text += NOT_TAKEN;
    }
    name_lines(&mut text, policy)?;
    for (index, zone) in served {
        let _ = writeln!(
            text,
            "\n# {} zone {}\ninterface={}",
            zone.origin, zone.name, zone.interface
        );
        if gives_leases(index) {
            lease_lines(&mut text, policy, index, zone);
        }
        if policy.advertises(index) {
            advertised_lines(&mut text, policy, index, zone);
        }
    }
    Ok(text)
}

/// What IPv6 hosts make their addresses of, and whom they ask for names.
fn advertised_lines(text: &mut String, policy: &Policy, index: ZoneIndex, zone: &Zone) {
    let name = &zone.name;
    // dnsmasq answers no DHCPv6 where it answers DNS by auth-server.
    let mode = match policy.forwards_names(index) {
        true => "ra-stateless",
        false => "ra-only",
    };
    for network in zone.networks6() {
        let _ = match network.prefix_len() {
            64 => writeln!(
                text,
                "dhcp-range=set:{name},{},{mode},64,12h",
                network.addr()
            ),
            _ => writeln!(
                text,
                "# {network} is not advertised: hosts make addresses of a /64 alone"
            ),
        };
    }
    if !policy.answers_names(index) {
        let _ = writeln!(text, "dhcp-option=tag:{name},option6:dns-server");
    }
}

fn lease_lines(text: &mut String, policy: &Policy, index: ZoneIndex, zone: &Zone) {
    let name = &zone.name;
    let for_all = !zone.known_only && zone.role != Role::External;
    for (place, own) in zone.addresses.iter().enumerate() {
        let (network, mask) = (own.network(), own.netmask());
        // The options below are about the first network.
        let ranges = match for_all && place == 0 {
            true => lease_ranges(policy, *own),
            false => Vec::new(),
        };
        for (first, last) in &ranges {
            let _ = writeln!(text, "dhcp-range=set:{name},{first},{last},{mask},12h");
        }
        if ranges.is_empty() {
            let _ = writeln!(text, "dhcp-range=set:{name},{network},static,{mask},12h");
        }
    }
    let Some(own) = zone.addresses.first().map(ipnet::Ipv4Net::addr) else {
        return;
    };
    let _ = writeln!(text, "dhcp-option=tag:{name},option:router,{own}");
    match policy.answers_names(index) {
        true => {
            let _ = writeln!(text, "dhcp-option=tag:{name},option:dns-server,{own}");
        }
        // Without a value the option is not sent: there is no DNS server to offer.
        false => {
            let _ = writeln!(
                text,
                "# no line lets zone {name} ask the router for names: no DNS server is told\ndhcp-option=tag:{name},option:dns-server"
            );
        }
    }
    if policy.offers_udp(index, port::NTP).next().is_some() {
        let _ = writeln!(text, "dhcp-option=tag:{name},option:ntp-server,{own}");
    }
    let is_bound = policy.cameras_of(index).any(|camera| camera.mac.is_some());
    if is_bound || policy.egress == Egress::Listed {
        // To answer an address that the host has not yet, dnsmasq would write its neighbour
        // entry (SIOCSARP), which is camfw's where it is permanent; and with
        // `egress = "listed"` broadcasts alone need no line. By the name of the interface: it
        // does not ask for the tags of ranges here (do_options in rfc2131.c).
        let _ = writeln!(text, "dhcp-broadcast=tag:{}", zone.interface);
    }
    for camera in policy.cameras_of(index) {
        match camera.mac {
            Some(mac) => {
                let (address, name) = (camera.address, &camera.name);
                let _ = writeln!(text, "dhcp-host={mac},{address},{name}");
            }
            None => {
                let (origin, name) = (&camera.origin, &camera.name);
                let _ = writeln!(text, "# {origin}: camera {name} has no mac, so no lease");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use crate::policy::Answers;
    use crate::source::Source;

    fn lines(home: &str, more: &str) -> Result<String, Box<dyn Error>> {
        lines_of(&format!("{home:?}"), more)
    }

    fn lines_of(home: &str, more: &str) -> Result<String, Box<dyn Error>> {
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
            known-only = true
            [[cameras]]
            name = "porch"
            address = "192.168.8.11"
            mac = "00:11:22:33:44:01"
            [zones.home]
            interface = "eth2"
            address = {home}
            role = "private"
            {more}
            "#
        );
        let policy = crate::policy(&Source::new("c.toml", text), &Answers::new())?;
        Ok(dnsmasq(&policy)?)
    }

    fn allow(from: &str, more: &str) -> String {
        format!("[[allow]]\nfrom = \"{from}\"\n{more}\n")
    }

    const DHCP: &str = "to = \"router\"\nservice = \"dhcp\"";
    const BOTH: &str = "to = \"router\"\nservice = [\"dhcp\", \"dns\"]";

    /// The ranges of the zone home.
    fn ranges(said: &str) -> Vec<&str> {
        let ranges = said.lines();
        let ranges = ranges.filter_map(|line| line.strip_prefix("dhcp-range=set:home,"));
        ranges.collect()
    }

    #[test]
    fn whoever_may_ask_the_router_is_told_so() -> Result<(), Box<dyn Error>> {
        let both = [allow("home", BOTH), allow("camera", DHCP)].concat();
        let said = lines("192.168.5.1/24", &both)?;
        assert!(!said.contains("port=0\n"), "{said}");
        let told = "dhcp-option=tag:home,option:dns-server,192.168.5.1\n";
        assert!(said.contains(told), "{said}");
        let cameras = "dhcp-option=tag:camera,option:dns-server\n";
        assert!(said.contains(cameras), "{said}");
        let said = lines("192.168.5.1/24", &allow("home", DHCP))?;
        assert!(said.contains("\nport=0\n"), "{said}");
        assert!(said.contains("option:dns-server\n"), "{said}");
        // Names alone.
        let dns = "to = \"router\"\nservice = \"dns\"";
        let said = lines("192.168.5.1/24", &allow("home", dns))?;
        assert!(said.contains("interface=eth2\n"), "{said}");
        assert!(!said.contains("port=0\n"), "{said}");
        assert_eq!(ranges(&said), [""; 0]);
        Ok(())
    }

    #[test]
    fn bound_cameras_are_answered_by_broadcast() -> Result<(), Box<dyn Error>> {
        let both = [allow("home", DHCP), allow("camera", DHCP)].concat();
        let said = lines("192.168.5.1/24", &both)?;
        assert!(said.contains("\ndhcp-broadcast=tag:eth1\n"), "{said}");
        assert!(!said.contains("dhcp-broadcast=tag:eth2"), "{said}");
        let listed = "[router]\negress = \"listed\"\n";
        let said = lines("192.168.5.1/24", &(both + listed))?;
        assert!(said.contains("\ndhcp-broadcast=tag:eth2\n"), "{said}");
        Ok(())
    }

    #[test]
    fn hosts_that_need_not_be_listed_get_one_of_a_range() -> Result<(), Box<dyn Error>> {
        for (home, expected) in [
            (
                "192.168.5.1/24",
                "192.168.5.100,192.168.5.199,255.255.255.0,12h",
            ),
            ("10.5.0.1/16", "10.5.0.100,10.5.0.199,255.255.0.0,12h"),
            (
                "192.168.5.1/26",
                "192.168.5.32,192.168.5.62,255.255.255.192,12h",
            ),
            (
                "192.168.5.1/29",
                "192.168.5.4,192.168.5.6,255.255.255.248,12h",
            ),
            ("192.168.5.1/30", "192.168.5.0,static,255.255.255.252,12h"),
        ] {
            let both = [allow("home", DHCP), allow("camera", DHCP)].concat();
            let said = lines(home, &both)?;
            assert_eq!(ranges(&said), [expected]);
            let cameras = "dhcp-range=set:camera,192.168.8.0,static,255.255.255.0,12h\n";
            assert!(said.contains(cameras), "known-only: {said}");
        }
        Ok(())
    }

    #[test]
    fn ipv6_networks_are_advertised_to_who_may_ask() -> Result<(), Box<dyn Error>> {
        let home = "192.168.5.1/24\", \"fd00:5::1/64\", \"fd00:6::1/80";
        let same = "[ipv6]\nmode = \"same\"\n";
        let text = |more: &str| {
            let home = format!("to = \"router\"\nservice = [\"dhcp\", {more}]");
            [allow("home", &home), same.into()].concat()
        };
        let of = |more: &str| -> Result<String, Box<dyn Error>> {
            let list = text(more);
            let said = lines_of(&format!("[\"{home}\"]"), &list)?;
            Ok(said)
        };
        let range = "dhcp-range=set:home,fd00:5::,ra-stateless,64,12h\n";
        let said = of("\"dhcpv6\", \"dns\"")?;
        assert!(said.contains(range), "{said}");
        assert!(!said.contains("option6"), "{said}");
        let other = "# fd00:6::/80 is not advertised: hosts make addresses of a /64 alone\n";
        assert!(said.contains(other), "{said}");
        let said = of("\"dhcpv6\"")?;
        assert!(
            said.contains("dhcp-option=tag:home,option6:dns-server\n"),
            "{said}"
        );
        assert!(!of("\"dns\"")?.contains("fd00"));
        Ok(())
    }

    #[test]
    fn what_lines_name_is_leased_to_nobody() -> Result<(), Box<dyn Error>> {
        let recorder = "to = \"camera\"\nservice = \"rtsp\"\nsource = \"192.168.5.120\"";
        let whole = "to = \"home\"\nservice = \"http\"\naddress = \"192.168.5.0/24\"\nexcept = \"192.168.5.130\"";
        let forwarded = "to = \"home\"\nservice = \"https\"\naddress = \"192.168.5.140\"";
        let part = "to = \"router\"\nservice = \"ssh\"\nsource = \"192.168.5.192/26\"";
        let all = [
            allow("home", DHCP),
            allow("home", recorder),
            allow("external", whole),
            allow("external", forwarded),
            allow("home", part),
        ];
        let listed = "[[cameras]]\nname = \"hall\"\naddress = \"192.168.5.110\"\n";
        let said = lines("192.168.5.100/24", &(all.concat() + listed))?;
        let firsts = ["101", "111", "121", "131", "141"];
        let lasts = ["109", "119", "129", "139", "191"];
        let expected: Vec<String> = firsts
            .iter()
            .zip(lasts)
            .map(|(first, last)| format!("192.168.5.{first},192.168.5.{last},255.255.255.0,12h"))
            .collect();
        assert_eq!(ranges(&said), expected);
        Ok(())
    }
}
