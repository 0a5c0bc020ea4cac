//! A packet: its fields, the interfaces and the conntrack states.

mod field;
mod interfaces;
mod state;

pub use field::Field;
pub use interfaces::{Interfaces, NO_INTERFACE};
pub use state::{HELPER_OTHERS, State, helper_code};

/// One packet, with a value for each field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    pub(in crate::prove) values: [u128; Field::ALL.len()],
    unknown: u32,
}

impl Packet {
    /// A packet with every field 0.
    pub const ZERO: Packet = Packet {
        values: [0; Field::ALL.len()],
        unknown: 0,
    };

    /// The value of a field; None if a rule rewrote it to something unknown.
    pub fn get(&self, field: Field) -> Option<u128> {
        let known = self.unknown >> (field as u32) & 1 == 0;
        known.then_some(self.values[field as usize])
    }

    /// The last known value of a field.
    pub fn value(&self, field: Field) -> u128 {
        self.values[field as usize]
    }

    /// Sets a field.
    pub fn set(&mut self, field: Field, value: u128) {
        self.values[field as usize] = value;
        self.unknown &= !(1 << field as u32);
    }

    /// Marks a field as unknown.
    pub fn forget(&mut self, field: Field) {
        self.unknown |= 1 << field as u32;
    }
}
