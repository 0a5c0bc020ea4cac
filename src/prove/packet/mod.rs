//! What a packet is made of.

mod field;
mod interfaces;
mod state;

pub use field::Field;
pub use interfaces::{Interfaces, NO_INTERFACE};
pub use state::{HELPER_OTHERS, State, helper_code};

/// One packet: a value for each field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    pub(in crate::prove) values: [u128; Field::ALL.len()],
    unknown: u32,
}

impl Packet {
    /// Every field is 0.
    pub const ZERO: Packet = Packet {
        values: [0; Field::ALL.len()],
        unknown: 0,
    };

    /// A field's value; None where a rule rewrote it and nobody can say to what.
    pub fn get(&self, field: Field) -> Option<u128> {
        let known = self.unknown >> (field as u32) & 1 == 0;
        known.then_some(self.values[field as usize])
    }

    /// A field's last known value.
    pub fn value(&self, field: Field) -> u128 {
        self.values[field as usize]
    }

    /// Sets a field.
    pub fn set(&mut self, field: Field, value: u128) {
        self.values[field as usize] = value;
        self.unknown &= !(1 << field as u32);
    }

    /// Nobody can say what the field is now.
    pub fn forget(&mut self, field: Field) {
        self.unknown |= 1 << field as u32;
    }
}
