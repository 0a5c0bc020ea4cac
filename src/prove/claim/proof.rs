//! The proof of each claim of one family: the sets that the rules let through, against those
//! that the policy intends.

use std::net::Ipv4Addr;

use super::{Claim, ClaimResult, Counterexample, naming, space};
use crate::family::IpFamily;
use crate::netfilter::Ruleset;
use crate::policy::{Allow, Endpoint, Policy};
use crate::prove::belongs;
use crate::prove::bound;
use crate::prove::bounds::Bounds;
use crate::prove::hook_path::HookPath;
use crate::prove::intent::{Intent, KnownSets};
use crate::prove::judge::judge;
use crate::prove::packet::{Field, NO_INTERFACE, State};
use crate::prove::program::Program;
use crate::prove::reach::Reach;
use crate::prove::space::Space;
use crate::prove::witness::{self, Naming};
use camfw_diagrams::{Diagrams, Set};

/// The fields that record a packet's original destination when a forward redirects it.
const SENT_ON: [Field; 3] = [Field::Dnat, Field::OriginalDestination, Field::OriginalPort];

pub(super) struct Proof<'a> {
    pub(super) policy: &'a Policy,
    pub(super) known: KnownSets<'a>,
    pub(super) space: Space,
    pub(super) program: Program<'a>,
    pub(super) naming: Naming,
    pub(super) claims: Vec<Claim>,
    /// The packets that get through on each path; each packet as it was when that was
    /// decided.
    pub(super) accepted: [Bounds; 3],
    /// The same, restricted to the fields that claims look at: `may` as computed, `must` as
    /// far as no zone bound is exceeded and no connection was reset.
    pub(super) noted: [Bounds; 3],
    /// The recorded fields that claims do not look at.
    pub(super) unseen: Vec<Field>,
}

