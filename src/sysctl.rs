//! The kernel settings that camfw keeps, and why each.
//!
//! Owns the list. Writes nothing: `host::sysctl` does.
//! Meanings are the kernel's Documentation/networking/ip-sysctl.rst.

use std::fmt;

use crate::name::InterfaceName;
use crate::policy::Policy;

/// A setting's path under /proc/sys, part by part: an interface's name may
/// hold a dot, so no dot can stand for the slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(Vec<String>);

impl Key {
    /// From a path whose parts hold no slash: `net/ipv4/ip_forward`.
    fn new(path: &str) -> Key {
        Key(path.split('/').map(str::to_owned).collect())
    }

    /// The parts below /proc/sys.
    pub fn parts(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Key {
    /// As sysctl(8) writes it: dots between the parts, a slash for a dot in one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(|part| part.replace('.', "/")).collect();
        f.write_str(&parts.join("."))
    }
}

/// What to do where the kernel has no such setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It is an error.
    Required,
    /// It is as well: what it would switch is not there.
    IfPresent,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Where.
    pub key: Key,
    /// What.
    pub value: String,
    /// Why, for `show sysctls`.
    pub why: &'static str,
    /// Whether the kernel must have it.
    pub need: Need,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.key, self.value)
    }
}

fn setting(path: &str, value: &'static str, need: Need, why: &'static str) -> Setting {
    Setting {
        key: Key::new(path),
        value: value.to_owned(),
        why,
        need,
    }
}

/// IPv4 forwarding: off in the seal, on as the last step.
pub fn forwarding(on: bool) -> Setting {
    setting(
        "net/ipv4/ip_forward",
        if on { "1" } else { "0" },
        Need::Required,
        "packets pass between zones only once everything else holds",
    )
}

/// IPv6 forwarding, which stays off.
pub fn ipv6_forwarding_off() -> Setting {
    setting(
        "net/ipv6/conf/all/forwarding",
        "0",
        Need::IfPresent,
        "no IPv6 passes between zones",
    )
}

/// IPv6 off, for a kernel that has it and an image without ip6tables.
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
];

/// Per interface. The kernel takes the higher of `all` and the interface's own
/// for rp_filter, arp_ignore and arp_announce; either for log_martians,
/// accept_source_route needs both, and redirects differ by forwarding: so
/// `all`, `default` (for interfaces to come) and each interface are all set.
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

const PER_INTERFACE_IPV6: &[(&str, &str, &str)] = &[
    ("accept_ra", "0", "no host gives the router IPv6 routes"),
    ("autoconf", "0", "nor an address"),
    ("accept_redirects", "0", "no host changes IPv6 routes"),
    (
        "accept_source_route",
        "-1",
        "no sender chooses the way through the router",
    ),
];

/// The keys of all settings for these interfaces, which a file may set otherwise.
pub fn keys<'a>(interfaces: impl Iterator<Item = &'a InterfaceName>) -> Vec<String> {
    settings(interfaces)
        .iter()
        .map(|setting| setting.key.to_string())
        .collect()
}

/// All settings of a policy but the forwarding of IPv4, in order of writing.
pub fn wanted(policy: &Policy) -> Vec<Setting> {
    let mut settings = settings(policy.zones.iter().map(|zone| &zone.interface));
    for setting in &mut settings {
        if let Some(value) = policy.sysctls.get(&setting.key.to_string()) {
            setting.value.clone_from(value);
        }
    }
    settings
}

fn settings<'a>(interfaces: impl Iterator<Item = &'a InterfaceName>) -> Vec<Setting> {
    let mut settings = vec![ipv6_forwarding_off()];
    for (name, value, why) in GLOBAL {
        settings.push(setting(
            &format!("net/ipv4/{name}"),
            value,
            Need::IfPresent,
            why,
        ));
    }
    for scope in ["all", "default"] {
        add_scope(&mut settings, scope);
    }
    for interface in interfaces {
        add_scope(&mut settings, interface.as_str());
    }
    settings
}

fn add_scope(settings: &mut Vec<Setting>, scope: &str) {
    // A scope is one part of the path: an interface's name has no slash.
    let add = |settings: &mut Vec<Setting>,
               family: &str,
               need,
               entry: &(&str, &'static str, &'static str)| {
        let (name, value, why) = *entry;
        let mut key = Key::new(&format!("net/{family}/conf"));
        key.0.extend([scope.to_owned(), name.to_owned()]);
        settings.push(Setting {
            key,
            value: value.to_owned(),
            why,
            need,
        });
    };
    // An interface that is not there is told by the network's own step.
    let need = match scope {
        "all" | "default" => Need::Required,
        _ => Need::IfPresent,
    };
    for entry in PER_INTERFACE {
        add(settings, "ipv4", need, entry);
    }
    for entry in PER_INTERFACE_IPV6 {
        add(settings, "ipv6", Need::IfPresent, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_in_an_interface_stays_in_its_part() {
        let mut settings = Vec::new();
        add_scope(&mut settings, "eth0.20");
        assert_eq!(settings[0].key.parts()[3], "eth0.20");
        assert_eq!(
            settings[0].to_string(),
            "net.ipv4.conf.eth0/20.rp_filter = 1"
        );
    }
}
