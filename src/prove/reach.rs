//! Which packets get through: every packet at once, through every table.
//!
//! Owns the order of the hooks and the way of a set through chains. The order is
//! the kernel's: raw, conntrack, mangle, nat for the destination, routing,
//! mangle, filter, security, and mangle again on the way out (enum
//! nf_ip_hook_priorities in include/uapi/linux/netfilter_ipv4.h). Routing is left
//! open: what is said holds whatever way a packet takes.

use super::diagram::Set;
use super::packet::{Field, Interfaces, NO_INTERFACE, Space, State, Three};
use super::program::{Chain, Effect, Program, Step, Table};
use crate::family::IpFamily;
use crate::netfilter::{Policy, Protocol, TableName};

/// The ways that a packet may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// To the router.
    Input,
    /// Across it.
    Forward,
    /// From it.
    Output,
}

impl Way {
    /// Each.
    pub const ALL: [Way; 3] = [Way::Input, Way::Forward, Way::Output];
}

/// The chains that packets of a way go through once it is known which, in order.
const AFTER_ROUTING: [(Way, &[(TableName, &str)]); 3] = [
    (
        Way::Input,
        &[
            (TableName::Mangle, "INPUT"),
            (TableName::Filter, "INPUT"),
            (TableName::Security, "INPUT"),
        ],
    ),
    (
        Way::Forward,
        &[
            (TableName::Mangle, "FORWARD"),
            (TableName::Filter, "FORWARD"),
            (TableName::Security, "FORWARD"),
            (TableName::Mangle, "POSTROUTING"),
        ],
    ),
    (
        Way::Output,
        &[
            (TableName::Filter, "OUTPUT"),
            (TableName::Security, "OUTPUT"),
            (TableName::Mangle, "POSTROUTING"),
        ],
    ),
];

/// The chains after routing of one way.
pub fn after_routing(way: Way) -> &'static [(TableName, &'static str)] {
    AFTER_ROUTING
        .into_iter()
        .find(|(known, _)| *known == way)
        .map_or(&[], |(_, chains)| chains)
}

/// The chain of a table before routing.
pub fn before_routing(way: Way) -> &'static str {
    match way {
        Way::Output => "OUTPUT",
        Way::Input | Way::Forward => "PREROUTING",
    }
}

/// What becomes of a chain's packets: those let through, dropped, and sent back
/// by RETURN. All others come to its end.
#[derive(Debug, Clone, Copy)]
struct Ends {
    accept: Three,
    drop: Three,
    back: Three,
}

impl Ends {
    const NONE: Ends = Ends {
        accept: Three::NONE,
        drop: Three::NONE,
        back: Three::NONE,
    };
}

/// How deep chains may call chains; what is deeper is not judged but doubted.
const DEPTH_MAX: usize = 64;

/// Which packets get through a program.
pub struct Reach<'p, 'a> {
    program: &'p Program<'a>,
    /// What became of the packets of chains that change none, by table and place.
    known: std::collections::BTreeMap<(TableName, usize), Option<Ends>>,
    /// What got to routing, and what was copied until there, by the chain before.
    routed: Vec<(&'static str, Three, Three)>,
    /// What was copied to somewhere else.
    copied: Three,
}

impl<'p, 'a> Reach<'p, 'a> {
    /// Begins.
    pub fn new(program: &'p Program<'a>) -> Reach<'p, 'a> {
        Reach {
            program,
            known: std::collections::BTreeMap::new(),
            routed: Vec::new(),
            copied: Three::NONE,
        }
    }

