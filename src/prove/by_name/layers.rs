//! What gets through, at any hour and at some, surely and perhaps.
//!
//! Owns how a matrix tells what hours decide from what limits decide: the rules are followed
//! once as they are, once as if no time of day came, and once as if each did.

use std::collections::BTreeMap;

use super::ends::End;
use super::{MatrixEnds, PORTS, all_but};
use crate::netfilter::Ruleset;
use crate::prove::bound;
use crate::prove::bounds::Bounds;
use crate::prove::condition::Clause;
use crate::prove::fate;
use crate::prove::hook_path::HookPath;
use crate::prove::matrix::MatrixQuestion;
use crate::prove::packet::Field;
use crate::prove::program::Program;
use crate::prove::reach::Reach;
use crate::prove::space::Space;
use camfw_diagrams::Set;

/// What gets through on one path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layer {
    /// What may get through.
    pub(super) may: Set,
    /// What may get through whatever the hour.
    pub(super) at_any_hour: Set,
    /// What surely gets through, as far as the hour allows.
    pub(super) surely: Set,
}

impl Layer {
    pub(super) fn map(self, mut each: impl FnMut(Set) -> Set) -> Layer {
        Layer {
            may: each(self.may),
            at_any_hour: each(self.at_any_hour),
            surely: each(self.surely),
        }
    }
}

/// What gets through on each path.
pub(super) struct Layers {
    input: Layer,
    forward: Layer,
    output: Layer,
    /// The forwarded packets whose source is rewritten.
    pub(super) rewritten: Set,
    /// The packets whose destination is not rewritten.
    pub(super) as_is: Set,
    /// The protocols, ports and types of all packets that could open a connection, on each path;
    /// None if the question is about some of them alone.
    possible: Option<[Set; 3]>,
}

/// What a cell says something about; all else is left out.
const TOLD: [Field; 10] = [
    Field::Dnat,
    Field::In,
    Field::Out,
    Field::Source,
    Field::Mac,
    Field::Destination,
    Field::Protocol,
    Field::DestinationPort,
    Field::OriginalPort,
    Field::IcmpType,
];

/// The rules, with a policy's bounds as bits.
pub(super) fn program<'a>(
    ruleset: &'a Ruleset,
    space: &mut Space,
    of: MatrixEnds<'_>,
) -> Program<'a> {
    let mut program = Program::new(ruleset, space);
    if let MatrixEnds::Policy(policy) = of {
        bound::ask_by_bits(&mut program, policy, space.family);
    }
    program
}

/// Makes every match on the time of day hold, or none. Returns whether there is one.
fn set_hour(program: &mut Program<'_>, holds: bool) -> bool {
    let mut any = false;
    for (_, _, step) in program.steps_mut() {
        let doubts = &mut step.condition.doubts;
        let before = doubts.len();
        doubts.retain(|doubt| !doubt.starts_with("-m time"));
        if doubts.len() == before {
            continue;
        }
        any = true;
        if !holds {
            let clauses = &mut step.condition.clauses;
            clauses.push(Clause::new(false, Vec::new()));
        }
    }
    any
}

impl Layers {
    pub(super) fn new(
        space: &mut Space,
        program: &Program<'_>,
        ruleset: &Ruleset,
        of: MatrixEnds<'_>,
        about: &MatrixQuestion,
    ) -> Layers {
        let (_, asked) = about.sets(space, program);
        let told = all_but(&TOLD);
        let through = |space: &mut Space, program: &Program<'_>| {
            let mut reach = Reach::new(program);
            HookPath::ALL.map(|way| {
                let mut flow = reach.accepted(space, way);
                if let MatrixEnds::Policy(_) = of {
                    flow = bound::assuming_within(space, flow, &[]);
                }
                let flow = space.and(flow, Bounds::exactly(asked));
                Bounds {
                    may: space.forget(flow.may, &told),
                    must: space.forget(flow.must, &told),
                }
            })
        };
        let plain = through(space, program);
        let mut layers = plain.map(|Bounds { may, must }| Layer {
            may,
            at_any_hour: may,
            surely: must,
        });
        for holds in [true, false] {
            let mut at = self::program(ruleset, space, of);
            if !set_hour(&mut at, holds) {
                break;
            }
            let at = through(space, &at);
            for (layer, at) in layers.iter_mut().zip(at) {
                layer.at_any_hour = space.diagrams.and(layer.at_any_hour, at.may);
                layer.surely = space.diagrams.or(layer.surely, at.must);
            }
        }
        let mut reach = Reach::new(program);
        let way = HookPath::Forward;
        let flow = reach.accepted(space, way).may;
        let flow = space.diagrams.and(flow, asked);
        // Each where it goes, which is not where it was sent to if a forward sent it on.
        let sources = fate::sources_rewritten(space, program, way, flow);
        let mut rewritten = Set::EMPTY;
        for (_, set) in sources {
            let set = space.forget(set, &told);
            rewritten = space.diagrams.or(rewritten, set);
        }
        let possible = about.is_of_all().then(|| {
            HookPath::ALL.map(|way| {
                let all = reach.everything(space, way);
                let all = space.diagrams.and(all, asked);
                space.forget(all, &all_but(&PORTS))
            })
        });
        let [input, forward, output] = layers;
        Layers {
            possible,
            input,
            forward,
            output,
            rewritten,
            as_is: match program.redirects {
                true => space.equal(Field::Dnat, 0),
                false => Set::FULL,
            },
        }
    }

    pub(super) fn possible(&self, way: HookPath) -> Option<Set> {
        self.possible.map(|possible| possible[way as usize])
    }

    pub(super) fn of(&self, way: HookPath) -> Layer {
        match way {
            HookPath::Input => self.input,
            HookPath::Forward => self.forward,
            HookPath::Output => self.output,
        }
    }

    /// The ends as rows or as columns: cameras of one zone that are treated alike together.
    pub(super) fn grouped(
        &self,
        space: &mut Space,
        ends: &[End],
        as_rows: bool,
    ) -> Vec<Vec<usize>> {
        let (other, own): (_, &[Field]) = match as_rows {
            true => (self.input, &[Field::In, Field::Source, Field::Mac]),
            false => (self.output, &[Field::Out, Field::Destination]),
        };
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut known: BTreeMap<(Option<usize>, Vec<Set>), usize> = BTreeMap::new();
        for (index, end) in ends.iter().enumerate() {
            if !end.is_camera {
                groups.push(vec![index]);
                continue;
            }
            let mut alike = Vec::new();
            for layer in [self.forward, other] {
                for set in [layer.may, layer.at_any_hour, layer.surely, self.rewritten] {
                    let end = if as_rows { end.from } else { end.to };
                    let set = space.diagrams.and(set, end);
                    alike.push(space.forget(set, own));
                }
            }
            let group = *known.entry((end.wire, alike)).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[group].push(index);
        }
        groups
    }
}
