//! Follows one packet through the tables, rule by rule, to a verdict.
//!
//! Owns, for one packet, the same order of hooks that `reach` has for sets: which rules it
//! matched, what they did, and which one decided.

use super::hook_path::{HookPath, after_routing, before_routing, source_rewritten_in};
use super::packet::{Field, NO_INTERFACE, Packet, State};
use super::program::{Effect, Program, ProgramTable, Step};
use super::space::Space;
pub use super::verdict::{NewDestination, RuleMet, RulePlace, Verdict};
use crate::netfilter::{ChainPolicy, TableName};

/// The verdict on one packet, and how it came about.
pub struct Judgement<'a> {
    /// The final verdict.
    pub verdict: Verdict,
    /// The rule or policy that decided; if the verdict depends on more than the packet, the
    /// first that may have decided.
    pub by: Option<RulePlace<'a>>,
    /// Every rule that the packet matched, in order.
    pub path: Vec<RuleMet<'a>>,
    /// The packet in the end; fields that were rewritten to something unknown are absent.
    pub packet: Packet,
}

/// The possible outcomes for a packet at a rule or in a chain; one of them happens.
#[derive(Debug, Clone, Copy, Default)]
struct PacketOutcome {
    accept: bool,
    drop: bool,
    /// It returns to the calling chain.
    back: bool,
    /// It continues with the next rule.
    on: bool,
}

impl PacketOutcome {
    const ACCEPT: PacketOutcome = PacketOutcome {
        accept: true,
        drop: false,
        back: false,
        on: false,
    };
    const DROP: PacketOutcome = PacketOutcome {
        drop: true,
        accept: false,
        ..PacketOutcome::ACCEPT
    };
    const ON: PacketOutcome = PacketOutcome {
        on: true,
        accept: false,
        ..PacketOutcome::ACCEPT
    };
    const BACK: PacketOutcome = PacketOutcome {
        back: true,
        accept: false,
        ..PacketOutcome::ACCEPT
    };

    fn is_certain(self) -> bool {
        let fates = [self.accept, self.drop, self.back, self.on];
        fates.into_iter().filter(|fate| *fate).count() == 1
    }
}

/// The deepest chain of jumps that is followed; the kernel accepts none as deep.
const DEPTH_MAX: usize = 64;

pub(super) struct Judge<'p> {
    pub(super) packet: Packet,
    path: Vec<RuleMet<'p>>,
    accepted: Option<RulePlace<'p>>,
    dropped: Option<RulePlace<'p>>,
    /// The rule that copied it elsewhere, and whether that is certain.
    copied: Option<(RulePlace<'p>, bool)>,
    /// Whether a copy certainly leaves the router.
    copies_leave: bool,
    /// Whether every match so far was certain.
    surely: bool,
    /// Whether its destination was rewritten, so that it may take another path.
    pub(super) redirected: bool,
}

/// A routing lookup: for an address the path, and the outgoing interface.
pub type Routes<'r> = &'r dyn Fn(u128) -> Option<(HookPath, u128)>;

/// Judges a packet on a path.
pub fn judge<'p>(
    program: &'p Program<'p>,
    space: &Space,
    way: HookPath,
    packet: Packet,
) -> Judgement<'p> {
    judge_routed(program, space, way, packet, &|_| None)
}

/// Judges a packet, and looks its path up again if its destination is rewritten.
pub fn judge_routed<'p>(
    program: &'p Program<'p>,
    space: &Space,
    way: HookPath,
    packet: Packet,
    routes: Routes<'_>,
) -> Judgement<'p> {
    let mut way = way;
    let mut judge = Judge::new(packet, program);
    // The outgoing interface is known only after routing.
    let mut out = packet.value(Field::Out);
    if way == HookPath::Forward {
        judge.packet.set(Field::Out, NO_INTERFACE);
    }
    let before = before_routing(way);
    let mut goes_on = judge.table(program, space, TableName::Raw, before)
        && judge.table(program, space, TableName::Mangle, before);
    let is_first = judge.is_first();
    if goes_on {
        goes_on = match is_first {
            true => judge.table(program, space, TableName::Nat, before),
            false => judge.rewritten_as_its_connection(program, space),
        };
    }
    if way == HookPath::Forward && space.forwarding_counts {
        let hops = judge.packet.get(Field::Hops);
        judge.set(Field::Hops, hops.map(|hops| hops.saturating_sub(1)), true);
    }
    if judge.redirected {
        let to = judge.packet.get(Field::Destination);
        if let Some(found) = to.and_then(routes) {
            (way, out) = found;
        }
    }
    judge.packet.set(Field::Out, out);
    for (table, chain) in after_routing(way) {
        goes_on = goes_on && judge.table(program, space, *table, chain);
    }
    if goes_on && is_first {
        goes_on = judge.table(program, space, TableName::Nat, source_rewritten_in(way));
    }
    judge.judgement(goes_on)
}

