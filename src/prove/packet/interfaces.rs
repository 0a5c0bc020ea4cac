//! The interfaces that a proof distinguishes.

use std::collections::BTreeSet;

/// The interfaces that a proof distinguishes, each with a number: every named one, one for
/// each wildcard, and one that stands for all others. Number 0 is "no interface".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interfaces {
    names: Vec<String>,
}

/// No interface: the incoming interface of a packet from the router.
pub const NO_INTERFACE: u128 = 0;

impl Interfaces {
    /// Numbers the interfaces by the names and wildcards (`eth+`) in rules and networks.
    pub fn new(patterns: &BTreeSet<String>) -> Interfaces {
        let mut names = vec![String::new(), "lo".to_owned()];
        for pattern in patterns {
            // A wildcard also stands for an interface that is not named anywhere; no
            // interface's name ends in a plus.
            if !names.contains(pattern) {
                names.push(pattern.clone());
            }
        }
        if !patterns.contains("+") {
            names.push("+".to_owned());
        }
        Interfaces { names }
    }

    /// The numbers of the interfaces that a name or a wildcard matches.
    pub fn matching(&self, pattern: &str) -> Vec<u128> {
        let places = self.names.iter().enumerate();
        let found = places.filter(|(_, name)| match pattern.strip_suffix('+') {
            // "+" alone matches everything (iptables(8)); "eth+" also matches the interface
            // that stands for "eth1+".
            Some(prefix) => name.trim_end_matches('+').starts_with(prefix),
            None => *name == pattern,
        });
        found.map(|(place, _)| place as u128).collect()
    }

    /// The number of an interface.
    pub fn place(&self, name: &str) -> Option<u128> {
        let place = self.names.iter().position(|known| known == name)?;
        Some(place as u128)
    }

    /// The number that stands for an interface named nowhere: that of the longest wildcard
    /// that matches it.
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

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The number of the loopback interface.
    pub const LOOPBACK: u128 = 1;
}
