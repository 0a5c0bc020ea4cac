//! Computes which packets get through: the set of all packets, followed through every
//! table.
//!
//! Owns the order of the hooks, and how a set passes a chain. The order is the kernel's:
//! raw, conntrack, mangle, nat (destination), routing, mangle, filter, security, and mangle
//! again on the way out (enum nf_ip_hook_priorities in
//! include/uapi/linux/netfilter_ipv4.h). Routing is left open: the result holds for any
//! routing decision.

mod ahead;
mod effect;
mod nat;
mod outcome;

use super::bounds::Bounds;
use super::hook_path::{HookPath, after_routing, before_routing};
use super::packet::{Field, Interfaces, NO_INTERFACE, State};
use super::program::{Effect, Program, ProgramChain, ProgramTable, Step};
use super::space::Space;
use crate::family::IpFamily;
use crate::netfilter::{ChainPolicy, Protocol, TableName};
use camfw_diagrams::Set;
use effect::{Walked, applied, redirects_about_rewritten, routed};
use outcome::{ChainEnd, ChainOutcome};

/// The deepest chain of jumps that is followed; beyond it every outcome is considered
/// possible.
const DEPTH_MAX: usize = 64;

/// Computes which packets get through a program.
pub struct Reach<'p, 'a> {
    program: &'p Program<'a>,
    /// Results for chains that do not change packets, by table and chain index.
    known: std::collections::BTreeMap<(TableName, usize), Option<ChainOutcome>>,
    /// What each built-in chain lets through, if it does not change packets.
    let_through: std::collections::BTreeMap<(TableName, usize), Bounds>,
    /// How many nodes there were after the last time that sets were freed.
    kept: usize,
    /// For each chain before routing: the packets that reach routing, and the copies made
    /// until there.
    routed: Vec<(&'static str, Bounds, Bounds)>,
    /// The packets of which a copy was sent elsewhere.
    copied: Bounds,
}

impl<'p, 'a> Reach<'p, 'a> {
    /// Starts with no results.
    pub fn new(program: &'p Program<'a>) -> Reach<'p, 'a> {
        Reach {
            program,
            known: std::collections::BTreeMap::new(),
            let_through: std::collections::BTreeMap::new(),
            kept: 0,
            routed: Vec::new(),
            copied: Bounds::NONE,
        }
    }

    /// Every possible packet of a path, as it arrives.
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
        // Fields that nothing sets and nothing tests are left open, which is cheaper.
        if self.program.rewrites {
            // Only a packet of a connection can have a connection with rewritten addresses.
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
        if self.program.asked.marks {
            if way != HookPath::Output {
                sets.push(space.equal(Field::Mark, 0));
            }
            sets.push(space.twins_equal(Field::Mark));
        }
        if self.program.asked.local {
            sets.push(space.local_as_known(self.program.rewrites));
        }
        if self.program.asked.any_local {
            sets.push(space.any_local_as_it_comes());
        }
        if self.program.tracks {
            sets.push(space.equal(Field::Fragment, 0));
        }
        space.all(&sets)
    }

    /// Every possible packet of a path, as it arrives at filter.
    pub fn everything(&self, space: &mut Space, way: HookPath) -> Set {
        let all = self.all(space, way);
        match way {
            HookPath::Forward => routed(space, Bounds::exactly(all)).may,
            HookPath::Input | HookPath::Output => all,
        }
    }

    /// The possible conntrack states. Conntrack does not track neighbour discovery, except
    /// for packets with a wrong checksum (nf_conntrack_icmpv6_error in
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

    /// The packets of a path that get through every table, in their final form, including
    /// those of which only a copy gets through (TEE).
    pub fn accepted(&mut self, space: &mut Space, way: HookPath) -> Bounds {
        let flow = self.delivered(space, way);
        let copies = self.copies(space, way);
        space.or(flow, copies)
    }

    /// The packets of a path that get through every table themselves, in their final form.
    pub fn delivered(&mut self, space: &mut Space, way: HookPath) -> Bounds {
        // If a later chain accepts nothing, there is nothing to follow.
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
        self.source_rewritten(space, way, flow)
    }

    /// The copies made on a path; they leave by any interface.
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

