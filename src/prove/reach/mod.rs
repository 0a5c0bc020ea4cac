//! Which packets get through: every packet at once, through every table.
//!
//! Owns the order of the hooks and the way of a set through chains. The order is
//! the kernel's: raw, conntrack, mangle, nat for the destination, routing,
//! mangle, filter, security, and mangle again on the way out (enum
//! nf_ip_hook_priorities in include/uapi/linux/netfilter_ipv4.h). Routing is left
//! open: what is said holds whatever way a packet takes.

mod effect;

use super::bounds::Bounds;
use super::diagram::Set;
use super::hook_path::{HookPath, after_routing, before_routing};
use super::packet::{Field, Interfaces, NO_INTERFACE, State};
use super::program::{Chain, Effect, Program, Step, Table};
use super::space::Space;
use crate::family::IpFamily;
use crate::netfilter::{Policy, Protocol, TableName};
use effect::{Walked, applied, expected, redirects_about_rewritten, routed};

/// What becomes of a chain's packets: those let through, dropped, and sent back
/// by RETURN. All others come to its end.
#[derive(Debug, Clone, Copy)]
struct ChainOutcome {
    accept: Bounds,
    drop: Bounds,
    back: Bounds,
}

impl ChainOutcome {
    const NONE: ChainOutcome = ChainOutcome {
        accept: Bounds::NONE,
        drop: Bounds::NONE,
        back: Bounds::NONE,
    };
}

/// How deep chains may call chains; what is deeper is not judged but doubted.
const DEPTH_MAX: usize = 64;

/// Which packets get through a program.
pub struct Reach<'p, 'a> {
    program: &'p Program<'a>,
    /// What became of the packets of chains that change none, by table and place.
    known: std::collections::BTreeMap<(TableName, usize), Option<ChainOutcome>>,
    /// What got to routing, and what was copied until there, by the chain before.
    routed: Vec<(&'static str, Bounds, Bounds)>,
    /// What was copied to somewhere else.
    copied: Bounds,
}

impl<'p, 'a> Reach<'p, 'a> {
    /// Begins.
    pub fn new(program: &'p Program<'a>) -> Reach<'p, 'a> {
        Reach {
            program,
            known: std::collections::BTreeMap::new(),
            routed: Vec::new(),
            copied: Bounds::NONE,
        }
    }

    /// Every packet that there is on a way, as it comes.
    pub fn all(&self, space: &mut Space, way: HookPath) -> Set {
        let last = space.interfaces.len() as u128 - 1;
        let (inward, outward) = match way {
            HookPath::Output => (NO_INTERFACE..=NO_INTERFACE, 1..=last),
            HookPath::Input | HookPath::Forward => (1..=last, NO_INTERFACE..=NO_INTERFACE),
        };
        let mut sets = vec![
            space.range(Field::In, *inward.start(), *inward.end()),
            space.range(Field::Out, *outward.start(), *outward.end()),
            self.states(space),
        ];
        // What nothing sets and nothing asks for is left open, which is less work.
        if self.program.rewrites {
            // Only what belongs to a connection can be part of one that is.
            let part = space.states(&[State::Established, State::Related]);
            let dnat = space.equal(Field::Dnat, 0);
            let snat = space.equal(Field::Snat, 0);
            let plain = space.diagrams.and(dnat, snat);
            sets.push(space.diagrams.or(part, plain));
        }
        if self.program.table(TableName::Nat).is_some() {
            sets.push(!redirects_about_rewritten(space));
        }
        if self.program.redirects {
            sets.push(space.equal(Field::OriginalDestination, 0));
            sets.push(space.equal(Field::OriginalPort, 0));
        }
        if self.program.asked.marks && way != HookPath::Output {
            sets.push(space.equal(Field::Mark, 0));
        }
        if self.program.asked.local {
            sets.push(space.local_as_known());
        }
        if self.program.tracks {
            sets.push(space.equal(Field::Fragment, 0));
        }
        space.all(&sets)
    }

    /// Every packet that there is on a way, as it is where filter sees it.
    pub fn everything(&self, space: &mut Space, way: HookPath) -> Set {
        let all = self.all(space, way);
        match way {
            HookPath::Forward => routed(space, Bounds::exactly(all)).may,
            HookPath::Input | HookPath::Output => all,
        }
    }

