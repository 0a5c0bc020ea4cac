//! Policy -> rulesets, total: every policy has its rules.
//!
//! Owns the order of the rules. In raw, one chain per zone drops sources that
//! cannot be, before conntrack sees them and so before ESTABLISHED could let
//! them through. In filter: loopback, ESTABLISHED and RELATED (a running
//! stream goes no further), INVALID, then one jump per zone or pair of zones
//! to a chain of its own. What is left meets the policy, DROP.

use std::fmt;

use ipnet::{IpNet, Ipv4Net};

use crate::field::PortRange;
use crate::name::{ChainName, Comment, InterfaceName, LogPrefix};
use crate::policy::{
    self, Allow, Egress, Endpoint, Flow, Masquerade, Role, Service, Zone, ZoneIndex,
};
use crate::ruleset::{
    CtStates, Interface, MULTIPORT_MAX, Match, Multiport, Negatable, Policy, PortSide, Protocol,
    Rule, Ruleset, Table, TableName, Target, TcpFlags,
};

/// The IPv4 rules of a policy.
pub fn ipv4(policy: &policy::Policy) -> Ruleset {
    let mut ruleset = Ruleset::default();
    ruleset.set(TableName::Raw, raw(policy));
    ruleset.set(TableName::Filter, filter(policy));
    if !policy.masquerades.is_empty() {
        ruleset.set(TableName::Nat, nat(policy));
    }
    ruleset
}

/// The IPv6 rules: the loopback, and nothing else in, out or across.
pub fn ipv6() -> Ruleset {
    let mut ruleset = Ruleset::sealed();
    let mut filter = ruleset.table(TableName::Filter);
    for direction in [Direction::Input, Direction::Output] {
        filter
            .rules_mut(&direction.chain())
            .push(direction.loopback());
    }
    ruleset.set(TableName::Filter, filter);
    ruleset
}

/// A built-in chain of filter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Input,
    Forward,
    Output,
}

impl Direction {
    fn chain(self) -> ChainName {
        chain(match self {
            Direction::Input => "INPUT",
            Direction::Forward => "FORWARD",
            Direction::Output => "OUTPUT",
        })
    }

    fn loopback(self) -> Rule {
        let mut rule = Rule::new(Target::Accept).matching(purpose("loopback"));
        let loopback = Some(Negatable::is(Interface::Loopback));
        match self {
            Direction::Output => rule.out_interface = loopback,
            Direction::Input | Direction::Forward => rule.in_interface = loopback,
        }
        rule
    }
}

fn raw(policy: &policy::Policy) -> Table {
    let mut table = Table::untouched(TableName::Raw);
    let prerouting = chain("PREROUTING");
    for (index, zone) in policy.indexed_zones() {
        let checks = chain(format_args!("source-{}", zone.name));
        table
            .rules_mut(&prerouting)
            .push(entering(zone, Target::Jump(checks.clone())).matching(zone_comment(zone)));
        *table.rules_mut(&checks) = source_checks(policy, index, zone);
    }
    table
}

