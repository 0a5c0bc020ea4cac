//! A set of packets -> a few lines that a person reads.
//!
//! Each line is a box: some values of each field, whatever the others. A box is
//! made around one packet, as wide as the set allows, field by field.

use super::diagram::Set;
use super::networks::Behind;
use super::packet::{Field, Packet, Space, State};
use super::reach::Way;
use super::witness::{self, Naming};
use crate::ruleset::TcpFlags;

/// One line.
#[derive(Debug, Clone)]
pub struct Box {
    /// In words.
    pub words: String,
    /// The packets.
    pub set: Set,
    /// One of them.
    pub example: Packet,
}

/// The fields that tell least are widened first.
const WIDENED: [Field; 15] = [
    Field::Hops,
    Field::Mac,
    Field::Fragment,
    Field::Mark,
    Field::Flags,
    Field::IcmpCode,
    Field::SourcePort,
    Field::State,
    Field::IcmpType,
    Field::Out,
    Field::In,
    Field::Destination,
    Field::Source,
    Field::DestinationPort,
    Field::Protocol,
];

/// At most so many boxes, which are all of the set unless it was too ragged:
/// what is left comes with them. `all` is every packet that there can be: a box
/// may hold what cannot.
pub fn cover(
    space: &mut Space,
    set: Set,
    all: Set,
    wishes: &[Set],
    most: usize,
) -> (Vec<Box>, Set) {
    let allowed = space.diagrams.or(set, !all);
    let mut left = set;
    let mut boxes = Vec::new();
    while boxes.len() < most {
        let Some(example) = space.pick_like(left, wishes) else {
            break;
        };
        let found = around(space, &example, allowed);
        left = space.diagrams.minus(left, found.set);
        boxes.push(found);
    }
    (boxes, left)
}

fn around(space: &mut Space, example: &Packet, allowed: Set) -> Box {
    let mut sides: Vec<(Field, Set)> = WIDENED
        .iter()
        .map(|field| (*field, space.equal(*field, example.value(*field))))
        .collect();
    // What no word is for is kept out of the way from the start.
    let unseen: Vec<Field> = Field::ALL
        .into_iter()
        .filter(|field| !WIDENED.contains(field))
        .collect();
    let allowed = !space.forget(!allowed, &unseen);
    for at in 0..sides.len() {
        let field = sides[at].0;
        let others = sides.iter().enumerate().filter(|(other, _)| *other != at);
        let others: Vec<Set> = others.map(|(_, (_, set))| *set).collect();
        let others = space.all(&others);
        // The values with which some packet is not in the set.
        let outside = space.diagrams.minus(others, allowed);
        let rest: Vec<Field> = Field::ALL.into_iter().filter(|it| *it != field).collect();
        let good = !space.forget(outside, &rest);
        sides[at].1 = simple(space, good, field, example.value(field));
    }
    let sets: Vec<Set> = sides.iter().map(|(_, set)| *set).collect();
    Box {
        words: String::new(),
        set: space.all(&sets),
        example: *example,
    }
    .in_sides(sides)
}

/// Values that can be said in a few words, `value` among them.
fn simple(space: &mut Space, good: Set, field: Field, value: u128) -> Set {
    const FEW: usize = 6;
    let ranges = space.ranges(good, field);
    if ranges.len() <= FEW || matches!(field, Field::In | Field::Out | Field::State) {
        return good;
    }
    let around = ranges
        .iter()
        .find(|(first, last)| (*first..=*last).contains(&value));
    match around {
        Some((first, last)) => space.range(field, *first, *last),
        None => good,
    }
}

impl Box {
    fn in_sides(self, _sides: Vec<(Field, Set)>) -> Box {
        self
    }
}
