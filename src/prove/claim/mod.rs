//! Claims about a ruleset, each with a packet that shows it to be wrong if it is.
//!
//! Owns the claims: nothing passes while the box is sealed; a connection can be opened if,
//! and only if, an allow line says so; no source address is spoofed; nobody sends packets
//! as part of another host's connection; the guarantees of roles and of the file hold. Each
//! claim is about every possible packet.

mod bounded;
mod link_local;
mod related;
mod result;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::belongs;
use super::bound;
use super::bounds::Bounds;
use super::condition::address;
use super::diagram::{Diagrams, Set};
use super::hook_path::HookPath;
use super::intent::{self, Intent, KnownSets};
use super::judge::{Verdict, judge};
use super::packet::{Field, Interfaces, NO_INTERFACE, State};
use super::program::{Program, interface_patterns};
use super::reach::Reach;
use super::space::{NODES_MAX, OwnAddresses, Space};
use super::witness::{self, Naming};
use crate::family::{Families, IpFamily};
use crate::field::PortRange;
use crate::netfilter::{Protocol, Ruleset, TableName};
use crate::policy::{
    Addresses, Allow, Endpoint, Guarantee, GuaranteeKind, Ipv6Mode, Policy, Service,
};
use crate::registry::multicast::DISCOVERY;
pub use result::{Claim, ClaimResult, Counterexample};

/// The first claim about a policy and its rules that does not hold, in words.
pub fn broken(policy: &Policy, rules: &Families<Ruleset>) -> Option<String> {
    broken_within(policy, rules, NODES_MAX)
}

/// Like [`broken`], with a limit on the number of diagram nodes.
fn broken_within(policy: &Policy, rules: &Families<Ruleset>, most: usize) -> Option<String> {
    let claims = claims_within(policy, rules, most);
    let broken = claims.into_iter().find(|claim| !claim.answer.holds())?;
    Some(broken.to_string())
}

/// Proves the claims of a policy about rules: those compiled from it, or those read from a
/// kernel.
pub fn claims(policy: &Policy, rules: &Families<Ruleset>) -> Vec<Claim> {
    claims_within(policy, rules, NODES_MAX)
}

fn claims_within(policy: &Policy, rules: &Families<Ruleset>, most: usize) -> Vec<Claim> {
    let families = rules.iter();
    families
        .flat_map(|(family, rules)| claims_of_within(policy, rules, family, most))
        .collect()
}

/// The claims about one family's rules.
pub fn claims_of(policy: &Policy, ruleset: &Ruleset, family: IpFamily) -> Vec<Claim> {
    claims_of_within(policy, ruleset, family, NODES_MAX)
}

fn claims_of_within(
    policy: &Policy,
    ruleset: &Ruleset,
    family: IpFamily,
    most: usize,
) -> Vec<Claim> {
    let mut claims = Vec::new();
    if family == IpFamily::V4 {
        claims.push(sealed(policy, ruleset));
    }
    let mut proof = Proof::new(policy, ruleset, family, most);
    if family == IpFamily::V6 && policy.ipv6 == Ipv6Mode::Drop {
        proof.loopback_only();
    } else {
        proof.only();
        proof.spoofed();
        proof.related();
        proof.bounded();
        proof.links_apart();
        for promise in &policy.guarantees {
            proof.promise(promise);
        }
    }
    claims.extend(proof.finish());
    claims
}

/// The zone names to use for interfaces when a packet is printed.
pub fn naming(policy: &Policy) -> Naming {
    let zones = policy.zones.iter();
    Naming {
        zones: zones
            .map(|zone| (zone.interface.to_string(), zone.name.to_string()))
            .collect(),
    }
}

