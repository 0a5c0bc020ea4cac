//! What is already known of every packet in a chain, because every jump to the chain tests
//! it.
//!
//! Owns the address bits known at the start of a chain. In a tree of chains by prefix, each
//! bit is tested once on the way to a leaf; the sets built from the rules use that too, so
//! that a leaf's rules are tests of a few bits and not of whole addresses.

use super::condition::{Condition, Test};
use super::packet::Field;

/// Some bits of a field, and their values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Bits {
    mask: u128,
    value: u128,
}

/// The known bits of a packet's addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KnownBits {
    source: Bits,
    destination: Bits,
}

/// What a test still has to check once some bits are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residual {
    /// Nothing: it always holds.
    Nothing,
    /// It never holds.
    Impossible,
    /// This test.
    Ask(Test),
}

impl Bits {
    /// The bits common to all numbers of a range, if the range is exactly the numbers with
    /// these bits.
    fn of_range(first: u128, last: u128) -> Option<Bits> {
        let differing = first ^ last;
        let is_aligned = differing & differing.wrapping_add(1) == 0 && first & differing == 0;
        is_aligned.then_some(Bits {
            mask: !differing,
            value: first,
        })
    }
}

impl KnownBits {
    fn bits(&self, field: Field) -> Option<Bits> {
        match field {
            Field::Source => Some(self.source),
            Field::Destination => Some(self.destination),
            _ => None,
        }
    }

    /// What is known of packets that also satisfy a condition.
    pub fn and(mut self, condition: &Condition) -> KnownBits {
        for test in condition.addresses() {
            let Test::Range(field, first, last) = test else {
                continue;
            };
            let known = match field {
                Field::Source => &mut self.source,
                Field::Destination => &mut self.destination,
                _ => continue,
            };
            if let Some(bits) = Bits::of_range(first, last) {
                // If the two contradict each other no packet is left, and anything may be
                // claimed of it.
                known.value |= bits.value & bits.mask & !known.mask;
                known.mask |= bits.mask;
            }
        }
        self
    }

    /// What is known of packets for which one of two things is known.
    pub fn or(self, other: KnownBits) -> KnownBits {
        let both = |one: Bits, other: Bits| {
            let mask = one.mask & other.mask & !(one.value ^ other.value);
            Bits {
                mask,
                value: one.value & mask,
            }
        };
        KnownBits {
            source: both(self.source, other.source),
            destination: both(self.destination, other.destination),
        }
    }

    /// What a test still has to check.
    pub fn left(&self, test: Test) -> Residual {
        let Test::Range(field, first, last) = test else {
            return Residual::Ask(test);
        };
        let (Some(known), Some(asked)) = (self.bits(field), Bits::of_range(first, last)) else {
            return Residual::Ask(test);
        };
        if (known.value ^ asked.value) & known.mask & asked.mask != 0 {
            return Residual::Impossible;
        }
        match asked.mask & !known.mask {
            0 => Residual::Nothing,
            mask => Residual::Ask(Test::Masked(field, mask, asked.value & mask)),
        }
    }
}
