//! Proves guarantees of anyone's rules: that connections never, or always, get through
//! between interfaces whose networks are known.
//!
//! Owns what a guarantee says where no policy does: which sources and destinations an end
//! has. What depends on more than the packet is never counted as kept.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::bounds::Bounds;
use super::claim::{Claim, ClaimResult, Counterexample, promise_words};
use super::compare::as_they_came;
use super::condition::network_range;
use super::hook_path::HookPath;
use super::hosts::{LOOPBACK, like_hosts, never_forwarded};
use super::intent::service_packets;
use super::judge::{Verdict, judge};
use super::networks::{InterfaceNetworks, borders, interface_of, nearest};
use super::packet::{Field, Interfaces, NO_INTERFACE, State};
use super::program::{Program, interface_patterns};
use super::reach::Reach;
use super::space::Space;
use super::spoof;
use super::witness::{self, Naming};
use crate::family::IpFamily;
use crate::netfilter::Ruleset;
use crate::policy::{DumpEnd, DumpGuarantee, GuaranteeKind, Service};
use camfw_diagrams::Set;

/// Each guarantee with its result for one family's rules; None if it says nothing about
/// the family, because an end of it has no address of that family.
pub fn guaranteed(
    ruleset: &Ruleset,
    family: IpFamily,
    behind: &[InterfaceNetworks],
    guarantees: &[DumpGuarantee],
) -> Vec<(String, Option<ClaimResult>)> {
    let mut patterns: BTreeSet<String> = interface_patterns(ruleset);
    patterns.extend(behind.iter().map(|it| it.interface.clone()));
    let mut space = Space::new(family, Interfaces::new(&patterns));
    let program = Program::new(ruleset, &mut space);
    space.forwarding_counts = program.asked.hops;
    let reach = Reach::new(&program);
    let mut proof = DumpProof {
        space,
        program: &program,
        reach,
        behind,
    };
    let mut results: Vec<(String, Option<ClaimResult>)> = Vec::new();
    for guarantee in guarantees {
        let DumpGuarantee { kind, from, to, .. } = guarantee;
        let services = guarantee.services.as_deref();
        let what = promise_words(*kind, &from.name, &to.name, services);
        let what = format!("{what} ({})", guarantee.origin);
        results.push((Claim::of_family(family, what), proof.result(guarantee)));
    }
    if !proof.space.diagrams.is_complete() {
        for (_, result) in &mut results {
            *result = Some(ClaimResult::TooLarge(None));
        }
    }
    results
}

struct DumpProof<'a> {
    space: Space,
    program: &'a Program<'a>,
    reach: Reach<'a, 'a>,
    behind: &'a [InterfaceNetworks],
}

