//! The addresses that one end of a line or a guarantee is about.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::name::HostName;

/// Any address, or just some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addresses {
    /// Any.
    Any,
    /// Those in these networks; none of them where there is no network.
    Only(Vec<IpNet>),
}

impl Addresses {
    /// Just this one.
    pub fn one(address: impl Into<IpAddr>) -> Addresses {
        Addresses::Only(vec![IpNet::from(address.into())])
    }

    /// How many addresses and networks are listed; any is one.
    pub(crate) fn count(&self) -> usize {
        match self {
            Addresses::Any => 1,
            Addresses::Only(networks) => networks.len(),
        }
    }

    /// Whether every address of `other` is in it, seen network by network.
    pub fn contains(&self, other: &Addresses) -> bool {
        match (self, other) {
            (Addresses::Any, _) => true,
            (Addresses::Only(_), Addresses::Any) => false,
            (Addresses::Only(own), Addresses::Only(others)) => others
                .iter()
                .all(|other| own.iter().any(|own| own.contains(other))),
        }
    }

    /// Makes it both.
    pub fn extend(&mut self, other: &Addresses) {
        match (&mut *self, other) {
            (Addresses::Any, _) => {}
            (Addresses::Only(_), Addresses::Any) => *self = Addresses::Any,
            (Addresses::Only(own), Addresses::Only(others)) => own.extend(others),
        }
    }

    /// Whether it holds this address.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.contains(&Addresses::one(address))
    }
}

/// What names resolved to when they were last asked for.
pub type Answers = BTreeMap<HostName, Vec<IpAddr>>;
