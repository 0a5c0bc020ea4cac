//! Tables nat and mangle: masquerade, SNAT, port forwards, the transparent proxy, redirects,
//! and the segments of TCP.
//!
//! Addresses are rewritten for IPv4 only: IPv6 has enough of them.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};

use super::service_match::{port_groups, several, tcp};
use super::{Compiler, Direction, chain, entering, from, host, interface, zone_comment};
use crate::family::IpFamily;
use crate::field::PortRange;
use crate::name::ChainName;
use crate::netfilter::{
    CtStates, Match, Negatable, PortSide, Protocol, Rule, SYN, Table, TableName, Target,
};
use crate::policy::{Forward, Origin, Proxy, ProxyWay, RedirectToRouter, RulePurpose, ZoneIndex};

const LOOPBACK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);

impl Compiler<'_> {
    /// Table nat; None if nothing is rewritten.
    pub(super) fn nat(&self) -> Option<Table> {
        let policy = self.policy;
        let here = |proxy: &&Proxy| matches!(proxy.way, ProxyWay::Here(_));
        let proxies: Vec<&Proxy> = policy.proxies.iter().filter(here).collect();
        if self.family == IpFamily::V6
            || (policy.masquerades.is_empty()
                && policy.snats.is_empty()
                && policy.forwards.is_empty()
                && proxies.is_empty()
                && policy.redirects.is_empty())
        {
            return None;
        }
        let mut table = Table::untouched(TableName::Nat);
        for forward in &policy.forwards {
            let hook = match self.is_of_unknown(forward) {
                true => self.to_unknown(&mut table, forward),
                false => chain("PREROUTING"),
            };
            let rules = self.forward(forward);
            table.rules_mut(&hook).extend(rules);
        }
        for (number, proxy) in proxies.into_iter().enumerate() {
            if let ProxyWay::Here(port) = proxy.way {
                self.to_proxy(&mut table, number, proxy, Target::Redirect(Some(port)));
            }
        }
        for (number, redirect) in policy.redirects.iter().enumerate() {
            self.to_router(&mut table, number, redirect);
        }
        // Before what is for all of its zone.
        for forward in &policy.forwards {
            if let Some(own) = forward.seen_as() {
                let mut rule = from(host(forward.address), Target::Snat(own.into()));
                rule.out_interface = interface(&policy.zone(forward.at).interface);
                let rule = with_comment(rule, &forward.origin, "forward");
                table.rules_mut(&chain("POSTROUTING")).push(rule);
            }
        }
        for masquerade in &policy.masquerades {
            let rewrite = (Target::Masquerade, "masquerade", &masquerade.origin);
            self.source_nat(&mut table, masquerade.from, masquerade.to, rewrite);
        }
        for snat in &policy.snats {
            let rewrite = (Target::Snat(snat.address.into()), "snat", &snat.origin);
            self.source_nat(&mut table, snat.from, snat.to, rewrite);
        }
        for forward in policy.forwards.iter().filter(|it| it.turns_back()) {
            self.turned_back(&mut table, forward);
        }
        Some(table)
    }

    /// Table mangle; None if nothing is marked or made smaller.
    pub(super) fn mangle(&self) -> Option<Table> {
        let mut table = Table::untouched(TableName::Mangle);
        let mut number = 0;
        for proxy in &self.policy.proxies {
            if let (ProxyWay::Host { table: mark, .. }, IpFamily::V4) = (&proxy.way, self.family) {
                self.to_proxy(&mut table, number, proxy, Target::SetMark(*mark));
                number += 1;
            }
        }
        self.segments(&mut table);
        (table != Table::untouched(TableName::Mangle)).then_some(table)
    }

    /// Lowers the segments of TCP connections across a zone with smaller packets than its
    /// neighbours: what says so to their ends is ICMP, which is often lost. Both ends tell
    /// the other one their own largest segment, so both ways are looked at.
    fn segments(&self, table: &mut Table) {
        let forward = Direction::Forward.chain();
        for zone in &self.policy.zones {
            let Some(size) = zone.segments else {
                continue;
            };
            let name = interface(&zone.interface);
            for (comes, goes) in [(None, name.clone()), (name, None)] {
                let mut rule = Rule::new(Target::SegmentSize(size)).of(Protocol::Tcp);
                rule.in_interface = comes;
                rule.out_interface = goes;
                let rule = rule.matching(SYN).matching(zone_comment(zone));
                table.rules_mut(&forward).push(rule);
            }
        }
    }

    fn source_nat(
        &self,
        table: &mut Table,
        source: ZoneIndex,
        to: ZoneIndex,
        (target, what, origin): (Target, &str, &Origin),
    ) {
        for network in self.networks_of(self.policy.zone(source)) {
            let mut rule = from(network, target.clone());
            rule.out_interface = interface(&self.policy.zone(to).interface);
            rule.matches.extend(
                origin
                    .comment(RulePurpose::Part(what.to_owned()))
                    .map(Match::Comment),
            );
            table.rules_mut(&chain("POSTROUTING")).push(rule);
        }
    }

    /// The router's own addresses that a forward applies to; None among them means any, if
    /// they are not known.
    pub(super) fn forwarded_from(&self, forward: &Forward) -> Vec<Option<IpNet>> {
        let zone = self.policy.zone(forward.at);
        let own = zone.addresses.iter().map(|own| own.addr());
        let own = own.filter(|own| forward.own.is_none_or(|only| only == *own));
        match zone.address_source.is_unknown() {
            true => vec![None],
            false => own.map(|own| Some(host(own))).collect(),
        }
    }

    /// Whether it is for an address outside that is not known, from a zone inside.
    fn is_of_unknown(&self, forward: &Forward) -> bool {
        let outside = self.policy.zone(forward.at);
        forward.is_loopback() && outside.address_source.is_unknown()
    }

    /// The chain of what a zone sends to those addresses of the router that the file does not
    /// name.
    fn to_unknown(&self, table: &mut Table, forward: &Forward) -> ChainName {
        let zone = self.policy.zone(forward.from);
        let name = chain(format_args!("loopback-{}", zone.name));
        if table.chain(name.as_str()).is_some() {
            return name;
        }
        let jump = entering(zone, Target::Jump(name.clone()));
        let jump = jump.matching(Match::AnyOwnAddress);
        let jump = jump.matching(zone_comment(zone));
        table.rules_mut(&chain("PREROUTING")).push(jump);
        let own = self.policy.own_addresses().map(host);
        // The kernel looks for these only once it has a route.
        let others = own.chain([IpNet::V4(LOOPBACK)]).map(|network| {
            let mut rule = Rule::new(Target::Return);
            rule.destination = Some(Negatable::is(network));
            rule
        });
        table.rules_mut(&name).extend(others);
        name
    }

    /// Gives what a forward turns back into its zone the router's address there, so that the
    /// host answers by way of the router.
    fn turned_back(&self, table: &mut Table, forward: &Forward) {
        let zone = self.policy.zone(forward.from);
        for network in self.networks_of(zone) {
            let mut rule = from(network, Target::Masquerade);
            rule.destination = Some(Negatable::is(host(forward.address)));
            rule.out_interface = interface(&zone.interface);
            let ports = forward.ports.map(|ports| (ports.protocol, ports.to));
            let rule =
                with_ports(rule, ports).matching(Match::Conntrack(Negatable::is(CtStates::DNAT)));
            let rule = with_comment(rule, &forward.origin, "loopback");
            table.rules_mut(&chain("POSTROUTING")).push(rule);
        }
    }

    fn forward(&self, forward: &Forward) -> Vec<Rule> {
        let zone = self.policy.zone(forward.from);
        let ports = forward.ports.map(|ports| (ports.protocol, ports.at));
        self.forwarded_from(forward)
            .into_iter()
            .map(|own| {
                let target = Target::Dnat(forward.address.into(), forward.other_port());
                let mut rule = entering(zone, target);
                rule.destination = own.map(Negatable::is);
                with_comment(
                    with_ports(rule, ports),
                    &forward.origin,
                    match forward.is_loopback() {
                        true => "loopback",
                        false => "forward",
                    },
                )
            })
            .collect()
    }

    /// Redirects connections to one host, whichever it is, to the router's own port.
    fn to_router(&self, table: &mut Table, number: usize, redirect: &RedirectToRouter) {
        let name: ChainName = chain(format_args!("redirect-{number}"));
        let zone = self.policy.zone(redirect.from);
        for (protocol, ports) in redirect.ports() {
            for ports in port_groups(ports) {
                let jump = entering(zone, Target::Jump(name.clone())).of(protocol);
                let jump = jump.matching(match (protocol, ports.as_slice()) {
                    (Protocol::Tcp, [port]) => tcp(Some(*port), None),
                    (_, [port]) => Match::Udp {
                        sport: None,
                        dport: Some(Negatable::is(*port)),
                    },
                    _ => several(ports, PortSide::Destination),
                });
                table.rules_mut(&chain("PREROUTING")).push(with_comment(
                    jump,
                    &redirect.origin,
                    "redirect",
                ));
            }
        }
        for network in self.policy.not_for_one_host(zone) {
            let mut rule = Rule::new(Target::Return);
            rule.destination = Some(Negatable::is(network.into()));
            table.rules_mut(&name).push(rule);
        }
        let rule = Rule::new(Target::Redirect(None));
        let rule = with_comment(rule, &redirect.origin, "redirect");
        table.rules_mut(&name).push(rule);
    }

    /// Redirects connections to the given zone only, and none to the router or another
    /// zone. The outgoing interface is not known in PREROUTING, so other networks are
    /// excluded by address.
    fn to_proxy(&self, table: &mut Table, number: usize, proxy: &Proxy, target: Target) {
        let name: ChainName = chain(format_args!("proxy-{number}"));
        for ports in port_groups(&proxy.ports) {
            let zone = self.policy.zone(proxy.from);
            let jump = entering(zone, Target::Jump(name.clone())).of(Protocol::Tcp);
            let jump = jump.matching(match ports.as_slice() {
                [port] => tcp(Some(*port), None),
                _ => several(ports, PortSide::Destination),
            });
            table
                .rules_mut(&chain("PREROUTING"))
                .push(with_comment(jump, &proxy.origin, "proxy"));
        }
        for network in self.not_in(proxy.to) {
            let mut rule = Rule::new(Target::Return);
            rule.destination = Some(Negatable::is(network));
            table.rules_mut(&name).push(rule);
        }
        let rule = with_comment(Rule::new(target), &proxy.origin, "proxy");
        // The extension itself needs no protocol, but its ports do.
        table.rules_mut(&name).push(rule.of(Protocol::Tcp));
    }
}

fn with_ports(rule: Rule, ports: Option<(Protocol, PortRange)>) -> Rule {
    let Some((protocol, ports)) = ports else {
        return rule;
    };
    rule.of(protocol).matching(match protocol {
        Protocol::Udp => Match::Udp {
            sport: None,
            dport: Some(Negatable::is(ports)),
        },
        _ => tcp(Some(ports), None),
    })
}

fn with_comment(mut rule: Rule, origin: &Origin, what: &str) -> Rule {
    rule.matches.extend(
        origin
            .comment(RulePurpose::Part(what.to_owned()))
            .map(Match::Comment),
    );
    rule
}
