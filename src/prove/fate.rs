//! What happens to packets that get through: whether they are copied, and how their source
//! and destination are rewritten.
//!
//! Owns the targets that change packets or their connections without deciding whether they
//! pass: their text, and which packets they change.

use super::compare::as_they_came;
use super::hook_path::{HookPath, after_routing, before_routing};
use super::packet::{Field, State};
use super::program::{Effect, Program, ProgramTable, Step};
use super::reach::Reach;
use super::space::Space;
use crate::netfilter::{Rule, TableName, Target, rule_text};
use camfw_diagrams::Set;

/// What a target changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FateKind {
    /// The destination of the connection (DNAT).
    Destination,
    /// The source of the connection (SNAT).
    Source,
    /// The conntrack settings of the connection: helper and zone.
    Conntrack,
    /// The conntrack zone of the connection alone, as a number.
    ConntrackZone,
    /// Where copies of the packet go.
    Copy,
}

impl FateKind {
    /// The kinds that `compare` reports.
    pub const ALL: [FateKind; 4] = [
        FateKind::Destination,
        FateKind::Source,
        FateKind::Conntrack,
        FateKind::Copy,
    ];

    /// The phrase that introduces the change.
    pub fn words(self) -> &'static str {
        match self {
            FateKind::Destination => "destination",
            FateKind::Source => "source",
            FateKind::Conntrack => "conntrack",
            FateKind::ConntrackZone => "conntrack zone",
            FateKind::Copy => "copied",
        }
    }

    /// The change that a rule makes, as its target's text; None if it makes none.
    fn label(self, step: &Step<'_>) -> Option<String> {
        let target = step.rule.target.as_ref()?;
        let words = match target {
            Target::Other(words) => words.get(1).map_or("", String::as_str),
            _ => "",
        };
        let is_it = match self {
            FateKind::Destination => matches!(step.effect, Effect::Dnat(..) | Effect::AnyDnat(..)),
            FateKind::Source => {
                matches!(target, Target::Masquerade | Target::Snat(_))
                    || matches!(words, "SNAT" | "MASQUERADE" | "SAME" | "NETMAP")
            }
            FateKind::Conntrack => matches!(target, Target::Conntrack { .. }) || words == "CT",
            FateKind::ConntrackZone => return conntrack_zone(target, words),
            FateKind::Copy => step.effect == Effect::Copy,
        };
        let text = rule_text(&Rule::new(target.clone()));
        is_it.then(|| text.trim_start_matches("-j ").to_owned())
    }

    /// The tables and chains that can make this change on a path.
    fn chains(self, way: HookPath) -> Vec<(TableName, &'static str)> {
        let before = before_routing(way);
        match self {
            FateKind::Destination => vec![(TableName::Nat, before)],
            FateKind::Source => vec![(
                TableName::Nat,
                match way {
                    HookPath::Input => "INPUT",
                    HookPath::Forward | HookPath::Output => "POSTROUTING",
                },
            )],
            FateKind::Conntrack | FateKind::ConntrackZone => vec![(TableName::Raw, before)],
            FateKind::Copy => {
                let first = [(TableName::Raw, before), (TableName::Mangle, before)];
                first
                    .into_iter()
                    .chain(after_routing(way).to_vec())
                    .collect()
            }
        }
    }
}

/// The conntrack zone that a target sets: an empty string if it depends on more than the
/// rule, or if the packet is not tracked.
fn conntrack_zone(target: &Target, words: &str) -> Option<String> {
    match target {
        Target::Conntrack { zone, .. } => Some(zone.unwrap_or_default().to_string()),
        _ => matches!(words, "CT" | "NOTRACK").then(String::new),
    }
}

/// The packets of a path whose connections are in this conntrack zone.
pub fn in_conntrack_zone(
    space: &mut Space,
    program: &Program<'_>,
    reach: &Reach<'_, '_>,
    way: HookPath,
    zone: u16,
) -> Set {
    let kind = FateKind::ConntrackZone;
    let Some((table, place)) = program.chain(TableName::Raw, before_routing(way)) else {
        return Set::EMPTY;
    };
    let flow = reach.all(space, way);
    let fates = Vec::new();
    let mut walk = Walk { kind, fates };
    walk.chain(space, table, place, flow, 0);
    let mut fates = walk.fates.into_iter();
    let found = fates.find(|(number, _)| *number == zone.to_string());
    found.map_or(Set::EMPTY, |(_, set)| set)
}