/// The packet space for a policy and rulesets, with every interface and address that they
/// name.
pub fn space(policy: &Policy, rulesets: &[&Ruleset], family: IpFamily) -> Space {
    let mut patterns: BTreeSet<String> = BTreeSet::new();
    for ruleset in rulesets {
        patterns.extend(interface_patterns(ruleset));
    }
    patterns.extend(policy.zones.iter().map(|zone| zone.interface.to_string()));
    let mut space = Space::new(family, Interfaces::new(&patterns));
    let mut known = OwnAddresses::default();
    for zone in &policy.zones {
        let ours = zone
            .own()
            .filter(|own| own.addr().is_ipv4() == (family == IpFamily::V4));
        let ours: Vec<IpNet> = ours.collect();
        // In a network with one or two addresses (/31, /32) the last address is a host, not
        // a broadcast address.
        let many = ours
            .iter()
            .filter(|own| own.addr().is_ipv4() && own.prefix_len() < 31);
        known.add(
            intent::place(&space, zone),
            ours.iter().map(|own| address(own.addr())).collect(),
            many.map(|own| address(own.broadcast())).collect(),
        );
        let mut own = zone.own().map(|own| own.addr());
        if let Some(own) = own.find(|own| own.is_ipv4() == (family == IpFamily::V4)) {
            let place = intent::place(&space, zone);
            space.own_addresses.insert(place, address(own));
        }
    }
    space.know_own(known);
    space
}

/// The fields that record a packet's original destination when a forward redirects it.
const SENT_ON: [Field; 3] = [Field::Dnat, Field::OriginalDestination, Field::OriginalPort];

struct Proof<'a> {
    policy: &'a Policy,
    known: KnownSets,
    space: Space,
    program: Program<'a>,
    naming: Naming,
    claims: Vec<Claim>,
    /// The packets that get through on each path; each packet as it was when that was
    /// decided.
    accepted: [Bounds; 3],
    /// The same, restricted to the fields that claims look at: `may` as computed, `must` as
    /// far as no zone bound is exceeded.
    noted: [Bounds; 3],
    /// The recorded fields that claims do not look at.
    unseen: Vec<Field>,
}

