//! Hardware addresses as short codes: one for each address that rules name, and one for all
//! others.

use std::collections::BTreeMap;

/// Bits of a code: enough for a million hardware addresses.
pub(in crate::prove) const HARDWARE_BITS: u32 = 20;

/// The codes of hardware addresses. Rules test for a whole address and never for a part of
/// it, so a diagram needs only to know which address it is, which takes a fifth of the nodes.
#[derive(Debug, Clone, Default)]
pub(super) struct Hardware {
    pub(super) codes: BTreeMap<u128, u128>,
}

impl Hardware {
    /// The code for all addresses that are not named.
    pub(super) const OTHERS: u128 = 0;

    /// The code of an address, allocated if it has none: one that no set has told apart from
    /// unnamed addresses so far. None if there are no codes left.
    pub(super) fn code(&mut self, address: u128) -> Option<u128> {
        if let Some(code) = self.codes.get(&address) {
            return Some(*code);
        }
        let place = u32::try_from(self.codes.len() + 1).ok()?;
        // The bits that differ most come first, and all codes share the last ones.
        let code = u128::from(place.reverse_bits() >> (u32::BITS - HARDWARE_BITS));
        if place >> HARDWARE_BITS != 0 {
            return None;
        }
        self.codes.insert(address, code);
        Some(code)
    }

    /// The code of an address, named or not.
    pub(super) fn known(&self, address: u128) -> u128 {
        self.codes.get(&address).copied().unwrap_or(Self::OTHERS)
    }

    /// An address with this code; for the common code, an address that is not named.
    pub(super) fn address(&self, code: u128) -> u128 {
        let named = self.codes.iter().find(|(_, known)| **known == code);
        match named {
            Some((address, _)) => *address,
            None => (0..).find(|it| !self.codes.contains_key(it)).unwrap_or(0),
        }
    }
}
