//! The kernel settings that camfw controls, with the reason for each.
//!
//! Owns the list; `host::sysctl` writes them. Their meanings are in the kernel's
//! Documentation/networking/ip-sysctl.rst.

pub(crate) mod advertised;
mod bridged_frames;
mod setting;

use crate::name::InterfaceName;
use crate::policy::{self, Egress, Ipv6Mode, Policy, ProxyWay, RESET_STAYS, RESET_STAYS_KEY};
pub use setting::{Good, Key, Need, Setting};

fn setting(path: &str, value: &str, need: Need, why: &'static str) -> Setting {
    Setting {
        key: Key::new(path),
        value: value.to_owned(),
        why,
        need,
        good: Good::Same,
    }
}

const LAST: &str = "packets pass between zones only once everything else holds";

/// IPv4 forwarding: off in a sealed box, turned on as the last step of an apply.
pub fn forwarding(on: bool) -> Setting {
    let value = if on { "1" } else { "0" };
    setting("net/ipv4/ip_forward", value, Need::Required, LAST)
}

/// The settings that the last step turns on: forwarding for each family that the policy
/// lets pass.
pub fn forwarding_on(policy: &Policy) -> Vec<Setting> {
    let ipv6 = (policy.ipv6 == Ipv6Mode::Same)
        .then(|| setting("net/ipv6/conf/all/forwarding", "1", Need::Required, LAST));
    let all = ipv6.into_iter().chain([forwarding(true)]);
    // Writing `all` sets each interface, but one alone may have been turned off since.
    let each = policy.zones.iter().map(|zone| Setting {
        key: Key::of("ipv4", zone.interface.as_str(), "forwarding"),
        value: "1".to_owned(),
        why: LAST,
        need: Need::IfPresent,
        good: Good::Same,
    });
    all.chain(each).collect()
}

/// Enables IPv6 where the policy has IPv6 addresses, whatever disabled it, and has the kernel
/// take advertisements where these bring them. This permits traffic, so it comes after the
/// rules and before the addresses.
pub fn ipv6_on(policy: &Policy) -> Vec<Setting> {
    let zones = policy.zones.iter().filter(|zone| zone.has_ipv6());
    let on = zones.map(|zone| Setting {
        key: Key::of("ipv6", zone.interface.as_str(), "disable_ipv6"),
        value: "0".to_owned(),
        why: "the zone has an IPv6 address",
        // The network step reports an interface that does not exist.
        need: Need::IfPresent,
        good: Good::Same,
    });
    let mut settings: Vec<Setting> = advertised::take(policy).chain(on).collect();
    replace(&mut settings, policy);
    settings
}

/// Settings that must hold once the rules are loaded but may not exist before: they
/// come with the kernel's conntrack module.
pub fn with_rules(policy: &Policy) -> Vec<Setting> {
    let mut settings = of_conntrack();
    replace(&mut settings, policy);
    settings
}

/// The required size of the connection table. Outside the initial network namespace it
/// cannot be written (nf_conntrack_standalone_init_sysctl in
/// net/netfilter/nf_conntrack_standalone.c); the table may then fill up, but the box is
/// no less closed.
pub fn room(policy: &Policy) -> Option<Setting> {
    policy::table_size(policy).map(size_of_table)
}

/// The key whose value is the number of entries in the connection table.
pub(crate) fn entries_in_table() -> Key {
    Key::new("net/netfilter/nf_conntrack_count")
}

/// The key whose value is the number of entries that it has room for.
pub(crate) fn most_entries_in_table() -> Key {
    Key::new("net/netfilter/nf_conntrack_max")
}

fn size_of_table(entries: u64) -> Setting {
    Setting {
        key: most_entries_in_table(),
        value: entries.to_string(),
        why: "the bounds of zones leave room in the table of connections",
        need: Need::Required,
        good: Good::SameOrMore,
    }
}

