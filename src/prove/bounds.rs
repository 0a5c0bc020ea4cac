//! A set of packets between two bounds: those that surely are in it, and those that may be.

use super::diagram::Set;

/// Packets that surely are meant, and those that may be.
///
/// What a rule asks may depend on more than the packet: then it is not known
/// whether the rule matches, and "surely" and "maybe" differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// These may be.
    pub may: Set,
    /// These are; all of them are in `may`.
    pub must: Set,
}

impl Bounds {
    /// None.
    pub const NONE: Bounds = Bounds::exactly(Set::EMPTY);

    /// Just these.
    pub const fn exactly(set: Set) -> Bounds {
        Bounds {
            may: set,
            must: set,
        }
    }

    /// Whether it is not in doubt.
    pub fn is_exact(self) -> bool {
        self.may == self.must
    }

    /// All others.
    pub fn complement(self) -> Bounds {
        Bounds {
            may: !self.must,
            must: !self.may,
        }
    }
}
