//! `camfw show network`: the links, addresses and routes of the file.

use crate::cli::json::{JSON, print_json};
use crate::cli::{CliError, Command, ExitCode, Given, print};
use std::fmt::Write;
use std::net::IpAddr;

use crate::apply;
use crate::host::config_file::Purpose;
use crate::json::json_object;
use crate::name::InterfaceName;
use crate::net::{
    AddressSource, Device, ForwardingEntry, MarkRule, Neighbour, NextHop, Route, SourceRule,
    Wanted, WantedLink,
};
use crate::plan::Plan;

pub(in crate::cli) const COMMAND: Command = Command::new(
    "show network",
    "the links, addresses and routes it gives",
    run,
)
.flags(&[JSON]);

/// What is shown, for a program.
struct ShownNetwork {
    links: Vec<ShownLink>,
    routes: Vec<ShownRoute>,
    rules: Vec<MarkRule>,
    source_rules: Vec<SourceRule>,
    neighbours: Vec<ShownNeighbour>,
    forwarding: Vec<ShownForwarding>,
}

json_object!(ShownNetwork {
    links,
    routes,
    rules,
    source_rules,
    neighbours,
    forwarding
});
json_object!(MarkRule { mark, table, ipv6 });
json_object!(SourceRule { source, table });

struct ShownLink {
    name: String,
    zone: String,
    /// Who sets its IPv4 addresses.
    addresses_by: &'static str,
    ipv6_by_advertisement: bool,
    /// Those of the file.
    addresses: Vec<String>,
    hardware: Option<String>,
    device: Option<String>,
    vlan: Option<ShownVlan>,
    /// Of a bridge.
    ports: Option<Vec<String>>,
    not_isolated: Option<Vec<String>>,
    mtu: Option<u32>,
    /// Whether camfw sets it up.
    up: bool,
    optional: bool,
}

json_object!(ShownLink {
    name,
    zone,
    addresses_by,
    ipv6_by_advertisement,
    addresses,
    hardware,
    device,
    vlan,
    ports,
    not_isolated,
    mtu,
    up,
    optional
});

struct ShownVlan {
    id: u16,
    parent: String,
}

json_object!(ShownVlan { id, parent });

struct ShownRoute {
    destination: String,
    kind: &'static str,
    link: Option<String>,
    gateway: Option<IpAddr>,
    metric: u32,
    table: u32,
}

json_object!(ShownRoute {
    destination,
    kind,
    link,
    gateway,
    metric,
    table
});

struct ShownNeighbour {
    address: IpAddr,
    hardware: String,
    link: String,
}

json_object!(ShownNeighbour {
    address,
    hardware,
    link
});

/// Which port of a bridge a hardware address comes in by.
struct ShownForwarding {
    hardware: String,
    port: String,
    bridge: String,
}

json_object!(ShownForwarding {
    hardware,
    port,
    bridge
});

impl From<&ForwardingEntry> for ShownForwarding {
    fn from(entry: &ForwardingEntry) -> ShownForwarding {
        ShownForwarding {
            hardware: entry.mac.to_string(),
            port: entry.port.clone(),
            bridge: entry.bridge.clone(),
        }
    }
}

impl From<&Wanted> for ShownNetwork {
    fn from(network: &Wanted) -> ShownNetwork {
        ShownNetwork {
            links: network.links.iter().map(ShownLink::from).collect(),
            routes: network.routes.iter().map(ShownRoute::from).collect(),
            rules: network.rules.clone(),
            source_rules: network.source_rules.clone(),
            neighbours: network
                .neighbours
                .iter()
                .map(ShownNeighbour::from)
                .collect(),
            forwarding: network
                .forwarding
                .iter()
                .map(ShownForwarding::from)
                .collect(),
        }
    }
}

impl From<&WantedLink> for ShownLink {
    fn from(link: &WantedLink) -> ShownLink {
        let (mut hardware, mut device, mut vlan) = (None, None, None);
        let (mut bridged, mut reaching) = (None, None);
        match &link.device {
            Device::Named => {}
            Device::Mac(mac) => hardware = Some(mac.to_string()),
            Device::Path(path) => device = Some(path.clone()),
            Device::Vlan { id, parent } => {
                vlan = Some(ShownVlan {
                    id: *id,
                    parent: parent.to_string(),
                });
            }
            Device::Bridge {
                ports,
                not_isolated,
            } => {
                bridged = Some(ports.iter().map(ToString::to_string).collect());
                reaching = Some(not_isolated.iter().map(ToString::to_string).collect());
            }
        }
        ShownLink {
            name: link.name.to_string(),
            zone: link.zone.clone(),
            addresses_by: match link.address_source {
                AddressSource::File => "file",
                AddressSource::Dhcp => "dhcp",
                AddressSource::Given => "another-program",
                AddressSource::Nobody => "nobody",
            },
            ipv6_by_advertisement: link.slaac,
            addresses: link.addresses.iter().map(ToString::to_string).collect(),
            hardware,
            device,
            vlan,
            ports: bridged,
            not_isolated: reaching,
            mtu: link.mtu,
            up: link.is_set_up(),
            optional: link.optional,
        }
    }
}

impl From<&Route> for ShownRoute {
    fn from(route: &Route) -> ShownRoute {
        let (kind, link, gateway) = match &route.way {
            NextHop::Link { link, gateway } => ("unicast", Some(link.clone()), *gateway),
            NextHop::Blackhole => ("blackhole", None, None),
            NextHop::Unreachable => ("unreachable", None, None),
        };
        ShownRoute {
            destination: route.destination.to_string(),
            kind,
            link,
            gateway,
            metric: route.metric,
            table: route.table,
        }
    }
}

impl From<&Neighbour> for ShownNeighbour {
    fn from(neighbour: &Neighbour) -> ShownNeighbour {
        ShownNeighbour {
            address: neighbour.address,
            hardware: neighbour.mac.to_string(),
            link: neighbour.link.clone(),
        }
    }
}

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let plan = apply::read_plan(&given.config(), Purpose::Ask)?;
    if given.has(&JSON) {
        return Ok(print_json(&ShownNetwork::from(&plan.network)));
    }
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
        let advertised = link.slaac.then_some("by router advertisement");
        let brought = brought.into_iter().map(str::to_owned);
        let advertised = advertised.into_iter().map(str::to_owned);
        let addresses: Vec<String> = brought.chain(written).chain(advertised).collect();
        let up = if link.is_set_up() { ", up" } else { "" };
        let how = match &link.device {
            Device::Named => String::new(),
            Device::Mac(mac) => format!(", hardware address {mac}"),
            Device::Path(path) => format!(", device {path}"),
            Device::Vlan { id, parent } => format!(", VLAN {id} on {parent}"),
            Device::Bridge {
                ports,
                not_isolated,
            } => {
                let names = |ports: &[InterfaceName]| {
                    let names: Vec<&str> = ports.iter().map(InterfaceName::as_str).collect();
                    names.join(" ")
                };
                let mut how = format!(", bridge of {}, isolated", names(ports));
                if !not_isolated.is_empty() {
                    how += " but ";
                    how += &names(not_isolated);
                }
                if network.is_locked(link.name.as_str()) {
                    how += ", locked";
                }
                how
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
    for rule in &network.source_rules {
        let _ = writeln!(text, "{rule}");
    }
    for neighbour in &network.neighbours {
        let _ = writeln!(text, "{neighbour}");
    }
    for entry in &network.forwarding {
        let _ = writeln!(text, "{entry}");
    }
    text
}