fn of_conntrack() -> Vec<Setting> {
    vec![
        setting(
            "net/netfilter/nf_conntrack_tcp_loose",
            "0",
            Need::Required,
            "a connection that has ended is not picked up in the middle",
        ),
        setting(
            "net/netfilter/nf_conntrack_tcp_be_liberal",
            "0",
            Need::Required,
            "a segment outside the window is no part of the connection",
        ),
        // Linux 5.14
        setting(
            "net/netfilter/nf_conntrack_tcp_ignore_invalid_rst",
            "0",
            Need::IfPresent,
            "nor is a reset outside of it",
        ),
        setting(
            RESET_STAYS_KEY,
            &RESET_STAYS.to_string(),
            Need::Required,
            "the rules know by this time that a connection was reset",
        ),
        // Up to Linux 5.19
        setting(
            "net/netfilter/nf_conntrack_helper",
            "0",
            Need::IfPresent,
            "no connection gets a helper that the file does not give it",
        ),
    ]
}

/// Replaces our values with those set in the file.
fn replace(settings: &mut [Setting], policy: &Policy) {
    for setting in settings {
        if let Some(value) = policy.sysctls.get(&setting.key.to_string()) {
            setting.value.clone_from(value);
        }
    }
}

/// IPv6 forwarding off: in a sealed box, and where the policy lets no IPv6 pass.
pub fn ipv6_forwarding_off() -> Setting {
    setting(
        "net/ipv6/conf/all/forwarding",
        "0",
        Need::IfPresent,
        "no IPv6 passes between zones",
    )
}

/// Turns forwarding off for `all`, `default` and each interface. `scopes` lists these
/// for a family.
pub fn forwarding_off(scopes: &dyn Fn(&str) -> Vec<String>) -> Vec<Setting> {
    let mut settings = vec![forwarding(false), ipv6_forwarding_off()];
    // force_forwarding enables forwarding on one interface, whatever `all` says (Linux
    // 6.17).
    for (family, name) in [
        ("ipv4", "forwarding"),
        ("ipv6", "forwarding"),
        ("ipv6", "force_forwarding"),
    ] {
        settings.extend(scopes(family).iter().map(|scope| Setting {
            key: Key::of(family, scope, name),
            value: "0".to_owned(),
            why: "an interface may have it on where it is off for all",
            need: Need::IfPresent,
            good: Good::Same,
        }));
    }
    settings
}

/// Disables IPv6, for a kernel that supports it in an image without ip6tables.
pub fn ipv6_off() -> Vec<Setting> {
    ["all", "default"]
        .into_iter()
        .map(|scope| {
            setting(
                &format!("net/ipv6/conf/{scope}/disable_ipv6"),
                "1",
                Need::IfPresent,
                "without ip6tables IPv6 cannot be filtered, so there is none",
            )
        })
        .collect()
}

const GLOBAL: &[(&str, &str, &str)] = &[
    (
        "tcp_syncookies",
        "1",
        "a flood of SYNs does not fill the backlog",
    ),
    (
        "icmp_echo_ignore_broadcasts",
        "1",
        "no answer to a ping to everybody (smurf)",
    ),
    (
        "icmp_ignore_bogus_error_responses",
        "1",
        "no log lines for broken ICMP errors",
    ),
    (
        "udp_early_demux",
        "0",
        "rp_filter sees what is for the router's own connected UDP sockets",
    ),
];

/// Settings per interface. The kernel takes the higher of `all` and the interface's own
/// value for rp_filter, arp_ignore and arp_announce, and either for log_martians;
/// accept_source_route requires both, and redirects depend on forwarding. So `all`,
/// `default` (for future interfaces) and each interface are all set.
const PER_INTERFACE: &[(&str, &str, &str)] = &[
    (
        "rp_filter",
        "1",
        "a source is taken only from the interface that leads to it (RFC 3704)",
    ),
    (
        "accept_source_route",
        "0",
        "no sender chooses the way through the router",
    ),
    ("accept_redirects", "0", "no host changes the routes"),
    (
        "secure_redirects",
        "0",
        "nor does one that says it is a gateway",
    ),
    (
        "send_redirects",
        "0",
        "the router does not tell hosts of other ways",
    ),
    (
        "log_martians",
        "1",
        "packets with an impossible source are logged",
    ),
    (
        "arp_ignore",
        "1",
        "ARP answers for an address only on its own interface",
    ),
    (
        "arp_announce",
        "2",
        "ARP asks with the address of the interface it leaves by",
    ),
    ("proxy_arp", "0", "the router answers ARP for nobody else"),
];

