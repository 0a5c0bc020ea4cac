//! Sets with other variables.

use super::{Diagrams, NONE, Set, TERMINAL, pair};

impl Diagrams {
    /// Renames each variable `v` to `to(v)`, which must keep the order; where `to` returns
    /// None, the variable is quantified away (any value).
    pub fn moved(&mut self, set: Set, to: &dyn Fn(u32) -> Option<u32>) -> Set {
        let mut moves = std::mem::take(&mut self.moves);
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
        if let Some(known) = moves.get(set) {
            return known;
        }
        let halves = self.split(set, top);
        let low = self.moved_with(halves.0, to, moves);
        let high = self.moved_with(halves.1, to, moves);
        let result = match to(top) {
            None => self.or(low, high),
            // Nothing that moves is below it, which is so of most sets.
            Some(variable) if variable == top && (low, high) == halves => set,
            Some(variable) => self.make(variable, low, high),
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
