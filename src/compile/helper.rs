//! Assigns conntrack's FTP helper to connections.
//!
//! Only connections that the file names get the helper. With automatic assignment any
//! packet to port 21 could open ports (nf_conntrack_helper in
//! Documentation/networking/nf_conntrack-sysctl.rst). For a connection that a line allows
//! without the helper, data connections pass only if a line allows them.

use ipnet::IpNet;

use super::line::from_sources;
use super::service_match::{port_groups, several, tcp};
use super::tree::{self, ChainNames, Placed};
use super::{Compiler, chain, interface};
use crate::family::IpFamily;
use crate::field::PortRange;
use crate::name::{ChainName, ServiceName};
use crate::netfilter::{Negatable, PortSide, Protocol, Rule, Table, Target};
use crate::policy::{Addresses, Allow, Endpoint, Flow, Forward, Role, ZoneIndex};
use crate::registry::special_purpose::LINK_LOCAL;

impl Compiler<'_> {
    /// Adds a chain for each flow that has a line with the helper.
    pub(super) fn helpers(&self, table: &mut Table, names: &mut ChainNames) {
        let Ok(ftp) = ServiceName::try_from("ftp") else {
            return;
        };
        let mut number = 0;
        for flow in super::flows(self.policy) {
            let helped = |allow: &&Allow| allow.services.iter().any(|service| service.helper);
            let lines: Vec<&Allow> = self.policy.allows_of(flow).filter(helped).collect();
            if lines.is_empty() {
                continue;
            }
            let name = chain(format_args!("helper-{number}"));
            let mut jump = Rule::new(Target::Jump(name.clone())).of(Protocol::Tcp);
            let hook = match (flow.from, flow.to) {
                (Endpoint::Zone(zone), _) => {
                    jump.in_interface = interface(&self.policy.zone(zone).interface);
                    "PREROUTING"
                }
                (Endpoint::Router, Endpoint::Zone(zone)) => {
                    jump.out_interface = interface(&self.policy.zone(zone).interface);
                    "OUTPUT"
                }
                (Endpoint::Router, Endpoint::Router) => continue,
            };
            // Placed first, since the first CT target that a packet meets is the one that
            // counts.
            if let Some((mut on_link, zone)) = self.on_link(flow, &jump) {
                let name = chain(format_args!("helper-{number}-link"));
                on_link.target = Some(Target::Jump(name.clone()));
                let target = Target::Conntrack {
                    helper: Some(ftp.clone()),
                    zone: Some(self.policy.conntrack_zone(zone)),
                };
                if self.helper_chain(table, names, &name, flow, &lines, &target) {
                    table.rules_mut(&chain(hook)).push(on_link);
                }
            }
            // What is link-local got its link's zone with the helper above, or gets the zone
            // alone below: it is never forwarded.
            if self.family == IpFamily::V6 {
                let not_on_link = Some(Negatable::not(IpNet::V6(LINK_LOCAL)));
                match flow.from {
                    Endpoint::Zone(_) => jump.source = not_on_link,
                    Endpoint::Router => jump.destination = not_on_link,
                }
            }
            let target = Target::Conntrack {
                helper: Some(ftp.clone()),
                zone: None,
            };
            if self.helper_chain(table, names, &name, flow, &lines, &target) {
                table.rules_mut(&chain(hook)).push(jump);
                number += 1;
            }
        }
    }

    /// The part of a jump's packets that is link-local; these only go to or come from the
    /// router.
    fn on_link(&self, flow: Flow, jump: &Rule) -> Option<(Rule, ZoneIndex)> {
        let link_local = Some(Negatable::is(IpNet::V6(LINK_LOCAL)));
        let mut rule = jump.clone();
        match (self.family, flow.from, flow.to) {
            (IpFamily::V6, Endpoint::Zone(zone), Endpoint::Router) => {
                rule.source = link_local;
                Some((rule, zone))
            }
            (IpFamily::V6, Endpoint::Router, Endpoint::Zone(zone)) => {
                rule.destination = link_local;
                Some((rule, zone))
            }
            _ => None,
        }
    }

    /// The chain for a flow's lines, and whether it has any rules: a line may be for the
    /// other family only.
    fn helper_chain(
        &self,
        table: &mut Table,
        names: &mut ChainNames,
        name: &ChainName,
        flow: Flow,
        lines: &[&Allow],
        target: &Target,
    ) -> bool {
        let mut placed: Vec<Placed> = Vec::new();
        let mut anywhere = false;
        for allow in lines {
            let mut rules = self.helper_rules(flow, allow, target);
            rules.extend(self.forwarded(flow, allow, target));
            anywhere |= rules.iter().any(|rule| rule.destination.is_none());
            let sources = self.prefixes(&allow.sources);
            placed.extend(from_sources(table, names, &allow.list_name, sources, rules));
        }
        if placed.is_empty() {
            return false;
        }
        let elsewhere = self.elsewhere(flow).into_iter().filter(|_| anywhere);
        let elsewhere = elsewhere.map(|network| {
            let mut rule = Rule::new(Target::Return);
            rule.destination = Some(Negatable::is(network));
            rule
        });
        table.rules_mut(name).extend(elsewhere);
        tree::place(table, names, name, placed);
        true
    }

    /// Destinations that do not belong to the flow, if those that do cannot be listed: for
    /// an external zone.
    fn elsewhere(&self, flow: Flow) -> Vec<IpNet> {
        match flow.to {
            Endpoint::Zone(to) if self.policy.zone(to).role == Role::External => self.not_in(to),
            _ => Vec::new(),
        }
    }

    /// The networks of other zones, and the router's own addresses in this one.
    pub(super) fn not_in(&self, to: ZoneIndex) -> Vec<IpNet> {
        let zones = self.policy.indexed_zones();
        let networks = zones.flat_map(|(index, zone)| match index == to {
            true => zone.own().map(|own| IpNet::from(own.addr())).collect(),
            false => self.networks_of(zone),
        });
        networks.filter(|network| self.is_ours(network)).collect()
    }

    fn helper_rules(&self, flow: Flow, allow: &Allow, target: &Target) -> Vec<Placed> {
        let destinations = match &allow.destinations {
            Addresses::Only(_) => self.prefixes(&allow.destinations),
            Addresses::Any => self.of_flow(flow),
        };
        let mut placed = Vec::new();
        let services = allow.services.iter().filter(|service| service.helper);
        for ports in services.flat_map(|service| port_groups(&service.tcp)) {
            let rule = helped(allow, target, ports);
            for destination in &destinations {
                placed.push(Placed {
                    source: None,
                    destination: *destination,
                    rule: rule.clone(),
                });
            }
        }
        placed
    }

    /// Connections that a forward redirects arrive at the router's own address.
    fn forwarded(&self, flow: Flow, allow: &Allow, target: &Target) -> Vec<Placed> {
        let leads_here = |forward: &&Forward| {
            flow.from == Endpoint::Zone(forward.from)
                && flow.to == Endpoint::Zone(forward.to)
                && forward
                    .ports
                    .is_none_or(|ports| ports.protocol == Protocol::Tcp)
                && !forward.is_loopback()
                && allow.destinations.holds(forward.address.into())
        };
        // The control ports behind the forward, as they are before it.
        let control_ports = |forward: &Forward| -> Vec<PortRange> {
            let helped = allow.services.iter().filter(|service| service.helper);
            let behind = helped.flat_map(|service| &service.tcp);
            let Some(ports) = forward.ports else {
                return behind.copied().collect();
            };
            let behind = behind.filter_map(|own| own.common(ports.to));
            match ports.at == ports.to {
                true => behind.collect(),
                false => behind.map(|_| ports.at).take(1).collect(),
            }
        };
        if self.family == IpFamily::V6 {
            return Vec::new();
        }
        let forwards = self.policy.forwards.iter().filter(leads_here);
        let mut placed = Vec::new();
        for forward in forwards {
            for ports in control_ports(forward) {
                let rule = helped(allow, target, vec![ports]);
                for destination in self.forwarded_from(forward) {
                    placed.push(Placed {
                        source: None,
                        destination,
                        rule: rule.clone(),
                    });
                }
            }
        }
        placed
    }

    /// The destinations of a flow; None means any.
    fn of_flow(&self, flow: Flow) -> Vec<Option<IpNet>> {
        let networks: Vec<IpNet> = match flow.to {
            // An address that is not of the file is not known here.
            Endpoint::Router
                if self
                    .policy
                    .zones
                    .iter()
                    .any(|zone| zone.slaac || zone.address_source.is_unknown()) =>
            {
                Vec::new()
            }
            Endpoint::Router => {
                let own = self.policy.zones.iter().flat_map(|zone| zone.own());
                let own = own.map(|own| IpNet::from(own.addr()));
                own.chain([IpNet::V6(LINK_LOCAL)]).collect()
            }
            Endpoint::Zone(zone) if self.policy.zone(zone).role == Role::External => Vec::new(),
            Endpoint::Zone(zone) => self.networks_of(self.policy.zone(zone)),
        };
        if networks.is_empty() {
            return vec![None];
        }
        let ours = networks.into_iter().filter(|network| self.is_ours(network));
        ours.map(Some).collect()
    }
}

fn helped(allow: &Allow, target: &Target, ports: Vec<PortRange>) -> Rule {
    let rule = Rule::new(target.clone()).of(Protocol::Tcp);
    let mut rule = rule.matching(match ports.as_slice() {
        [port] => tcp(Some(*port), None),
        _ => several(ports, PortSide::Destination),
    });
    rule.matches
        .extend(super::line::comment(allow, "ftp helper"));
    rule
}