impl<'a> Proof<'a> {
    fn new(policy: &'a Policy, ruleset: &'a Ruleset, family: IpFamily, most: usize) -> Proof<'a> {
        let mut space = space(policy, &[ruleset], family);
        space.diagrams = Diagrams::new(most);
        let mut program = Program::new(ruleset, &space);
        bound::ask_by_bits(&mut program, policy, family);
        let mut reach = Reach::new(&program);
        let accepted = HookPath::ALL.map(|way| reach.accepted(&mut space, way));
        // Whether, and from where, a forward redirected a packet is part of the policy's
        // meaning, so claims do look at it.
        let mut unseen = program.noted();
        unseen.retain(|field| !SENT_ON.contains(field));
        let is_bounded = policy.zones.iter().any(|zone| zone.bound.is_some());
        let noted = match is_bounded {
            true => accepted.map(|accepted| bound::assuming_within(&mut space, accepted)),
            false => accepted,
        };
        let noted = noted.map(|accepted| {
            let may = space.forget(accepted.may, &unseen);
            let must = match accepted.is_exact() {
                true => may,
                false => space.forget(accepted.must, &unseen),
            };
            Bounds { may, must }
        });
        Proof {
            policy,
            known: KnownSets::default(),
            space,
            program,
            naming: naming(policy),
            claims: Vec::new(),
            accepted,
            noted,
            unseen,
        }
    }

    fn finish(self) -> Vec<Claim> {
        let mut claims = self.claims;
        if !self.space.diagrams.is_complete() {
            let most = largest_line(self.policy);
            for claim in &mut claims {
                claim.answer = ClaimResult::TooLarge(most.clone());
            }
        }
        claims
    }

    /// The packets that open a connection: all that do not belong to one already.
    fn opening(&mut self) -> Set {
        let part = [State::Established, State::Related];
        !self.space.states(&part)
    }

    fn intent(&mut self) -> Intent<'a, '_> {
        Intent::new(self.policy, &mut self.space, &mut self.known)
    }

    /// Every packet of a path, restricted to the fields that claims look at.
    fn all(&mut self, way: HookPath) -> Set {
        let all = Reach::new(&self.program).everything(&mut self.space, way);
        let unseen = self.unseen.clone();
        self.space.forget(all, &unseen)
    }

    /// Restores, in a set, the original destinations of packets that a forward redirects.
    fn as_it_came(&mut self, set: Set) -> Set {
        let rewritten = self.space.equal(Field::Dnat, 1);
        let new = self.space.states(&[State::New]);
        let sent_on = self.space.all(&[set, rewritten, new]);
        if sent_on.is_empty() {
            return set;
        }
        let others = self.space.diagrams.minus(set, sent_on);
        let came = self.space.back(sent_on);
        let came = self.space.forget(came, &[Field::Dnat]);
        let as_is = self.space.equal(Field::Dnat, 0);
        let came = self.space.diagrams.and(came, as_is);
        self.space.diagrams.or(others, came)
    }

    /// The packets that get through on a path, and every packet that can occur there, those
    /// that a forward redirected included.
    fn compared(&mut self, way: HookPath) -> (Bounds, Set) {
        let accepted = self.noted[way as usize];
        let all = self.all(way);
        let new = self.space.states(&[State::New]);
        if self.program.rewrites {
            let sent_on = self.space.diagrams.and(all, new);
            let sent_on = self.space.forget(sent_on, &SENT_ON);
            let rewritten = self.space.equal(Field::Dnat, 1);
            let sent_on = self.space.diagrams.and(sent_on, rewritten);
            return (accepted, self.space.diagrams.or(all, sent_on));
        }
        // Nothing is redirected, so the field may have any value.
        let as_is = self.space.equal(Field::Dnat, 0);
        let real = self.space.diagrams.or(as_is, !new);
        let accepted = self.space.and(accepted, Bounds::exactly(real));
        (accepted, self.space.diagrams.and(all, real))
    }

    fn only(&mut self) {
        for way in HookPath::ALL {
            let (accepted, all) = self.compared(way);
            let opened = self.intent().opened(way);
            let opening = self.opening();
            let opened = self.space.and(opened, Bounds::exactly(opening));
            let carried = self.intent().carried(way);
            let meant = self.space.or(opened, carried);
            let what = match way {
                HookPath::Input => "to the router",
                HookPath::Forward => "between zones",
                HookPath::Output => "from the router",
            };
            // Usually the two sets are identical; that check is cheap, so it comes first.
            let meant = self.space.and(meant, Bounds::exactly(all));
            let same = meant == accepted;
            let (more, surely) = match same {
                true => (Set::EMPTY, Set::EMPTY),
                false => {
                    let more = self.space.diagrams.minus(accepted.may, meant.may);
                    (more, self.space.diagrams.and(more, accepted.must))
                }
            };
            let answer = self.none(way, more, surely);
            self.claim(
                format!("only what the file allows, and what belongs to it, gets through {what}"),
                answer,
            );
            let (less, surely) = match same {
                true => (Set::EMPTY, Set::EMPTY),
                false => {
                    let new = self.space.states(&[State::New]);
                    let redirected = self.intent().redirected();
                    let redirected = self.space.diagrams.and(redirected, new);
                    let meant = self.space.diagrams.minus(meant.must, redirected);
                    let less = self.space.diagrams.minus(meant, accepted.must);
                    let less = self.as_it_came(less);
                    (less, self.space.diagrams.minus(less, accepted.may))
                }
            };
            let answer = self.none(way, less, surely);
            self.claim(
                format!("all that the file allows {what}, and what belongs to it, gets through"),
                answer,
            );
        }
    }

    fn spoofed(&mut self) {
        for (index, zone) in self.policy.indexed_zones() {
            let entering = self.intent().by(Field::In, Endpoint::Zone(index));
            let sources = self.intent().sources(index);
            // A packet of a connection may have had another destination before NAT, and
            // whether a host without an address may be its source depends on that
            // destination.
            let part = self.space.states(&[State::Established, State::Related]);
            let fields = [Field::Destination, Field::DestinationPort];
            let rewritten = self.space.forget(sources, &fields);
            let rewritten = self.space.diagrams.and(rewritten, part);
            let sources = self.space.diagrams.or(sources, rewritten);
            let spoofed = self.space.diagrams.minus(entering, sources);
            let mut answer = ClaimResult::Holds;
            for way in [HookPath::Input, HookPath::Forward] {
                let accepted = self.noted[way as usize];
                let may = self.space.diagrams.and(accepted.may, spoofed);
                let must = self.space.diagrams.and(accepted.must, spoofed);
                if answer == ClaimResult::Holds {
                    answer = self.none(way, may, must);
                }
            }
            let (zone, interface) = (&zone.name, &zone.interface);
            self.claim(
                format!("no spoofed source comes in from {zone} by {interface}"),
                answer,
            );
        }
    }

    fn promise(&mut self, promise: &Guarantee) {
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
                let lifted = intent.space.diagrams.union(&lifted);
                let opening = self.opening();
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
                let promised = self.space.all(&[of, source, ends, new, all]);
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
    fn multicast_counterexample(
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
    fn words(&self, promise: &Guarantee) -> String {
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
        let listed = |services: &[Service]| {
            let names: Vec<String> = services.iter().map(ToString::to_string).collect();
            names.join(", ")
        };
        let from = end(promise.flow.from, &promise.sources);
        let to = end(promise.flow.to, &promise.destinations);
        let mut what = match promise.kind {
            GuaranteeKind::Never => format!("{from} never opens a connection to {to}"),
            GuaranteeKind::Always => format!("{from} always reaches {to}"),
        };
        if let Some(services) = &promise.services {
            what += &format!(" for {}", listed(services));
        }
        for (number, (_, services)) in promise.except.iter().enumerate() {
            let word = if number == 0 { " but for " } else { ", " };
            what += &format!("{word}{}", listed(services));
        }
        format!("{what} ({})", promise.origin)
    }

    /// Claims that only loopback packets pass.
    fn loopback_only(&mut self) {
        let (mut more, mut less) = (ClaimResult::Holds, ClaimResult::Holds);
        let loopback = self.intent().loopback();
        for way in HookPath::ALL {
            let Bounds { may, must } = self.noted[way as usize];
            let all = self.all(way);
            let meant = match way {
                HookPath::Forward => Set::EMPTY,
                _ => self.space.diagrams.and(loopback, all),
            };
            if more == ClaimResult::Holds {
                let may = self.space.diagrams.minus(may, meant);
                let must = self.space.diagrams.minus(must, meant);
                more = self.none(way, may, must);
            }
            if less == ClaimResult::Holds {
                let perhaps = self.space.diagrams.minus(meant, must);
                let surely = self.space.diagrams.minus(meant, may);
                less = self.none(way, perhaps, surely);
            }
        }
        self.claim("nothing passes but on the loopback".into(), more);
        self.claim("all passes on the loopback".into(), less);
    }

    fn claim(&mut self, what: String, answer: ClaimResult) {
        let what = match self.space.family {
            IpFamily::V4 => what,
            IpFamily::V6 => format!("IPv6: {what}"),
        };
        self.claims.push(Claim { what, answer });
    }

    /// Claims that `may` is empty; the packets in `must` break the claim for certain.
    fn none(&mut self, way: HookPath, may: Set, must: Set) -> ClaimResult {
        let wishes = self.wishes();
        self.none_like(way, may, must, &wishes)
    }

    /// Like `none`; the counterexample meets as many of the wishes as possible.
    fn none_like(&mut self, way: HookPath, may: Set, must: Set, wishes: &[Set]) -> ClaimResult {
        let (broken, surely) = match must.is_empty() {
            true => (may, false),
            false => (must, true),
        };
        if broken.is_empty() {
            return ClaimResult::Holds;
        }
        // The packet as it arrived; the recorded fields are filled in if it got through.
        let accepted = self.accepted[way as usize].may;
        let passed = self.space.diagrams.and(broken, accepted);
        let all = Reach::new(&self.program).everything(&mut self.space, way);
        let came = self.space.diagrams.and(broken, all);
        let from = [passed, came, broken]
            .into_iter()
            .find(|set| !set.is_empty());
        let picked = from.and_then(|set| belongs::pick(&mut self.space, set, wishes));
        let Some(packet) = picked else {
            return ClaimResult::TooLarge(largest_line(self.policy));
        };
        let line = witness::line(&self.space, &self.naming, way, &packet);
        let came = witness::as_it_came(&self.space, way, &packet);
        let judged = judge(&self.program, &self.space, way, came);
        let example = Counterexample {
            packet: line,
            verdict: judged.verdict,
            by: judged
                .by
                .map_or_else(|| "no rule".into(), |by| by.to_string()),
        };
        match surely {
            true => ClaimResult::Broken(example),
            false => ClaimResult::Doubtful(example),
        }
    }

    /// What a counterexample should look like, most important wish first.
    fn wishes(&mut self) -> Vec<Set> {
        let mut wishes = vec![self.space.states(&[State::New])];
        wishes.push(self.intent().hosts(Field::Source));
        wishes.push(self.intent().hosts(Field::Destination));
        // Sources that the kernel accepts as a host's (fib_validate_source).
        let (first, last) = match self.space.family {
            IpFamily::V4 => (0x0100_0001, 0xdfff_fffe),
            IpFamily::V6 => (0x2000 << 112, (0x4000 << 112) - 1),
        };
        let unicast = self.space.range(Field::Source, first, last);
        let loopback = self.space.masked(Field::Source, 0xff00_0000, 0x7f00_0000);
        wishes.push(match self.space.family {
            IpFamily::V4 => self.space.diagrams.minus(unicast, loopback),
            IpFamily::V6 => unicast,
        });
        wishes.push(!self.space.equal(Field::Source, 0));
        let own: Vec<(u128, u128)> = self.space.own_addresses.clone().into_iter().collect();
        let own: Vec<Set> = own
            .into_iter()
            .map(|(interface, own)| {
                let here = self.space.equal(Field::In, interface);
                let to = self.space.equal(Field::Destination, own);
                let no_way_out = self.space.equal(Field::Out, NO_INTERFACE);
                self.space.all(&[to, no_way_out, here])
            })
            .collect();
        wishes.push(self.space.diagrams.union(&own));
        let somewhere = match self.space.family {
            IpFamily::V4 => u128::from(u32::from(Ipv4Addr::new(1, 1, 1, 1))),
            IpFamily::V6 => 0x2606_4700_4700 << 80 | 0x1111,
        };
        wishes.push(self.space.equal(Field::Destination, somewhere));
        for protocol in [6, 17, 1, 58] {
            wishes.push(self.space.equal(Field::Protocol, protocol));
        }
        for (field, value) in [
            (Field::Flags, 2),
            (
                Field::IcmpType,
                if self.space.family == IpFamily::V4 {
                    8
                } else {
                    128
                },
            ),
            (Field::IcmpCode, 0),
            (Field::SourcePort, 40_000),
            (Field::Hops, 64),
        ] {
            wishes.push(self.space.equal(field, value));
        }
        wishes.push(self.space.range(Field::DestinationPort, 1, 65_535));
        wishes.push(bound::within(&mut self.space));
        wishes
    }
}

/// Claims that nothing passes while the box is sealed, nor while the tables are being
/// loaded one after the other, until filter is in place.
fn sealed(policy: &Policy, ipv4: &Ruleset) -> Claim {
    let mut loaded = Ruleset::sealed();
    let mut answer = nothing_passes(policy, &loaded);
    let before_filter = |name: &TableName| *name <= TableName::Mangle;
    for (name, table) in ipv4.tables().filter(|(name, _)| before_filter(name)) {
        loaded.set(name, table.clone());
        if answer == ClaimResult::Holds {
            answer = nothing_passes(policy, &loaded);
        }
    }
    Claim {
        what: "nothing passes before the rules are loaded".into(),
        answer,
    }
}

fn nothing_passes(policy: &Policy, ipv4: &Ruleset) -> ClaimResult {
    let mut proof = Proof::new(policy, ipv4, IpFamily::V4, NODES_MAX);
    let mut answer = ClaimResult::Holds;
    for way in HookPath::ALL {
        let Bounds { may, must } = proof.accepted[way as usize];
        if answer == ClaimResult::Holds {
            answer = proof.none(way, may, must);
        }
    }
    answer
}

/// The allow line with the most pairs of addresses, which dominates the cost of a proof,
/// and what to do about it.
fn largest_line(policy: &Policy) -> Option<String> {
    let counts = |allow: &Allow| [allow.sources.count(), allow.destinations.count()];
    let largest = policy.allows.iter().max_by_key(|allow| {
        let [sources, destinations] = counts(allow);
        sources * destinations
    })?;
    let [sources, destinations] = counts(largest);
    Some(format!(
        "the line with the most pairs of addresses is {}, with {sources} sources and {destinations} destinations: write networks, or several lines of fewer addresses",
        largest.origin
    ))
}

#[cfg(test)]
mod tests;
