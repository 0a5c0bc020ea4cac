//! Functions of bit strings, as sets of strings and values: the last variables are the value's.

use super::{Diagrams, Set, pair};

/// Mark the first set of a result of "then" and of "with", where "and" has no mark.
const THEN: u32 = 1 << 31;
const WITH: u32 = 1 << 30;

/// How one function of bit strings follows another, for [`Diagrams::then`].
pub struct Sequence<'f> {
    /// The first variable of the functions' values; all before it are of the bit strings.
    pub values: u32,
    /// Values after which no other counts.
    pub last: [Set; 3],
    /// The value of one value and then another, where neither is empty nor the first a last one.
    pub then: &'f dyn Fn(&mut Diagrams, Set, Set) -> Set,
}

impl Diagrams {
    /// One function of bit strings and then another, both as sets of strings and values: where the
    /// first has no value it is the second's. Always by the same sequence.
    pub fn then(&mut self, a: Set, b: Set, by: &Sequence<'_>) -> Set {
        if b == Set::EMPTY || a == b {
            return a;
        }
        if a == Set::EMPTY {
            return b;
        }
        if by.last.contains(&a) {
            return a;
        }
        let key = a.0 | THEN;
        let place = pair(key, b.0) & (self.results.len() - 1);
        let [first, second, result] = self.results[place];
        if first == key && second == b.0 {
            return Set(result);
        }
        self.steps += 1;
        if !self.is_complete() {
            return Set::EMPTY;
        }
        let variable = self.top(a).min(self.top(b));
        let result = if variable >= by.values {
            (by.then)(self, a, b)
        } else {
            let (a_low, a_high) = self.split(a, variable);
            let (b_low, b_high) = self.split(b, variable);
            let low = self.then(a_low, b_low, by);
            let high = self.then(a_high, b_high, by);
            self.make(variable, low, high)
        };
        let place = pair(key, b.0) & (self.results.len() - 1);
        self.results[place] = [key, b.0, result.0];
        result
    }

    /// The strings of a set of strings and values that it has with this value: the variables from
    /// `values` on, of which there are no others, have these bits.
    pub fn with(&mut self, set: Set, values: u32, bits: [bool; 3]) -> Set {
        if set.is_complemented() {
            return !self.with(!set, values, bits);
        }
        let top = self.top(set);
        if top >= values {
            let bits = (values..).zip(bits);
            return bits.fold(set, |set, (variable, bit)| {
                let (low, high) = self.split(set, variable);
                if bit { high } else { low }
            });
        }
        let key = set.0 | WITH;
        let value = bits
            .iter()
            .fold(0, |value, bit| value << 1 | u32::from(*bit));
        let place = pair(key, value) & (self.results.len() - 1);
        let [first, second, result] = self.results[place];
        if first == key && second == value {
            return Set(result);
        }
        self.steps += 1;
        if !self.is_complete() {
            return Set::EMPTY;
        }
        let (low, high) = self.split(set, top);
        let low = self.with(low, values, bits);
        let high = self.with(high, values, bits);
        let result = self.make(top, low, high);
        let place = pair(key, value) & (self.results.len() - 1);
        self.results[place] = [key, value, result.0];
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_function_follows_another() {
        let mut diagrams = Diagrams::new(1 << 16);
        // Two variables of the strings, and one of the values, of which one is the last.
        let [a, b, value] = [0, 1, 2].map(|it| diagrams.make(it, Set::EMPTY, Set::FULL));
        let by = Sequence {
            values: 2,
            last: [value; 3],
            then: &|_, _, second| second,
        };
        let (first, second) = (diagrams.and(a, value), diagrams.and(b, !value));
        // Where the first says nothing, the second does.
        let alone = diagrams.minus(second, a);
        let both = diagrams.or(first, alone);
        assert_eq!(diagrams.then(first, second, &by), both);
        // What is no last value is followed.
        assert_eq!(diagrams.then(second, first, &by), both);
        assert_eq!(diagrams.with(both, 2, [true; 3]), a);
        assert_eq!(diagrams.with(both, 2, [false; 3]), diagrams.minus(b, a));
        assert_eq!(diagrams.with(!both, 2, [true; 3]), !a);
    }
}
