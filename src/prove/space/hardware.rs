//! Hardware addresses as short codes: one for each address that rules name, and one for all
//! others.

use std::collections::BTreeMap;

use super::Space;
use crate::prove::packet::Field;
use camfw_diagrams::Set;

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
        let place = self.codes.len() + 1;
        if place >> HARDWARE_BITS != 0 {
            return None;
        }
        let code = Hardware::numbered(place);
        self.codes.insert(address, code);
        Some(code)
    }

    /// The code of a number. The bits that differ most come first, and all codes share the last
    /// ones.
    fn numbered(number: usize) -> u128 {
        u128::from((number as u32).reverse_bits() >> (u32::BITS - HARDWARE_BITS))
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

impl Space {
    /// The packets with a named hardware address for which this holds, and those with one for
    /// which it does not. 0 stands for none.
    pub fn named_hardware(&mut self, holds: impl Fn(u128) -> bool) -> (Set, Set) {
        let named = self.hardware.codes.iter();
        let holding = named.filter(|(address, _)| **address != 0 && holds(**address));
        let holding = holding.map(|(_, code)| (*code, *code, Set::FULL)).collect();
        let holding = self.by_number(Field::Mac, holding);
        let mut others = self.all_named_hardware();
        if self.hardware.codes.contains_key(&0) {
            let none = self.equal(Field::Mac, 0);
            others = self.diagrams.minus(others, none);
        }
        (holding, self.diagrams.minus(others, holding))
    }

    /// The packets with a named hardware address, without looking at each: codes are the numbers
    /// from 1 on with their bits reversed, so that the last bit in which a number differs from
    /// the greatest one, from the top of the diagram down, says whether it is greater.
    fn all_named_hardware(&mut self) -> Set {
        let greatest = Hardware::numbered(self.hardware.codes.len());
        let (mut all, mut greater) = (Set::FULL, Set::EMPTY);
        for (variable, weight) in self.variables(Field::Mac).rev() {
            let different = self.diagrams.make(variable, all, greater);
            match greatest & weight {
                0 => all = different,
                _ => greater = different,
            }
        }
        let others = self.masked(Field::Mac, u128::MAX, Hardware::OTHERS);
        self.diagrams.minus(all, others)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::family::IpFamily;
    use crate::prove::packet::Interfaces;

    #[test]
    fn named_addresses_are_parted_however_many_there_are() {
        for count in [0_u128, 1, 2, 3, 7, 8, 100] {
            for with_none in [false, true] {
                let interfaces = Interfaces::new(&BTreeSet::new());
                let mut space = Space::new(IpFamily::V4, interfaces);
                if with_none {
                    space.name_hardware(0);
                }
                let (odd, even): (Vec<u128>, Vec<u128>) = (1..=count).partition(|it| it % 2 == 1);
                for address in 1..=count {
                    space.name_hardware(address);
                }
                let parted = space.named_hardware(|address| address % 2 == 1);
                let listed = [odd, even].map(|listed| space.one_of(Field::Mac, &listed));
                assert_eq!([parted.0, parted.1], listed, "{count} {with_none}");
            }
        }
    }
}
