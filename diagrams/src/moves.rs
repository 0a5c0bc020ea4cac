//! Sets with other variables.

use super::{Diagrams, NONE, Set, TERMINAL, pair};

/// What becomes of a variable of a set, for [`Diagrams::moved`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Becomes {
    /// It is this one.
    To(u32),
    /// It has any value: the strings that are in the set with one of the two.
    Any,
    /// It is 0, and then has any value: the strings that are in the set with 0.
    Zero,
}

impl Diagrams {
    /// The set with what `to` says of each variable; those that stay must keep their order.
    pub fn moved(&mut self, set: Set, to: &dyn Fn(u32) -> Becomes) -> Set {
        let mut moves = std::mem::take(&mut self.moves);
        let result = self.moved_with(set, to, &mut moves);
        moves.forget();
        self.moves = moves;
        result
    }

    fn moved_with(&mut self, set: Set, to: &dyn Fn(u32) -> Becomes, moves: &mut Moves) -> Set {
        let top = self.top(set);
        if top == TERMINAL {
            return set;
        }
        if let Some(known) = moves.get(set) {
            return known;
        }
        let halves = self.split(set, top);
        let low = self.moved_with(halves.0, to, moves);
        let result = match to(top) {
            Becomes::Zero => low,
            Becomes::Any => {
                let high = self.moved_with(halves.1, to, moves);
                self.or(low, high)
            }
            Becomes::To(variable) => {
                let high = self.moved_with(halves.1, to, moves);
                match variable == top && (low, high) == halves {
                    // Nothing that moves is below it, which is so of most sets.
                    true => set,
                    false => self.make(variable, low, high),
                }
            }
        };
        moves.insert(set, result);
        result
    }
}

/// What the sets met by one call of [`Diagrams::moved`] became. Kept for the next call: a table
/// made anew each time took half of a proof's memory writes.
#[derive(Default)]
pub(super) struct Moves {
    /// A hash table with open addressing, at least twice as long as `made`: a set and its result.
    slots: Vec<[u32; 2]>,
    /// The slots in use.
    made: Vec<u32>,
}

impl Moves {
    fn get(&self, set: Set) -> Option<Set> {
        let [found, result] = *self.slots.get(self.place(set))?;
        (found == set.0).then_some(Set(result))
    }

    /// The slot of a set, which is no terminal, or the empty one where it belongs.
    #[inline(always)]
    fn place(&self, set: Set) -> usize {
        let mask = self.slots.len().wrapping_sub(1);
        let mut place = pair(set.0, 0) & mask;
        while self
            .slots
            .get(place)
            .is_some_and(|[found, _]| *found != NONE && *found != set.0)
        {
            place = (place + 1) & mask;
        }
        place
    }

    fn insert(&mut self, set: Set, result: Set) {
        if self.made.len() * 2 >= self.slots.len() {
            let length = (self.slots.len() * 2).max(1 << 10);
            let found = std::mem::replace(&mut self.slots, vec![[NONE; 2]; length]);
            self.made.clear();
            for [set, result] in found.into_iter().filter(|[set, _]| *set != NONE) {
                self.put(Set(set), Set(result));
            }
        }
        self.put(set, result);
    }

    fn put(&mut self, set: Set, result: Set) {
        let place = self.place(set);
        self.slots[place] = [set.0, result.0];
        self.made.push(place as u32);
    }

    fn forget(&mut self) {
        for place in self.made.drain(..) {
            self.slots[place as usize] = [NONE; 2];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_says_becomes_of_a_set() {
        let mut diagrams = Diagrams::new(1 << 16);
        let [a, b, c] = [0, 2, 4].map(|it| diagrams.make(it, Set::EMPTY, Set::FULL));
        let below = diagrams.make(5, Set::EMPTY, Set::FULL);
        // Where a is 0, b; where it is 1, c.
        let (zero, one) = (diagrams.minus(b, a), diagrams.and(a, c));
        let set = diagrams.or(zero, one);
        let mut moved = |first| {
            diagrams.moved(set, &|variable| match variable {
                0 => first,
                4 => Becomes::To(5),
                _ => Becomes::To(variable),
            })
        };
        let (stays, any, zero) = (
            moved(Becomes::To(0)),
            moved(Becomes::Any),
            moved(Becomes::Zero),
        );
        assert_eq!(zero, b);
        assert_eq!(any, diagrams.or(b, below));
        let (zero, one) = (diagrams.minus(b, a), diagrams.and(a, below));
        assert_eq!(stays, diagrams.or(zero, one));
    }
}
