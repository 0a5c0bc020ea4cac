//! The interfaces that a proof tells apart.

use std::collections::BTreeSet;

/// The interfaces that a proof tells apart: those that somebody names, one for
/// each wildcard and one for all others. Place 0 is no interface at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interfaces {
    names: Vec<String>,
}

/// No interface: a packet from the router has come in by none.
pub const NO_INTERFACE: u128 = 0;

impl Interfaces {
    /// From the names and wildcards (`eth+`) that rules and networks hold.
    pub fn new(patterns: &BTreeSet<String>) -> Interfaces {
        let mut names = vec![String::new(), "lo".to_owned()];
        for pattern in patterns {
            // A wildcard stands for an interface of its own that nobody names:
            // no name of an interface ends in a plus.
            if !names.contains(pattern) {
                names.push(pattern.clone());
            }
        }
        if !patterns.contains("+") {
            names.push("+".to_owned());
        }
        Interfaces { names }
    }

    /// The places of the interfaces that a name or a wildcard means.
    pub fn matching(&self, pattern: &str) -> Vec<u128> {
        let places = self.names.iter().enumerate();
        let found = places.filter(|(_, name)| match pattern.strip_suffix('+') {
            // "+" alone is no condition (iptables(8)); "eth+" is also met by
            // the interface that stands for "eth1+".
            Some(prefix) => name.trim_end_matches('+').starts_with(prefix),
            None => *name == pattern,
        });
        found.map(|(place, _)| place as u128).collect()
    }

    /// The place of one interface.
    pub fn place(&self, name: &str) -> Option<u128> {
        let place = self.names.iter().position(|known| known == name)?;
        Some(place as u128)
    }

    /// The place of the interface that stands for one that nobody names: the one
    /// of the longest wildcard that means it.
    pub fn like(&self, name: &str) -> Option<u128> {
        let wildcards = self.names.iter().enumerate().filter(|(_, known)| {
            known
                .strip_suffix('+')
                .is_some_and(|start| name.starts_with(start))
        });
        let (place, _) = wildcards.max_by_key(|(_, known)| known.len())?;
        Some(place as u128)
    }

    /// The name of an interface.
    pub fn name(&self, place: u128) -> &str {
        self.names.get(place as usize).map_or("+", String::as_str)
    }

    /// How many places there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The place of the loopback.
    pub const LOOPBACK: u128 = 1;
}
