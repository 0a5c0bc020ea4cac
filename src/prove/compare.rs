//! Compares two rulesets: which packets are treated differently, and how.

use std::collections::BTreeSet;

use super::bounds::Bounds;
use super::claim::Counterexample;
use super::cover::cover;
use super::doubt;
use super::fate::{self, FateKind};
use super::hook_path::HookPath;
use super::judge::judge;
use super::packet::{Field, Interfaces, Packet, State};
use super::program::{Program, interface_patterns};
use super::reach::Reach;
use super::space::Space;
use super::spoof::wishes;
use super::witness::{self, Naming};
use crate::family::IpFamily;
use crate::netfilter::{Protocol, Ruleset};
use camfw_diagrams::Set;

/// How the fate of a packet differs in the second ruleset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerdictOutcome {
    /// It now gets through.
    LetThrough,
    /// It no longer gets through.
    Dropped,
    /// It gets through as before, but is modified differently on the way.
    Changed {
        /// What is modified.
        kind: FateKind,
        /// What it became before; None if unmodified.
        before: Option<String>,
        /// What it becomes now; None if unmodified.
        after: Option<String>,
    },
}

/// A set of packets whose fate changes, with an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictChange {
    /// Their path through the hooks.
    pub way: HookPath,
    /// The change.
    pub outcome: VerdictOutcome,
    /// The packets, in words.
    pub packets: String,
    /// An example under the first ruleset.
    pub before: Counterexample,
    /// The same example under the second ruleset.
    pub after: Counterexample,
}

/// The differences between two rulesets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Differences that are certain.
    pub changes: Vec<VerdictChange>,
    /// Differences that are possible and depend on more than the packet.
    pub doubts: Vec<VerdictChange>,
    /// Whether there are more differences than are listed.
    pub more: bool,
    /// Whether the comparison reached its limit of memory or steps.
    pub too_large: bool,
}

/// The most lines listed for one path and one direction of change.
const LINES: usize = 24;

/// The packets that two rulesets treat differently.
pub fn compare(before: &Ruleset, after: &Ruleset, family: IpFamily) -> Comparison {
    let mut space = space(before, after, family);
    let mut programs = programs(before, after, &mut space);
    space.forwarding_counts = programs[0].asked.hops;
    let alike = doubt::share(&mut space, &mut programs);
    let mut comparison = Comparison::default();
    for way in HookPath::ALL {
        let all = Reach::new(&programs[0]).everything(&mut space, way);
        let all = as_they_came(&mut space, &programs[0], all);
        let mut told = Vec::new();
        for Differing {
            accepted,
            surely,
            perhaps,
        } in differing(&mut space, &programs, way, alike)
        {
            let outcome = match accepted {
                true => VerdictOutcome::LetThrough,
                false => VerdictOutcome::Dropped,
            };
            told.push((outcome.clone(), surely, true));
            told.push((outcome, perhaps, false));
        }
        told.extend(changed(&mut space, &programs, way));
        for (outcome, set, sure) in told {
            let set = space.diagrams.and(set, all);
            let whatever = space.forget(set, &[Field::Undecided]);
            let wishes = wishes(&mut space);
            let (patches, left) = cover(&mut space, whatever, all, &wishes, LINES);
            comparison.more |= !left.is_empty();
            for patch in &patches {
                // Fixes the undecided bits to values that show the difference.
                let mut example = patch.example;
                if !space.holds(set, &example) {
                    let shown = space.diagrams.and(patch.set, set);
                    example = space.pick_like(shown, &wishes).unwrap_or(example);
                }
                let packets = patch.words(&space);
                let change = change(&space, &programs, way, outcome.clone(), packets, example);
                match sure {
                    true => comparison.changes.push(change),
                    false => comparison.doubts.push(change),
                }
            }
        }
    }
    comparison.too_large = !space.diagrams.is_complete();
    comparison
}

