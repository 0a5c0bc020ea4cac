//! IPv4 and IPv6, and values that exist once per family.

use std::fmt;

use ipnet::IpNet;

/// An IP address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IpFamily {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl IpFamily {
    /// Both families, IPv4 first.
    pub const ALL: [IpFamily; 2] = [IpFamily::V4, IpFamily::V6];

    /// Whether a network is of this family.
    pub fn has(self, network: &IpNet) -> bool {
        match network {
            IpNet::V4(_) => self == IpFamily::V4,
            IpNet::V6(_) => self == IpFamily::V6,
        }
    }
}

impl fmt::Display for IpFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IpFamily::V4 => "IPv4",
            IpFamily::V6 => "IPv6",
        })
    }
}

/// A pair of values, one per family.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Families<T> {
    /// The value for IPv4.
    pub v4: T,
    /// The value for IPv6.
    pub v6: T,
}

impl<T> Families<T> {
    /// Builds both values with `make`, IPv4 first.
    pub fn from_fn(mut make: impl FnMut(IpFamily) -> T) -> Families<T> {
        Families {
            v4: make(IpFamily::V4),
            v6: make(IpFamily::V6),
        }
    }

    /// The value for one family.
    pub fn get(&self, family: IpFamily) -> &T {
        match family {
            IpFamily::V4 => &self.v4,
            IpFamily::V6 => &self.v6,
        }
    }

    /// Mutable access to the value for one family.
    pub fn get_mut(&mut self, family: IpFamily) -> &mut T {
        match family {
            IpFamily::V4 => &mut self.v4,
            IpFamily::V6 => &mut self.v6,
        }
    }

    /// Iterates over both values with their families, IPv4 first.
    pub fn iter(&self) -> impl Iterator<Item = (IpFamily, &T)> {
        IpFamily::ALL
            .map(|family| (family, self.get(family)))
            .into_iter()
    }
}

impl<T> IntoIterator for Families<T> {
    type Item = (IpFamily, T);
    type IntoIter = std::array::IntoIter<(IpFamily, T), 2>;

    fn into_iter(self) -> Self::IntoIter {
        [(IpFamily::V4, self.v4), (IpFamily::V6, self.v6)].into_iter()
    }
}
