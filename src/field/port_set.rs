//! Sets of ports, stored as ranges.
//!
//! Guarantees that equal sets are equal values, however they were built. Owns the
//! stored form. Independent of any protocol.

use serde::{Deserialize, Serialize};

use super::PortRange;

/// A set of ports, as sorted ranges with gaps between them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(u16, u16)>", into = "Vec<(u16, u16)>")]
pub struct PortSet(Vec<PortRange>);

impl PortSet {
    /// The ranges, in ascending order.
    pub fn ranges(&self) -> &[PortRange] {
        &self.0
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the set contains a port.
    pub fn contains(&self, port: u16) -> bool {
        let port = PortRange::port(port);
        self.0.iter().any(|range| range.contains(port))
    }

    /// The union of two sets.
    pub fn union(&self, other: &PortSet) -> PortSet {
        self.0.iter().chain(&other.0).copied().collect()
    }
}

impl FromIterator<PortRange> for PortSet {
    fn from_iter<T: IntoIterator<Item = PortRange>>(ranges: T) -> PortSet {
        let mut ranges: Vec<PortRange> = ranges.into_iter().collect();
        ranges.sort_unstable_by_key(|range| (range.first(), range.last()));
        let mut merged: Vec<PortRange> = Vec::new();
        for range in ranges {
            let last = merged.last_mut();
            match last.and_then(|last| Some((last.joined_with(range)?, last))) {
                Some((joined, last)) => *last = joined,
                None => merged.push(range),
            }
        }
        PortSet(merged)
    }
}

impl From<PortSet> for Vec<(u16, u16)> {
    fn from(set: PortSet) -> Vec<(u16, u16)> {
        let ranges = set.0.into_iter();
        ranges.map(|range| (range.first(), range.last())).collect()
    }
}

/// A stored range that ends before it begins, or begins at port 0.
#[derive(Debug, thiserror::Error)]
#[error("{0} to {1} is no range of ports")]
pub struct NotARange(u16, u16);

impl TryFrom<Vec<(u16, u16)>> for PortSet {
    type Error = NotARange;

    fn try_from(ranges: Vec<(u16, u16)>) -> Result<PortSet, NotARange> {
        let ranges = ranges.into_iter();
        let ranges =
            ranges.map(|(first, last)| PortRange::new(first, last).ok_or(NotARange(first, last)));
        ranges.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[(u16, u16)]) -> Result<PortSet, NotARange> {
        ranges.to_vec().try_into()
    }

    #[test]
    fn the_same_ports_are_the_same_set() -> Result<(), Box<dyn std::error::Error>> {
        let whole = set(&[(5, 9), (60000, 65535)])?;
        assert_eq!(
            set(&[(7, 9), (60000, 65535), (5, 5), (6, 6), (61000, 61000)])?,
            whole
        );
        assert_eq!(
            set(&[(5, 8)])?.union(&set(&[(8, 9), (60000, 65535)])?),
            whole
        );
        assert_ne!(set(&[(5, 8), (60000, 65535)])?, whole);
        assert!(whole.contains(5) && whole.contains(65535) && !whole.contains(10));
        assert_eq!(
            serde_json::from_str::<PortSet>(&serde_json::to_string(&whole)?)?,
            whole
        );
        assert!(serde_json::from_str::<PortSet>("[[9,5]]").is_err());
        Ok(())
    }
}