/// Lets through, to conntrack and filter, the sources that the zone can have.
fn source_checks(policy: &policy::Policy, index: ZoneIndex, zone: &Zone) -> Vec<Rule> {
    let mut rules = Vec::new();
    let prefix = policy.spoofed_prefix(index);
    let spoofed = |matching: Option<Ipv4Net>| {
        let mut drop = Rule::new(Target::Drop);
        drop.source = matching.map(|network| Negatable::is(IpNet::V4(network)));
        let mut log = limited_log(policy, prefix);
        log.source.clone_from(&drop.source);
        [log, drop.matching(purpose("spoofed source"))]
    };
    if zone.role == Role::External {
        // Any source may come from there, but no other zone's.
        for other in policy.zones.iter().filter(|other| other.name != zone.name) {
            for network in policy.networks_of(other) {
                rules.extend(spoofed(Some(network)));
            }
        }
        return rules;
    }
    for network in policy.networks_of(zone) {
        rules.push(from(network, Target::Return).matching(purpose("own network")));
    }
    if serves_dhcp(policy, index) {
        // A client that has no address yet asks from 0.0.0.0 (RFC 2131, 4.1).
        let mut rule = from(
            Ipv4Net::from(std::net::Ipv4Addr::UNSPECIFIED),
            Target::Return,
        );
        rule.destination = Some(Negatable::is(IpNet::V4(Ipv4Net::from(
            std::net::Ipv4Addr::BROADCAST,
        ))));
        rule = rule.of(Protocol::Udp);
        rules.push(
            rule.matching(Match::Udp {
                sport: Some(Negatable::is(DHCP_CLIENT)),
                dport: Some(Negatable::is(DHCP_SERVER)),
            })
            .matching(purpose("asks for an address")),
        );
    }
    rules.extend(spoofed(None));
    rules
}

const DHCP_SERVER: PortRange = PortRange::port(67);
const DHCP_CLIENT: PortRange = PortRange::port(68);

fn serves_dhcp(policy: &policy::Policy, zone: ZoneIndex) -> bool {
    let flow = Flow {
        from: Endpoint::Zone(zone),
        to: Endpoint::Router,
    };
    policy
        .allows_of(flow)
        .flat_map(|allow| &allow.services)
        .flat_map(|service| &service.udp)
        .any(|ports| ports.contains(DHCP_SERVER))
}

fn filter(policy: &policy::Policy) -> Table {
    let output = match policy.egress {
        Egress::Open => Policy::Accept,
        Egress::Listed => Policy::Drop,
    };
    let mut table = Table::with_policies(
        TableName::Filter,
        &[
            ("INPUT", Policy::Drop),
            ("FORWARD", Policy::Drop),
            ("OUTPUT", output),
        ],
    );
    let invalid = chain("invalid");
    for direction in [Direction::Input, Direction::Forward, Direction::Output] {
        let rules = table.rules_mut(&direction.chain());
        if direction != Direction::Forward {
            rules.push(direction.loopback());
        }
        rules.push(
            Rule::new(Target::Accept)
                .matching(Match::Conntrack(Negatable::is(
                    CtStates::RELATED_ESTABLISHED,
                )))
                .matching(purpose("established")),
        );
        rules.push(
            Rule::new(Target::Jump(invalid.clone()))
                .matching(Match::Conntrack(Negatable::is(CtStates::INVALID))),
        );
    }
    *table.rules_mut(&invalid) = vec![
        limited_log(policy, &policy.log.prefixes.invalid),
        Rule::new(Target::Drop).matching(purpose("invalid")),
    ];
    for zone in policy.zones.iter().filter(|zone| zone.dhcp) {
        dhcp_client(&mut table, zone);
    }
    for flow in flows(policy) {
        add_flow(&mut table, policy, flow);
    }
    if policy.log.dropped {
        let prefixes = &policy.log.prefixes;
        let mut ends = vec![
            (Direction::Input, &prefixes.input),
            (Direction::Forward, &prefixes.forward),
        ];
        if output == Policy::Drop {
            ends.push((Direction::Output, &prefixes.output));
        }
        for (direction, prefix) in ends {
            let log = limited_log(policy, prefix);
            table.rules_mut(&direction.chain()).push(log);
        }
    }
    table
}

/// What a DHCP client on the router sends, and the answers it gets: those may
/// be broadcast, which conntrack takes for no answer.
fn dhcp_client(table: &mut Table, zone: &Zone) {
    let between = |source, destination| {
        let mut rule = Rule::new(Target::Accept).matching(Match::Udp {
            sport: Some(Negatable::is(source)),
            dport: Some(Negatable::is(destination)),
        });
        rule = rule.of(Protocol::Udp);
        rule.matching(zone_comment(zone))
    };
    let mut answer = between(DHCP_SERVER, DHCP_CLIENT);
    answer.in_interface = interface(&zone.interface);
    table.rules_mut(&Direction::Input.chain()).push(answer);
    let mut question = between(DHCP_CLIENT, DHCP_SERVER);
    question.out_interface = interface(&zone.interface);
    table.rules_mut(&Direction::Output.chain()).push(question);
}

