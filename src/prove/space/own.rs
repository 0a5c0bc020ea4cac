//! The router's own addresses, by interface, as far as they are known.

use std::collections::BTreeMap;

/// The router's own addresses, as far as they are known.
#[derive(Debug, Clone, Default)]
pub struct OwnAddresses {
    pub(super) there: BTreeMap<u128, OwnOnInterface>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct OwnOnInterface {
    pub(super) own: Vec<u128>,
    /// The broadcast addresses of its networks.
    pub(super) broadcasts: Vec<u128>,
}

impl OwnAddresses {
    /// Adds an interface with the router's addresses on it and the broadcast addresses of
    /// their networks.
    pub fn add(&mut self, interface: u128, own: Vec<u128>, broadcasts: Vec<u128>) {
        let there = OwnOnInterface { own, broadcasts };
        self.there.insert(interface, there);
    }
}
