//! Hardware addresses: those that rules name, each by a number, and one for all others.

use std::collections::BTreeMap;

/// How many bits tell hardware addresses apart: room for a million of them.
pub(in crate::prove) const HARDWARE_BITS: u32 = 20;

/// The hardware addresses that somebody names, and one for all others. Rules ask
/// for one of them and never for a part of it, so that a diagram needs to know
/// which it is and not what it is: a fifth of the nodes.
#[derive(Debug, Clone, Default)]
pub(super) struct Hardware {
    pub(super) codes: BTreeMap<u128, u128>,
}

impl Hardware {
    /// What stands for all that nobody names.
    pub(super) const OTHERS: u128 = 0;

    /// What stands for an address, which from now on is a named one: a code that
    /// until then no set told from the others. None where there is no more room.
    pub(super) fn code(&mut self, address: u128) -> Option<u128> {
        if let Some(code) = self.codes.get(&address) {
            return Some(*code);
        }
        let place = u32::try_from(self.codes.len() + 1).ok()?;
        // The bits that differ most come first, and all codes end in the same.
        let code = u128::from(place.reverse_bits() >> (u32::BITS - HARDWARE_BITS));
        if place >> HARDWARE_BITS != 0 {
            return None;
        }
        self.codes.insert(address, code);
        Some(code)
    }

    /// What stands for an address, named or not.
    pub(super) fn known(&self, address: u128) -> u128 {
        self.codes.get(&address).copied().unwrap_or(Self::OTHERS)
    }

    /// An address that a code stands for: of the others one that nobody names.
    pub(super) fn address(&self, code: u128) -> u128 {
        let named = self.codes.iter().find(|(_, known)| **known == code);
        match named {
            Some((address, _)) => *address,
            None => (0..).find(|it| !self.codes.contains_key(it)).unwrap_or(0),
        }
    }
}
