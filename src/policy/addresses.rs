//! The addresses at one end of an allow line or a guarantee.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::name::HostName;

/// A set of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addresses {
    /// Every address.
    Any,
    /// The addresses in these networks; an empty list is the empty set.
    Only(Vec<IpNet>),
}

impl Addresses {
    /// A single address.
    pub fn one(address: impl Into<IpAddr>) -> Addresses {
        Addresses::Only(vec![IpNet::from(address.into())])
    }

    /// The number of addresses and networks listed; `Any` counts as one.
    pub(crate) fn count(&self) -> usize {
        match self {
            Addresses::Any => 1,
            Addresses::Only(networks) => networks.len(),
        }
    }

    /// Whether it contains every address of `other`. Compares network by network, and so
    /// does not see that several networks together contain one.
    pub fn contains(&self, other: &Addresses) -> bool {
        match (self, other) {
            (Addresses::Any, _) => true,
            (Addresses::Only(_), Addresses::Any) => false,
            (Addresses::Only(own), Addresses::Only(others)) => others
                .iter()
                .all(|other| own.iter().any(|own| own.contains(other))),
        }
    }

    /// Adds the addresses of `other`.
    pub fn extend(&mut self, other: &Addresses) {
        match (&mut *self, other) {
            (Addresses::Any, _) => {}
            (Addresses::Only(_), Addresses::Any) => *self = Addresses::Any,
            (Addresses::Only(own), Addresses::Only(others)) => own.extend(others),
        }
    }

    /// Whether it contains this address.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.contains(&Addresses::one(address))
    }
}

/// The addresses that host names last resolved to.
pub type Answers = BTreeMap<HostName, Vec<IpAddr>>;