/// Each flow that some line allows, once, in the order of the file.
fn flows(policy: &policy::Policy) -> Vec<Flow> {
    let mut flows: Vec<Flow> = Vec::new();
    for flow in policy.allows.iter().flat_map(|allow| &allow.flows) {
        if !flows.contains(flow) {
            flows.push(*flow);
        }
    }
    flows
}

/// The jump to a flow's chain and the chain.
fn add_flow(table: &mut Table, policy: &policy::Policy, flow: Flow) {
    let name = |endpoint: Endpoint| match endpoint {
        Endpoint::Router => "router",
        Endpoint::Zone(index) => policy.zone(index).name.as_str(),
    };
    let allowed = chain(format_args!("{}_to_{}", name(flow.from), name(flow.to)));
    let jump = Target::Jump(allowed.clone());
    let (direction, jump) = match (flow.from, flow.to) {
        (Endpoint::Zone(from), Endpoint::Zone(to)) => {
            let mut rule = entering(policy.zone(from), jump);
            rule.out_interface = interface(&policy.zone(to).interface);
            (Direction::Forward, rule)
        }
        (Endpoint::Zone(from), Endpoint::Router) => {
            (Direction::Input, entering(policy.zone(from), jump))
        }
        (Endpoint::Router, Endpoint::Zone(to)) => {
            let mut rule = Rule::new(jump);
            rule.out_interface = interface(&policy.zone(to).interface);
            (Direction::Output, rule)
        }
        // The loopback is open; resolve makes no such flow.
        (Endpoint::Router, Endpoint::Router) => return,
    };
    table.rules_mut(&direction.chain()).push(jump);
    let rules: Vec<Rule> = policy.allows_of(flow).flat_map(allow_rules).collect();
    *table.rules_mut(&allowed) = rules;
}

/// The rules of one allow line, the same whoever it is from.
fn allow_rules(allow: &Allow) -> Vec<Rule> {
    let mut rules = Vec::new();
    for service in &allow.services {
        for matches in service_matches(service) {
            let (protocol, extensions) = matches;
            let mut rule = Rule::new(Target::Accept);
            rule = rule.of(protocol);
            rule.matches = extensions;
            rule.matches
                .push(Match::Conntrack(Negatable::is(CtStates::NEW)));
            if let Some(rate) = allow.limit {
                // The kernel finds a hashlimit table by its name alone and then
                // keeps its old settings (htable_find_get in
                // net/netfilter/xt_hashlimit.c), so a new rate needs a new name.
                let rate_in_name = rate.to_string().replace('/', "-");
                rule.matches.push(Match::HashlimitPerSource {
                    rate,
                    name: chain(format_args!("line-{}-{rate_in_name}", allow.origin.line)),
                });
            }
            rule.matches.extend(
                allow
                    .origin
                    .comment(&service.to_string())
                    .map(Match::Comment),
            );
            rules.push(rule);
        }
    }
    rules
}

/// One rule's protocol and matches per protocol of the service, or more where
/// it has more ports than a multiport match takes.
fn service_matches(service: &Service) -> Vec<(Protocol, Vec<Match>)> {
    let mut matches = Vec::new();
    let several = |ports| {
        Match::Multiport(Negatable::is(Multiport {
            side: PortSide::Destination,
            ports,
        }))
    };
    for ports in port_groups(&service.tcp) {
        let opening = |dport: Option<PortRange>| Match::Tcp {
            sport: None,
            dport: dport.map(Negatable::is),
            flags: Some(Negatable::is(TcpFlags::OPENING)),
        };
        let extensions = match ports.as_slice() {
            [port] => vec![opening(Some(*port))],
            _ => vec![several(ports), opening(None)],
        };
        matches.push((Protocol::Tcp, extensions));
    }
    for ports in port_groups(&service.udp) {
        let extension = match ports.as_slice() {
            [port] => Match::Udp {
                sport: None,
                dport: Some(Negatable::is(*port)),
            },
            _ => several(ports),
        };
        matches.push((Protocol::Udp, vec![extension]));
    }
    for icmp in &service.icmp {
        matches.push((Protocol::Icmp, vec![Match::Icmp(Negatable::is(*icmp))]));
    }
    matches
}