    /// Every packet that there is on a way, as it comes.
    pub fn all(&self, space: &mut Space, way: Way) -> Set {
        let last = space.interfaces.len() as u128 - 1;
        let (inward, outward) = match way {
            Way::Output => (NO_INTERFACE..=NO_INTERFACE, 1..=last),
            Way::Input | Way::Forward => (1..=last, NO_INTERFACE..=NO_INTERFACE),
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
        if self.program.asked.marks && way != Way::Output {
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
    pub fn everything(&self, space: &mut Space, way: Way) -> Set {
        let all = self.all(space, way);
        match way {
            Way::Forward => routed(space, Three::exactly(all)).may,
            Way::Input | Way::Output => all,
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
    pub fn accepted(&mut self, space: &mut Space, way: Way) -> Three {
        // Where a chain lets nothing through there is nothing to follow.
        for (table, chain) in after_routing(way) {
            if let Some(through) = self.let_through(space, *table, chain)
                && through.may.is_empty()
                && !self.program.copies
            {
                return Three::NONE;
            }
        }
        let mut flow = self.before(space, way);
        if way == Way::Forward {
            flow = routed(space, flow);
        }
        for (table, chain) in after_routing(way) {
            flow = self.through(space, *table, chain, flow);
        }
        let copies = self.copies(space, way);
        space.or(flow, copies)
    }

    /// What was copied on a way, which leaves by any interface.
    fn copies(&mut self, space: &mut Space, way: Way) -> Three {
        let mut copies = std::mem::replace(&mut self.copied, Three::NONE);
        if !self.program.copies_leave {
            copies.must = Set::EMPTY;
        }
        match way {
            Way::Input => copies,
            Way::Forward => routed(space, copies),
            Way::Output => {
                let mut elsewhere = |set| {
                    let set = space.forget(set, &[Field::Out]);
                    let last = space.interfaces.len() as u128 - 1;
                    let out = space.range(Field::Out, Interfaces::LOOPBACK, last);
                    space.diagrams.and(set, out)
                };
                Three {
                    may: elsewhere(copies.may),
                    must: elsewhere(copies.must),
                }
            }
        }
    }

    /// The packets of a way that get to nat's chain before routing.
    pub fn before_nat(&mut self, space: &mut Space, way: Way) -> Three {
        let mut flow = Three::exactly(self.all(space, way));
        for table in [TableName::Raw, TableName::Mangle] {
            flow = self.through(space, table, before_routing(way), flow);
        }
        flow
    }

    /// The packets of a way that get to where it is decided which way they take.
    fn before(&mut self, space: &mut Space, way: Way) -> Three {
        let chain = before_routing(way);
        self.copied = Three::NONE;
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
        way: Way,
        table: TableName,
        chain: &str,
    ) -> Three {
        let flow = self.met_by(space, way);
        let flow = match way {
            Way::Forward => routed(space, flow),
            Way::Input | Way::Output => flow,
        };
        let through = self.through(space, table, chain, flow);
        let copies = self.copies(space, way);
        space.or(through, copies)
    }

    /// The packets that a chain looked at alone may see: chains before it may have
    /// marked them, rewritten them or kept them from conntrack.
    fn met_by(&self, space: &mut Space, way: Way) -> Three {
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
        Three { may, must }
    }

    /// Nat's chain, which sees the first packet of each connection; what follows
    /// is rewritten as that was.
    fn rewritten(&mut self, space: &mut Space, chain: &str, flow: Three) -> Three {
        if !self.program.rewrites {
            return flow;
        }
        let new = Three::exactly(space.states(&[State::New]));
        let first = space.and(flow, new);
        let first = self.through(space, TableName::Nat, chain, first);
        let part = space.states(&[State::Established, State::Related]);
        let later = space.and(flow, Three::exactly(part));
        let fields = [Field::Destination, Field::DestinationPort];
        let later = Three {
            may: space.forget(later.may, &fields),
            must: !space.forget(!later.must, &fields),
        };
        let part = Three::exactly(part);
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

    fn through(&mut self, space: &mut Space, table: TableName, chain: &str, flow: Three) -> Three {
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
    fn let_through(&mut self, space: &mut Space, table: TableName, chain: &str) -> Option<Three> {
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
    fn ends(&mut self, space: &mut Space, table: &Table<'a>, place: usize, depth: usize) -> Ends {
        match self.known.get(&(table.name, place)) {
            Some(Some(ends)) => return *ends,
            // It calls itself, which the kernel refuses.
            Some(None) => return unknown(Three::exactly(Set::FULL)),
            None if depth > DEPTH_MAX => return unknown(Three::exactly(Set::FULL)),
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
    ) -> Ends {
        match steps {
            [] => Ends::NONE,
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
    ) -> Ends {
        if self.goes_on(&step.effect) {
            return Ends::NONE;
        }
        let matched = step.condition.set(space, &chain.given);
        match &step.effect {
            Effect::Accept => Ends {
                accept: matched,
                ..Ends::NONE
            },
            Effect::Drop => Ends {
                drop: matched,
                ..Ends::NONE
            },
            Effect::Return => Ends {
                back: matched,
                ..Ends::NONE
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
                    _ => Three::NONE,
                };
                Ends { accept, drop, back }
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
        flow: Three,
        depth: usize,
    ) -> Walked {
        let mut walked = Walked {
            accept: Three::NONE,
            back: Three::NONE,
            rest: flow,
        };
        if depth > DEPTH_MAX {
            // Too deep for a kernel to take: anything may become of them.
            let may = Three {
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
                        back: Three::NONE,
                        rest: space.minus(taken, decided),
                    }
                }
                Effect::Jump(to) | Effect::Goto(to) => {
                    let walked = self.walk(space, table, *to, taken, depth + 1);
                    Walked {
                        accept: walked.accept,
                        back: Three::NONE,
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

/// A set's way through a chain: let through, sent back, at its end.
struct Walked {
    accept: Three,
    back: Three,
    rest: Three,
}

fn unknown(matched: Three) -> Ends {
    let maybe = Three {
        may: matched.may,
        must: Set::EMPTY,
    };
    Ends {
        accept: maybe,
        drop: maybe,
        back: maybe,
    }
}

/// One after the other. What the first only may let through is surely let through
/// where the second surely does, unless the first may do something else with it.
fn then(space: &mut Space, first: Ends, second: Ends) -> Ends {
    let decided = space.or(first.accept, first.drop);
    let decided = space.or(decided, first.back);
    let mut add = |of: fn(&Ends) -> Three, others: [fn(&Ends) -> Three; 2]| {
        let (before, after) = (of(&first), of(&second));
        if after == Three::NONE || before == decided {
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
    let accept: fn(&Ends) -> Three = |ends| ends.accept;
    let drop: fn(&Ends) -> Three = |ends| ends.drop;
    let back: fn(&Ends) -> Three = |ends| ends.back;
    Ends {
        accept: add(accept, [drop, back]),
        drop: add(drop, [accept, back]),
        back: add(back, [accept, drop]),
    }
}

/// Packets that leave by any interface but the loopback, now that it is known.
fn routed(space: &mut Space, flow: Three) -> Three {
    let last = space.interfaces.len() as u128 - 1;
    let outward = space.range(Field::Out, Interfaces::LOOPBACK + 1, last);
    let inward = space.range(Field::In, Interfaces::LOOPBACK + 1, last);
    let across = space.diagrams.and(inward, outward);
    let mut one = |set| {
        let set = space.forget(set, &[Field::Out]);
        space.diagrams.and(set, across)
    };
    let may = one(flow.may);
    let must = match flow.is_exact() {
        true => may,
        false => one(flow.must),
    };
    match space.forwarding_counts {
        true => passed_on(space, Three { may, must }),
        false => Three { may, must },
    }
}

/// Packets whose hops are one less than they were (ip_forward in
/// net/ipv4/ip_forward.c, before its hook). What was known of them is not kept
/// bit by bit: it is any number, and surely so where it did not matter.
fn passed_on(space: &mut Space, flow: Three) -> Three {
    let left = space.range(Field::Hops, 1, 254);
    let may = space.forget(flow.may, &[Field::Hops]);
    let must = !space.forget(!flow.must, &[Field::Hops]);
    Three {
        may: space.diagrams.and(may, left),
        must: space.diagrams.and(must, left),
    }
}

fn applied(space: &mut Space, effect: &Effect, taken: Three) -> Walked {
    let mut walked = Walked {
        accept: Three::NONE,
        back: Three::NONE,
        rest: Three::NONE,
    };
    let mut both = |change: &mut dyn FnMut(&mut Space, Set) -> Set| {
        let may = change(space, taken.may);
        let must = match taken.is_exact() {
            true => may,
            false => change(space, taken.must),
        };
        Three { may, must }
    };
    let forgotten = |space: &mut Space, field: Field| Three {
        may: space.forget(taken.may, &[field]),
        must: Set::EMPTY,
    };
    match effect {
        Effect::Accept => walked.accept = taken,
        Effect::Drop => {}
        Effect::Return => walked.back = taken,
        Effect::Mark(mark, mask) => {
            let (mark, mask) = (u128::from(*mark), u128::from(*mask));
            walked.rest = both(&mut |space, set| space.assigned(set, Field::Mark, mask, mark));
        }
        Effect::AnyMark => walked.rest = forgotten(space, Field::Mark),
        Effect::Hops(Some(hops)) => {
            let hops = u128::from(*hops);
            walked.rest = both(&mut |space, set| {
                let all = space.highest(Field::Hops);
                space.assigned(set, Field::Hops, all, hops)
            });
        }
        Effect::Hops(None) => walked.rest = forgotten(space, Field::Hops),
        Effect::Rewrite(field) => walked.rest = forgotten(space, *field),
        Effect::Copy => walked.rest = taken,
        Effect::Untrack => {
            let untracked = State::Untracked as u128;
            walked.rest = both(&mut |space, set| {
                let set = space.forget(set, &[Field::Dnat, Field::Snat]);
                let dnat = space.equal(Field::Dnat, 0);
                let snat = space.equal(Field::Snat, 0);
                let set = space.all(&[set, dnat, snat]);
                let all = space.highest(Field::State);
                space.assigned(set, Field::State, all, untracked)
            });
        }
        Effect::Dnat(Some(to), port) => {
            let (to, port) = (*to, *port);
            walked.accept = both(&mut |space, set| {
                let to = space.equal(Field::Destination, to);
                sent_to(space, set, to, port)
            });
        }
        Effect::Dnat(None, port) => walked.accept = to_router(space, taken, *port),
        Effect::AnyDnat(to, ports) => {
            let to = to.map_or(Set::FULL, |(first, last)| {
                space.range(Field::Destination, first, last)
            });
            let may = match ports {
                Some((first, last)) => {
                    let (first, last) = (u128::from(*first), u128::from(*last));
                    let ports = space.range(Field::DestinationPort, first, last);
                    let to = space.diagrams.and(to, ports);
                    space.redirected(taken.may, to, &[])
                }
                None => space.redirected(taken.may, to, &[Field::DestinationPort]),
            };
            // One that goes there already is not rewritten.
            let may = space.diagrams.or(may, taken.may);
            walked.accept = Three {
                may,
                must: Set::EMPTY,
            };
        }
        _ => {
            let maybe = forgotten(space, Field::Mark);
            walked = Walked {
                accept: maybe,
                back: maybe,
                rest: maybe,
            };
        }
    }
    walked
}

/// Those that go there already are not rewritten (nf_nat_setup_info in
/// net/netfilter/nf_nat_core.c).
fn sent_to(space: &mut Space, set: Set, to: Set, port: Option<u16>) -> Set {
    let mut there = space.diagrams.and(set, to);
    if let Some(port) = port {
        let port = space.equal(Field::DestinationPort, port.into());
        there = space.diagrams.and(there, port);
    }
    let others = space.diagrams.minus(set, there);
    let sent = with_port(space, others, to, port);
    space.diagrams.or(sent, there)
}

/// What belongs to a connection and is no ICMP error about it.
fn expected(space: &mut Space) -> Set {
    let related = space.states(&[State::Related]);
    let protocol = match space.family {
        IpFamily::V4 => Protocol::Icmp,
        IpFamily::V6 => Protocol::Icmpv6,
    };
    let icmp = space.equal(Field::Protocol, protocol.number().into());
    space.diagrams.minus(related, icmp)
}

/// Redirects of ICMP about connections whose addresses are rewritten, which are
/// dropped where that is done (nf_nat_icmp_reply_translation in
/// net/netfilter/nf_nat_proto.c).
fn redirects_about_rewritten(space: &mut Space) -> Set {
    let (protocol, redirect) = match space.family {
        IpFamily::V4 => (Protocol::Icmp, 5),
        IpFamily::V6 => (Protocol::Icmpv6, 137),
    };
    let dnat = space.equal(Field::Dnat, 1);
    let snat = space.equal(Field::Snat, 1);
    let rewritten = space.diagrams.or(dnat, snat);
    let parts = [
        space.states(&[State::Related]),
        space.equal(Field::Protocol, protocol.number().into()),
        space.equal(Field::IcmpType, redirect),
        rewritten,
    ];
    space.all(&parts)
}

fn with_port(space: &mut Space, set: Set, to: Set, port: Option<u16>) -> Set {
    match port {
        Some(port) => {
            let port = space.equal(Field::DestinationPort, port.into());
            let to = space.diagrams.and(to, port);
            space.redirected(set, to, &[])
        }
        None => space.redirected(set, to, &[Field::DestinationPort]),
    }
}

/// To the router's own address on the interface that a packet came in by, or to
/// the loopback's if it came from the router (nf_nat_redirect_ipv4).
fn to_router(space: &mut Space, taken: Three, port: Option<u16>) -> Three {
    let mut known = Set::EMPTY;
    let mut accept = Three::NONE;
    for (interface, address) in space.own_addresses.clone() {
        let here = space.equal(Field::In, interface);
        known = space.diagrams.or(known, here);
        let to = space.equal(Field::Destination, address);
        let here = space.and(taken, Three::exactly(here));
        let sent = Three {
            may: sent_to(space, here.may, to, port),
            must: sent_to(space, here.must, to, port),
        };
        accept = space.or(accept, sent);
    }
    let elsewhere = space.diagrams.minus(taken.may, known);
    let sent = with_port(space, elsewhere, Set::FULL, port);
    let maybe = Three {
        may: space.diagrams.or(sent, elsewhere),
        must: Set::EMPTY,
    };
    space.or(accept, maybe)
}
