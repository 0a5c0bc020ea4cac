//! The two families of IP, and values that there is one of for each.

use std::fmt;

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IpFamily {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl IpFamily {
    /// Both, IPv4 first.
    pub const ALL: [IpFamily; 2] = [IpFamily::V4, IpFamily::V6];
}

impl fmt::Display for IpFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IpFamily::V4 => "IPv4",
            IpFamily::V6 => "IPv6",
        })
    }
}

/// One value for each family.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Families<T> {
    /// Of IPv4.
    pub v4: T,
    /// Of IPv6.
    pub v6: T,
}

impl<T> Families<T> {
    /// Makes each, IPv4's first.
    pub fn from_fn(mut make: impl FnMut(IpFamily) -> T) -> Families<T> {
        Families {
            v4: make(IpFamily::V4),
            v6: make(IpFamily::V6),
        }
    }

    /// One family's.
    pub fn get(&self, family: IpFamily) -> &T {
        match family {
            IpFamily::V4 => &self.v4,
            IpFamily::V6 => &self.v6,
        }
    }

    /// One family's, to be changed.
    pub fn get_mut(&mut self, family: IpFamily) -> &mut T {
        match family {
            IpFamily::V4 => &mut self.v4,
            IpFamily::V6 => &mut self.v6,
        }
    }

    /// Each with its family, IPv4 first.
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