impl<'a> Proof<'a> {
    pub(super) fn new(
        policy: &'a Policy,
        ruleset: &'a Ruleset,
        family: IpFamily,
        most: usize,
    ) -> Proof<'a> {
        let mut space = space(policy, &[ruleset], family);
        space.diagrams = Diagrams::new(most);
        let mut program = Program::new(ruleset, &mut space);
        bound::ask_by_bits(&mut program, policy, family);
        let mut reach = Reach::new(&program);
        let mut accepted = HookPath::ALL.map(|way| reach.accepted(&mut space, way));
        // Whether, and from where, a forward redirected a packet is part of the policy's
        // meaning, so claims do look at it.
        let mut unseen = program.noted();
        unseen.retain(|field| !SENT_ON.contains(field));
        let mut noted =
            accepted.map(|accepted| bound::assuming_within(&mut space, accepted, &unseen));
        let results = accepted.iter_mut().chain(&mut noted);
        let results = results.flat_map(|Bounds { may, must }| [may, must]);
        space.diagrams.keep(&mut results.collect::<Vec<_>>());
        Proof {
            policy,
            known: KnownSets::new(policy),
            space,
            program,
            naming: naming(policy),
            claims: Vec::new(),
            accepted,
            noted,
            unseen,
        }
    }

    pub(super) fn finish(self) -> Vec<Claim> {
        let mut claims = self.claims;
        if !self.space.diagrams.is_complete() {
            let most = largest_line(self.policy);
            for claim in &mut claims {
                claim.answer = ClaimResult::TooLarge(most.clone());
            }
        }
        claims
    }

    /// The packets that open a connection: all that do not belong to one already and, unless
    /// the router sends them, the TCP segments that open one anew.
    pub(super) fn opening(&mut self, way: HookPath) -> Set {
        let part = [State::Established, State::Related];
        let first = !self.space.states(&part);
        let again = match way {
            HookPath::Output => Set::EMPTY,
            HookPath::Input | HookPath::Forward => self.intent().opening_again(),
        };
        self.space.diagrams.or(first, again)
    }

    pub(super) fn intent(&mut self) -> Intent<'a, '_> {
        Intent::new(self.policy, &mut self.space, &mut self.known)
    }

    /// Every packet of a path, restricted to the fields that claims look at.
    pub(super) fn all(&mut self, way: HookPath) -> Set {
        let all = Reach::new(&self.program).everything(&mut self.space, way);
        let unseen = self.unseen.clone();
        self.space.forget(all, &unseen)
    }

    /// Restores, in a set, the original destinations of packets that a forward redirects.
    pub(super) fn as_it_came(&mut self, set: Set) -> Set {
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
    pub(super) fn compared(&mut self, way: HookPath) -> (Bounds, Set) {
        let accepted = self.noted[way as usize];
        let all = self.all(way);
        let new = self.space.states(&[State::New]);
        if self.program.rewrites {
            let mut sent_on = self.space.diagrams.and(all, new);
            sent_on = self.space.forget(sent_on, &SENT_ON);
            if self.program.asked.any_local {
                // That is of the destination that they came with.
                sent_on = self.space.forget(sent_on, &[Field::AnyLocal]);
                let as_known = self.space.any_local_as_known(Field::OriginalDestination);
                sent_on = self.space.diagrams.and(sent_on, as_known);
            }
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

    pub(super) fn only(&mut self) {
        for way in HookPath::ALL {
            let (accepted, all) = self.compared(way);
            let opened = self.intent().opened(way);
            let opening = self.opening(way);
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
                    let surely = self.space.diagrams.and(more, accepted.must);
                    // The packet does not show where its connection is redirected to, on which
                    // it depends whether a line lets it be opened anew.
                    let again = self.intent().opening_again();
                    let redirected = self.space.equal(Field::Dnat, 1);
                    let unknown = self.space.diagrams.and(again, redirected);
                    (more, self.space.diagrams.minus(surely, unknown))
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

    pub(super) fn spoofed(&mut self) {
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

    /// Claims that only loopback packets pass.
    pub(super) fn loopback_only(&mut self) {
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

    pub(super) fn claim(&mut self, what: String, answer: ClaimResult) {
        let what = Claim::of_family(self.space.family, what);
        self.claims.push(Claim { what, answer });
    }

    /// Claims that `may` is empty; the packets in `must` break the claim for certain.
    pub(super) fn none(&mut self, way: HookPath, may: Set, must: Set) -> ClaimResult {
        self.none_like(way, may, must, |_| Vec::new())
    }

    /// Like `none`; the counterexample meets as many of the wishes as possible, first of these
    /// and then of the usual ones. They are made when there is one: with many zones that takes
    /// longer than the claim.
    pub(super) fn none_like(
        &mut self,
        way: HookPath,
        may: Set,
        must: Set,
        wishes: impl FnOnce(&mut Space) -> Vec<Set>,
    ) -> ClaimResult {
        let (broken, surely) = match must.is_empty() {
            true => (may, false),
            false => (must, true),
        };
        if broken.is_empty() {
            return ClaimResult::Holds;
        }
        let mut wishes = wishes(&mut self.space);
        wishes.extend(self.wishes());
        self.counterexample(way, broken, surely, &wishes)
    }

    fn counterexample(
        &mut self,
        way: HookPath,
        broken: Set,
        surely: bool,
        wishes: &[Set],
    ) -> ClaimResult {
        // The packet as it arrived; the recorded fields are filled in if it got through.
        let accepted = self.accepted[way as usize].may;
        let passed = self.space.diagrams.and(broken, accepted);
        let all = Reach::new(&self.program).everything(&mut self.space, way);
        let came = self.space.diagrams.and(broken, all);
        let from = [passed, came, broken]
            .into_iter()
            .find(|set| !set.is_empty());
        let picked = from.and_then(|set| belongs::pick(&mut self.space, set, wishes));
        let Some(mut packet) = picked else {
            return ClaimResult::TooLarge(largest_line(self.policy));
        };
        // Where it was sent on it has lost whether it came to an address on that interface.
        let sent_on = self.program.asked.any_local && packet.value(Field::Dnat) == 1;
        if sent_on && packet.value(Field::AnyLocal) == 0 {
            packet.set(Field::Local, 0);
        }
        let line = witness::line(&self.space, &self.naming, way, &packet);
        let came = witness::as_it_came(&self.space, way, &packet);
        let judged = judge(&self.program, &self.space, way, came);
        let example = Counterexample::new(line, &judged);
        match surely {
            true => ClaimResult::Broken(example),
            false => ClaimResult::Doubtful(example),
        }
    }

    /// What a counterexample should look like, most important wish first.
    pub(super) fn wishes(&mut self) -> Vec<Set> {
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

/// The allow line with the most pairs of addresses, which dominates the cost of a proof,
/// and what to do about it.
pub(super) fn largest_line(policy: &Policy) -> Option<String> {
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
