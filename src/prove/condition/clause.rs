//! A condition as clauses: one of its tests must hold, or none.

use crate::prove::given::{KnownBits, Residual};
use crate::prove::packet::{Field, Packet};
use crate::prove::space::Space;
use camfw_diagrams::Set;

/// A test of one field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// The value is between the two numbers, both included.
    Range(Field, u128, u128),
    /// The value has, in the bits of the first number (the mask), the bits of the second.
    Masked(Field, u128, u128),
}

impl Test {
    fn field(self) -> Field {
        let (Test::Range(field, ..) | Test::Masked(field, ..)) = self;
        field
    }

    pub(super) fn holds(self, packet: &Packet) -> Option<bool> {
        match self {
            Test::Range(field, first, last) => Some((first..=last).contains(&packet.get(field)?)),
            Test::Masked(field, mask, value) => Some(packet.get(field)? & mask == value & mask),
        }
    }
}

/// A test as a clause has it. A ruleset has several for each rule, and the numbers of nearly all
/// are short, so that most of the memory of plain tests would hold nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum StoredTest {
    Range(Field, u32, u32),
    Masked(Field, u32, u32),
    Long(Box<Test>),
}

impl StoredTest {
    fn new(test: Test) -> StoredTest {
        let short =
            |first: u128, second: u128| Some((first.try_into().ok()?, second.try_into().ok()?));
        match test {
            Test::Range(field, first, last) => {
                short(first, last).map(|(first, last)| StoredTest::Range(field, first, last))
            }
            Test::Masked(field, mask, value) => {
                short(mask, value).map(|(mask, value)| StoredTest::Masked(field, mask, value))
            }
        }
        .unwrap_or_else(|| StoredTest::Long(Box::new(test)))
    }

    fn test(&self) -> Test {
        match self {
            StoredTest::Range(field, first, last) => {
                Test::Range(*field, (*first).into(), (*last).into())
            }
            StoredTest::Masked(field, mask, value) => {
                Test::Masked(*field, (*mask).into(), (*value).into())
            }
            StoredTest::Long(test) => **test,
        }
    }
}

/// The tests of a clause, nearly always one, whose size is that of all.
#[derive(Debug, Clone, PartialEq, Eq)]
enum StoredTests {
    One(StoredTest),
    Others(Box<Box<[StoredTest]>>),
}

/// A disjunction of tests: at least one holds or, if negated, none does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    any: StoredTests,
    /// Whether none of the tests may hold.
    pub negated: bool,
}

impl Clause {
    /// One of these tests must hold or, if negated, none.
    pub fn new(negated: bool, any: Vec<Test>) -> Clause {
        let any = match any[..] {
            [test] => StoredTests::One(StoredTest::new(test)),
            _ => StoredTests::Others(Box::new(any.into_iter().map(StoredTest::new).collect())),
        };
        Clause { any, negated }
    }

    fn stored(&self) -> &[StoredTest] {
        match &self.any {
            StoredTests::One(test) => std::slice::from_ref(test),
            StoredTests::Others(tests) => tests,
        }
    }

    /// The tests.
    pub fn tests(&self) -> impl Iterator<Item = Test> {
        self.stored().iter().map(StoredTest::test)
    }

    /// The test, if it is the only one.
    pub fn only_test(&self) -> Option<Test> {
        match &self.any {
            StoredTests::One(test) => Some(test.test()),
            StoredTests::Others(_) => None,
        }
    }

    /// The first of the tests' fields in the variable order of the diagrams.
    pub(super) fn first_field(&self) -> Option<Field> {
        self.tests().map(Test::field).min()
    }

    pub(super) fn asks_for(&self, field: Field) -> bool {
        self.tests().any(|test| test.field() == field)
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

impl super::Condition {
    /// The part of a set that satisfies every clause, if these are all that the condition asks
    /// of a packet. A set of what lies below the fields is attached to what they ask as it is.
    pub fn only_clauses_in(&self, space: &mut Space, given: &KnownBits, set: Set) -> Option<Set> {
        if self.header || self.hardware || self.mac_bits.is_some() {
            return None;
        }
        Some(all_of(space, given, set, self.clauses.iter().collect()))
    }
}

/// The packets of a set that satisfy every clause, among those consistent with `given`.
pub(super) fn all_of(
    space: &mut Space,
    given: &KnownBits,
    set: Set,
    mut clauses: Vec<&Clause>,
) -> Set {
    // From the bottom of the diagram upwards, so that each step is small.
    clauses.sort_by_key(|clause| std::cmp::Reverse(clause.first_field()));
    let mut all = set;
    for clause in clauses {
        all = match (clause.only_test(), clause.negated) {
            (Some(test), false) => met(space, given, all, test),
            (_, negated) => {
                let tests: Vec<Set> = clause
                    .tests()
                    .map(|test| met(space, given, Set::FULL, test))
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