impl DumpProof<'_> {
    fn result(&mut self, guarantee: &DumpGuarantee) -> Option<ClaimResult> {
        let DumpGuarantee { from, to, .. } = guarantee;
        let way = match (from.interface, to.interface) {
            (Some(_), Some(_)) => HookPath::Forward,
            (Some(_), None) => HookPath::Input,
            (None, Some(_)) => HookPath::Output,
            (None, None) => return None,
        };
        let ours = self.space.family;
        let is_other = |end: &DumpEnd| {
            let network = end.network.map(|it| it.addr().is_ipv4());
            network.is_some_and(|ipv4| ipv4 != (ours == IpFamily::V4))
        };
        let empty = |end: &DumpEnd| {
            let known = end.interface.and_then(|place| self.behind.get(place));
            known.is_some_and(|known| !known.has_any_of(ours))
        };
        let always = guarantee.kind == GuaranteeKind::Always;
        let services = guarantee.services.as_deref();
        let asked = match services {
            Some(services) => self.services(services, always),
            None => Set::FULL,
        };
        if is_other(from) || is_other(to) || asked.is_empty() {
            return None;
        }
        if always && (empty(from) || empty(to)) {
            return None;
        }
        let by = [(Field::In, from), (Field::Out, to)].map(|(field, end)| self.by(field, end));
        let asked = self.space.all(&[by[0], by[1], asked]);
        Some(match guarantee.kind {
            GuaranteeKind::Never => self.never(way, guarantee, asked),
            GuaranteeKind::Always => self.always(way, guarantee, asked),
        })
    }

    /// Whether no packet gets through that is not part of a connection: from any source
    /// by the interface, true or not.
    fn never(&mut self, way: HookPath, guarantee: &DumpGuarantee, asked: Set) -> ClaimResult {
        let part = [State::Established, State::Related];
        let opening = !self.space.states(&part);
        let source = self.within(Field::Source, &guarantee.from);
        let there = self.behind(Field::Destination, &guarantee.to);
        let asked = match way {
            HookPath::Forward => {
                let not = never_forwarded(&mut self.space, self.program, self.behind);
                self.space.diagrams.minus(asked, not)
            }
            HookPath::Input | HookPath::Output => asked,
        };
        let asked = self.space.all(&[asked, opening, source, there]);
        let accepted = self.reach.accepted(&mut self.space, way);
        let asked = self.space.and(accepted, Bounds::exactly(asked));
        // Rather a host's own address than one that it forged.
        let own = self.behind(Field::Source, &guarantee.from);
        let hosts = self.hosts(Field::Source);
        let own = self.space.diagrams.and(own, hosts);
        self.none(way, asked.may, asked.must, own)
    }

    /// Whether every packet gets through, to where it was sent, that a host behind one end
    /// sends to a host behind the other.
    fn always(&mut self, way: HookPath, guarantee: &DumpGuarantee, asked: Set) -> ClaimResult {
        let mut sets = vec![asked];
        for (field, end) in [
            (Field::Source, &guarantee.from),
            (Field::Destination, &guarantee.to),
        ] {
            sets.push(self.hosts(field));
            sets.push(self.within(field, end));
            if let Some(place) = end.interface {
                sets.push(nearest(self.behind, place, &mut self.space, field));
            }
            sets.push(match (self.own(field), end.interface) {
                (Some(own), None) => own,
                // No other host has the router's address.
                (Some(own), Some(_)) => !own,
                (None, _) => Set::FULL,
            });
        }
        if way == HookPath::Input {
            sets.push(self.space.equal(Field::Local, 1));
        }
        sets.push(self.space.states(&[State::New]));
        sets.push(self.space.equal(Field::Fragment, 0));
        let everything = self.reach.everything(&mut self.space, way);
        sets.push(as_they_came(&mut self.space, self.program, everything));
        let promised = self.space.all(&sets);
        let delivered = self.reach.delivered(&mut self.space, way);
        let [may, must] = [delivered.may, delivered.must].map(|through| self.unsent(through));
        let perhaps = self.space.diagrams.minus(promised, must);
        let surely = self.space.diagrams.minus(promised, may);
        self.none(way, perhaps, surely, Set::FULL)
    }

    /// The packets of a set, as they came, that were sent on to no other destination.
    fn unsent(&mut self, through: Set) -> Set {
        let through = match self.program.redirects {
            true => {
                let plain = self.space.equal(Field::Dnat, 0);
                self.space.diagrams.and(through, plain)
            }
            false => through,
        };
        as_they_came(&mut self.space, self.program, through)
    }

    fn services(&mut self, services: &[Service], opening: bool) -> Set {
        let mut sets = Vec::new();
        for service in services {
            let of = service_packets(&mut self.space, service, Field::DestinationPort, opening);
            sets.push(of);
        }
        self.space.diagrams.union(&sets)
    }

    fn by(&mut self, field: Field, end: &DumpEnd) -> Set {
        let places = match end.interface.and_then(|place| self.behind.get(place)) {
            Some(known) => self.space.interfaces.matching(&known.interface),
            None => vec![NO_INTERFACE],
        };
        self.space.one_of(field, &places)
    }

    /// The packets whose field is an address that an end names.
    fn within(&mut self, field: Field, end: &DumpEnd) -> Set {
        match end.network {
            Some(network) => {
                let (first, last) = network_range(network);
                self.space.range(field, first, last)
            }
            None => Set::FULL,
        }
    }

    /// The packets whose field is an address of an end. Where no network of this family is
    /// known, any may be.
    fn behind(&mut self, field: Field, end: &DumpEnd) -> Set {
        let within = self.within(field, end);
        let known = end.interface.and_then(|place| self.behind.get(place));
        match known {
            Some(known) if known.has_any_of(self.space.family) => {
                let inside = known.set(&mut self.space, field);
                self.space.diagrams.and(within, inside)
            }
            _ => within,
        }
    }

    /// The packets whose field is an address of the router, if these are known.
    fn own(&mut self, field: Field) -> Option<Set> {
        let own = self.behind.iter().find(|it| it.interface == LOOPBACK)?;
        let family = self.space.family;
        own.has_any_of(family)
            .then(|| own.set(&mut self.space, field))
    }

    /// The packets whose field is an address that one host may have and others reach:
    /// none of a group, of a loopback or of one link.
    fn hosts(&mut self, field: Field) -> Set {
        match self.space.family {
            IpFamily::V4 => {
                let unicast = self.space.range(field, 0x0100_0001, 0xdfff_fffe);
                let loopback = self.space.masked(field, 0xff00_0000, 0x7f00_0000);
                self.space.diagrams.minus(unicast, loopback)
            }
            IpFamily::V6 => self.space.range(field, 0x0100 << 112, (0xfe80 << 112) - 1),
        }
    }

    /// That there is no packet of `may`; those of `must` surely break it.
    fn none(&mut self, way: HookPath, may: Set, must: Set, wished: Set) -> ClaimResult {
        let (broken, surely) = match must.is_empty() {
            true => (may, false),
            false => (must, true),
        };
        let mut wishes = vec![wished];
        wishes.extend(spoof::wishes(&mut self.space));
        wishes.extend(like_hosts(&mut self.space, self.behind, way));
        match example(&mut self.space, self.program, way, broken, &wishes) {
            None => ClaimResult::Holds,
            Some(example) if surely => ClaimResult::Broken(example),
            Some(example) => ClaimResult::Doubtful(example),
        }
    }
}

