//! A zone's connection bound in the proof. Whether one of its four counts is exceeded
//! cannot be seen in a packet, so each count is one bit of
//! `Field::Undecided`, set if the count is exceeded; one more bit is set if the packet's
//! connection is in the conntrack table already, and one if it was reset.
//!
//! Owns which rules implement a zone's bound: only those in the chain that is named for it.
//! All other counting matches stay in doubt.

use super::bounds::Bounds;
use super::condition::{Clause, Test};
use super::packet::Field;
use super::program::{Program, Step};
use super::space::Space;
use crate::family::IpFamily;
use crate::netfilter::{CountedTogether, Match, TableName, match_text};
use crate::policy::{Policy, Zone};
use camfw_diagrams::Set;

/// The number of counts in a bound.
const COUNTS: u32 = 4;

/// The count whose rules share one table.
const BY_NAME: usize = 0;

/// The bits that say which counts are exceeded. All zones share them, since a packet comes
/// from one zone only.
const EXCEEDED: u128 = (1 << COUNTS) - 1;

/// The bit of packets whose connection is in the conntrack table.
const IN_TABLE: u128 = 1 << COUNTS;

/// The bit of packets whose connection was reset.
const WAS_RESET: u128 = 1 << (COUNTS + 1);

/// Makes the rules that check zone bounds, or whether a connection was reset, test these
/// bits.
pub fn ask_by_bits(program: &mut Program<'_>, policy: &Policy, family: IpFamily) {
    let was_reset = match_text(&Match::ExpiresWithin(policy.reset_stays()));
    for (_, _, step) in program.steps_mut() {
        ask_by_bit(step, &was_reset, WAS_RESET, WAS_RESET);
    }
    let in_table = match_text(&Match::InTable);
    for zone in &policy.zones {
        let Some(counts) = counts(zone, family) else {
            continue;
        };
        let Some((_, place)) = program.chain(TableName::Filter, &format!("bound-{}", zone.name))
        else {
            continue;
        };
        // The kernel counts for each rule apart, but for hashlimit, whose table has a name:
        // a second rule with the same words lets as many through once more.
        let mut counted = [false; COUNTS as usize];
        for (table, chain, step) in program.steps_mut() {
            if table != TableName::Filter || chain != place {
                continue;
            }
            for (bit, count) in counts.iter().enumerate() {
                if bit == BY_NAME || !counted[bit] {
                    counted[bit] = ask_by_bit(step, count, 1 << bit, 0);
                }
            }
            ask_by_bit(step, &in_table, IN_TABLE, IN_TABLE);
        }
    }
}

/// Makes a rule test a bit in place of a condition in doubt. Returns whether it has that
/// condition.
fn ask_by_bit(step: &mut Step<'_>, doubt: &str, mask: u128, value: u128) -> bool {
    let doubts = &mut step.condition.doubts;
    let Some(known) = doubts.iter().position(|known| known == doubt) else {
        return false;
    };
    doubts.remove(known);
    let test = Test::Masked(Field::Undecided, mask, value);
    step.condition.clauses.push(Clause::new(false, vec![test]));
    true
}

/// The conditions that the bound's rules must have, as rendered text.
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

/// The packets that open a connection while a count is exceeded.
pub fn past(space: &mut Space) -> Set {
    let opening = space.masked(Field::Undecided, IN_TABLE, 0);
    let within = within(space);
    space.diagrams.minus(opening, within)
}

/// The packets that arrive while a count is exceeded, of whatever connection.
pub fn exceeded(space: &mut Space) -> Set {
    !space.masked(Field::Undecided, EXCEEDED, 0)
}

/// The packets of a connection that was reset.
pub fn was_reset(space: &mut Space) -> Set {
    space.masked(Field::Undecided, WAS_RESET, WAS_RESET)
}

/// Bounds without these bits and the `unseen` fields: `must` has what surely gets through while
/// no count is exceeded and nothing was reset, and `may` what may get through in any case.
pub fn assuming_within(space: &mut Space, flow: Bounds, unseen: &[Field]) -> Bounds {
    let zero = EXCEEDED | IN_TABLE | WAS_RESET;
    Bounds {
        may: space.where_zero(flow.may, Field::Undecided, 0, unseen),
        must: space.where_zero(flow.must, Field::Undecided, zero, unseen),
    }
}

/// The packets that are in the set whichever counts are exceeded.
pub fn independent_of_counts(space: &mut Space, set: Set) -> Set {
    !space.forget(!set, &[Field::Undecided])
}
