//! The guarantees of roles and of the file.

use std::net::IpAddr;

use super::Proof;
use super::{ClaimResult, Counterexample};
use crate::family::IpFamily;
use crate::field::PortRange;
use crate::netfilter::Protocol;
use crate::policy::{Addresses, Endpoint, Guarantee, GuaranteeKind, Service};
use crate::prove::bound;
use crate::prove::condition::address;
use crate::prove::hook_path::HookPath;
use crate::prove::intent::{self};
use crate::prove::judge::Verdict;
use crate::prove::packet::{Field, State};
use crate::prove::witness::{self};
use crate::registry::multicast::DISCOVERY;
use camfw_diagrams::Set;

/// What is guaranteed, in words.
pub(in crate::prove) fn promise_words(
    kind: GuaranteeKind,
    from: &str,
    to: &str,
    services: Option<&[Service]>,
) -> String {
    let mut what = match kind {
        GuaranteeKind::Never => format!("{from} never opens a connection to {to}"),
        GuaranteeKind::Always => format!("{from} always reaches {to}"),
    };
    if let Some(services) = services {
        what += &format!(" for {}", listed(services));
    }
    what
}

fn listed(services: &[Service]) -> String {
    let names: Vec<String> = services.iter().map(ToString::to_string).collect();
    names.join(", ")
}

impl<'a> Proof<'a> {
    pub(super) fn promise(&mut self, promise: &Guarantee) {
        let Some(way) = intent::way_of(promise.flow) else {
            return;
        };
        if promise.kind == GuaranteeKind::Always
            && let Some(answer) = self.multicast_counterexample(way, promise)
        {
            let what = self.words(promise);
            return self.claim(what, answer);
        }
        let accepted = self.noted[way as usize];
        let mut intent = self.intent();
        let ends = intent.ends(promise.flow);
        let sources = intent.addresses(Field::Source, &promise.sources);
        let mut destinations = intent.addresses(Field::Destination, &promise.destinations);
        if let (GuaranteeKind::Always, Endpoint::Router) = (promise.kind, promise.flow.to) {
            // A guarantee about the router covers its address on that interface, not its
            // addresses elsewhere.
            destinations = intent.routers_own();
        }
        let ends = intent.space.all(&[ends, sources, destinations]);
        let services = promise.services.as_deref();
        let what = self.words(promise);
        let answer = match promise.kind {
            GuaranteeKind::Never => {
                let mut intent = self.intent();
                let of = services.map_or(Set::FULL, |of| intent.services(of, false));
                let mut lifted = Vec::new();
                for (sources, services) in &promise.except {
                    let sources = intent.addresses(Field::Source, sources);
                    let services = intent.services(services, false);
                    lifted.push(intent.space.diagrams.and(sources, services));
                }
                if promise.is_denial {
                    lifted.extend(intent.without_a_line(way));
                } else if promise.services.is_none() {
                    // The router opens nothing by these: a host has asked, by a line of the file.
                    lifted.push(intent.lease_answers(way));
                }
                let lifted = intent.space.diagrams.union(&lifted);
                let opening = self.opening(way);
                let promised = self.space.all(&[of, ends, opening, !lifted]);
                let may = self.space.diagrams.and(accepted.may, promised);
                let must = self.space.diagrams.and(accepted.must, promised);
                self.none(way, may, must)
            }
            GuaranteeKind::Always => {
                let mut intent = self.intent();
                let of = intent.services(services.unwrap_or_default(), true);
                let source = intent.opening_sources(promise.flow.from);
                let new = self.space.states(&[State::New]);
                let all = self.all(way);
                let astray = self.intent().astray(way);
                let promised = self.space.all(&[of, source, ends, new, all, !astray]);
                // An `always` guarantee may depend on a zone's bound, as it may on a limit.
                let always = self.accepted[way as usize].must;
                let always = bound::independent_of_counts(&mut self.space, always);
                let unseen = self.unseen.clone();
                let always = self.space.forget(always, &unseen);
                let always = self.space.diagrams.and(accepted.must, always);
                let less = self.space.diagrams.minus(promised, always);
                let surely = self.space.diagrams.minus(less, accepted.may);
                match self.none(way, less, surely) {
                    ClaimResult::Doubtful(example) => ClaimResult::Rests(example),
                    answer => answer,
                }
            }
        };
        self.claim(what, answer);
    }

    /// Looks for a packet that a guarantee covers and that is sent to a group (multicast)
    /// to discover hosts: no router forwards it, whatever the rules are.
    pub(super) fn multicast_counterexample(
        &mut self,
        way: HookPath,
        promise: &Guarantee,
    ) -> Option<ClaimResult> {
        if way != HookPath::Forward || promise.destinations != Addresses::Any {
            return None;
        }
        let services = promise.services.iter().flatten();
        let alone = |ports: &&PortRange| !ports.is_range();
        let ports: Vec<u16> = services
            .flat_map(|service| service.udp.iter().filter(alone))
            .map(|ports| ports.first())
            .collect();
        let asked = DISCOVERY.iter().find(|it| ports.contains(&it.port))?;
        let group = match self.space.family {
            IpFamily::V4 => IpAddr::V4(asked.ipv4),
            IpFamily::V6 => IpAddr::V6(asked.ipv6),
        };
        let mut intent = self.intent();
        let ends = intent.ends(promise.flow);
        let source = intent.opening_sources(promise.flow.from);
        let sources = intent.addresses(Field::Source, &promise.sources);
        let all = self.all(way);
        let fields = [
            (Field::Destination, address(group)),
            (Field::Protocol, Protocol::Udp.number().into()),
            (Field::DestinationPort, asked.port.into()),
            (Field::State, State::New as u128),
        ];
        let mut sets = vec![ends, source, sources, all];
        sets.extend(fields.map(|(field, value)| self.space.equal(field, value)));
        let asking = self.space.all(&sets);
        let wishes = self.wishes();
        let packet = self.space.pick_like(asking, &wishes)?;
        Some(ClaimResult::Broken(Counterexample {
            packet: witness::line(&self.space, &self.naming, way, &packet),
            verdict: Verdict::Drop,
            by: format!("the kernel, which forwards no multicast such as {group}"),
        }))
    }

    /// A guarantee in words.
    pub(super) fn words(&self, promise: &Guarantee) -> String {
        let end = |end: Endpoint, addresses: &Addresses| {
            let name = match end {
                Endpoint::Router => "router",
                Endpoint::Zone(zone) => self.policy.zone(zone).name.as_str(),
            };
            match addresses {
                Addresses::Only(networks) if networks.len() == 1 => {
                    format!("{name} {}", networks[0])
                }
                _ => name.to_owned(),
            }
        };
        let from = end(promise.flow.from, &promise.sources);
        let to = end(promise.flow.to, &promise.destinations);
        let mut what = promise_words(promise.kind, &from, &to, promise.services.as_deref());
        for (number, (_, services)) in promise.except.iter().enumerate() {
            let word = if number == 0 { " but for " } else { ", " };
            what += &format!("{word}{}", listed(services));
        }
        format!("{what} ({})", promise.origin)
    }
}