/// For each change of this kind, as text, the packets of a path that it applies to, as they
/// were before NAT.
pub fn fates(
    space: &mut Space,
    program: &Program<'_>,
    reach: &mut Reach<'_, '_>,
    way: HookPath,
    kind: FateKind,
) -> Vec<(String, Set)> {
    let mut fates: Vec<(String, Set)> = Vec::new();
    for (table, chain) in kind.chains(way) {
        let Some((table, place)) = program.chain(table, chain) else {
            continue;
        };
        let mut steps = table.chains.iter().flat_map(|chain| &chain.steps);
        if !steps.any(|step| kind.label(step).is_some()) {
            continue;
        }
        let is_before = chain == before_routing(way);
        let flow = match (is_before, table.name) {
            (true, TableName::Nat) => reach.before_nat(space, way).may,
            (true, _) => reach.all(space, way),
            (false, _) => reach.accepted(space, way).may,
        };
        let flow = match table.name {
            // Only the first packet of a connection traverses nat.
            TableName::Nat => {
                let new = space.states(&[State::New]);
                space.diagrams.and(flow, new)
            }
            _ => flow,
        };
        let mut walk = Walk {
            kind,
            fates: Vec::new(),
        };
        walk.chain(space, table, place, flow, 0);
        for (label, set) in walk.fates {
            let came = as_they_came(space, program, set);
            let set = match is_before {
                // Before routing the outgoing interface is not known.
                true => space.forget(came, &[Field::Out]),
                false => came,
            };
            match fates.iter_mut().find(|(known, _)| *known == label) {
                Some((_, known)) => *known = space.diagrams.or(*known, set),
                None => fates.push((label, set)),
            }
        }
    }
    fates
}

/// For each rewriting of sources, as text, those of these packets that it applies to, as they
/// leave.
pub fn sources_rewritten(
    space: &mut Space,
    program: &Program<'_>,
    way: HookPath,
    flow: Set,
) -> Vec<(String, Set)> {
    let kind = FateKind::Source;
    let fates = Vec::new();
    let mut walk = Walk { kind, fates };
    for (table, chain) in kind.chains(way) {
        if let Some((table, place)) = program.chain(table, chain) {
            walk.chain(space, table, place, flow, 0);
        }
    }
    walk.fates
}

struct Walk {
    kind: FateKind,
    fates: Vec<(String, Set)>,
}

/// The deepest chain of jumps that is followed; the kernel accepts none as deep.
const DEPTH_MAX: usize = 64;

impl Walk {
    /// The packets that reach the end of a chain or return from it.
    fn chain(
        &mut self,
        space: &mut Space,
        table: &ProgramTable<'_>,
        place: usize,
        flow: Set,
        depth: usize,
    ) -> Set {
        let (mut rest, mut back) = (flow, Set::EMPTY);
        if depth > DEPTH_MAX {
            return rest;
        }
        for step in &table.chains[place].steps {
            if rest.is_empty() {
                break;
            }
            let matched = step.condition.set(space, &table.chains[place].given).may;
            let taken = space.diagrams.and(rest, matched);
            if let Some(label) = self.kind.label(step) {
                self.note(space, label, taken);
            }
            let (stays, returned) = match step.effect {
                Effect::Jump(to) => (self.chain(space, table, to, taken, depth + 1), Set::EMPTY),
                Effect::Goto(to) => (Set::EMPTY, self.chain(space, table, to, taken, depth + 1)),
                Effect::Return => (Set::EMPTY, taken),
                Effect::Accept | Effect::Drop | Effect::Dnat(..) | Effect::AnyDnat(..) => {
                    (Set::EMPTY, Set::EMPTY)
                }
                _ => (taken, Set::EMPTY),
            };
            rest = space.diagrams.minus(rest, matched);
            rest = space.diagrams.or(rest, stays);
            back = space.diagrams.or(back, returned);
        }
        space.diagrams.or(rest, back)
    }

    /// Records a change. The first rule to set conntrack's settings wins; a packet can be
    /// copied more than once.
    fn note(&mut self, space: &mut Space, label: String, taken: Set) {
        let mut taken = taken;
        if matches!(self.kind, FateKind::Conntrack | FateKind::ConntrackZone) {
            for (_, set) in &self.fates {
                taken = space.diagrams.minus(taken, *set);
            }
        }
        if taken.is_empty() {
            return;
        }
        match self.fates.iter_mut().find(|(known, _)| *known == label) {
            Some((_, set)) => *set = space.diagrams.or(*set, taken),
            None => self.fates.push((label, taken)),
        }
    }
}
