//! Sets of ports, stored as ranges.
//!
//! Guarantees that equal sets are equal values, however they were built. Owns the
//! stored form. Independent of any protocol.

use super::PortRange;
use crate::json::{FromJson, Json, JsonText, ToJson};

/// A set of ports, as sorted ranges with gaps between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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

/// Each range as a list of its first and last port.
impl ToJson for PortSet {
    fn write_json(&self, json: &mut JsonText) {
        let ranges = self.0.iter();
        let ranges: Vec<Vec<u16>> = ranges
            .map(|range| vec![range.first(), range.last()])
            .collect();
        ranges.write_json(json);
    }
}

impl FromJson for PortSet {
    fn from_json(value: Json) -> Option<PortSet> {
        let ranges = Vec::<Vec<u64>>::from_json(value)?;
        let ranges = ranges.iter().map(|range| match range.as_slice() {
            [first, last] => {
                PortRange::new(u16::try_from(*first).ok()?, u16::try_from(*last).ok()?)
            }
            _ => None,
        });
        ranges.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::to_json;

    fn set(text: &str) -> Option<PortSet> {
        PortSet::from_json(Json::parse(text).ok()?)
    }

    #[test]
    fn the_same_ports_are_the_same_set() -> Result<(), &'static str> {
        let whole = set("[[5,9],[60000,65535]]").ok_or("it is a set")?;
        let other_order = set("[[7,9],[60000,65535],[5,5],[6,6],[61000,61000]]");
        assert_eq!(other_order.as_ref(), Some(&whole));
        let lower = set("[[5,8]]").ok_or("it is a set")?;
        let upper = set("[[8,9],[60000,65535]]").ok_or("it is a set")?;
        assert_eq!(lower.union(&upper), whole);
        assert_ne!(set("[[5,8],[60000,65535]]"), Some(whole.clone()));
        assert!(whole.contains(5) && whole.contains(65535) && !whole.contains(10));
        assert_eq!(to_json(&whole), "[[5,9],[60000,65535]]");
        for text in ["[[9,5]]", "[[0,5]]", "[[5]]", "[[5,65536]]", "[5,9]", "{}"] {
            assert_eq!(set(text), None, "{text}");
        }
        Ok(())
    }
}
