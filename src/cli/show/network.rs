//! `camfw show network`: the links, addresses and routes of the file.

use crate::cli::{CliError, Command, ExitCode, Given, print};
use std::fmt::Write;

use crate::apply;
use crate::host::config_file::Purpose;
use crate::net::{AddressSource, Device};
use crate::plan::Plan;

pub(in crate::cli) const COMMAND: Command = Command::new(
    "show network",
    "the links, addresses and routes it gives",
    run,
);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let plan = apply::read_plan(&given.config(), Purpose::Ask)?;
    Ok(print(&network(&plan)))
}

/// Links, addresses and routes, one per line.
pub fn network(plan: &Plan) -> String {
    let mut text = String::new();
    let network = &plan.network;
    for link in &network.links {
        let brought = match link.address_source {
            AddressSource::File => None,
            AddressSource::Dhcp => Some("by DHCP"),
            AddressSource::Given => Some("by another program"),
            AddressSource::Nobody => Some("none"),
        };
        let written = link.addresses.iter().map(ToString::to_string);
        let brought = brought.into_iter().map(str::to_owned);
        let addresses: Vec<String> = brought.chain(written).collect();
        let up = if link.is_set_up() { ", up" } else { "" };
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
            "link {}{how}{mtu}{up}, address {}, zone {}",
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
