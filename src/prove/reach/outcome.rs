//! What becomes of the packets that go through a chain.

use crate::prove::bounds::Bounds;
use crate::prove::space::Space;
use camfw_diagrams::Set;

/// What a chain does with its packets: accepts, drops, or returns them. All others reach
/// its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChainOutcome {
    pub(super) accept: Bounds,
    pub(super) drop: Bounds,
    pub(super) back: Bounds,
}

impl ChainOutcome {
    pub(super) const NONE: ChainOutcome = ChainOutcome {
        accept: Bounds::NONE,
        drop: Bounds::NONE,
        back: Bounds::NONE,
    };
}

pub(super) fn unknown(matched: Bounds) -> ChainOutcome {
    let maybe = Bounds {
        may: matched.may,
        must: Set::EMPTY,
    };
    ChainOutcome {
        accept: maybe,
        drop: maybe,
        back: maybe,
    }
}

/// One outcome after another. A packet that the first only may accept is certainly accepted
/// if the second certainly accepts it, unless the first may also do something else with it.
pub(super) fn then(space: &mut Space, first: ChainOutcome, second: ChainOutcome) -> ChainOutcome {
    let decided = space.or(first.accept, first.drop);
    let decided = space.or(decided, first.back);
    let mut add = |of: fn(&ChainOutcome) -> Bounds, others: [fn(&ChainOutcome) -> Bounds; 2]| {
        let (before, after) = (of(&first), of(&second));
        if after == Bounds::NONE || before == decided {
            // Both do the same, so their order does not matter.
            return space.or(before, after);
        }
        let later = space.minus(after, decided);
        let mut sum = space.or(before, later);
        if !decided.is_exact() {
            let otherwise = space.or(others[0](&first), others[1](&first));
            let surely = space.minus(after, otherwise);
            sum.must = space.diagrams.or(sum.must, surely.must);
        }
        sum
    };
    let accept: fn(&ChainOutcome) -> Bounds = |ends| ends.accept;
    let drop: fn(&ChainOutcome) -> Bounds = |ends| ends.drop;
    let back: fn(&ChainOutcome) -> Bounds = |ends| ends.back;
    ChainOutcome {
        accept: add(accept, [drop, back]),
        drop: add(drop, [accept, back]),
        back: add(back, [accept, drop]),
    }
}
