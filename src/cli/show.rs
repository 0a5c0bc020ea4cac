//! `camfw show`: what the file gives, as text.

use std::fmt::Write;
use std::path::Path;

use super::args::Show;
use super::{REFUSED, complain, print};
use crate::apply;
use crate::plan::Plan;
use crate::ruleset::{Ruleset, TableName, restore_text};
use crate::sysctl;

/// Prints it; the exit code.
pub(super) fn run(config: &Path, what: Show) -> u8 {
    let plan = match apply::read_plan(config) {
        Ok(plan) => plan,
        Err(refusal) => {
            complain(&refusal.to_string());
            return REFUSED;
        }
    };
    print(&match what {
        Show::Rules { ipv4, ipv6 } => {
            let families = [(ipv4, "IPv4", &plan.ipv4), (ipv6, "IPv6", &plan.ipv6)];
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
    })
}

/// The text that iptables-restore takes for a ruleset.
pub fn rules(ruleset: &Ruleset) -> String {
    let names: Vec<TableName> = ruleset.tables().map(|(name, _)| name).collect();
    restore_text(ruleset, &names)
}

/// Links, addresses and routes, a line each.
pub fn network(plan: &Plan) -> String {
    let mut text = String::new();
    for link in &plan.network.links {
        let _ = writeln!(
            text,
            "link {} up, address {}, zone {}",
            link.interface, link.address, link.zone
        );
    }
    if let Some(route) = &plan.network.default_route {
        let _ = writeln!(
            text,
            "route default via {} on {}",
            route.gateway, route.interface
        );
    }
    text
}

/// Kernel settings in order of writing, each with its reason.
pub fn sysctls(plan: &Plan) -> String {
    let mut text = String::new();
    let last = sysctl::forwarding(true);
    for setting in plan.sysctls.iter().chain([&last]) {
        let _ = writeln!(text, "{setting}  # {}", setting.why);
    }
    text
}
