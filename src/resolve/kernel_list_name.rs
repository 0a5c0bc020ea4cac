//! Names the lists and tables that the kernel keeps for allow lines.
//!
//! Owns that such a name depends on what the line says and not on its position. The kernel
//! finds lists and tables by name (recent_table_lookup in net/netfilter/xt_recent.c,
//! htable_find_get in xt_hashlimit.c), so a line keeps its counts when another is added
//! above it.

use std::collections::BTreeMap;
use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::field::TimeWindow;
use crate::policy::{Addresses, Allow, Endpoint, Zone};

/// Hexadecimal digits of the digest in a name; lines with the same digest are distinguished
/// by their order.
const DIGITS: usize = 10;

/// Gives every line its label.
pub(super) fn name_kernel_lists(allows: &mut [Allow], zones: &[Zone]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for allow in allows {
        let digest = Sha256::digest(said(allow, zones).as_bytes());
        let mut label = String::with_capacity(DIGITS);
        for byte in digest.iter().take(DIGITS / 2) {
            let _ = write!(label, "{byte:02x}");
        }
        let times = seen.entry(label.clone()).or_default();
        *times += 1;
        if *times > 1 {
            let _ = write!(label, "_{times}");
        }
        allow.list_name = label;
    }
}

/// What identifies a line, without its limits: sources stay counted when only the limit
/// changes.
fn said(allow: &Allow, zones: &[Zone]) -> String {
    let mut text = String::new();
    let end = |end: Endpoint| match end {
        Endpoint::Router => "router",
        Endpoint::Zone(zone) => zones.get(zone.0).map_or("", |zone| zone.name.as_str()),
    };
    for flow in &allow.flows {
        let _ = writeln!(text, "flow {} {}", end(flow.from), end(flow.to));
    }
    if let Some(camera) = &allow.camera {
        let _ = writeln!(text, "camera {camera}");
    }
    let mut addresses = |what: &str, addresses: &Addresses| {
        if let Addresses::Only(networks) = addresses {
            for network in networks {
                let _ = writeln!(text, "{what} {network}");
            }
        }
    };
    addresses("from", &allow.sources);
    // The addresses of a name change, but the line with the name stays the same.
    match allow.hosts.is_empty() {
        true => addresses("to", &allow.destinations),
        false => {
            for host in &allow.hosts {
                let _ = writeln!(text, "to {host}");
            }
        }
    }
    for service in allow.services.iter() {
        for (protocol, ports) in [("tcp", &service.tcp), ("udp", &service.udp)] {
            for ports in ports {
                let _ = writeln!(text, "{protocol} {ports}");
            }
        }
        for icmp in &service.icmp {
            let _ = writeln!(text, "icmp {icmp}");
        }
        for protocol in &service.protocols {
            let _ = writeln!(text, "protocol {protocol}");
        }
        for ports in &service.source_ports {
            let _ = writeln!(text, "from {ports}");
        }
        if service.everything {
            text.push_str("everything\n");
        }
        let _ = writeln!(text, "helper {}", service.helper);
    }
    if allow.by_forward {
        text.push_str("by a forward\n");
    }
    let when = allow.when.map_or("None".to_owned(), TimeWindow::identity);
    let _ = writeln!(text, "when {when}");
    text
}
