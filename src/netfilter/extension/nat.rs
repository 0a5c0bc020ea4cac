//! `-j MASQUERADE`, `SNAT`, `DNAT` and `REDIRECT`: rewrite addresses.

use std::net::{IpAddr, SocketAddr};

use super::{Extension, Target};

pub(super) const MASQUERADE: Extension<Target> = Extension {
    name: "MASQUERADE",
    kernel_option: Some("CONFIG_NETFILTER_XT_TARGET_MASQUERADE"),
    read: |_| Some(Target::Masquerade),
};

pub(super) const SNAT: Extension<Target> = Extension {
    name: "SNAT",
    kernel_option: Some("CONFIG_NETFILTER_XT_NAT"),
    read: |words| Some(Target::Snat(words.option("--to-source")?.parse().ok()?)),
};

pub(super) const DNAT: Extension<Target> = Extension {
    name: "DNAT",
    kernel_option: Some("CONFIG_NETFILTER_XT_NAT"),
    read: |words| {
        let to = words.option("--to-destination")?;
        let alone = to.parse().ok().map(|address| Target::Dnat(address, None));
        alone.or_else(|| {
            let to: SocketAddr = to.parse().ok()?;
            Some(Target::Dnat(to.ip(), Some(to.port())))
        })
    },
};

pub(super) const REDIRECT: Extension<Target> = Extension {
    name: "REDIRECT",
    kernel_option: Some("CONFIG_NETFILTER_XT_TARGET_REDIRECT"),
    read: |words| {
        let port = words.option("--to-ports").map(|port| port.parse().ok());
        match port {
            Some(port) => Some(Target::Redirect(Some(port?))),
            None => Some(Target::Redirect(None)),
        }
    },
};

pub(super) fn print_destination(to: IpAddr, port: Option<u16>) -> String {
    match port {
        None => format!(" --to-destination {to}"),
        Some(port) => format!(" --to-destination {}", SocketAddr::new(to, port)),
    }
}
