//! A condition as clauses: one of its tests must hold, or none.

use crate::prove::diagram::Set;
use crate::prove::given::{KnownBits, Residual};
use crate::prove::packet::{Field, Packet};
use crate::prove::space::Space;

/// A test of one field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// The value is between the two numbers, both included.
    Range(Field, u128, u128),
    /// The value has, in the bits of the first number (the mask), the bits of the second.
    Masked(Field, u128, u128),
}

impl Test {
    pub(super) fn holds(self, packet: &Packet) -> Option<bool> {
        match self {
            Test::Range(field, first, last) => Some((first..=last).contains(&packet.get(field)?)),
            Test::Masked(field, mask, value) => Some(packet.get(field)? & mask == value & mask),
        }
    }
}

/// A disjunction of tests: at least one holds or, if negated, none does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// The tests.
    pub any: Vec<Test>,
    /// Whether none of the tests may hold.
    pub negated: bool,
}

impl Clause {
    /// The first of the tests' fields in the variable order of the diagrams.
    pub(super) fn first_field(&self) -> Option<Field> {
        let fields = self.any.iter().map(|test| match test {
            Test::Range(field, ..) | Test::Masked(field, ..) => *field,
        });
        fields.min()
    }

    pub(super) fn asks_for(&self, field: Field) -> bool {
        self.any.iter().any(|test| match test {
            Test::Range(known, ..) | Test::Masked(known, ..) => *known == field,
        })
    }

    /// Whether a test reads the transport header.
    pub(super) fn is_in_header(&self) -> bool {
        let mut fields = [
            Field::SourcePort,
            Field::DestinationPort,
            Field::IcmpType,
            Field::IcmpCode,
            Field::Flags,
        ]
        .into_iter();
        fields.any(|field| self.asks_for(field))
    }
}

/// The packets that satisfy every clause, among those consistent with `given`.
pub(super) fn all_of(space: &mut Space, given: &KnownBits, mut clauses: Vec<&Clause>) -> Set {
    // From the bottom of the diagram upwards, so that each step is small.
    clauses.sort_by_key(|clause| std::cmp::Reverse(clause.first_field()));
    let mut all = Set::FULL;
    for clause in clauses {
        all = match (&clause.any[..], clause.negated) {
            ([test], false) => met(space, given, all, *test),
            (tests, negated) => {
                let tests: Vec<Set> = tests
                    .iter()
                    .map(|test| met(space, given, Set::FULL, *test))
                    .collect();
                let any = space.diagrams.union(&tests);
                space.diagrams.and(all, if negated { !any } else { any })
            }
        };
    }
    all
}

/// The packets of a set that satisfy a test.
pub(super) fn met(space: &mut Space, given: &KnownBits, set: Set, test: Test) -> Set {
    match given.left(test) {
        Residual::Nothing => set,
        Residual::Impossible => Set::EMPTY,
        Residual::Ask(Test::Range(field, first, last)) => {
            space.range_within(set, field, first, last)
        }
        Residual::Ask(Test::Masked(field, mask, value)) => {
            space.masked_within(set, field, mask, value)
        }
    }
}
