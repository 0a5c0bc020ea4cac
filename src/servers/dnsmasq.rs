//! dnsmasq(8): a DHCP server that gives a lease to each camera in the file and to no
//! other host; without DNS.

use std::fmt::Write;

use super::NothingToServe;
use crate::field::PortRange;
use crate::policy::{Policy, RedirectToRouter, Zone, ZoneIndex};
use crate::registry::port;

/// The lines for dnsmasq.conf.
///
/// # Errors
/// Returns an error if no allow line lets DHCP reach the router.
pub fn dnsmasq(policy: &Policy) -> Result<String, NothingToServe> {
    let served: Vec<(ZoneIndex, &Zone)> = policy
        .indexed_zones()
        .filter(|(index, _)| {
            policy
                .offers_udp(*index, port::DHCP_SERVER)
                .next()
                .is_some()
        })
        .collect();
    if served.is_empty() {
        return Err(NothingToServe(
            "no allow line lets DHCP reach the router; add [[allow]] from the cameras' zone, to = \"router\", service = \"dhcp\"".into(),
        ));
    }
    let mut redirects = policy.redirects.iter();
    let answers = match redirects.find(|it| redirects_dns(it)) {
        None => "no DNS, and leases for the listed cameras alone\nport=0".to_owned(),
        Some(it) => format!(
            "leases for the listed cameras alone, and DNS\n# by the redirect of {}; port=0 where another server on this router answers it",
            it.origin
        ),
    };
    let mut text = format!(
        "# for dnsmasq.conf: {answers}\nbind-dynamic\nexcept-interface=lo\ndhcp-authoritative\n"
    );
    for (index, zone) in served {
        zone_lines(&mut text, policy, index, zone);
    }
    Ok(text)
}

fn redirects_dns(redirect: &RedirectToRouter) -> bool {
    let dns = PortRange::port(port::DNS);
    redirect.udp.iter().any(|ports| ports.contains(dns))
}

fn zone_lines(text: &mut String, policy: &Policy, index: ZoneIndex, zone: &Zone) {
    let name = &zone.name;
    let _ = writeln!(
        text,
        "\n# {} zone {name}\ninterface={}",
        zone.origin, zone.interface
    );
    for own in &zone.addresses {
        let (network, mask) = (own.network(), own.netmask());
        let _ = writeln!(text, "dhcp-range=set:{name},{network},static,{mask},12h");
    }
    let Some(own) = zone.addresses.first().map(ipnet::Ipv4Net::addr) else {
        return;
    };
    let _ = writeln!(text, "dhcp-option=tag:{name},option:router,{own}");
    let mut redirects = policy.redirects.iter().filter(|it| it.from == index);
    let dns = match redirects.any(redirects_dns) {
        true => format!(",{own}"),
        // Without a value the option is not sent: there is no DNS server to offer.
        false => String::new(),
    };
    let _ = writeln!(text, "dhcp-option=tag:{name},option:dns-server{dns}");
    if policy.offers_udp(index, port::NTP).next().is_some() {
        let _ = writeln!(text, "dhcp-option=tag:{name},option:ntp-server,{own}");
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
