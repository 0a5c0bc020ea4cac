//! Sets of bit strings as reduced ordered binary decision diagrams (BDDs).
//!
//! Owns the nodes, their sharing and the operations. Knows nothing of packets. Edges carry
//! a complement mark, so that "not" is free and one operation, "and", gives all the others
//! (Brace, Rudell, Bryant 1990).
//!
//! Written by hand because memory and steps must be bounded. `judge`, a second
//! implementation, checks the results packet by packet (see `agreement`).

use std::ops::Not;

/// A set in [`Diagrams`]: the node's index times two, plus one if the edge is complemented.
/// Two sets are equal exactly if their numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Set(u32);

impl Set {
    /// The set of all bit strings.
    pub const FULL: Set = Set(0);
    /// The empty set.
    pub const EMPTY: Set = Set(1);

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self == Set::EMPTY
    }

    #[inline(always)]
    fn node(self) -> usize {
        (self.0 >> 1) as usize
    }

    #[inline(always)]
    fn is_complemented(self) -> bool {
        self.0 & 1 == 1
    }

    #[inline(always)]
    fn complemented_if(self, condition: bool) -> Set {
        Set(self.0 ^ u32::from(condition))
    }
}

impl Not for Set {
    type Output = Set;
    fn not(self) -> Set {
        Set(self.0 ^ 1)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Node {
    variable: u32,
    low: Set,
    /// Never complemented, so that each set has exactly one form.
    high: Set,
}

impl Node {
    #[inline(always)]
    fn hash(self) -> usize {
        hash(self.variable, self.low.0, self.high.0)
    }
}

/// The most nodes there can be, and the bits of an index in a slot of a hash table.
const INDEX: u32 = (1 << 23) - 1;

/// The bits of a hash value beside an index; other ones than those that choose a slot of a
/// table that is not too long for its indexes.
#[inline(always)]
fn tag(hash: usize) -> u32 {
    ((hash as u64 >> 31) as u32) & !INDEX
}

/// The variable of the only terminal node, below all others.
const TERMINAL: u32 = u32::MAX;

/// Marks an empty slot of a hash table.
const NONE: u32 = u32::MAX;

/// The nodes, over one order of variables with 0 at the top.
pub struct Diagrams {
    nodes: Vec<Node>,
    /// A hash table with open addressing, at least twice as long as `nodes`: indexes of nodes,
    /// each with a few more bits of the hash value, so that most others need not be looked at.
    unique: Vec<u32>,
    /// The cache of "and": one slot per hash value, overwritten on collision.
    results: Vec<(Set, Set, Set)>,
    moves: Moves,
    most: usize,
    steps: u64,
}

/// The most steps of "and": a count and not a time, so that the same file gives the same
/// answer on any machine.
const STEPS_MAX: u64 = 1 << 30;

impl Diagrams {
    /// Starts with only the full and the empty set; allows at most `most` nodes of about 32
    /// bytes each.
    pub fn new(most: usize) -> Diagrams {
        let terminal = Node {
            variable: TERMINAL,
            low: Set::FULL,
            high: Set::FULL,
        };
        Diagrams {
            nodes: vec![terminal],
            unique: vec![NONE; 1 << 12],
            results: vec![(Set::EMPTY, Set::EMPTY, Set::EMPTY); 1 << 11],
            moves: Moves::default(),
            most: most.min(INDEX as usize),
            steps: 0,
        }
    }

    /// Whether there was enough memory and steps for every set requested. If not, no set is
    /// valid.
    pub fn is_complete(&self) -> bool {
        self.nodes.len() < self.most && self.steps < STEPS_MAX
    }

    /// Records that a set could not be built: from now on no set is valid.
    pub fn give_up(&mut self) {
        self.steps = STEPS_MAX;
    }

    /// The set that is `low` where the variable is 0 and `high` where it is 1; both contain
    /// only variables below it.
    pub fn make(&mut self, variable: u32, low: Set, high: Set) -> Set {
        if low == high {
            return low;
        }
        let complemented = high.is_complemented();
        let node = Node {
            variable,
            low: low.complemented_if(complemented),
            high: high.complemented_if(complemented),
        };
        let mask = self.unique.len() - 1;
        let hash = node.hash();
        let mut place = hash & mask;
        while self.unique[place] != NONE {
            let differing = self.unique[place] ^ tag(hash);
            // The tag is the same, so this is an index.
            if differing <= INDEX && self.nodes[differing as usize] == node {
                return Set(differing << 1).complemented_if(complemented);
            }
            place = (place + 1) & mask;
        }
        if self.nodes.len() >= self.most {
            return Set::EMPTY;
        }
        let index = self.nodes.len() as u32;
        self.nodes.push(node);
        self.unique[place] = index | tag(hash);
        if self.nodes.len() * 2 > self.unique.len() {
            self.grow();
        }
        Set(index << 1).complemented_if(complemented)
    }

    fn grow(&mut self) {
        let length = self.unique.len() * 2;
        self.unique.clear();
        self.unique.resize(length, NONE);
        for (index, node) in self.nodes.iter().enumerate().skip(1) {
            let hash = node.hash();
            let mut place = hash & (length - 1);
            while self.unique[place] != NONE {
                place = (place + 1) & (length - 1);
            }
            self.unique[place] = index as u32 | tag(hash);
        }
        // What was found so far moves along: a set that grows is met again.
        let empty = (Set::EMPTY, Set::EMPTY, Set::EMPTY);
        let found = std::mem::replace(&mut self.results, vec![empty; length / 2]);
        for result in found.into_iter().filter(|(a, ..)| *a != Set::EMPTY) {
            let place = hash(result.0.0, result.1.0, 0) & (length / 2 - 1);
            self.results[place] = result;
        }
    }

    /// The intersection.
    pub fn and(&mut self, a: Set, b: Set) -> Set {
        if a == b || b == Set::FULL {
            return a;
        }
        if a == Set::FULL {
            return b;
        }
        if a == !b || a == Set::EMPTY || b == Set::EMPTY {
            return Set::EMPTY;
        }
        let (a, b) = if a < b { (a, b) } else { (b, a) };
        let place = hash(a.0, b.0, 0) & (self.results.len() - 1);
        let known = self.results[place];
        if known.0 == a && known.1 == b {
            return known.2;
        }
        self.steps += 1;
        if !self.is_complete() {
            return Set::EMPTY;
        }
        let variable = self.top(a).min(self.top(b));
        let (a_low, a_high) = self.split(a, variable);
        let (b_low, b_high) = self.split(b, variable);
        let low = self.and(a_low, b_low);
        let high = self.and(a_high, b_high);
        let result = self.make(variable, low, high);
        // The table may have grown during the recursion.
        let place = hash(a.0, b.0, 0) & (self.results.len() - 1);
        self.results[place] = (a, b, result);
        result
    }

    /// The union.
    pub fn or(&mut self, a: Set, b: Set) -> Set {
        !self.and(!a, !b)
    }

    /// The difference: what is in the first set and not in the second.
    pub fn minus(&mut self, a: Set, b: Set) -> Set {
        self.and(a, !b)
    }

    /// The union of many sets, pair by pair, so that a growing set is not traversed once
    /// for each of them.
    pub fn union(&mut self, sets: &[Set]) -> Set {
        match sets {
            [] => Set::EMPTY,
            [one] => *one,
            _ => {
                let (left, right) = sets.split_at(sets.len() / 2);
                let (left, right) = (self.union(left), self.union(right));
                self.or(left, right)
            }
        }
    }

    /// The variable at the top of a set.
    #[inline(always)]
    pub fn top(&self, set: Set) -> u32 {
        self.nodes[set.node()].variable
    }

    /// The two halves of a set for a variable at its top or above: where the variable is 0,
    /// and where it is 1.
    #[inline(always)]
    pub fn split(&self, set: Set, variable: u32) -> (Set, Set) {
        let node = self.nodes[set.node()];
        if node.variable == variable {
            let complemented = set.is_complemented();
            (
                node.low.complemented_if(complemented),
                node.high.complemented_if(complemented),
            )
        } else {
            (set, set)
        }
    }

    /// Renames each variable `v` to `to(v)`, which must keep the order; where `to` returns
    /// None, the variable is quantified away (any value).
    pub fn moved(&mut self, set: Set, to: &dyn Fn(u32) -> Option<u32>) -> Set {
        let mut moves = std::mem::take(&mut self.moves);
        moves.results.resize(self.nodes.len() * 2, NONE);
        let result = self.moved_with(set, to, &mut moves);
        moves.forget();
        self.moves = moves;
        result
    }

    fn moved_with(&mut self, set: Set, to: &dyn Fn(u32) -> Option<u32>, moves: &mut Moves) -> Set {
        let top = self.top(set);
        if top == TERMINAL {
            return set;
        }
        let known = moves.results[set.0 as usize];
        if known != NONE {
            return Set(known);
        }
        let (low, high) = self.split(set, top);
        let low = self.moved_with(low, to, moves);
        let high = self.moved_with(high, to, moves);
        let result = match to(top) {
            None => self.or(low, high),
            Some(variable) => self.make(variable, low, high),
        };
        moves.results[set.0 as usize] = result.0;
        moves.made.push(set);
        result
    }
}

/// What the sets met by one call of [`Diagrams::moved`] became. Kept for the next call, which
/// meets few of all sets: a table made anew each time took half of a proof's memory writes.
#[derive(Default)]
struct Moves {
    /// For each set its result, or [`NONE`].
    results: Vec<u32>,
    /// The sets that have a result.
    made: Vec<Set>,
}

impl Moves {
    fn forget(&mut self) {
        for set in self.made.drain(..) {
            self.results[set.0 as usize] = NONE;
        }
    }
}

// The firmware is built for size, and these functions take most of a proof's time.
#[inline(always)]
fn hash(a: u32, b: u32, c: u32) -> usize {
    let mixed = (u64::from(a) << 32 | u64::from(b)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ u64::from(c).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    let mixed = mixed ^ (mixed >> 29);
    mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_right(24) as usize
}
