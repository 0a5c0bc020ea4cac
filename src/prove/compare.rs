//! Two rulesets: whose packets change their verdict?

use std::collections::BTreeSet;

use super::claim::Counterexample;
use super::cover::{Patch, cover};
use super::diagram::Set;
use super::judge::judge;
use super::packet::{Field, Interfaces, Space, State, Three};
use super::program::{Program, interface_patterns};
use super::reach::{Reach, Way};
use super::spoof::wishes;
use super::witness::{self, Naming};
use crate::ruleset::{IpFamily, Protocol, Rule, Ruleset, TableName};

/// Packets whose verdict changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which way they take.
    pub way: Way,
    /// Whether they get through now.
    pub accepted: bool,
    /// Which they are, in words.
    pub packets: String,
    /// One of them and what became of it.
    pub before: Counterexample,
    /// And what becomes of it.
    pub after: Counterexample,
}

/// What changes from one ruleset to another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Surely.
    pub changes: Vec<Change>,
    /// It may, depending on more than the packet.
    pub doubts: Vec<Change>,
    /// Whether there are more than are told.
    pub more: bool,
    /// Whether there was no room to tell.
    pub too_large: bool,
}

/// So many lines for one way and one direction.
const LINES: usize = 12;

/// The packets whose verdict differs.
pub fn compare(before: &Ruleset, after: &Ruleset, family: IpFamily) -> Comparison {
    let mut space = space(before, after, family);
    let programs = programs(before, after, &space);
    space.forwarding_counts = programs[0].asked.hops;
    let alike = doubted(&programs[0]) == doubted(&programs[1]);
    let mut comparison = Comparison::default();
    for way in Way::ALL {
        let all = Reach::new(&programs[0]).everything(&mut space, way);
        let all = as_they_came(&mut space, &programs[0], all);
        for Differing {
            accepted,
            surely,
            perhaps,
        } in differing(&mut space, &programs, way, alike)
        {
            for (set, sure) in [(surely, true), (perhaps, false)] {
                let set = space.diagrams.and(set, all);
                let wishes = wishes(&mut space);
                let (patches, left) = cover(&mut space, set, all, &wishes, LINES);
                comparison.more |= !left.is_empty();
                let changes = patches
                    .iter()
                    .map(|patch| change(&space, &programs, way, accepted, patch));
                match sure {
                    true => comparison.changes.extend(changes),
                    false => comparison.doubts.extend(changes),
                }
            }
        }
    }
    comparison.too_large = !space.diagrams.is_complete();
    comparison
}

/// Whether the verdict on any packet surely differs.
pub fn differ(before: &Ruleset, after: &Ruleset, family: IpFamily) -> bool {
    let mut space = space(before, after, family);
    let programs = programs(before, after, &space);
    space.forwarding_counts = programs[0].asked.hops;
    Way::ALL.into_iter().any(|way| {
        let differing = differing(&mut space, &programs, way, true);
        differing.iter().any(|it| !it.surely.is_empty())
    })
}

fn space(before: &Ruleset, after: &Ruleset, family: IpFamily) -> Space {
    let mut patterns: BTreeSet<String> = interface_patterns(before);
    patterns.extend(interface_patterns(after));
    Space::new(family, Interfaces::new(&patterns))
}

fn programs<'a>(before: &'a Ruleset, after: &'a Ruleset, space: &Space) -> [Program<'a>; 2] {
    let mut programs = [Program::new(before, space), Program::new(after, space)];
    let [first, second] = &mut programs;
    first.agree(second);
    programs
}

/// The packets that get through in one of two programs and not in the other.
struct Differing {
    /// Whether it is the second in which they do.
    accepted: bool,
    surely: Set,
    perhaps: Set,
}

/// The rules that are in doubt, in order, each with where it stands.
fn doubted<'p>(program: &'p Program<'_>) -> Vec<(TableName, &'p str, &'p Rule)> {
    let mut doubted = Vec::new();
    for table in program.tables() {
        for chain in &table.chains {
            let steps = chain.steps.iter().filter(|it| !it.unknown().is_empty());
            doubted.extend(steps.map(|step| (table.name, chain.name, step.rule)));
        }
    }
    doubted
}

/// Where both are in doubt they are taken for the same if they are so by the same
/// rules, in `alike`.
fn differing(
    space: &mut Space,
    programs: &[Program<'_>; 2],
    way: Way,
    alike: bool,
) -> [Differing; 2] {
    let [before, after] = [&programs[0], &programs[1]].map(|program| {
        let accepted = Reach::new(program).accepted(space, way);
        Three {
            may: as_they_came(space, program, accepted.may),
            must: as_they_came(space, program, accepted.must),
        }
    });
    [true, false].map(|accepted| {
        let (from, to) = match accepted {
            true => (before, after),
            false => (after, before),
        };
        let surely = space.diagrams.minus(to.must, from.may);
        let perhaps = space.diagrams.minus(to.may, from.must);
        let mut perhaps = space.diagrams.minus(perhaps, surely);
        if alike {
            let [from, to] = [from, to].map(|it| space.diagrams.minus(it.may, it.must));
            let both = space.diagrams.and(from, to);
            perhaps = space.diagrams.minus(perhaps, both);
        }
        Differing {
            accepted,
            surely,
            perhaps,
        }
    })
}

/// The packets of a set before their destination was rewritten, and without what
/// only the kernel notes.
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
    // Before conntrack no rule can ask for the state, so what is kept from it had
    // any. Neighbour discovery never had one.
    if program.untracks {
        let untracked = space.states(&[State::Untracked]);
        let discovery = match space.family {
            IpFamily::V4 => Set::EMPTY,
            IpFamily::V6 => space.equal(Field::Protocol, Protocol::Icmpv6.number().into()),
        };
        let kept = space.diagrams.minus(untracked, discovery);
        let others = space.diagrams.minus(set, kept);
        let kept = space.diagrams.and(set, kept);
        let kept = space.forget(kept, &[Field::State]);
        let kept = space.diagrams.minus(kept, untracked);
        set = space.diagrams.or(others, kept);
    }
    space.forget(set, &program.noted())
}

fn change(
    space: &Space,
    programs: &[Program<'_>; 2],
    way: Way,
    accepted: bool,
    patch: &Patch,
) -> Change {
    let packet = witness::line(space, &Naming::default(), way, &patch.example);
    let became = |program: &Program<'_>| {
        let judged = judge(program, space, way, patch.example);
        Counterexample {
            packet: packet.clone(),
            verdict: judged.verdict,
            by: judged
                .by
                .map_or_else(|| "no rule".into(), |by| by.to_string()),
        }
    };
    Change {
        way,
        accepted,
        packets: patch.words(space),
        before: became(&programs[0]),
        after: became(&programs[1]),
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = if self.accepted {
            "let through"
        } else {
            "dropped"
        };
        let way = match self.way {
            Way::Input => "to the router",
            Way::Forward => "across it",
            Way::Output => "from the router",
        };
        let (before, after) = (&self.before, &self.after);
        writeln!(f, "{what}, {way}: {}", self.packets)?;
        writeln!(f, "    camfw trace {}", after.packet)?;
        writeln!(f, "    was {} by {}", before.verdict, before.by)?;
        write!(f, "    is {} by {}", after.verdict, after.by)
    }
}
