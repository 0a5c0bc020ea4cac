//! Compiles a policy into rulesets. This cannot fail: every policy has its rules.
//!
//! Owns the order of the rules. In raw, one chain per zone drops impossible sources; that
//! is before conntrack, so that ESTABLISHED cannot let them through. In filter: loopback,
//! ESTABLISHED (where a running stream ends), cameras of other zones, RELATED, INVALID,
//! sources that no host on the internet can have, then one jump per zone or pair of zones to
//! a chain of its own. All other packets get the chain policy, DROP.

mod advertised;
mod bogon;
mod bound;
mod denied;
mod dhcp;
mod hardware;
mod helper;
mod icmpv6;
mod line;
mod misplaced;
mod nat;
mod recorded;
mod redirected;
mod reject;
mod related;
mod service_match;
mod source;
mod tree;
mod unasked;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::family::IpFamily;
use crate::name::{ChainName, Comment, InterfaceName, LogPrefix};
use crate::netfilter::{
    ChainPolicy, CtStates, Interface, Match, Negatable, Rule, Ruleset, Table, TableName, Target,
};
use crate::policy::{
    self, Egress, Endpoint, Flow, Ipv6Mode, RefusalReason, RulePurpose, Zone, ZoneIndex,
};
use tree::ChainNames;

/// The IPv4 rules of a policy.
pub fn ipv4(policy: &policy::Policy) -> Ruleset {
    tree::shallow(policy, IpFamily::V4)
}

/// The IPv6 rules: the same policy, or the loopback and nothing else.
pub fn ipv6(policy: &policy::Policy) -> Ruleset {
    match policy.ipv6 {
        Ipv6Mode::Same => tree::shallow(policy, IpFamily::V6),
        Ipv6Mode::Drop => loopback_alone(),
    }
}

fn loopback_alone() -> Ruleset {
    let mut ruleset = Ruleset::sealed();
    let mut filter = ruleset.table(TableName::Filter).into_owned();
    for direction in [Direction::Input, Direction::Output] {
        filter
            .rules_mut(&direction.chain())
            .push(direction.loopback());
    }
    ruleset.set(TableName::Filter, filter);
    ruleset.set(TableName::Raw, loopback_alone_comes_in());
    ruleset
}

/// Drops everything but the loopback before the kernel looks for a route. The kernel
/// answers packets for which it finds none, and to a packet with the router's own address
/// as its source it does so over the loopback (ip6_pkt_discard in net/ipv6/route.c). The
/// sender chooses what that answer quotes.
fn loopback_alone_comes_in() -> Table {
    let mut table = Table::untouched(TableName::Raw);
    let mut rule = Rule::new(Target::Drop).matching(purpose("IPv6 from outside"));
    rule.in_interface = Some(Negatable::not(Interface::Loopback).into());
    table.rules_mut(&chain("PREROUTING")).push(rule);
    table
}

/// A built-in chain of filter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Input,
    Forward,
    Output,
}

impl Direction {
    const ALL: [Direction; 3] = [Direction::Input, Direction::Forward, Direction::Output];

    fn chain(self) -> ChainName {
        chain(match self {
            Direction::Input => "INPUT",
            Direction::Forward => "FORWARD",
            Direction::Output => "OUTPUT",
        })
    }

    fn loopback(self) -> Rule {
        let mut rule = Rule::new(Target::Accept).matching(purpose("loopback"));
        let loopback = Some(Negatable::is(Interface::Loopback).into());
        match self {
            Direction::Output => rule.out_interface = loopback,
            Direction::Input | Direction::Forward => rule.in_interface = loopback,
        }
        rule
    }
}

/// Builds the rules of one family.
struct Compiler<'a> {
    policy: &'a policy::Policy,
    family: IpFamily,
    /// The names of filter's tree chains.
    names: ChainNames,
    /// The networks of each zone's hosts, of this family, by the zone's interface.
    networks: BTreeMap<&'a str, Vec<IpNet>>,
}

