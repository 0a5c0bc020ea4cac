//! What becomes of the packets that go through a chain.

use crate::prove::bounds::Bounds;
use crate::prove::space::Space;
use camfw_diagrams::{Diagrams, Sequence, Set};

/// What a chain does with its packets: accepts, drops, or returns them. All others reach its
/// end. For each of the three it has both bounds of the packets that it is done with, in one set:
/// three bits below all fields say which of the bounds a packet of the set is in. So chains are put
/// one after another in one step, where each bound by itself takes several, and what the bounds
/// have in common is there once.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChainOutcome {
    /// The bounds.
    pub(super) ends: Set,
    /// Whether it may return any.
    pub(super) returns: bool,
}

/// What a rule or a chain does with a packet that goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChainEnd {
    Accept,
    Drop,
    Back,
}

impl ChainEnd {
    const ALL: [ChainEnd; 3] = [ChainEnd::Accept, ChainEnd::Drop, ChainEnd::Back];

    /// Its bit in a [`PacketEnds`].
    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The outcome of one packet: the ends that it may have and those that it surely has.
#[derive(Clone, Copy, PartialEq, Eq)]
struct PacketEnds {
    may: u8,
    must: u8,
}

impl PacketEnds {
    fn surely(end: ChainEnd) -> PacketEnds {
        let bit = end.bit();
        PacketEnds {
            may: bit,
            must: bit,
        }
    }

    /// As a set over the three bits from the variable `first` on: which bound, and, in two bits,
    /// of which end.
    fn set(self, diagrams: &mut Diagrams, first: u32) -> Set {
        let [may, must] = [self.may, self.must].map(|ends| {
            let holds = |end: ChainEnd| match ends & end.bit() {
                0 => Set::EMPTY,
                _ => Set::FULL,
            };
            let low = diagrams.make(first + 2, holds(ChainEnd::Accept), holds(ChainEnd::Drop));
            let high = diagrams.make(first + 2, holds(ChainEnd::Back), Set::EMPTY);
            diagrams.make(first + 1, low, high)
        });
        diagrams.make(first, may, must)
    }

    fn of(diagrams: &Diagrams, first: u32, set: Set) -> PacketEnds {
        let ends = |of_bound: Set| {
            let has = |end: &&ChainEnd| {
                let bits = [(1, **end == ChainEnd::Back), (2, **end == ChainEnd::Drop)];
                let last = bits.into_iter().fold(of_bound, |set, (bit, is_high)| {
                    let (low, high) = diagrams.split(set, first + bit);
                    if is_high { high } else { low }
                });
                !last.is_empty()
            };
            let found = ChainEnd::ALL.iter().filter(has);
            found.fold(0, |ends, end| ends | end.bit())
        };
        let (may, must) = diagrams.split(set, first);
        PacketEnds {
            may: ends(may),
            must: ends(must),
        }
    }

    /// One outcome after another. A packet that the first only may accept is certainly accepted
    /// if the second certainly accepts it, unless the first may also do something else with it.
    fn then(self, second: PacketEnds) -> PacketEnds {
        let later = match self.must {
            0 => second.may,
            _ => 0,
        };
        let surely = ChainEnd::ALL
            .map(ChainEnd::bit)
            .into_iter()
            .filter(|bit| self.may & !bit == 0);
        let surely = surely.fold(0, |all, bit| all | bit);
        PacketEnds {
            may: self.may | later,
            must: self.must | second.must & surely,
        }
    }
}

impl ChainOutcome {
    /// Every packet reaches the end.
    pub(super) const NONE: ChainOutcome = ChainOutcome {
        ends: Set::EMPTY,
        returns: false,
    };

    /// Every packet has this end.
    pub(super) fn surely(space: &mut Space, end: ChainEnd) -> ChainOutcome {
        let first = space.outcomes();
        ChainOutcome {
            ends: PacketEnds::surely(end).set(&mut space.diagrams, first),
            returns: end == ChainEnd::Back,
        }
    }

    /// Every packet may have any of the ends.
    pub(super) fn unknown(space: &mut Space) -> ChainOutcome {
        let first = space.outcomes();
        let value = PacketEnds { may: 7, must: 0 };
        ChainOutcome {
            ends: value.set(&mut space.diagrams, first),
            returns: true,
        }
    }

    /// The outcome for packets of which none is certain to have it.
    pub(super) fn in_doubt(self, space: &mut Space) -> ChainOutcome {
        let first = space.outcomes();
        let may = space.diagrams.make(first, Set::FULL, Set::EMPTY);
        self.within(space, may)
    }

    /// The outcome for these packets; all others reach the end.
    pub(super) fn of(self, space: &mut Space, packets: Bounds) -> ChainOutcome {
        let packets = match packets.is_exact() {
            true => packets.may,
            false => {
                let first = space.outcomes();
                let must = space.diagrams.make(first, Set::EMPTY, Set::FULL);
                let may = space.diagrams.minus(packets.may, must);
                let must = space.diagrams.and(packets.must, must);
                space.diagrams.or(may, must)
            }
        };
        self.within(space, packets)
    }

    fn within(self, space: &mut Space, set: Set) -> ChainOutcome {
        ChainOutcome {
            ends: space.diagrams.and(self.ends, set),
            ..self
        }
    }

    /// The outcome where the chain was called: what it returns goes on there or, after a goto,
    /// returns too, and so does what reaches its end.
    pub(super) fn called(self, space: &mut Space, is_goto: bool) -> ChainOutcome {
        let back = ChainOutcome::surely(space, ChainEnd::Back);
        let mut decided = self;
        if self.returns {
            decided = self.within(space, !back.ends);
            decided.returns = false;
        }
        match is_goto {
            true => decided.then(space, back),
            false => decided,
        }
    }

    /// The packets that have this end.
    pub(super) fn bounds(self, space: &mut Space, end: ChainEnd) -> Bounds {
        let first = space.outcomes();
        let [may, must] = [false, true].map(|is_must| {
            let bits = [is_must, end == ChainEnd::Back, end == ChainEnd::Drop];
            space.diagrams.with(self.ends, first, bits)
        });
        Bounds { may, must }
    }

    /// One outcome after another.
    pub(super) fn then(self, space: &mut Space, second: ChainOutcome) -> ChainOutcome {
        let returns = self.returns || second.returns;
        // Nothing is done with a packet by an empty one: the other is all.
        if self.ends.is_empty() || second.ends.is_empty() {
            let ends = match self.ends.is_empty() {
                true => second.ends,
                false => self.ends,
            };
            return ChainOutcome { ends, returns };
        }
        let values = space.outcomes();
        let then = |diagrams: &mut Diagrams, first, second| {
            let [first, second] = [first, second].map(|set| PacketEnds::of(diagrams, values, set));
            first.then(second).set(diagrams, values)
        };
        let last =
            ChainEnd::ALL.map(|end| PacketEnds::surely(end).set(&mut space.diagrams, values));
        let by = Sequence {
            values,
            last,
            then: &then,
        };
        ChainOutcome {
            ends: space.diagrams.then(self.ends, second.ends, &by),
            returns,
        }
    }
}
