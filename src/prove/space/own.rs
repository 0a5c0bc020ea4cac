//! The router's own addresses, by interface, as far as they are known.

use std::collections::BTreeMap;

use super::Space;
use crate::family::IpFamily;
use crate::prove::packet::{Field, State};
use camfw_diagrams::Set;

/// The router's own addresses, as far as they are known.
#[derive(Debug, Clone, Default)]
pub struct OwnAddresses {
    pub(super) there: BTreeMap<u128, OwnOnInterface>,
    /// The networks in which the router has no other addresses than these.
    pub(super) networks: Vec<(u128, u128)>,
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

    /// Adds networks in which every address of the router is among those added.
    pub fn add_networks(&mut self, networks: impl IntoIterator<Item = (u128, u128)>) {
        self.networks.extend(networks);
    }

    /// All of them.
    fn all(&self) -> Vec<u128> {
        let there = self.there.values();
        there.flat_map(|there| there.own.clone()).collect()
    }
}

impl Space {
    /// Whether a destination is the router's own on any interface; None if unknown.
    pub fn is_any_local(&self, destination: u128) -> Option<bool> {
        if self.own.all().contains(&destination) {
            return Some(true);
        }
        let mut networks = self.own.networks.iter();
        let inside = networks.any(|(first, last)| (*first..=*last).contains(&destination));
        (inside || self.is_group_or_broadcast(destination)).then_some(false)
    }

    /// The packets whose [`Field::AnyLocal`] agrees with their destination before DNAT and,
    /// where that is not known, with [`Field::Local`].
    pub fn any_local_as_it_comes(&mut self) -> Set {
        let as_known = self.any_local_as_known(Field::Destination);
        let local = self.equal(Field::Local, 1);
        let any = self.equal(Field::AnyLocal, 1);
        let wrong = self.diagrams.minus(local, any);
        let others = self.not_any_local(Field::Destination);
        let wrong = self.diagrams.minus(wrong, others);
        let new = self.states(&[State::New]);
        let wrong = self.diagrams.and(wrong, new);
        self.diagrams.minus(as_known, wrong)
    }

    /// The packets to an address that the router surely has not, if this field has the
    /// destination that they came with.
    fn not_any_local(&mut self, field: Field) -> Set {
        let own = self.own.all();
        let own = self.one_of(field, &own);
        let (first, last) = self.groups();
        let mut others = self.own.networks.clone();
        others.push((first, last));
        if self.family == IpFamily::V4 {
            others.push((u32::MAX.into(), u32::MAX.into()));
        }
        let others = self.in_ranges(field, others);
        self.diagrams.minus(others, own)
    }

    /// The packets whose [`Field::AnyLocal`] agrees with what is known of the router's
    /// addresses, if this field has the destination that they came with. Of packets of
    /// existing connections nobody asks.
    pub fn any_local_as_known(&mut self, field: Field) -> Set {
        let own = self.own.all();
        let own = self.one_of(field, &own);
        let others = self.not_any_local(field);
        let local = self.equal(Field::AnyLocal, 1);
        let wrong = self.diagrams.minus(own, local);
        let none = self.diagrams.and(others, local);
        let wrong = self.diagrams.or(wrong, none);
        let new = self.states(&[State::New]);
        !self.diagrams.and(wrong, new)
    }
}
