//! The kernel configuration options that a plan needs.
//!
//! Owns the options that do not follow from a single rule; those of tables, matches and
//! targets belong to `netfilter::Feature`. Does not query the kernel.

use std::collections::BTreeMap;

use crate::family::IpFamily;
use crate::net::{Device, Wanted, WantedLink};
use crate::netfilter::{Feature, TableName, features};
use crate::plan::Plan;

/// The iptables variant of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// iptables-legacy: uses the kernel's ip_tables.
    Legacy,
    /// iptables-nft: uses the kernel's nf_tables, with the x_tables extensions.
    Nft,
}

/// One kernel option, and what needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// `CONFIG_NAME`
    pub option: &'static str,
    /// What needs it, in words.
    pub why: Vec<String>,
}

/// A kind of link that a kernel may lack support for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkKind {
    /// A VLAN on another link.
    Vlan,
    /// A bridge.
    Bridge,
}

impl LinkKind {
    /// The kernel option for this kind.
    pub fn option(self) -> &'static str {
        match self {
            LinkKind::Vlan => "CONFIG_VLAN_8021Q",
            LinkKind::Bridge => "CONFIG_BRIDGE",
        }
    }
}

/// The option for rules that look up marked packets in a routing table of their own.
pub const MULTIPLE_TABLES: &str = "CONFIG_IP_MULTIPLE_TABLES";

/// Whether a kernel of this release has locked bridge ports: since Linux 5.16 (IFLA_BRPORT_LOCKED
/// in net/bridge/br_netlink.c). An older one ignores that it is asked for them.
pub fn has_locked_ports(release: &str) -> bool {
    let mut numbers = release.split(|at: char| !at.is_ascii_digit());
    let mut number = || numbers.next().and_then(|number| number.parse::<u32>().ok());
    number().zip(number()).is_some_and(|of| of >= (5, 16))
}

const ALWAYS: &[(&str, &str)] = &[
    ("CONFIG_NET", "networking"),
    ("CONFIG_INET", "IPv4"),
    ("CONFIG_PROC_FS", "kernel settings"),
    ("CONFIG_SYSCTL", "kernel settings"),
    ("CONFIG_TMPFS", "files in memory (memfd_create), /run"),
    ("CONFIG_SYN_COOKIES", "net.ipv4.tcp_syncookies"),
    ("CONFIG_NETFILTER", "netfilter"),
    ("CONFIG_NETFILTER_ADVANCED", "netfilter"),
    ("CONFIG_NETFILTER_XTABLES", "matches and targets"),
    ("CONFIG_NF_CONNTRACK", "connections"),
    (
        "CONFIG_NF_CT_NETLINK",
        "ending the connections that a new policy forbids",
    ),
];

/// Since Linux 6.17 the legacy tables must be enabled explicitly
/// (net/netfilter/Kconfig); older kernels do not have the first two options.
const LEGACY: &[(&str, &str)] = &[
    (
        "CONFIG_NETFILTER_XTABLES_LEGACY",
        "iptables-legacy, from Linux 6.17 on",
    ),
    (
        "CONFIG_IP_NF_IPTABLES_LEGACY",
        "iptables-legacy, from Linux 6.17 on",
    ),
    ("CONFIG_IP_NF_IPTABLES", "iptables"),
];

const LEGACY_IPV6: &[(&str, &str)] = &[
    (
        "CONFIG_IP6_NF_IPTABLES_LEGACY",
        "ip6tables-legacy, from Linux 6.17 on",
    ),
    ("CONFIG_IP6_NF_IPTABLES", "ip6tables"),
];

const NFT: &[(&str, &str)] = &[
    ("CONFIG_NF_TABLES", "iptables-nft"),
    ("CONFIG_NF_TABLES_IPV4", "iptables-nft"),
    ("CONFIG_NFT_COMPAT", "matches and targets of x_tables"),
];

const NFT_IPV6: &[(&str, &str)] = &[("CONFIG_NF_TABLES_IPV6", "ip6tables-nft")];

