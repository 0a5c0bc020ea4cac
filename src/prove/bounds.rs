//! A set of packets known by two bounds: the packets that surely are in it, and those that
//! may be.

use camfw_diagrams::Set;

/// A lower and an upper bound of a set of packets.
///
/// A rule's condition may depend on more than the packet. It is then unknown whether the
/// rule matches, and the two bounds differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The upper bound: packets that may be in the set.
    pub may: Set,
    /// The lower bound: packets that surely are in the set; a subset of `may`.
    pub must: Set,
}

impl Bounds {
    /// The empty set.
    pub const NONE: Bounds = Bounds::exactly(Set::EMPTY);

    /// A set that is known exactly.
    pub const fn exactly(set: Set) -> Bounds {
        Bounds {
            may: set,
            must: set,
        }
    }

    /// Whether the two bounds are equal.
    pub fn is_exact(self) -> bool {
        self.may == self.must
    }

    /// The complement.
    pub fn complement(self) -> Bounds {
        Bounds {
            may: !self.must,
            must: !self.may,
        }
    }
}
