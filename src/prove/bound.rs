//! A zone's bound in the proof: each of its four counts is one bit of what cannot be
//! told from a packet, set where the count is exceeded; one more is set where its
//! connection has its entry already.
//!
//! Owns which rules carry the bound of a zone: those of the one chain that is named
//! for it. Other counts stay in doubt.

use super::bounds::Bounds;
use super::condition::{Clause, Test};
use super::diagram::Set;
use super::packet::Field;
use super::program::Program;
use super::space::Space;
use crate::family::IpFamily;
use crate::netfilter::{CountedTogether, Match, TableName, match_text};
use crate::policy::{Policy, Zone};

/// So many counts has a bound.
const COUNTS: u32 = 4;

/// The bits of the counts that are exceeded. A packet comes from one zone, so that
/// all zones share them.
const EXCEEDED: u128 = (1 << COUNTS) - 1;

/// The bit of packets whose connection is in the kernel's table.
const IN_TABLE: u128 = 1 << COUNTS;

/// Has the counts of zones' bounds asked as bits.
pub fn ask_by_bits(program: &mut Program<'_>, policy: &Policy, family: IpFamily) {
    for zone in &policy.zones {
        let Some(counts) = counts(zone, family) else {
            continue;
        };
        let Some((_, place)) = program.chain(TableName::Filter, &format!("bound-{}", zone.name))
        else {
            continue;
        };
        for (table, chain, step) in program.steps_mut() {
            if table != TableName::Filter || chain != place {
                continue;
            }
            let bits = counts.iter().enumerate();
            let bits = bits.map(|(bit, count)| (count.clone(), 1 << bit, 0));
            let in_table = (match_text(&Match::InTable), IN_TABLE, IN_TABLE);
            for (asked, mask, value) in bits.chain([in_table]) {
                let doubts = &mut step.condition.doubts;
                let Some(known) = doubts.iter().position(|doubt| *doubt == asked) else {
                    continue;
                };
                doubts.remove(known);
                step.condition.clauses.push(Clause {
                    any: vec![Test::Masked(Field::Undecided, mask, value)],
                    negated: false,
                });
            }
        }
    }
}

/// What rules must ask, as they are written.
fn counts(zone: &Zone, family: IpFamily) -> Option<[String; COUNTS as usize]> {
    let bound = zone.bound?;
    let table = format!("bound-{}-{}", zone.name, bound.rate.short());
    let all = [
        Match::HashlimitPerSource {
            rate: bound.rate,
            name: table.as_str().try_into().ok()?,
        },
        Match::Limit(bound.zone_rate),
        Match::OpenConnections {
            most: bound.connections,
            of: CountedTogether::Source(family),
        },
        Match::OpenConnections {
            most: bound.zone_connections,
            of: CountedTogether::All,
        },
    ];
    Some(all.map(|count| match_text(&count)))
}

/// The packets that open a connection while no count is exceeded.
pub fn within(space: &mut Space) -> Set {
    space.masked(Field::Undecided, EXCEEDED | IN_TABLE, 0)
}

/// Those that open one while a count is.
pub fn past(space: &mut Space) -> Set {
    let opening = space.masked(Field::Undecided, IN_TABLE, 0);
    let within = within(space);
    space.diagrams.minus(opening, within)
}

/// What may be whether a count is exceeded or not, and what surely is while none is.
pub fn assuming_within(space: &mut Space, flow: Bounds) -> Bounds {
    let within = within(space);
    let must = space.diagrams.and(flow.must, within);
    Bounds {
        may: space.forget(flow.may, &[Field::Undecided]),
        must: space.forget(must, &[Field::Undecided]),
    }
}

/// The packets that are in a set whichever count is exceeded.
pub fn independent_of_counts(space: &mut Space, set: Set) -> Set {
    !space.forget(!set, &[Field::Undecided])
}