/// Ports in groups that one multiport match takes.
fn port_groups(ports: &[PortRange]) -> Vec<Vec<PortRange>> {
    let mut groups: Vec<Vec<PortRange>> = Vec::new();
    let mut room = 0;
    for port in ports {
        let size = if port.is_range() { 2 } else { 1 };
        match groups.last_mut() {
            Some(group) if room >= size => group.push(*port),
            _ => {
                groups.push(vec![*port]);
                room = MULTIPORT_MAX;
            }
        }
        room -= size;
    }
    groups
}

fn nat(policy: &policy::Policy) -> Table {
    let mut table = Table::untouched(TableName::Nat);
    for Masquerade {
        from: source,
        to,
        origin,
    } in &policy.masquerades
    {
        for network in policy.networks_of(policy.zone(*source)) {
            let mut rule = from(network, Target::Masquerade);
            rule.out_interface = interface(&policy.zone(*to).interface);
            rule.matches
                .extend(origin.comment("masquerade").map(Match::Comment));
            table.rules_mut(&chain("POSTROUTING")).push(rule);
        }
    }
    table
}

fn limited_log(policy: &policy::Policy, prefix: &LogPrefix) -> Rule {
    Rule::new(Target::Log(prefix.clone())).matching(Match::Limit(policy.log.rate))
}

fn entering(zone: &Zone, target: Target) -> Rule {
    let mut rule = Rule::new(target);
    rule.in_interface = interface(&zone.interface);
    rule
}

fn from(network: Ipv4Net, target: Target) -> Rule {
    let mut rule = Rule::new(target);
    rule.source = Some(Negatable::is(IpNet::V4(network)));
    rule
}

fn interface(name: &InterfaceName) -> Option<Negatable<Interface>> {
    Some(Negatable::is(Interface::Named(name.clone())))
}

fn zone_comment(zone: &Zone) -> Match {
    match zone.origin.comment(&format!("zone {}", zone.name)) {
        Some(comment) => Match::Comment(comment),
        None => purpose("zone"),
    }
}

// The names below are made of words that are written here and of zone names,
// which are short enough by construction; `tests::longest_names` holds them to it.

#[allow(clippy::expect_used)]
fn chain(name: impl fmt::Display) -> ChainName {
    ChainName::try_from(name.to_string().as_str()).expect("made of valid parts")
}

#[allow(clippy::expect_used)]
fn purpose(what: &str) -> Match {
    Match::Comment(Comment::try_from(what).expect("made of plain words"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::ZONE_NAME_MAX;

    #[test]
    fn longest_names() {
        let zone = "z".repeat(ZONE_NAME_MAX);
        chain(format_args!("{zone}_to_{zone}"));
        chain(format_args!("source-{zone}"));
        chain(format_args!("line-{}-10000-hour", 999_999_999));
    }

    #[test]
    fn ports_are_grouped_as_multiport_takes_them() {
        let range = PortRange::new(10, 20);
        let ports: Vec<PortRange> = (1..=14).map(PortRange::port).chain(range).collect();
        let sizes: Vec<usize> = port_groups(&ports).iter().map(Vec::len).collect();
        assert_eq!(sizes, [14, 1]);
        assert_eq!(port_groups(&ports[..13]).len(), 1);
        assert!(port_groups(&[]).is_empty());
    }
}
