//! Sets of bit strings as reduced ordered binary decision diagrams (BDDs).
//!
//! Owns the nodes, their sharing and the operations. Knows nothing of packets. Edges carry
//! a complement mark, so that "not" is free and one operation, "and", gives all the others
//! (Brace, Rudell, Bryant 1990).
//!
//! Written by hand because memory and steps must be bounded. `judge`, a second
//! implementation, of camfw, checks the results packet by packet (see its `prove::agreement`).

mod functions;
mod moves;

use std::ops::Not;

pub use functions::Sequence;
pub use moves::Becomes;
use moves::Moves;

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

/// A variable, and the sets where it is 0 and where it is 1, in 8 bytes: from the highest
/// bits on the variable, the low set, and the node of the high set, which is never
/// complemented, so that each set has exactly one form.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Node(u64);

/// The most nodes there can be, and the bits of an index in a node and in a slot of a hash
/// table.
const INDEX: u32 = (1 << INDEX_BITS) - 1;
const INDEX_BITS: u32 = 23;
/// The bits of a set, which has one more.
const SET_BITS: u32 = INDEX_BITS + 1;

impl Node {
    fn new(variable: u32, low: Set, high: Set) -> Node {
        debug_assert!(variable <= TERMINAL && !high.is_complemented());
        let sets = u64::from(low.0) << INDEX_BITS | u64::from(high.0 >> 1);
        Node(u64::from(variable) << (INDEX_BITS + SET_BITS) | sets)
    }

    #[inline(always)]
    fn variable(self) -> u32 {
        (self.0 >> (INDEX_BITS + SET_BITS)) as u32
    }

    #[inline(always)]
    fn low(self) -> Set {
        Set((self.0 >> INDEX_BITS) as u32 & ((1 << SET_BITS) - 1))
    }

    #[inline(always)]
    fn high(self) -> Set {
        Set((self.0 as u32 & INDEX) << 1)
    }

    #[inline(always)]
    fn hash(self) -> usize {
        hash(self.0)
    }
}

/// The bits of a hash value beside an index; other ones than those that choose a slot of a
/// table that is not too long for its indexes.
#[inline(always)]
fn tag(hash: usize) -> u32 {
    ((hash as u64 >> 31) as u32) & !INDEX
}

/// The variable of the only terminal node, below all others.
const TERMINAL: u32 = (1 << (u64::BITS - INDEX_BITS - SET_BITS)) - 1;

/// Marks an empty slot of a hash table. The terminal node, which has the number 0, is in none.
const NONE: u32 = 0;

/// The nodes, over one order of variables with 0 at the top.
pub struct Diagrams {
    nodes: Vec<Node>,
    /// A hash table with open addressing, of which an eighth at least is empty: indexes of nodes,
    /// each with a few more bits of the hash value, so that most others need not be looked at.
    unique: Vec<u32>,
    /// The cache of "and", "then" and "with": two sets, or a set and a value, and what they give, one slot per hash value,
    /// overwritten on collision. An eighth of the length of `unique`, which is most of what there is to find.
    results: Vec<[u32; 3]>,
    moves: Moves,
    most: usize,
    steps: u64,
}

/// The most steps of "and" and what is like it: a count and not a time, so that the same file gives the same
/// answer on any machine.
const STEPS_MAX: u64 = 1 << 30;

/// The lengths of the hash tables at the beginning.
const UNIQUE_MIN: usize = 1 << 12;
const RESULTS_MIN: usize = 1 << 11;

