//! `camfw show services`: the names that an allow line may give for ports.

use crate::cli::json::{JSON, print_json};
use crate::cli::{CliError, Command, ExitCode, Given, print};
use crate::json::json_object;
use crate::registry::service::{self, WellKnownService};

pub(in crate::cli) const COMMAND: Command = Command::new(
    "show services",
    "the services that have a name, and their ports",
    run,
)
.about(
    "A file adds its own in [services.NAME], or writes ports where they are needed:
service = { tcp = [8554], udp = \"6970-6999\" }.",
)
.flags(&[JSON]);

/// What is shown, for a program.
struct ShownServices {
    services: Vec<ShownService>,
}

json_object!(ShownServices { services });

struct ShownService {
    name: &'static str,
    tcp: Vec<ShownPorts>,
    udp: Vec<ShownPorts>,
    icmp: Vec<String>,
    protocols: Vec<u8>,
    /// Whether it is every other protocol too.
    others: bool,
}

json_object!(ShownService {
    name,
    tcp,
    udp,
    icmp,
    protocols,
    others
});

struct ShownPorts {
    first: u16,
    last: u16,
}

json_object!(ShownPorts { first, last });

impl From<&WellKnownService> for ShownService {
    fn from(service: &WellKnownService) -> ShownService {
        let shown = |ports: &[(u16, u16)]| {
            let ports = ports.iter();
            let ports = ports.map(|&(first, last)| ShownPorts { first, last });
            ports.collect()
        };
        ShownService {
            name: service.name,
            tcp: shown(service.tcp),
            udp: shown(service.udp),
            icmp: service.icmp.iter().map(ToString::to_string).collect(),
            protocols: service.protocols.to_vec(),
            others: service.name == service::ALL,
        }
    }
}

fn run(given: &Given) -> Result<ExitCode, CliError> {
    if given.has(&JSON) {
        let services = service::all().map(ShownService::from).collect();
        return Ok(print_json(&ShownServices { services }));
    }
    let lines = service::all().map(|service| format!("{:<17} {}\n", service.name, ports(service)));
    Ok(print(&lines.collect::<String>()))
}

fn ports(service: &WellKnownService) -> String {
    let list = |protocol: &str, ranges: &[(u16, u16)]| {
        let ranges = ranges.iter().map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        });
        let ranges: Vec<String> = ranges.collect();
        (!ranges.is_empty()).then(|| format!("{protocol} {}", ranges.join(", ")))
    };
    let icmp: Vec<String> = service.icmp.iter().map(|icmp| icmp.to_string()).collect();
    let icmp = (!icmp.is_empty()).then(|| format!("icmp {}", icmp.join(", ")));
    let protocols = service.protocols.iter().map(|it| format!("protocol {it}"));
    let all = (service.name == service::ALL).then(|| "every other protocol".to_owned());
    let parts = [list("tcp", service.tcp), list("udp", service.udp), icmp];
    let parts = parts.into_iter().chain(protocols.map(Some)).chain([all]);
    let parts: Vec<String> = parts.flatten().collect();
    parts.join("; ")
}
