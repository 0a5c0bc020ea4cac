//! Sources that nobody on the internet has, on external zones.
//!
//! The lists are IANA's registries of special-purpose addresses (RFC 6890):
//! what is not valid as a source, or not globally reachable. Looked for in new
//! connections alone: what answers the router was asked by it.

use ipnet::IpNet;

use super::{Compiler, Direction, chain, entering, from, purpose};
use crate::policy::{Role, Zone, ZoneIndex};
use crate::ruleset::{IpFamily, Rule, Table, Target};

/// Network, name in the registry, and whether a router behind another router
/// may well be in it or see it.
const IPV4: &[(&str, &str, bool)] = &[
    ("0.0.0.0/8", "this network", false),
    ("10.0.0.0/8", "private use", true),
    ("100.64.0.0/10", "shared address space", true),
    ("127.0.0.0/8", "loopback", false),
    ("169.254.0.0/16", "link local", false),
    ("172.16.0.0/12", "private use", true),
    ("192.0.0.0/24", "IETF protocol assignments", false),
    ("192.0.2.0/24", "documentation", false),
    ("192.168.0.0/16", "private use", true),
    ("198.18.0.0/15", "benchmarking", false),
    ("198.51.100.0/24", "documentation", false),
    ("203.0.113.0/24", "documentation", false),
    ("224.0.0.0/4", "multicast", false),
    ("240.0.0.0/4", "reserved", false),
];

const IPV6: &[(&str, &str, bool)] = &[
    ("::/128", "unspecified", false),
    ("::1/128", "loopback", false),
    ("::ffff:0:0/96", "IPv4-mapped", false),
    ("64:ff9b:1::/48", "IPv4-IPv6 translation", true),
    ("100::/64", "discard only", false),
    ("2001:2::/48", "benchmarking", false),
    ("2001:db8::/32", "documentation", false),
    ("3fff::/20", "documentation", false),
    ("5f00::/16", "segment routing", false),
    ("fc00::/7", "unique local", true),
    ("fec0::/10", "site local, deprecated", false),
    ("ff00::/8", "multicast", false),
];

/// The networks of a family's list, each with its name and whether a router
/// behind another router may well be in it or see it.
pub fn reserved(family: IpFamily) -> Vec<(IpNet, &'static str, bool)> {
    let listed = match family {
        IpFamily::V4 => IPV4,
        IpFamily::V6 => IPV6,
    };
    listed
        .iter()
        .filter_map(|(network, name, private)| Some((network.parse().ok()?, *name, *private)))
        .collect()
}

impl Compiler<'_> {
    /// The checks of each external zone, in INPUT and FORWARD.
    pub(super) fn bogons(&self, table: &mut Table) {
        for (index, zone) in self.policy.indexed_zones() {
            if zone.role != Role::External {
                continue;
            }
            let checks = chain(format_args!("bogon-{}", zone.name));
            for direction in [Direction::Input, Direction::Forward] {
                let jump = entering(zone, Target::Jump(checks.clone()));
                table.rules_mut(&direction.chain()).push(jump);
            }
            self.bogon_checks(table, index, zone);
        }
    }

    fn bogon_checks(&self, table: &mut Table, index: ZoneIndex, zone: &Zone) {
        let checks = chain(format_args!("bogon-{}", zone.name));
        let dropped = chain(format_args!("reserved-{}", zone.name));
        let listed = reserved(self.family);
        let is_listed =
            |network: &IpNet| listed.iter().any(|(listed, ..)| listed.contains(network));
        // Behind another router the zone's own network is a private one.
        let mut rules: Vec<Rule> = Vec::new();
        let own = self.networks_of(zone).into_iter();
        for own in own.filter(is_listed) {
            rules
                .push(from(own, Target::Return).matching(purpose("own network although reserved")));
        }
        let accepted = zone.accept_bogons.iter();
        for accepted in accepted.filter(|network| self.is_ours(network)) {
            let rule = from(*accepted, Target::Return);
            rules.push(rule.matching(purpose("accepted although reserved")));
        }
        for (network, name, private) in listed {
            // Which network DHCP will give is not known: it may be any of these.
            if zone.dhcp && private && self.family == IpFamily::V4 {
                continue;
            }
            let rule = from(network, Target::Jump(dropped.clone()));
            rules.push(rule.matching(purpose(name)));
        }
        *table.rules_mut(&checks) = rules;
        let prefix = &self.policy.prefixes_of(index).bogon;
        *table.rules_mut(&dropped) = self.refusal(prefix, "reserved source").into();
    }
}