/// Judges a packet in one chain alone.
pub fn judge_chain<'p>(
    program: &'p Program<'p>,
    space: &Space,
    table: TableName,
    chain: &str,
    packet: Packet,
) -> Judgement<'p> {
    let mut judge = Judge::new(packet, program);
    let goes_on = judge.table(program, space, table, chain);
    // In this mode the verdict of any table counts.
    judge.accepted = judge.accepted.or_else(|| {
        let last = judge.path.last()?;
        Some(last.place)
    });
    judge.judgement(goes_on)
}

impl<'p> Judge<'p> {
    fn new(packet: Packet, program: &Program<'_>) -> Judge<'p> {
        Judge {
            packet,
            path: Vec::new(),
            accepted: None,
            dropped: None,
            copied: None,
            copies_leave: program.copies_leave,
            surely: true,
            redirected: false,
        }
    }

    fn judgement(self, goes_on: bool) -> Judgement<'p> {
        let (verdict, by) = match (goes_on, self.dropped) {
            (true, None) => (Verdict::Accept, self.accepted),
            (true, dropped) => {
                // A rule in doubt is a better explanation than the policy after it.
                let mut either = [self.accepted, dropped].into_iter().flatten();
                let rule = either.find(|place| place.number > 0);
                (Verdict::Depends, rule.or(dropped))
            }
            (false, dropped) => (Verdict::Drop, dropped),
        };
        // A packet of which a copy arrives elsewhere got through.
        let (verdict, by) = match (verdict, self.copied) {
            (Verdict::Drop | Verdict::Depends, Some((copied, true))) => {
                (Verdict::Accept, Some(copied))
            }
            (Verdict::Drop, Some((copied, false))) => (Verdict::Depends, Some(copied)),
            _ => (verdict, by),
        };
        Judgement {
            verdict,
            by,
            path: self.path,
            packet: self.packet,
        }
    }

    /// Whether the table may let the packet through.
    fn table(
        &mut self,
        program: &'p Program<'p>,
        space: &Space,
        table: TableName,
        chain: &str,
    ) -> bool {
        let Some((table, place)) = program.chain(table, chain) else {
            return true;
        };
        let mut fate = self.chain(table, place, space, 0);
        if fate.back || fate.on {
            let drops = table.chains[place].policy == Some(ChainPolicy::Drop);
            let end = RulePlace {
                table: table.name,
                chain: table.chains[place].name,
                number: 0,
                step: None,
            };
            // A table without rules is not worth a line.
            if drops || table.name == TableName::Filter {
                let what = if drops { "DROP" } else { "ACCEPT" };
                self.meet(end, what.to_owned(), true);
            }
            match drops {
                true => self.dropped = self.dropped.or(Some(end)),
                false if table.name == TableName::Filter => {
                    self.accepted = self.accepted.or(Some(end));
                }
                false => {}
            }
            // Without conntrack nat sees no packet, and no rule tells that conntrack is on.
            fate.accept |= !drops || (table.name == TableName::Nat && !program.tracks);
        }
        fate.accept
    }

    fn meet(&mut self, place: RulePlace<'p>, what: String, holds: bool) {
        let surely = self.surely && holds;
        self.path.push(RuleMet {
            place,
            surely,
            what,
            to: None,
        });
    }

    fn chain(
        &mut self,
        table: &'p ProgramTable<'p>,
        place: usize,
        space: &Space,
        depth: usize,
    ) -> PacketOutcome {
        let chain = &table.chains[place];
        let mut fate = PacketOutcome::default();
        if depth > DEPTH_MAX {
            self.surely = false;
            return PacketOutcome {
                accept: true,
                drop: true,
                back: true,
                on: true,
            };
        }
        for (index, step) in chain.steps.iter().enumerate() {
            let holds = match step.condition.holds(&self.packet) {
                Some(false) => continue,
                Some(true) => true,
                None => false,
            };
            let here = RulePlace {
                table: table.name,
                chain: chain.name,
                number: index + 1,
                step: Some(step),
            };
            let before = self.surely;
            let what = done(table, step);
            self.meet(here, what, holds);
            let to = self.new_destination(space, &step.effect);
            if let (Some(met), Some(to)) = (self.path.last_mut(), to) {
                met.what = format!("{} to {to}", met.what);
                met.to = Some(to);
            }
            let mut met = self.effect(table, here, step, space, holds, depth);
            // The match is in doubt, so the packet may also continue.
            met.on |= !holds;
            self.surely = before && met.is_certain();
            fate.accept |= met.accept;
            fate.drop |= met.drop;
            fate.back |= met.back;
            if !met.on {
                return fate;
            }
        }
        fate.on = true;
        fate
    }