impl Diagrams {
    /// Starts with only the full and the empty set; allows at most `most` nodes of about 20
    /// bytes each.
    pub fn new(most: usize) -> Diagrams {
        let terminal = Node::new(TERMINAL, Set::FULL, Set::FULL);
        Diagrams {
            nodes: vec![terminal],
            unique: vec![NONE; UNIQUE_MIN],
            results: vec![[NONE; 3]; RESULTS_MIN],
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

    /// How many nodes there are, also those of sets that nobody has any more.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
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
        let node = Node::new(
            variable,
            low.complemented_if(complemented),
            high.complemented_if(complemented),
        );
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
        if self.nodes.len() * 8 > self.unique.len() * 7 {
            self.grow();
        }
        Set(index << 1).complemented_if(complemented)
    }

    fn grow(&mut self) {
        let length = self.unique.len() * 2;
        self.index(length);
        // What was found so far moves along: a set that grows is met again.
        let length = length / 8;
        if length <= self.results.len() {
            return;
        }
        let found = std::mem::replace(&mut self.results, vec![[NONE; 3]; length]);
        for result in found.into_iter().filter(|[a, ..]| *a != NONE) {
            let place = pair(result[0], result[1]) & (length - 1);
            self.results[place] = result;
        }
    }

    /// Makes the hash table anew, of this length.
    fn index(&mut self, length: usize) {
        // First free the old table, then make the new one.
        self.unique = Vec::new();
        self.unique = vec![NONE; length];
        for (index, node) in self.nodes.iter().enumerate().skip(1) {
            let hash = node.hash();
            let mut place = hash & (length - 1);
            while self.unique[place] != NONE {
                place = (place + 1) & (length - 1);
            }
            self.unique[place] = index as u32 | tag(hash);
        }
    }

    /// Frees all sets but these, which get other numbers. Most nodes of a long computation are of
    /// sets that were only on the way to a result.
    pub fn keep(&mut self, sets: &mut [&mut Set]) {
        if !self.is_complete() {
            // Sets are missing, also when there are few nodes again.
            return self.give_up();
        }
        let mut kept = vec![false; self.nodes.len()];
        for set in sets.iter() {
            kept[set.node()] = true;
        }
        kept[0] = true;
        // Those below a node were made before it.
        for index in (1..kept.len()).rev() {
            if !kept[index] {
                continue;
            }
            let node = self.nodes[index];
            kept[node.low().node()] = true;
            kept[node.high().node()] = true;
        }
        self.unique = Vec::new();
        self.results = Vec::new();
        let mut places = vec![0; kept.len()];
        let moved = |places: &[u32], set: Set| Set(places[set.node()] << 1 | set.0 & 1);
        let mut count = 1;
        for index in (1..kept.len()).filter(|index| kept[*index]) {
            let node = self.nodes[index];
            let (low, high) = (moved(&places, node.low()), moved(&places, node.high()));
            places[index] = count;
            self.nodes[count as usize] = Node::new(node.variable(), low, high);
            count += 1;
        }
        for set in sets {
            **set = moved(&places, **set);
        }
        self.nodes.truncate(count as usize);
        self.nodes.shrink_to_fit();
        let length = (self.nodes.len() * 8 / 7 + 1).next_power_of_two();
        let length = length.max(UNIQUE_MIN);
        self.index(length);
        self.results = vec![[NONE; 3]; (length / 8).max(RESULTS_MIN)];
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
        let place = pair(a.0, b.0) & (self.results.len() - 1);
        let [first, second, result] = self.results[place];
        if first == a.0 && second == b.0 {
            return Set(result);
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
        let place = pair(a.0, b.0) & (self.results.len() - 1);
        self.results[place] = [a.0, b.0, result.0];
        result
    }

    /// Whether two sets have a string in common, without making the set of these.
    pub fn meet(&mut self, a: Set, b: Set) -> bool {
        if a == !b || a == Set::EMPTY || b == Set::EMPTY {
            return false;
        }
        if a == b || a == Set::FULL || b == Set::FULL {
            return true;
        }
        let (a, b) = if a < b { (a, b) } else { (b, a) };
        let place = pair(a.0, b.0) & (self.results.len() - 1);
        let [first, second, result] = self.results[place];
        if first == a.0 && second == b.0 {
            return Set(result) != Set::EMPTY;
        }
        self.steps += 1;
        if !self.is_complete() {
            return false;
        }
        let variable = self.top(a).min(self.top(b));
        let (a_low, a_high) = self.split(a, variable);
        let (b_low, b_high) = self.split(b, variable);
        let met = self.meet(a_low, b_low) || self.meet(a_high, b_high);
        if !met {
            self.results[place] = [a.0, b.0, Set::EMPTY.0];
        }
        met
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
        self.nodes[set.node()].variable()
    }

    /// The two halves of a set for a variable at its top or above: where the variable is 0,
    /// and where it is 1.
    #[inline(always)]
    pub fn split(&self, set: Set, variable: u32) -> (Set, Set) {
        let node = self.nodes[set.node()];
        if node.variable() == variable {
            let complemented = set.is_complemented();
            (
                node.low().complemented_if(complemented),
                node.high().complemented_if(complemented),
            )
        } else {
            (set, set)
        }
    }
}

#[inline(always)]
fn pair(a: u32, b: u32) -> usize {
    hash(u64::from(a) << 32 | u64::from(b))
}

// The firmware is built for size, and these functions take most of a proof's time.
#[inline(always)]
fn hash(key: u64) -> usize {
    let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = mixed ^ (mixed >> 29);
    mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_right(24) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where an odd number of the first variables is 1.
    fn odd(diagrams: &mut Diagrams, variables: u32) -> Set {
        (0..variables).fold(Set::EMPTY, |odd, variable| {
            let one = diagrams.make(variable, Set::EMPTY, Set::FULL);
            let (both, either) = (diagrams.and(odd, one), diagrams.or(odd, one));
            diagrams.minus(either, both)
        })
    }

    #[test]
    fn what_is_kept_is_the_same_set_by_another_number() {
        let mut diagrams = Diagrams::new(1 << 16);
        let (mut long, mut short) = (odd(&mut diagrams, 12), !odd(&mut diagrams, 7));
        let before = diagrams.nodes.len();
        diagrams.keep(&mut [&mut long, &mut short]);
        assert!(diagrams.nodes.len() < before / 2);
        let again = [odd(&mut diagrams, 12), !odd(&mut diagrams, 7)];
        assert_eq!(again, [long, short]);
    }

    #[test]
    fn sets_meet_where_they_have_something_in_common() {
        let mut diagrams = Diagrams::new(1 << 16);
        let odd = odd(&mut diagrams, 12);
        let [first, last] = [0, 11].map(|it| diagrams.make(it, Set::EMPTY, Set::FULL));
        let both = diagrams.and(first, last);
        let neither = diagrams.and(!first, !last);
        for (a, b) in [(odd, both), (!odd, both), (odd, neither), (first, last)] {
            assert!(diagrams.meet(a, b) && diagrams.meet(b, a));
        }
        let part = diagrams.and(odd, both);
        for (a, b) in [(both, neither), (part, !odd), (part, !last)] {
            assert!(!diagrams.meet(a, b) && !diagrams.meet(b, a));
        }
    }

    #[test]
    fn what_was_too_large_stays_so() {
        let mut diagrams = Diagrams::new(8);
        let mut set = odd(&mut diagrams, 12);
        assert!(!diagrams.is_complete());
        diagrams.keep(&mut [&mut set]);
        assert!(!diagrams.is_complete());
    }
}
