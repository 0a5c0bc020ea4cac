//! `camfw show`: what the file gives, as text.

use std::fmt::Write;
use std::path::Path;

use super::args::{Daemon, Show};
use super::{REFUSED, complain, print};
use crate::host::config_file::Purpose;
use crate::net::Device;
use crate::netfilter::{Ruleset, TableName, restore_text};
use crate::plan::Plan;
use crate::plan::kernel_options::{Backend, requirements};
use crate::{apply, servers};

/// Prints it; the exit code.
pub(super) fn run(config: &Path, what: Show) -> u8 {
    let plan = match apply::read_plan(config, Purpose::Ask) {
        Ok(plan) => plan,
        Err(refusal) => {
            complain(&refusal.to_string());
            return REFUSED;
        }
    };
    let text = match what {
        Show::Rules { ipv4, ipv6 } => {
            let families = [
                (ipv4, "IPv4", &plan.rules.v4),
                (ipv6, "IPv6", &plan.rules.v6),
            ];
            let both = ipv4 && ipv6;
            let shown = families.into_iter().filter(|(shown, ..)| *shown);
            shown
                .map(|(_, name, ruleset)| {
                    let heading = if both {
                        format!("# {name}\n")
                    } else {
                        String::new()
                    };
                    heading + &rules(ruleset)
                })
                .collect()
        }
        Show::Network => network(&plan),
        Show::Sysctls => sysctls(&plan),
        Show::Kernel { nft } => kernel(&plan, nft),
        Show::Daemon(daemon) => {
            let lines = match daemon {
                Daemon::Vsftpd => servers::vsftpd(&plan.policy),
                Daemon::Dnsmasq => servers::dnsmasq(&plan.policy),
                Daemon::Ntp => servers::chrony(&plan.policy),
            };
            match lines {
                Ok(lines) => lines,
                Err(nothing) => {
                    complain(&format!("{}: {nothing}", config.display()));
                    return REFUSED;
                }
            }
        }
    };
    print(&text)
}

/// The text that iptables-restore takes for a ruleset.
pub fn rules(ruleset: &Ruleset) -> String {
    let names: Vec<TableName> = ruleset.tables().map(|(name, _)| name).collect();
    restore_text(ruleset, &names)
}

/// Links, addresses and routes, a line each.
pub fn network(plan: &Plan) -> String {
    let mut text = String::new();
    let network = &plan.network;
    for link in &network.links {
        let by_dhcp = link.dhcp.then(|| "by DHCP".to_owned());
        let written = link.addresses.iter().map(ToString::to_string);
        let addresses: Vec<String> = by_dhcp.into_iter().chain(written).collect();
        let how = match &link.device {
            Device::Named => String::new(),
            Device::Mac(mac) => format!(", hardware address {mac}"),
            Device::Path(path) => format!(", device {path}"),
            Device::Vlan { id, parent } => format!(", VLAN {id} on {parent}"),
            Device::Bridge { ports } => {
                let ports: Vec<&str> = ports.iter().map(|port| port.as_str()).collect();
                format!(", bridge of {}, isolated", ports.join(" "))
            }
        };
        let mtu = link
            .mtu
            .map_or_else(String::new, |mtu| format!(", MTU {mtu}"));
        let _ = writeln!(
            text,
            "link {}{how}{mtu}, up, address {}, zone {}",
            link.name,
            addresses.join(" "),
            link.zone
        );
    }
    for route in &network.routes {
        let _ = writeln!(text, "{route}");
    }
    for rule in &network.rules {
        let _ = writeln!(text, "{rule}");
    }
    for neighbour in &network.neighbours {
        let _ = writeln!(text, "{neighbour}");
    }
    text
}

/// Kernel settings in order of writing, each with its reason.
pub fn sysctls(plan: &Plan) -> String {
    let mut text = String::new();
    let before = plan.sysctls.iter().chain(&plan.with_rules);
    let settings = before.chain(&plan.ipv6_on).chain(&plan.last);
    for setting in settings {
        let _ = writeln!(text, "{setting}  # {}", setting.why);
    }
    text
}

/// A fragment of a kernel's configuration.
pub fn kernel(plan: &Plan, nft: bool) -> String {
    let backend = if nft { Backend::Nft } else { Backend::Legacy };
    let mut text = String::new();
    for requirement in requirements(plan, backend) {
        let why = requirement.why.join("; ");
        let _ = writeln!(text, "# {why}\n{}=y", requirement.option);
    }
    text
}