/// All required options, each once, in the order in which they are first needed.
pub fn requirements(plan: &Plan, backend: Backend) -> Vec<Requirement> {
    let mut needs = Needs::default();
    needs.all(ALWAYS);
    let (ipv4, ipv6) = match backend {
        Backend::Legacy => (LEGACY, LEGACY_IPV6),
        Backend::Nft => (NFT, NFT_IPV6),
    };
    needs.all(ipv4);
    // A kernel without IPv6 needs no IPv6 rules; any other does.
    needs.all(ipv6);
    for (family, ruleset) in plan.rules.iter() {
        for feature in features(ruleset) {
            needs.feature(feature, family, backend);
        }
    }
    for device in devices(&plan.network) {
        let what = match device {
            LinkKind::Vlan => "VLANs",
            LinkKind::Bridge => "bridges",
        };
        needs.add(device.option(), what.into());
    }
    if !plan.network.rules.is_empty() {
        needs.add("CONFIG_IP_ADVANCED_ROUTER", "routing by marks".into());
        needs.add(MULTIPLE_TABLES, "routing by marks".into());
    }
    if !plan.network.ways.is_empty() {
        let why = "several ways out";
        needs.add("CONFIG_IP_ADVANCED_ROUTER", why.into());
        needs.add(MULTIPLE_TABLES, why.into());
    }
    if plan.network.links.iter().any(WantedLink::by_dhcp) {
        needs.add("CONFIG_PACKET", "the DHCP client".into());
    }
    needs.0
}

/// The kinds of link that the plan creates.
pub fn devices(wanted: &Wanted) -> Vec<LinkKind> {
    let mut kinds: Vec<LinkKind> = wanted
        .links
        .iter()
        .filter_map(|link| match link.device {
            Device::Vlan { .. } => Some(LinkKind::Vlan),
            Device::Bridge { .. } => Some(LinkKind::Bridge),
            Device::Named | Device::Mac(_) | Device::Path(_) => None,
        })
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

#[derive(Default)]
struct Needs(Vec<Requirement>);

impl Needs {
    fn add(&mut self, option: &'static str, why: String) {
        match self.0.iter_mut().find(|there| there.option == option) {
            Some(there) if there.why.contains(&why) => {}
            Some(there) => there.why.push(why),
            None => self.0.push(Requirement {
                option,
                why: vec![why],
            }),
        }
    }

    fn all(&mut self, options: &[(&'static str, &str)]) {
        for (option, why) in options {
            self.add(option, (*why).to_owned());
        }
    }

    fn feature(&mut self, feature: Feature, family: IpFamily, backend: Backend) {
        let why = format!("{feature}, {family}");
        match (feature, backend) {
            // In nf_tables a table needs no module of its own, except for the nat
            // chains.
            (Feature::Table(TableName::Nat), Backend::Nft) => {
                self.add("CONFIG_NF_NAT", why.clone());
                self.add("CONFIG_NFT_NAT", why);
                return;
            }
            (Feature::Table(_), Backend::Nft) => return,
            (Feature::Table(TableName::Nat), Backend::Legacy) => {
                self.add("CONFIG_NF_NAT", why.clone());
            }
            // iptables-nft translates these matches to native nftables expressions.
            (Feature::Match("limit"), Backend::Nft) => self.add("CONFIG_NFT_LIMIT", why.clone()),
            (Feature::Target("LOG"), _) => self.add("CONFIG_NF_LOG_SYSLOG", why.clone()),
            (Feature::Target("NFLOG"), Backend::Nft) => {
                self.add("CONFIG_NETFILTER_NETLINK_LOG", why.clone());
                // iptables-nft translates NFLOG to a native expression.
                self.add("CONFIG_NFT_LOG", why.clone());
            }
            (Feature::Target("NFLOG"), Backend::Legacy) => {
                self.add("CONFIG_NETFILTER_NETLINK_LOG", why.clone());
            }
            (Feature::Helper("ftp"), _) => self.add("CONFIG_NF_NAT_FTP", why.clone()),
            _ => {}
        }
        if let Some(option) = feature.option(family) {
            self.add(option, why);
        }
    }
}

/// Groups features by the option that provides them, for a message: `CONFIG_X (match
/// x)`.
pub fn describe(lacking: &[(Feature, IpFamily)]) -> Vec<String> {
    let mut lines: BTreeMap<&str, String> = BTreeMap::new();
    for (feature, family) in lacking {
        let option = feature
            .option(*family)
            .unwrap_or("CONFIG_NETFILTER_XTABLES");
        let what = lines.entry(option).or_default();
        if !what.is_empty() {
            what.push_str(", ");
        }
        what.push_str(&format!("{feature}, {family}"));
    }
    lines
        .into_iter()
        .map(|(option, what)| format!("{option} ({what})"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        for (release, has) in [
            ("5.15.148-tegra", false),
            ("5.16.0", true),
            ("5.4", false),
            ("4.19.0-26-amd64", false),
            ("6.1.0-18-arm64", true),
            ("10.0-rc1", true),
            ("", false),
            ("linux", false),
        ] {
            assert_eq!(has_locked_ports(release), has, "{release}");
        }
    }
}