    /// The packets of a path that reach nat's chain before routing.
    pub fn before_nat(&mut self, space: &mut Space, way: HookPath) -> Bounds {
        let mut flow = Bounds::exactly(self.all(space, way));
        for table in [TableName::Raw, TableName::Mangle] {
            flow = self.through(space, table, before_routing(way), flow);
        }
        flow
    }

    /// The packets of a path that reach the routing decision.
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

    /// The packets of a path that one chain accepts.
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

    /// The input of a chain that is analysed in isolation: earlier chains may have
    /// marked them, rewritten them or exempted them from conntrack.
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
            Some(ChainPolicy::Drop) => walked.accept,
            _ => space.or(walked.accept, rest),
        }
    }

    /// The packets that a built-in chain accepts, of all possible ones, if it changes none.
    fn let_through(&mut self, space: &mut Space, table: TableName, chain: &str) -> Option<Bounds> {
        let (table, place) = self.program.chain(table, chain)?;
        if table.chains[place].changes {
            return None;
        }
        if let Some(known) = self.let_through.get(&(table.name, place)) {
            return Some(*known);
        }
        let ends = self.ends(space, table, place, 0);
        let through = match table.chains[place].policy {
            Some(ChainPolicy::Drop) => ends.bounds(space, ChainEnd::Accept),
            _ => ends.bounds(space, ChainEnd::Drop).complement(),
        };
        self.let_through.insert((table.name, place), through);
        Some(through)
    }

    /// The outcome for every packet in a chain that changes none. Says nothing about
    /// packets that cannot reach the chain, because they lack what is known there.
    fn ends(
        &mut self,
        space: &mut Space,
        table: &ProgramTable<'a>,
        place: usize,
        depth: usize,
    ) -> ChainOutcome {
        match self.known.get(&(table.name, place)) {
            Some(Some(ends)) => return *ends,
            // A loop, which the kernel refuses.
            Some(None) => return ChainOutcome::unknown(space),
            None if depth > DEPTH_MAX => return ChainOutcome::unknown(space),
            None => {}
        }
        self.known.insert((table.name, place), None);
        let chain = &table.chains[place];
        let ends = self.segment(space, table, chain, &chain.steps, depth);
        self.known.insert((table.name, place), Some(ends));
        ends
    }

    /// The outcome of several consecutive rules: computed for each half and then combined,
    /// so that a set that grows with the chain is not traversed once per rule.
    fn segment(
        &mut self,
        space: &mut Space,
        table: &ProgramTable<'a>,
        chain: &ProgramChain<'a>,
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
                first.then(space, second)
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
        table: &ProgramTable<'a>,
        chain: &ProgramChain<'a>,
        step: &Step<'a>,
        depth: usize,
    ) -> ChainOutcome {
        if self.goes_on(&step.effect) {
            return ChainOutcome::NONE;
        }
        let outcome = match &step.effect {
            Effect::Accept => ChainOutcome::surely(space, ChainEnd::Accept),
            Effect::Drop => ChainOutcome::surely(space, ChainEnd::Drop),
            Effect::Return => ChainOutcome::surely(space, ChainEnd::Back),
            Effect::Jump(to) | Effect::Goto(to) => {
                let is_goto = matches!(step.effect, Effect::Goto(_));
                let ends = self.ends(space, table, *to, depth + 1);
                ends.called(space, is_goto)
            }
            _ => ChainOutcome::unknown(space),
        };
        let outcome = match step.condition.doubts.is_empty() {
            true => outcome,
            false => outcome.in_doubt(space),
        };
        let ends = outcome.ends;
        match step.condition.only_clauses_in(space, &chain.given, ends) {
            Some(ends) => ChainOutcome { ends, ..outcome },
            None => {
                let matched = step.condition.set(space, &chain.given);
                outcome.of(space, matched)
            }
        }
    }

    /// Follows a set through a chain that changes packets, rule by rule.
    fn walk(
        &mut self,
        space: &mut Space,
        table: &ProgramTable<'a>,
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
            // Deeper than any kernel accepts: every outcome is considered possible.
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
                    let accept = ends.bounds(space, ChainEnd::Accept);
                    let drop = ends.bounds(space, ChainEnd::Drop);
                    let decided = space.or(accept, drop);
                    Walked {
                        accept: space.and(taken, accept),
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