/// Whether some packet certainly gets another verdict.
pub fn differ(before: &Ruleset, after: &Ruleset, family: IpFamily) -> bool {
    let mut space = space(before, after, family);
    let programs = programs(before, after, &mut space);
    space.forwarding_counts = programs[0].asked.hops;
    HookPath::ALL.into_iter().any(|way| {
        let differing = differing(&mut space, &programs, way, true);
        differing.iter().any(|it| !it.surely.is_empty())
    })
}

fn space(before: &Ruleset, after: &Ruleset, family: IpFamily) -> Space {
    let mut patterns: BTreeSet<String> = interface_patterns(before);
    patterns.extend(interface_patterns(after));
    Space::new(family, Interfaces::new(&patterns))
}

pub(super) fn programs<'a>(
    before: &'a Ruleset,
    after: &'a Ruleset,
    space: &mut Space,
) -> [Program<'a>; 2] {
    let mut programs = [Program::new(before, space), Program::new(after, space)];
    let [first, second] = &mut programs;
    first.agree(second);
    programs
}

/// The packets that get through in one of two programs and not in the other.
pub(super) struct Differing {
    /// Whether they get through in the second program.
    pub(super) accepted: bool,
    pub(super) surely: Set,
    pub(super) perhaps: Set,
}

/// Packets that are in doubt in both programs count as treated alike if the same rules put
/// them in doubt, in `alike`.
pub(super) fn differing(
    space: &mut Space,
    programs: &[Program<'_>; 2],
    way: HookPath,
    alike: bool,
) -> [Differing; 2] {
    let accepted = programs
        .each_ref()
        .map(|program| Reach::new(program).accepted(space, way));
    let mut found = [true, false].map(|accepted| Differing {
        accepted,
        surely: Set::EMPTY,
        perhaps: Set::EMPTY,
    });
    let names = DoubleNames::new(space, programs, way, alike);
    for (part, named) in names.alone(space) {
        let [before, after] = [0, 1].map(|number| {
            let accepted = space.and(accepted[number], Bounds::exactly(part));
            let named = Bounds::exactly(named);
            let came = Bounds {
                may: as_they_came(space, &programs[number], accepted.may),
                must: as_they_came(space, &programs[number], accepted.must),
            };
            space.and(came, named)
        });
        for it in &mut found {
            let (from, to) = match it.accepted {
                true => (before, after),
                false => (after, before),
            };
            let surely = match has_undecided(programs) {
                false => space.diagrams.minus(to.must, from.may),
                true => {
                    let always = surely_of(space, to.must);
                    let ever = space.forget(from.may, &[Field::Undecided]);
                    space.diagrams.minus(always, ever)
                }
            };
            let perhaps = space.diagrams.minus(to.may, from.must);
            let mut perhaps = space.diagrams.minus(perhaps, surely);
            if alike {
                let [from, to] = [from, to].map(|it| space.diagrams.minus(it.may, it.must));
                let both = space.diagrams.and(from, to);
                perhaps = space.diagrams.minus(perhaps, both);
            }
            it.surely = space.diagrams.or(it.surely, surely);
            it.perhaps = space.diagrams.or(it.perhaps, perhaps);
        }
    }
    for it in &mut found {
        if !names.unclear.is_empty() {
            let to = usize::from(it.accepted);
            let to = as_they_came(space, &programs[to], accepted[to].may);
            let unclear = space.diagrams.and(to, names.unclear);
            it.perhaps = space.diagrams.or(it.perhaps, unclear);
        }
        it.perhaps = space.diagrams.minus(it.perhaps, it.surely);
    }
    found
}

/// Where the same words mean two packets. A packet of a connection is known by the destination that its connection is
/// rewritten to; one that is not tracked keeps the destination it came with.
struct DoubleNames {
    /// The words with two meanings.
    double: Set,
    /// Those of them for packets that one program tracks and the other does not: they have a name in each.
    unclear: Set,
}

impl DoubleNames {
    fn new(
        space: &mut Space,
        programs: &[Program<'_>; 2],
        way: HookPath,
        alike: bool,
    ) -> DoubleNames {
        if !programs[0].untracks || !programs[0].rewrites {
            return DoubleNames {
                double: Set::EMPTY,
                unclear: Set::EMPTY,
            };
        }
        let part = space.states(&[State::Established, State::Related]);
        let [to, by] = [Field::Dnat, Field::Snat].map(|field| space.equal(field, 1));
        let rewritten = space.diagrams.or(to, by);
        let double = space.diagrams.and(part, rewritten);
        let untracked = space.states(&[State::Untracked]);
        let [before, after] = programs.each_ref().map(|program| {
            let flow = Reach::new(program).before_nat(space, way);
            let flow = space.and(flow, Bounds::exactly(untracked));
            Bounds {
                may: as_they_came(space, program, flow.may),
                must: as_they_came(space, program, flow.must),
            }
        });
        let one = space.diagrams.minus(before.may, after.must);
        let other = space.diagrams.minus(after.may, before.must);
        let mut unlike = space.diagrams.or(one, other);
        if alike {
            let doubt = [before, after].map(|it| space.diagrams.minus(it.may, it.must));
            let both = space.diagrams.and(doubt[0], doubt[1]);
            unlike = space.diagrams.minus(unlike, both);
        }
        // What rewriting or routing decides.
        let fields = [
            Field::Destination,
            Field::DestinationPort,
            Field::Local,
            Field::AnyLocal,
            Field::Out,
        ];
        let unlike = space.forget(unlike, &fields);
        DoubleNames {
            double,
            unclear: space.diagrams.and(double, unlike),
        }
    }

    /// What can be compared: parts of the packets as they end, and the words that tell them apart within the part.
    fn alone(&self, space: &mut Space) -> Vec<(Set, Set)> {
        if self.double.is_empty() {
            return vec![(Set::FULL, Set::FULL)];
        }
        let untracked = space.states(&[State::Untracked]);
        let clear = space.diagrams.minus(self.double, self.unclear);
        vec![
            (Set::FULL, !self.double),
            (untracked, clear),
            (!untracked, clear),
        ]
    }
}

/// The packets of a set as they were before rules changed their destination and mark.
/// Whether their connection is rewritten is a property that they arrive with.
pub fn as_they_came(space: &mut Space, program: &Program<'_>, set: Set) -> Set {
    let mut set = set;
    if program.redirects {
        let rewritten = space.equal(Field::Dnat, 1);
        let new = space.states(&[State::New]);
        let rewritten = space.diagrams.and(rewritten, new);
        let others = space.diagrams.minus(set, rewritten);
        let rewritten = space.diagrams.and(set, rewritten);
        let back = space.back(rewritten);
        set = space.diagrams.or(others, back);
    }
    // Before conntrack no rule can match the state, so an untracked packet may have had any
    // state. Neighbour discovery never has one.
    if program.untracks {
        let untracked = space.states(&[State::Untracked]);
        let discovery = match space.family {
            IpFamily::V4 => Set::EMPTY,
            IpFamily::V6 => space.equal(Field::Protocol, Protocol::Icmpv6.number().into()),
        };
        let kept = space.diagrams.minus(untracked, discovery);
        let others = space.diagrams.minus(set, kept);
        let kept = space.diagrams.and(set, kept);
        let kept = space.forget(kept, &[Field::State, Field::Dnat, Field::Snat]);
        let kept = space.diagrams.minus(kept, untracked);
        set = space.diagrams.or(others, kept);
    }
    if program.asked.marks {
        set = space.marks_back(set);
    }
    if program.redirects {
        set = space.forget(set, &[Field::OriginalDestination, Field::OriginalPort]);
    }
    if program.rewrites {
        let part = space.states(&[State::Established, State::Related]);
        let others = space.diagrams.minus(set, part);
        let part = space.diagrams.and(set, part);
        let rewritten = [Field::Dnat, Field::Snat];
        let others = space.forget(others, &rewritten);
        let plain = rewritten.map(|field| space.equal(field, 0));
        let others = space.all(&[others, plain[0], plain[1]]);
        set = space.diagrams.or(part, others);
    }
    set
}

/// Whether the programs share conditions in doubt as bits of the `Undecided` field.
fn has_undecided(programs: &[Program<'_>; 2]) -> bool {
    let mut steps = programs.iter().flat_map(Program::steps);
    steps.any(|step| step.condition.asks_for(Field::Undecided))
}

/// The packets that are in the set whatever the values of the undecided bits.
fn surely_of(space: &mut Space, set: Set) -> Set {
    !space.forget(!set, &[Field::Undecided])
}

/// The packets that get through in both programs and are modified differently on the way,
/// and whether that is certain.
fn changed(
    space: &mut Space,
    programs: &[Program<'_>; 2],
    way: HookPath,
) -> Vec<(VerdictOutcome, Set, bool)> {
    let mut reaches = programs.each_ref().map(Reach::new);
    let fates = FateKind::ALL.map(|kind| {
        [0, 1].map(|number| {
            let (program, reach) = (&programs[number], &mut reaches[number]);
            fate::fates(space, program, reach, way, kind)
        })
    });
    let mut changed = Vec::new();
    // What gets through in both takes long to find, and many rules change nothing.
    if fates.iter().flatten().all(Vec::is_empty) {
        return changed;
    }
    let (mut both, mut surely) = (Set::FULL, Set::FULL);
    for (program, reach) in programs.iter().zip(&mut reaches) {
        let accepted = reach.accepted(space, way);
        let may = as_they_came(space, program, accepted.may);
        let must = as_they_came(space, program, accepted.must);
        let must = surely_of(space, must);
        both = space.diagrams.and(both, may);
        surely = space.diagrams.and(surely, must);
    }
    for (kind, fates) in FateKind::ALL.into_iter().zip(fates) {
        let [before, after] = fates.map(|fates| {
            let mut labelled: Vec<(Option<String>, Set)> = Vec::new();
            let mut others = Set::FULL;
            for (label, set) in fates {
                others = space.diagrams.minus(others, set);
                labelled.push((Some(label), set));
            }
            labelled.push((None, others));
            labelled
        });
        for (was, before) in &before {
            for (is, after) in &after {
                if was == is {
                    continue;
                }
                let set = space.all(&[*before, *after, both]);
                let outcome = VerdictOutcome::Changed {
                    kind,
                    before: was.clone(),
                    after: is.clone(),
                };
                let sure = space.diagrams.and(set, surely);
                let perhaps = space.diagrams.minus(set, sure);
                changed.push((outcome.clone(), sure, true));
                changed.push((outcome, perhaps, false));
            }
        }
    }
    changed.retain(|(_, set, _)| !set.is_empty());
    changed
}

fn change(
    space: &Space,
    programs: &[Program<'_>; 2],
    way: HookPath,
    outcome: VerdictOutcome,
    packets: String,
    example: Packet,
) -> VerdictChange {
    let packet = witness::line(space, &Naming::default(), way, &example);
    let became = |program: &Program<'_>| {
        let judged = judge(program, space, way, example);
        Counterexample::new(packet.clone(), &judged)
    };
    VerdictChange {
        way,
        outcome,
        packets,
        before: became(&programs[0]),
        after: became(&programs[1]),
    }
}

impl std::fmt::Display for VerdictChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match &self.outcome {
            VerdictOutcome::LetThrough => "let through",
            VerdictOutcome::Dropped => "dropped",
            VerdictOutcome::Changed { .. } => "let through otherwise",
        };
        let way = match self.way {
            HookPath::Input => "to the router",
            HookPath::Forward => "across it",
            HookPath::Output => "from the router",
        };
        let (before, after) = (&self.before, &self.after);
        writeln!(f, "{what}, {way}: {}", self.packets)?;
        writeln!(f, "    camfw trace {}", after.packet)?;
        if let VerdictOutcome::Changed {
            kind,
            before,
            after,
        } = &self.outcome
        {
            let words = |made: &Option<String>| made.clone().unwrap_or_else(|| "left".into());
            writeln!(f, "    {} was {}", kind.words(), words(before))?;
            return write!(f, "    {} is {}", kind.words(), words(after));
        }
        writeln!(f, "    was {} by {}", before.verdict, before.by)?;
        write!(f, "    is {} by {}", after.verdict, after.by)
    }
}