    /// The states that conntrack gives. It leaves neighbour discovery alone, but
    /// for what has a wrong checksum (nf_conntrack_icmpv6_error in
    /// net/netfilter/nf_conntrack_proto_icmpv6.c).
    fn states(&self, space: &mut Space) -> Set {
        let tracked = space.range(
            Field::State,
            State::Invalid as u128,
            State::Established as u128,
        );
        if space.family == IpFamily::V4 {
            return tracked;
        }
        let of = space.equal(Field::Protocol, Protocol::Icmpv6.number().into());
        let first = space.range(Field::IcmpType, 130, 136);
        let second = space.equal(Field::IcmpType, 143);
        let kinds = space.diagrams.or(first, second);
        let discovery = space.diagrams.and(of, kinds);
        let untracked = space.states(&[State::Untracked, State::Invalid]);
        let alone = space.diagrams.and(discovery, untracked);
        let others = space.diagrams.minus(tracked, discovery);
        space.diagrams.or(alone, others)
    }

    /// The packets of a way that get through every table, as they are at the end;
    /// or of which a copy does, wherever that goes.
    pub fn accepted(&mut self, space: &mut Space, way: HookPath) -> Bounds {
        // Where a chain lets nothing through there is nothing to follow.
        for (table, chain) in after_routing(way) {
            if let Some(through) = self.let_through(space, *table, chain)
                && through.may.is_empty()
                && !self.program.copies
            {
                return Bounds::NONE;
            }
        }
        let mut flow = self.before(space, way);
        if way == HookPath::Forward {
            flow = routed(space, flow);
        }
        for (table, chain) in after_routing(way) {
            flow = self.through(space, *table, chain, flow);
        }
        let copies = self.copies(space, way);
        space.or(flow, copies)
    }

    /// What was copied on a way, which leaves by any interface.
    fn copies(&mut self, space: &mut Space, way: HookPath) -> Bounds {
        let mut copies = std::mem::replace(&mut self.copied, Bounds::NONE);
        if !self.program.copies_leave {
            copies.must = Set::EMPTY;
        }
        match way {
            HookPath::Input => copies,
            HookPath::Forward => routed(space, copies),
            HookPath::Output => {
                let mut elsewhere = |set| {
                    let set = space.forget(set, &[Field::Out]);
                    let last = space.interfaces.len() as u128 - 1;
                    let out = space.range(Field::Out, Interfaces::LOOPBACK, last);
                    space.diagrams.and(set, out)
                };
                Bounds {
                    may: elsewhere(copies.may),
                    must: elsewhere(copies.must),
                }
            }
        }
    }

    /// The packets of a way that get to nat's chain before routing.
    pub fn before_nat(&mut self, space: &mut Space, way: HookPath) -> Bounds {
        let mut flow = Bounds::exactly(self.all(space, way));
        for table in [TableName::Raw, TableName::Mangle] {
            flow = self.through(space, table, before_routing(way), flow);
        }
        flow
    }

    /// The packets of a way that get to where it is decided which way they take.
    fn before(&mut self, space: &mut Space, way: HookPath) -> Bounds {
        let chain = before_routing(way);
        self.copied = Bounds::NONE;
        if let Some((_, flow, copied)) = self.routed.iter().find(|(known, ..)| *known == chain) {
            self.copied = *copied;
            return *flow;
        }
        let mut flow = self.before_nat(space, way);
        flow = self.rewritten(space, chain, flow);
        self.routed.push((chain, flow, self.copied));
        flow
    }

    /// The packets of a way that one chain lets through.
    pub fn accepted_by(
        &mut self,
        space: &mut Space,
        way: HookPath,
        table: TableName,
        chain: &str,
    ) -> Bounds {
        let flow = self.met_by(space, way);
        let flow = match way {
            HookPath::Forward => routed(space, flow),
            HookPath::Input | HookPath::Output => flow,
        };
        let through = self.through(space, table, chain, flow);
        let copies = self.copies(space, way);
        space.or(through, copies)
    }

    /// The packets that a chain looked at alone may see: chains before it may have
    /// marked them, rewritten them or kept them from conntrack.
    fn met_by(&self, space: &mut Space, way: HookPath) -> Bounds {
        let must = self.all(space, way);
        let mut may = must;
        if self.program.untracks {
            let untracked = space.states(&[State::Untracked]);
            let kept = space.forget(must, &[Field::State]);
            let kept = space.diagrams.and(kept, untracked);
            may = space.diagrams.or(may, kept);
        }
        let mut changed = Vec::new();
        let set_by = |is: fn(&Effect) -> bool| {
            let mut steps = self.program.steps();
            steps.any(|step| step.effect.changes(self.program.asked) && is(&step.effect))
        };
        if set_by(|it| matches!(it, Effect::Mark(..) | Effect::AnyMark | Effect::Unknown)) {
            changed.push(Field::Mark);
        }
        if set_by(|it| matches!(it, Effect::Hops(_))) {
            changed.push(Field::Hops);
        }
        if self.program.redirects {
            changed.push(Field::Dnat);
        }
        let may = space.forget(may, &changed);
        Bounds { may, must }
    }

