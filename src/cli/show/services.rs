//! `camfw show services`: the names that an allow line may give for ports.

use crate::cli::{CliError, Command, ExitCode, Given, print};
use crate::registry::service::{self, WellKnownService};

pub(in crate::cli) const COMMAND: Command = Command::new(
    "show services",
    "the services that have a name, and their ports",
    run,
)
.about(
    "A file adds its own in [services.NAME], or writes ports where they are needed:
service = { tcp = [8554], udp = \"6970-6999\" }.",
);

fn run(_: &Given) -> Result<ExitCode, CliError> {
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