/// Settings per interface that not every kernel has. Each would accept or forward
/// traffic that the rules rely on the kernel to drop.
const PER_INTERFACE_IF_PRESENT: &[(&str, &str, &str)] = &[
    (
        "proxy_arp_pvlan",
        "0",
        "nor for hosts on the same interface",
    ),
    ("arp_accept", "0", "no host makes itself known unasked"),
    (
        "accept_local",
        "0",
        "no packet comes in with the router's own source",
    ),
    (
        "route_localnet",
        "0",
        "nobody reaches 127.0.0.0/8 from outside",
    ),
    (
        "bc_forwarding",
        "0",
        "no broadcast is sent on into another network",
    ),
];

const PER_INTERFACE_IPV6: &[(&str, &str, &str)] = &[
    (
        "force_forwarding",
        "0",
        "no interface forwards while forwarding is off",
    ),
    ("accept_ra", "0", "no host gives the router IPv6 routes"),
    ("autoconf", "0", "nor an address"),
    ("accept_redirects", "0", "no host changes IPv6 routes"),
    (
        "accept_source_route",
        "-1",
        "no sender chooses the way through the router",
    ),
];

/// Global settings where IPv6 passes.
const GLOBAL_IPV6_SAME: &[(&str, &str, &str)] = &[(
    "icmp/echo_ignore_multicast",
    "1",
    "no answer to an IPv6 ping to everybody (smurf)",
)];

/// Settings per interface where IPv6 passes. The checks built into neighbour discovery,
/// such as the hop limit of 255, are always on in the kernel (RFC 4861, 6.1 and 7.1).
const PER_INTERFACE_IPV6_SAME: &[(&str, &str, &str)] = &[
    (
        "seg6_enabled",
        "0",
        "no sender chooses the way by segments (RFC 8754)",
    ),
    (
        "rpl_seg_enabled",
        "0",
        "nor by RPL's source routes (RFC 6554)",
    ),
    (
        "proxy_ndp",
        "0",
        "the router answers neighbour solicitations for nobody else",
    ),
    (
        "accept_untracked_na",
        "0",
        "no neighbour is learnt from an advertisement that nobody asked for (RFC 4861, 7.2.5)",
    ),
    (
        "suppress_frag_ndisc",
        "1",
        "no neighbour discovery comes in fragments (RFC 6980)",
    ),
];

/// Whether the key is the IPv4 forwarding of one interface, which follows that of
/// `all`.
pub fn is_forwarding_of_one(key: &Key) -> bool {
    matches!(key.parts(), [_, family, _, _, name] if family == "ipv4" && name == "forwarding")
}

/// All keys for these interfaces that a file may override.
pub fn keys<'a>(
    interfaces: impl Iterator<Item = &'a InterfaceName>,
    ipv6: Ipv6Mode,
) -> Vec<String> {
    settings(interfaces, ipv6)
        .iter()
        .chain(&of_conntrack())
        .map(|setting| setting.key.to_string())
        .collect()
}

/// All restricting settings of a policy, in writing order; without those of
/// [`with_rules`], [`ipv6_on`] and [`last`].
pub fn wanted(policy: &Policy) -> Vec<Setting> {
    let mut settings = settings(policy.zones.iter().map(|zone| &zone.interface), policy.ipv6);
    for key in proxied(policy) {
        for setting in settings.iter_mut().filter(|setting| setting.key == key) {
            // Loose mode: the larger of this value and that of `all` applies.
            setting.value = "2".to_owned();
            setting.why = "a transparent proxy answers with the addresses of others";
        }
    }
    settings.extend(policy.ways_out().into_iter().map(|zone| Setting {
        key: Key::of(
            "ipv4",
            zone.interface.as_str(),
            "ignore_routes_with_linkdown",
        ),
        value: "1".to_owned(),
        why: "a way out without carrier is not taken, even before camfw watch sees it",
        // Linux 4.2
        need: Need::IfPresent,
        good: Good::Same,
    }));
    advertised::restrict(&mut settings, policy);
    settings.extend(bridged_frames::settings(policy));
    settings.extend(reserved_ports(policy));
    replace(&mut settings, policy);
    settings
}