    /// Nat's chain, which sees the first packet of each connection; what follows
    /// is rewritten as that was.
    fn rewritten(&mut self, space: &mut Space, chain: &str, flow: Bounds) -> Bounds {
        if !self.program.rewrites {
            return flow;
        }
        let new = Bounds::exactly(space.states(&[State::New]));
        let first = space.and(flow, new);
        let first = self.through(space, TableName::Nat, chain, first);
        let part = space.states(&[State::Established, State::Related]);
        let later = space.and(flow, Bounds::exactly(part));
        let fields = [Field::Destination, Field::DestinationPort];
        let later = Bounds {
            may: space.forget(later.may, &fields),
            must: !space.forget(!later.must, &fields),
        };
        let part = Bounds::exactly(part);
        let mut later = space.and(later, part);
        if self.nat_drops() {
            // What a helper expected is the first of its connection there.
            let expected = expected(space);
            later.must = space.diagrams.minus(later.must, expected);
        }
        let others = space.or(new, part);
        let others = space.minus(flow, others);
        let tracked = space.or(first, later);
        space.or(tracked, others)
    }

    /// Whether nat's chains may drop packets, which they are not for.
    fn nat_drops(&self) -> bool {
        let chains = self.program.table(TableName::Nat).map(|nat| &nat.chains);
        chains.into_iter().flatten().any(|chain| {
            let mut steps = chain.steps.iter();
            chain.policy == Some(Policy::Drop)
                || steps.any(|step| matches!(step.effect, Effect::Drop | Effect::Unknown))
        })
    }

    fn through(
        &mut self,
        space: &mut Space,
        table: TableName,
        chain: &str,
        flow: Bounds,
    ) -> Bounds {
        let Some((found, place)) = self.program.chain(table, chain) else {
            return flow;
        };
        if let Some(through) = self.let_through(space, table, chain) {
            return space.and(flow, through);
        }
        let table = found;
        let policy = table.chains[place].policy;
        let walked = self.walk(space, table, place, flow, 0);
        let rest = space.or(walked.back, walked.rest);
        match policy {
            Some(Policy::Drop) => walked.accept,
            _ => space.or(walked.accept, rest),
        }
    }

    /// What a built-in chain that changes no packet lets through of all there are.
    fn let_through(&mut self, space: &mut Space, table: TableName, chain: &str) -> Option<Bounds> {
        let (table, place) = self.program.chain(table, chain)?;
        if table.chains[place].changes {
            return None;
        }
        let ends = self.ends(space, table, place, 0);
        Some(match table.chains[place].policy {
            Some(Policy::Drop) => ends.accept,
            _ => ends.drop.complement(),
        })
    }

    /// What becomes of every packet in a chain that changes none, as far as packets
    /// get there: of others, that lack what is given, it says nothing.
    fn ends(
        &mut self,
        space: &mut Space,
        table: &Table<'a>,
        place: usize,
        depth: usize,
    ) -> ChainOutcome {
        match self.known.get(&(table.name, place)) {
            Some(Some(ends)) => return *ends,
            // It calls itself, which the kernel refuses.
            Some(None) => return unknown(Bounds::exactly(Set::FULL)),
            None if depth > DEPTH_MAX => return unknown(Bounds::exactly(Set::FULL)),
            None => {}
        }
        self.known.insert((table.name, place), None);
        let chain = &table.chains[place];
        let ends = self.segment(space, table, chain, &chain.steps, depth);
        self.known.insert((table.name, place), Some(ends));
        ends
    }

