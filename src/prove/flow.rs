//! Which connections that are open a ruleset would not let be opened.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::claim;
use super::condition::address;
use super::judge::{Verdict, judge};
use super::networks::{self, Behind};
use super::packet::{Field, Packet, Space, State};
use super::program::Program;
use super::reach::Way;
use crate::policy::{Policy, ProxyWay};
use crate::ruleset::{IpFamily, Ruleset, TcpFlags};

/// A connection as conntrack has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Who opened it.
    pub source: IpAddr,
    /// Whom it was opened to, before any rewriting.
    pub destination: IpAddr,
    /// Protocol number.
    pub protocol: u8,
    /// Source port; for ICMP the type.
    pub from: u16,
    /// Destination port; for ICMP the code.
    pub to: u16,
    /// Whom it reaches: who answers.
    pub reaches: IpAddr,
}

impl Flow {
    /// Which family.
    pub fn family(&self) -> IpFamily {
        match self.source {
            IpAddr::V4(_) => IpFamily::V4,
            IpAddr::V6(_) => IpFamily::V6,
        }
    }
}

/// Judges flows under the rules of a policy, each as the packet that would open
/// it now.
pub struct FlowJudge<'a> {
    policy: &'a Policy,
    behind: Vec<Behind>,
    /// The router's addresses, those that came by DHCP too.
    own: BTreeSet<IpAddr>,
    families: [(Space, Program<'a>); 2],
}

impl<'a> FlowJudge<'a> {
    /// Makes the rules, of IPv4 and IPv6, ready.
    pub fn new(
        policy: &'a Policy,
        rules: [&'a Ruleset; 2],
        own: impl IntoIterator<Item = IpAddr>,
    ) -> FlowJudge<'a> {
        let families = [IpFamily::V4, IpFamily::V6].map(|family| {
            let rules = rules[family as usize];
            let space = claim::space(policy, &[rules], family);
            let program = Program::new(rules, &space);
            (space, program)
        });
        FlowJudge {
            policy,
            behind: networks::behind(policy),
            own: own.into_iter().collect(),
            families,
        }
    }

    /// Whether the rules surely do not let this connection be opened. What
    /// depends on more than the packet, as a limit or the time of day, is not
    /// forbidden; nor is what never leaves the router.
    pub fn forbids(&self, flow: &Flow) -> bool {
        let is_local = |address: &IpAddr| address.is_loopback() || self.own.contains(address);
        // A group, or everybody on a wire, has the router in it.
        let to_router = is_local(&flow.reaches)
            || flow.reaches.is_multicast()
            || self.is_broadcast(flow.reaches);
        let way = match (is_local(&flow.source), to_router) {
            (true, true) => return false,
            (true, false) => Way::Output,
            (false, true) => Way::Input,
            (false, false) => Way::Forward,
        };
        let (space, program) = &self.families[flow.family() as usize];
        let forbids = |out| {
            let Some(packet) = self.opening(space, way, flow, out) else {
                return false;
            };
            let judged = judge(program, space, way, packet);
            let reaches = address(flow.reaches);
            // To which of its own addresses the router sends it does not matter.
            let elsewhere = judged.destination.is_some_and(|goes_to| goes_to != reaches);
            judged.verdict == Verdict::Drop || (elsewhere && way == Way::Forward)
        };
        // It leaves towards whom it reaches, or towards a proxy that stands in.
        if way == Way::Input {
            return forbids("");
        }
        let Some(towards) = networks::interface_of(&self.behind, flow.reaches) else {
            return false;
        };
        let proxies = self.policy.proxies.iter();
        let proxies = proxies.filter_map(|proxy| match proxy.way {
            ProxyWay::Host { zone, .. } => Some(self.policy.zone(zone).interface.as_str()),
            ProxyWay::Here(_) => None,
        });
        [towards].into_iter().chain(proxies).all(forbids)
    }

    fn is_broadcast(&self, address: IpAddr) -> bool {
        let IpAddr::V4(address) = address else {
            return false;
        };
        let own = self.policy.zones.iter().flat_map(|zone| zone.own());
        let mut own = own.filter_map(|own| match own {
            ipnet::IpNet::V4(own) => Some(own),
            ipnet::IpNet::V6(_) => None,
        });
        address.is_broadcast() || own.any(|own| own.broadcast() == address)
    }

    /// Its first packet, if it came now. Hardware address and mark are not known.
    fn opening(&self, space: &Space, way: Way, flow: &Flow, out: &str) -> Option<Packet> {
        let mut packet = Packet::ZERO;
        if way != Way::Output {
            let from = networks::interface_of(&self.behind, flow.source)?;
            packet.set(Field::In, space.interfaces.place(from)?);
        }
        if way != Way::Input {
            packet.set(Field::Out, space.interfaces.place(out)?);
        }
        packet.set(Field::State, State::New as u128);
        packet.set(Field::Source, address(flow.source));
        packet.set(Field::Destination, address(flow.destination));
        packet.set(Field::Protocol, flow.protocol.into());
        let (from, to) = match flow.protocol {
            1 | 58 => (Field::IcmpType, Field::IcmpCode),
            _ => (Field::SourcePort, Field::DestinationPort),
        };
        packet.set(from, flow.from.into());
        packet.set(to, flow.to.into());
        packet.set(Field::Flags, TcpFlags::OPENING.set.into());
        packet.set(Field::Hops, 64);
        packet.forget(Field::Mac);
        packet.forget(Field::Mark);
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Answers;
    use crate::source::Source;

    /// Whether TCP connections are forbidden: source, destination, port, reached.
    fn forbidden(case: &str, flows: &[(&str, &str, u16, &str)]) -> Vec<bool> {
        let path = format!(
            "{}/tests/golden/{case}/config.toml",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let plan = match crate::plan(&Source::new("config.toml", text), &Answers::new()) {
            Ok(plan) => plan,
            Err(refusal) => panic!("{refusal}"),
        };
        let own = plan.policy.zones.iter().flat_map(|zone| zone.own());
        let own: Vec<IpAddr> = own.map(|own| own.addr()).collect();
        let judge = FlowJudge::new(&plan.policy, [&plan.ipv4, &plan.ipv6], own);
        let any = IpAddr::from([0, 0, 0, 0]);
        let parse = |text: &str| text.parse().unwrap_or(any);
        let flows = flows
            .iter()
            .map(|(source, destination, port, reaches)| Flow {
                source: parse(source),
                destination: parse(destination),
                protocol: 6,
                from: 40_000,
                to: *port,
                reaches: parse(reaches),
            });
        flows.map(|flow| judge.forbids(&flow)).collect()
    }

    #[test]
    fn what_the_policy_lets_open_is_not_forbidden() {
        let server = "8.8.8.8";
        let judged = forbidden(
            "camera-router",
            &[
                ("192.168.5.10", "192.168.8.110", 80, "192.168.8.110"),
                ("192.168.5.10", "192.168.8.110", 443, "192.168.8.110"),
                ("192.168.5.10", "192.168.5.200", 22, "192.168.5.200"),
                ("192.168.8.110", "192.168.8.1", 22, "192.168.8.1"),
                ("192.168.8.110", server, 80, server),
                ("192.168.0.2", server, 443, server),
                ("127.0.0.1", "127.0.0.1", 9, "127.0.0.1"),
            ],
        );
        assert_eq!(judged, [false, true, false, true, true, false, false]);
    }

    #[test]
    fn a_flow_by_a_proxy_goes_where_the_proxy_is() {
        let server = "8.8.8.8";
        let judged = forbidden(
            "proxy",
            &[
                // A host stands in, and does not for this port.
                ("192.168.6.10", server, 80, server),
                ("192.168.6.10", server, 443, server),
                // The router stands in.
                ("192.168.5.10", server, 80, "192.168.5.200"),
                ("192.168.5.10", server, 80, server),
            ],
        );
        assert_eq!(judged, [false, true, false, true]);
    }

    #[test]
    fn a_flow_into_a_forward_reaches_its_host() {
        let judged = forbidden(
            "forwards",
            &[
                ("8.8.8.8", "192.168.0.2", 8443, "192.168.8.110"),
                ("8.8.8.8", "192.168.0.2", 8443, "192.168.8.111"),
                ("8.8.8.8", "192.168.0.2", 8444, "192.168.8.110"),
            ],
        );
        assert_eq!(judged, [false, true, true]);
    }
}