/// A packet of a set as it came, and what becomes of it.
pub(super) fn example(
    space: &mut Space,
    program: &Program<'_>,
    way: HookPath,
    set: Set,
    wishes: &[Set],
) -> Option<Counterexample> {
    let packet = super::belongs::pick(space, set, wishes)?;
    let came = witness::as_it_came(space, way, &packet);
    let judged = judge(program, space, way, came);
    let line = witness::written(space, &Naming::default(), way, &came);
    let mut example = Counterexample::new(line, &judged);
    let to = judged.packet.get(Field::Destination);
    if judged.verdict == Verdict::Accept
        && let Some(to) = to.filter(|to| *to != came.value(Field::Destination))
    {
        let to = witness::address(space.family, to);
        example.by += &format!(", sent on to {to}");
    }
    Some(example)
}

/// The interface that all addresses of a network are behind, by its index.
///
/// # Errors
/// Why there is none, with what to do.
pub fn place_of(behind: &[InterfaceNetworks], network: IpNet) -> Result<usize, &'static str> {
    let ends = [network.network(), network.broadcast()];
    let inside = borders(behind).filter(|border| network.contains(border));
    let places = ends.into_iter().chain(inside);
    let places = places.filter_map(|at| interface_of(behind, at));
    let mut places: Vec<&str> = places.collect::<BTreeSet<_>>().into_iter().collect();
    if places.len() > 1 {
        // The router has an address in a network.
        places.retain(|place| *place != LOOPBACK);
    }
    let whole = ends.iter().all(|end| interface_of(behind, *end).is_some());
    let place = match places.as_slice() {
        [] => None,
        [one] if whole => behind.iter().position(|it| it.interface == *one),
        _ => return Err("is not behind one interface of the networks; name its parts"),
    };
    place.ok_or("is behind no interface of the networks; add it to one")
}
