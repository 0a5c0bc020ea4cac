//! Connections as a drop-in: allow lines, the exceptions that a zone of cameras asks for, and comments.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::access_list::Description;
use super::flow::{DescribedFlow, DescribedFlows, DescribedService, Opener, Peer};
use super::{Imported, NamesHere};

/// The target of a line, and the key that says which part of it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum LineTarget {
    Hosts,
    Addresses,
    Local,
    Router,
}

/// Writes the drop-in.
pub fn drop_in(description: &Description, flows: &DescribedFlows, names: &NamesHere) -> Imported {
    let mut text = String::new();
    // A String takes all that is written to it.
    let _ = write_all(&mut text, description, flows, names);
    Imported {
        text,
        carried: flows.carried,
        left_out: flows.left.len(),
    }
}

fn write_all(
    out: &mut String,
    description: &Description,
    flows: &DescribedFlows,
    names: &NamesHere,
) -> fmt::Result {
    let camera = &names.camera;
    writeln!(
        out,
        "# What camera {camera} is for, as its maker says (RFC 8520)."
    )?;
    for (what, said) in [
        ("device", &description.about),
        ("published at", &description.url),
        ("of", &description.updated),
    ] {
        if !said.is_empty() {
            writeln!(out, "#   {what}: {}", in_a_comment(said))?;
        }
    }
    if !description.supported {
        writeln!(out, "# Its maker does not support it any more.")?;
    }
    let entries = flows.carried + flows.left.len();
    writeln!(out, "# {} of {entries} entries came over.", flows.carried)?;
    for (name, why) in &flows.left {
        writeln!(
            out,
            "# Left out: {}: {}",
            in_a_comment(name),
            in_a_comment(&why.to_string())
        )?;
    }
    for ((opener, service, target), peers) in together(flows) {
        let (from, to) = match (opener, &target) {
            (Opener::Camera, LineTarget::Router) => (camera.as_str(), "router"),
            (Opener::Camera, LineTarget::Local) => (camera.as_str(), local(names)),
            (Opener::Camera, _) => (camera.as_str(), names.external.as_str()),
            (Opener::Peer, _) => (local(names), camera.as_str()),
        };
        writeln!(out, "\n[[allow]]\nfrom = \"{from}\"\nto = \"{to}\"")?;
        match target {
            LineTarget::Hosts => writeln!(out, "host = {}", list(&peers))?,
            LineTarget::Addresses => writeln!(out, "address = {}", list(&peers))?,
            LineTarget::Local | LineTarget::Router => {}
        }
        let service = in_toml(service);
        writeln!(out, "service = {service}")?;
        // A zone of cameras opens nothing to others that no exception lifts.
        if opener == Opener::Camera && target != LineTarget::Router {
            writeln!(
                out,
                "\n[[exceptions]]\nfrom = \"{from}\"\nto = \"{to}\"\nservice = {service}"
            )?;
        }
    }
    Ok(())
}

/// One line for all hosts with the same service.
fn together(
    flows: &DescribedFlows,
) -> BTreeMap<(Opener, DescribedService, LineTarget), Vec<String>> {
    let mut lines: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for DescribedFlow {
        opener,
        service,
        peer,
    } in &flows.allowed
    {
        let (target, named) = match peer {
            Peer::Host(name) => (LineTarget::Hosts, Some(name.clone())),
            Peer::Network(network) if network.prefix_len() == network.max_prefix_len() => {
                (LineTarget::Addresses, Some(network.addr().to_string()))
            }
            Peer::Network(network) => (LineTarget::Addresses, Some(network.to_string())),
            Peer::Local => (LineTarget::Local, None),
            Peer::Router => (LineTarget::Router, None),
        };
        lines
            .entry((*opener, *service, target))
            .or_default()
            .extend(named);
    }
    lines
}

fn local(names: &NamesHere) -> &str {
    names.local.as_deref().unwrap_or_default()
}

fn list(names: &[String]) -> String {
    match names {
        [name] => format!("\"{name}\""),
        names => format!("[\n    \"{}\",\n]", names.join("\",\n    \"")),
    }
}

fn in_toml(service: DescribedService) -> String {
    match service {
        DescribedService::Ping => "\"ping\"".to_owned(),
        DescribedService::Protocol(number) => format!("{{ protocol = {number} }}"),
        DescribedService::Transport { tcp, to, from } => {
            let key = if tcp { "tcp" } else { "udp" };
            let from = from
                .map(|ports| format!(", source-port = {ports}"))
                .unwrap_or_default();
            format!("{{ {key} = {to}{from} }}")
        }
    }
}

/// Words of the file's author end neither the comment nor the terminal's line.
fn in_a_comment(text: &str) -> String {
    let shown = text.chars().take(200);
    shown
        .map(|c| {
            if c == ' ' || c.is_ascii_graphic() {
                c
            } else {
                '?'
            }
        })
        .collect()
}