impl<'a> Compiler<'a> {
    fn new(policy: &'a policy::Policy, family: IpFamily, bits: u8) -> Compiler<'a> {
        let mut networks = policy.networks_by_interface();
        for networks in networks.values_mut() {
            networks.retain(|network| family.has(network));
        }
        Compiler {
            policy,
            family,
            names: ChainNames::new(bits),
            networks,
        }
    }

    fn ruleset(mut self) -> Ruleset {
        let mut ruleset = Ruleset::default();
        ruleset.set(TableName::Raw, self.raw());
        if let Some(mangle) = self.mangle() {
            ruleset.set(TableName::Mangle, mangle);
        }
        ruleset.set(TableName::Filter, self.filter());
        if let Some(nat) = self.nat() {
            ruleset.set(TableName::Nat, nat);
        }
        ruleset.shrink_to_fit();
        ruleset
    }

    /// The networks whose addresses a zone's hosts can have.
    fn networks_of(&self, zone: &Zone) -> Vec<IpNet> {
        let networks = self.networks.get(zone.interface.as_str());
        networks.cloned().unwrap_or_default()
    }

    /// Whether an address or network is of the family being compiled.
    fn is_ours(&self, network: &IpNet) -> bool {
        self.family.has(network)
    }

    fn filter(&mut self) -> Table {
        let policy = self.policy;
        let output = match policy.egress {
            Egress::Open => ChainPolicy::Accept,
            Egress::Listed => ChainPolicy::Drop,
        };
        let mut table = Table::with_policies(
            TableName::Filter,
            &[
                ("INPUT", ChainPolicy::Drop),
                ("FORWARD", ChainPolicy::Drop),
                ("OUTPUT", output),
            ],
        );
        let invalid = chain("invalid");
        for direction in Direction::ALL {
            let rules = table.rules_mut(&direction.chain());
            if direction != Direction::Forward {
                rules.push(direction.loopback());
            }
            self.established(&mut table, direction);
            let rules = table.rules_mut(&direction.chain());
            rules.push(
                Rule::new(Target::Jump(invalid.clone()))
                    .matching(Match::Conntrack(Negatable::is(CtStates::INVALID))),
            );
        }
        *table.rules_mut(&invalid) = vec![
            self.limited_log(&policy.log.prefixes.invalid),
            Rule::new(Target::Drop).matching(purpose("invalid")),
        ];
        self.related(&mut table);
        if self.family == IpFamily::V6 {
            icmpv6::neighbours(&mut table);
            icmpv6::advertisements(policy, &mut table);
        }
        self.dhcp(&mut table);
        self.taken_advertisements(&mut table);
        self.picked_up_in_the_middle(&mut table);
        self.bogons(&mut table);
        self.sources_of_new_connections(&mut table);
        for flow in flows(policy) {
            self.add_flow(&mut table, flow);
        }
        self.unasked(&mut table);
        if policy.log.dropped {
            let prefixes = &policy.log.prefixes;
            let mut ends = vec![
                (Direction::Input, &prefixes.input),
                (Direction::Forward, &prefixes.forward),
            ];
            if output == ChainPolicy::Drop {
                ends.push((Direction::Output, &prefixes.output));
            }
            for (direction, prefix) in ends {
                let log = self.limited_log(prefix);
                table.rules_mut(&direction.chain()).push(log);
            }
        }
        self.past_bounds(&mut table);
        self.not_allowed(&mut table);
        self.reject(&mut table);
        self.astray(&mut table);
        table
    }

    /// Adds a flow's chain, and the jump to it.
    fn add_flow(&mut self, table: &mut Table, flow: Flow) {
        let policy = self.policy;
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
            // Loopback traffic is always accepted; `resolve` makes no such flow.
            (Endpoint::Router, Endpoint::Router) => return,
        };
        table.rules_mut(&direction.chain()).push(jump);
        // The chain exists even if no line of this family adds a rule to it.
        table.rules_mut(&allowed);
        let mut lines = Vec::new();
        let mut names = std::mem::take(&mut self.names);
        let others = self.denied_first(table, &mut names, flow, &allowed);
        let mut accepting = Vec::new();
        for allow in policy.allows_of(flow) {
            lines.extend(self.line(table, &mut names, &mut accepting, flow, allow));
        }
        tree::place(table, &mut names, &others, lines);
        self.names = names;
    }

    fn limited_log(&self, prefix: &LogPrefix) -> Rule {
        Rule::new(Target::Log(prefix.clone())).matching(Match::Limit(self.policy.log.rate))
    }

    /// Rules that log, record where the zone's refusals are, and drop, with the reason as
    /// the last one's comment. `source` is what they are for; None means any.
    fn refusal(&self, zone: ZoneIndex, why: RefusalReason, source: Option<IpNet>) -> Vec<Rule> {
        let prefixes = self.policy.prefixes_of(zone);
        let (prefix, why_in_words) = match why {
            RefusalReason::Unknown => (&prefixes.unknown, "not a known camera"),
            RefusalReason::Bogon => (&prefixes.bogon, "reserved source"),
            RefusalReason::Misplaced => (&prefixes.spoofed, "a camera of another zone"),
            _ => (&prefixes.spoofed, "spoofed source"),
        };
        let drop = Rule::new(Target::Drop).matching(purpose(why_in_words));
        let mut rules = vec![self.limited_log(prefix)];
        rules.extend(self.recorded(zone, why));
        rules.push(drop);
        for rule in &mut rules {
            rule.source = source.map(Negatable::is);
        }
        rules
    }
}

/// Every flow that an allow line has, once, in the order of the file.
fn flows(policy: &policy::Policy) -> Vec<Flow> {
    let mut flows: Vec<Flow> = Vec::new();
    for flow in policy.allows.iter().flat_map(|allow| &allow.flows) {
        if !flows.contains(flow) {
            flows.push(*flow);
        }
    }
    flows
}

fn entering(zone: &Zone, target: Target) -> Rule {
    let mut rule = Rule::new(target);
    rule.in_interface = interface(&zone.interface);
    rule
}

fn from(network: impl Into<IpNet>, target: Target) -> Rule {
    let mut rule = Rule::new(target);
    rule.source = Some(Negatable::is(network.into()));
    rule
}

fn host(address: Ipv4Addr) -> IpNet {
    IpNet::from(IpAddr::V4(address))
}

fn interface(name: &InterfaceName) -> Option<Box<Negatable<Interface>>> {
    Some(Negatable::is(Interface::Named(name.clone())).into())
}

fn zone_comment(zone: &Zone) -> Match {
    match zone
        .origin
        .comment(RulePurpose::Zone(zone.name.to_string()))
    {
        Some(comment) => Match::Comment(comment),
        None => purpose("zone"),
    }
}

// The names below consist of literals and of zone names, whose length is limited so that
// every name is short enough; `tests::longest_names` checks this.

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
        chain(format_args!("reserved-{zone}"));
        chain(format_args!("astray-{zone}"));
        chain(format_args!("own-errors-{zone}"));
        chain(format_args!("bound-{zone}-10000s"));
        chain(format_args!("refused-{zone}-10000s"));
        chain(format_args!("refused-{zone}-cameras"));
        chain(format_args!("hardware-{zone}.99999"));
        // As many similar lines as fit into 1 MiB.
        let label = "0123456789_35000";
        chain(format_args!("line-{label}-10000h"));
        chain(format_args!("block6-{label}"));
    }
}