    /// The same for some rules in a row: halves first, then both, so that no set
    /// that grows with the chain is walked once for each of its rules.
    fn segment(
        &mut self,
        space: &mut Space,
        table: &Table<'a>,
        chain: &Chain<'a>,
        steps: &[Step<'a>],
        depth: usize,
    ) -> ChainOutcome {
        match steps {
            [] => ChainOutcome::NONE,
            [step] => self.step(space, table, chain, step, depth),
            _ => {
                let (first, second) = steps.split_at(steps.len() / 2);
                let first = self.segment(space, table, chain, first, depth);
                let second = self.segment(space, table, chain, second, depth);
                then(space, first, second)
            }
        }
    }

    fn goes_on(&self, effect: &Effect) -> bool {
        match effect {
            Effect::Continue => true,
            Effect::Mark(..) | Effect::AnyMark | Effect::Hops(_) => {
                !effect.changes(self.program.asked)
            }
            _ => false,
        }
    }

    fn step(
        &mut self,
        space: &mut Space,
        table: &Table<'a>,
        chain: &Chain<'a>,
        step: &Step<'a>,
        depth: usize,
    ) -> ChainOutcome {
        if self.goes_on(&step.effect) {
            return ChainOutcome::NONE;
        }
        let matched = step.condition.set(space, &chain.given);
        match &step.effect {
            Effect::Accept => ChainOutcome {
                accept: matched,
                ..ChainOutcome::NONE
            },
            Effect::Drop => ChainOutcome {
                drop: matched,
                ..ChainOutcome::NONE
            },
            Effect::Return => ChainOutcome {
                back: matched,
                ..ChainOutcome::NONE
            },
            Effect::Jump(to) | Effect::Goto(to) => {
                let called = self.ends(space, table, *to, depth + 1);
                let accept = space.and(matched, called.accept);
                let drop = space.and(matched, called.drop);
                let back = match step.effect {
                    Effect::Goto(_) => {
                        let decided = space.or(called.accept, called.drop);
                        space.minus(matched, decided)
                    }
                    _ => Bounds::NONE,
                };
                ChainOutcome { accept, drop, back }
            }
            _ => unknown(matched),
        }
    }

    /// The way of a set through a chain that changes packets, rule by rule.
    fn walk(
        &mut self,
        space: &mut Space,
        table: &Table<'a>,
        place: usize,
        flow: Bounds,
        depth: usize,
    ) -> Walked {
        let mut walked = Walked {
            accept: Bounds::NONE,
            back: Bounds::NONE,
            rest: flow,
        };
        if depth > DEPTH_MAX {
            // Too deep for a kernel to take: anything may become of them.
            let may = Bounds {
                may: Set::FULL,
                must: Set::EMPTY,
            };
            return Walked {
                accept: may,
                back: may,
                rest: may,
            };
        }
        let chain = &table.chains[place];
        for step in &chain.steps {
            if self.goes_on(&step.effect) {
                continue;
            }
            let matched = step.condition.set(space, &chain.given);
            let taken = space.and(walked.rest, matched);
            let passed = space.minus(walked.rest, matched);
            if step.effect == Effect::Copy {
                self.copied = space.or(self.copied, taken);
            }
            let called = match &step.effect {
                Effect::Jump(to) | Effect::Goto(to) if !table.chains[*to].changes => {
                    let ends = self.ends(space, table, *to, depth + 1);
                    let decided = space.or(ends.accept, ends.drop);
                    Walked {
                        accept: space.and(taken, ends.accept),
                        back: Bounds::NONE,
                        rest: space.minus(taken, decided),
                    }
                }
                Effect::Jump(to) | Effect::Goto(to) => {
                    let walked = self.walk(space, table, *to, taken, depth + 1);
                    Walked {
                        accept: walked.accept,
                        back: Bounds::NONE,
                        rest: space.or(walked.back, walked.rest),
                    }
                }
                effect => applied(space, effect, taken),
            };
            walked.accept = space.or(walked.accept, called.accept);
            walked.back = space.or(walked.back, called.back);
            walked.rest = match step.effect {
                Effect::Goto(_) => {
                    walked.back = space.or(walked.back, called.rest);
                    passed
                }
                _ => space.or(passed, called.rest),
            };
        }
        walked
    }
}

fn unknown(matched: Bounds) -> ChainOutcome {
    let maybe = Bounds {
        may: matched.may,
        must: Set::EMPTY,
    };
    ChainOutcome {
        accept: maybe,
        drop: maybe,
        back: maybe,
    }
}

/// One after the other. What the first only may let through is surely let through
/// where the second surely does, unless the first may do something else with it.
fn then(space: &mut Space, first: ChainOutcome, second: ChainOutcome) -> ChainOutcome {
    let decided = space.or(first.accept, first.drop);
    let decided = space.or(decided, first.back);
    let mut add = |of: fn(&ChainOutcome) -> Bounds, others: [fn(&ChainOutcome) -> Bounds; 2]| {
        let (before, after) = (of(&first), of(&second));
        if after == Bounds::NONE || before == decided {
            // Rules that do the same, whose order does not matter.
            return space.or(before, after);
        }
        let later = space.minus(after, decided);
        let mut sum = space.or(before, later);
        if !decided.is_exact() {
            let otherwise = space.or(others[0](&first), others[1](&first));
            let surely = space.minus(after, otherwise);
            sum.must = space.diagrams.or(sum.must, surely.must);
        }
        sum
    };
    let accept: fn(&ChainOutcome) -> Bounds = |ends| ends.accept;
    let drop: fn(&ChainOutcome) -> Bounds = |ends| ends.drop;
    let back: fn(&ChainOutcome) -> Bounds = |ends| ends.back;
    ChainOutcome {
        accept: add(accept, [drop, back]),
        drop: add(drop, [accept, back]),
        back: add(back, [accept, drop]),
    }
}
