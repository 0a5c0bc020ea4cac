//! What every packet of a chain has, since whatever sends packets to it asks for
//! it.
//!
//! Owns the address bits that are known where a chain begins. A tree of chains by
//! prefix asks for each bit once on the way to a leaf, and so do the sets that are
//! made of it: a leaf's rules are then a few bits and not whole addresses.

use super::condition::{Condition, Test};
use super::packet::Field;

/// Some bits of a field and what they are.
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

/// What is left to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residual {
    /// It holds.
    Nothing,
    /// No packet has it.
    Impossible,
    /// This.
    Ask(Test),
}

impl Bits {
    /// The bits that all numbers of a range have, if it is all the numbers that
    /// have them.
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

    /// What is known of the packets that meet a condition too.
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
                // Where the two are at odds there is no packet, of which
                // anything may be said.
                known.value |= bits.value & bits.mask & !known.mask;
                known.mask |= bits.mask;
            }
        }
        self
    }

    /// What is known of packets of which either is known.
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

    /// What a test asks beyond what is known.
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