    fn effect(
        &mut self,
        table: &'p ProgramTable<'p>,
        here: RulePlace<'p>,
        step: &'p Step<'p>,
        space: &Space,
        holds: bool,
        depth: usize,
    ) -> PacketOutcome {
        match &step.effect {
            Effect::Continue => PacketOutcome::ON,
            Effect::Accept => self.accept(here),
            Effect::Drop => self.drop(here),
            Effect::Return => PacketOutcome::BACK,
            Effect::Jump(to) | Effect::Goto(to) => {
                self.surely &= holds;
                let called = self.chain(table, *to, space, depth + 1);
                let returns = called.back || called.on;
                let goes = matches!(step.effect, Effect::Goto(_));
                PacketOutcome {
                    accept: called.accept,
                    drop: called.drop,
                    back: returns && goes,
                    on: returns && !goes,
                }
            }
            Effect::Mark(mark, mask) => {
                let before = self.packet.get(Field::Mark);
                let (mark, mask) = (u128::from(*mark), u128::from(*mask));
                let kept = match mask == space.highest(Field::Mark) {
                    true => Some(0),
                    false => before.map(|before| before & !mask),
                };
                self.set(Field::Mark, kept.map(|kept| kept | mark), holds);
                PacketOutcome::ON
            }
            Effect::Hops(hops) => {
                self.set(Field::Hops, hops.map(u128::from), holds);
                PacketOutcome::ON
            }
            Effect::Rewrite(field) => {
                self.set(*field, None, holds);
                if *field == Field::Destination {
                    self.set(Field::Local, None, holds);
                    self.set(Field::AnyLocal, None, holds);
                }
                PacketOutcome::ON
            }
            Effect::AnyMark => {
                self.set(Field::Mark, None, holds);
                PacketOutcome::ON
            }
            Effect::Untrack => {
                // Without a connection there is nothing that was rewritten (conntrack_mt in xt_conntrack.c asks
                // the status bits of a connection alone).
                for field in [Field::Dnat, Field::Snat] {
                    self.set(field, Some(0), holds);
                }
                self.set(Field::State, Some(State::Untracked as u128), holds);
                PacketOutcome::ON
            }
            Effect::Dnat(to, port) => {
                self.send_to(space, to.as_deref().copied(), *port, holds);
                self.accept(here)
            }
            Effect::AnyDnat(to, ports) => {
                self.send_to_any(space, to.as_deref().copied(), *ports, holds);
                self.accept(here)
            }
            Effect::Copy => {
                let surely = self.surely && holds && self.copies_leave;
                if self.copied.is_none_or(|(_, already)| surely && !already) {
                    self.copied = Some((here, surely));
                }
                PacketOutcome::ON
            }
            Effect::Unknown => {
                self.set(Field::Mark, None, holds);
                self.dropped = self.dropped.or(Some(here));
                self.accepted = self.accepted.or(Some(here));
                PacketOutcome {
                    accept: true,
                    drop: true,
                    back: true,
                    on: true,
                }
            }
        }
    }

    fn accept(&mut self, here: RulePlace<'p>) -> PacketOutcome {
        if here.table == TableName::Filter {
            self.accepted = self.accepted.or(Some(here));
        }
        PacketOutcome::ACCEPT
    }

    fn drop(&mut self, here: RulePlace<'p>) -> PacketOutcome {
        self.dropped = self.dropped.or(Some(here));
        PacketOutcome::DROP
    }

    /// Sets a field, or marks it unknown unless both the match and the value are certain.
    pub(super) fn set(&mut self, field: Field, value: Option<u128>, holds: bool) {
        match value {
            Some(value) if self.surely && holds => self.packet.set(field, value),
            _ => self.packet.forget(field),
        }
    }
}

/// What a rule does, in words.
fn done(table: &ProgramTable<'_>, step: &Step<'_>) -> String {
    match &step.effect {
        Effect::Accept if step.rewrites_source() => "source rewritten".into(),
        Effect::Accept => "ACCEPT".into(),
        Effect::Drop => "DROP".into(),
        Effect::Return => "RETURN".into(),
        Effect::Jump(to) => format!("-> {}", table.chains[*to].name),
        Effect::Goto(to) => format!("=> {}", table.chains[*to].name),
        Effect::Continue => "goes on".into(),
        Effect::Mark(mark, u32::MAX) => format!("mark {mark:#x}"),
        Effect::Mark(mark, mask) => format!("mark {mark:#x} in {mask:#x}"),
        Effect::Hops(_) => "hops set".into(),
        Effect::AnyMark => "mark, not known which".into(),
        Effect::Untrack => "not tracked".into(),
        Effect::Dnat(..) | Effect::AnyDnat(..) | Effect::Rewrite(Field::Destination) => {
            "destination rewritten".into()
        }
        Effect::Rewrite(_) => "source rewritten".into(),
        Effect::Copy => "copied".into(),
        Effect::Unknown => "not known what".into(),
    }
}
