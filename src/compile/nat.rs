//! Tables nat and mangle: masquerade, SNAT, port forwards, the transparent proxy, redirects,
//! and the segments of TCP.
//!
//! Addresses are rewritten for IPv4 only: IPv6 has enough of them.

use ipnet::IpNet;

use super::{
    Compiler, Direction, chain, entering, from, host, interface, port_groups, several, tcp,
    zone_comment,
};
use crate::family::IpFamily;
use crate::name::ChainName;
use crate::netfilter::{Match, Negatable, PortSide, Protocol, Rule, SYN, Table, TableName, Target};
use crate::policy::{Forward, Origin, Proxy, ProxyWay, RedirectToRouter, RulePurpose, ZoneIndex};

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
            let rules = self.forward(forward);
            table.rules_mut(&chain("PREROUTING")).extend(rules);
        }
        for (number, proxy) in proxies.into_iter().enumerate() {
            if let ProxyWay::Here(port) = proxy.way {
                self.to_proxy(&mut table, number, proxy, Target::Redirect(Some(port)));
            }
        }
        for (number, redirect) in policy.redirects.iter().enumerate() {
            self.to_router(&mut table, number, redirect);
        }
        for masquerade in &policy.masquerades {
            let rewrite = (Target::Masquerade, "masquerade", &masquerade.origin);
            self.source_nat(&mut table, masquerade.from, masquerade.to, rewrite);
        }
        for snat in &policy.snats {
            let rewrite = (Target::Snat(snat.address.into()), "snat", &snat.origin);
            self.source_nat(&mut table, snat.from, snat.to, rewrite);
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
        let zone = self.policy.zone(forward.from);
        let own = zone.addresses.iter().map(|own| Some(host(own.addr())));
        match zone.address_source.is_unknown() {
            true => vec![None],
            false => own.collect(),
        }
    }

    fn forward(&self, forward: &Forward) -> Vec<Rule> {
        let zone = self.policy.zone(forward.from);
        let port = (!forward.keeps_ports()).then_some(forward.to_ports.first());
        self.forwarded_from(forward)
            .into_iter()
            .map(|own| {
                let target = Target::Dnat(forward.address.into(), port);
                let mut rule = entering(zone, target).of(forward.protocol);
                rule.destination = own.map(Negatable::is);
                let dport = forward.ports;
                let rule = rule.matching(match forward.protocol {
                    Protocol::Udp => Match::Udp {
                        sport: None,
                        dport: Some(Negatable::is(dport)),
                    },
                    _ => tcp(Some(dport), None),
                });
                with_comment(rule, &forward.origin, "forward")
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

fn with_comment(mut rule: Rule, origin: &Origin, what: &str) -> Rule {
    rule.matches.extend(
        origin
            .comment(RulePurpose::Part(what.to_owned()))
            .map(Match::Comment),
    );
    rule
}