/// Keeps the ports of UDP services from the router's own queries: what comes from such a
/// port without having been asked for is dropped in OUTPUT, see `compile::unasked`.
pub(crate) fn reserved_ports(policy: &Policy) -> Option<Setting> {
    /// No program is given one below that it did not ask for.
    const LEAST: u16 = 1024;
    let ports = policy.udp_offered().union(&policy.udp_once_offered);
    let ranges = ports.ranges().iter().filter(|range| range.last() >= LEAST);
    // As the kernel prints it (proc_do_large_bitmap in kernel/sysctl.c).
    let ranges: Vec<String> = ranges
        .map(|range| match (range.first().max(LEAST), range.last()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        })
        .collect();
    let reserves = policy.egress == Egress::Open && !ranges.is_empty();
    reserves.then(|| Setting {
        key: Key::new("net/ipv4/ip_local_reserved_ports"),
        value: ranges.join(","),
        why: "no query of the router's own takes the port of a service",
        need: Need::IfPresent,
        good: Good::Same,
    })
}

/// The rp_filter key of each zone with a proxy host.
fn proxied(policy: &Policy) -> impl Iterator<Item = Key> {
    policy.proxies.iter().filter_map(|proxy| match proxy.way {
        ProxyWay::Host { zone, .. } => {
            let interface = policy.zone(zone).interface.as_str();
            Some(Key::of("ipv4", interface, "rp_filter"))
        }
        ProxyWay::Here(_) => None,
    })
}

fn settings<'a>(
    interfaces: impl Iterator<Item = &'a InterfaceName>,
    ipv6: Ipv6Mode,
) -> Vec<Setting> {
    let mut settings = Vec::new();
    let global_ipv6 = match ipv6 {
        Ipv6Mode::Drop => {
            settings.push(ipv6_forwarding_off());
            &[]
        }
        Ipv6Mode::Same => GLOBAL_IPV6_SAME,
    };
    for (family, entries) in [("ipv4", GLOBAL), ("ipv6", global_ipv6)] {
        for (name, value, why) in entries {
            let path = format!("net/{family}/{name}");
            settings.push(setting(&path, value, Need::IfPresent, why));
        }
    }
    for scope in ["all", "default"] {
        add_scope(&mut settings, scope, ipv6);
    }
    for interface in interfaces {
        add_scope(&mut settings, interface.as_str(), ipv6);
    }
    settings
}

fn add_scope(settings: &mut Vec<Setting>, scope: &str, ipv6: Ipv6Mode) {
    let mut add = |family: &str, need, entries: &[(&str, &str, &'static str)]| {
        settings.extend(entries.iter().map(|(name, value, why)| Setting {
            key: Key::of(family, scope, name),
            value: (*value).to_owned(),
            why,
            need,
            good: Good::Same,
        }));
    };
    // The network step reports an interface that does not exist.
    let need = match scope {
        "all" | "default" => Need::Required,
        _ => Need::IfPresent,
    };
    add("ipv4", need, PER_INTERFACE);
    add("ipv4", Need::IfPresent, PER_INTERFACE_IF_PRESENT);
    add("ipv6", Need::IfPresent, PER_INTERFACE_IPV6);
    if ipv6 == Ipv6Mode::Same {
        add("ipv6", Need::IfPresent, PER_INTERFACE_IPV6_SAME);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_larger_is_as_good() {
        let size = size_of_table(1000);
        let met = ["999", "1000", "262144", "", "many"].map(|found| size.is_met_by(found));
        assert_eq!(met, [false, true, true, false, false]);
        assert!(!forwarding(true).is_met_by("2"));
    }

    #[test]
    fn a_dot_in_an_interface_stays_in_its_part() {
        let mut settings = Vec::new();
        add_scope(&mut settings, "eth0.20", Ipv6Mode::Drop);
        assert_eq!(settings[0].key.parts()[3], "eth0.20");
        assert_eq!(
            settings[0].to_string(),
            "net.ipv4.conf.eth0/20.rp_filter = 1"
        );
    }
}
