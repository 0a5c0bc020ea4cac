//! One setting of the kernel: its path under /proc/sys, its value and the reason for it.

use std::fmt;

/// A setting's path under /proc/sys, as components. A dot cannot stand for the slash,
/// because an interface name may contain dots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(Vec<String>);

impl Key {
    /// From a path whose components contain no slash: `net/ipv4/ip_forward`.
    pub(super) fn new(path: &str) -> Key {
        Key(path.split('/').map(str::to_owned).collect())
    }

    /// The key for one interface, or for `all` or `default`. An interface name has no
    /// slash, but may have dots.
    pub(crate) fn of(family: &str, scope: &str, name: &str) -> Key {
        Key(["net", family, "conf", scope, name]
            .map(str::to_owned)
            .to_vec())
    }

    /// The components below /proc/sys.
    pub fn parts(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Key {
    /// The notation of sysctl(8): dots between the components, and a slash for a dot
    /// within one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(|part| part.replace('.', "/")).collect();
        f.write_str(&parts.join("."))
    }
}

/// What it means if the kernel has no such setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// An error.
    Required,
    /// Not an error: the feature that this setting controls is absent from the kernel.
    IfPresent,
}

/// One kernel setting and its desired value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its path.
    pub key: Key,
    /// The desired value.
    pub value: String,
    /// The reason, for `show sysctls`.
    pub why: &'static str,
    /// Whether the kernel must have it.
    pub need: Need,
    /// Which other values are acceptable.
    pub good: Good,
}

/// Which values of a setting are acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Good {
    /// Only the desired value.
    Same,
    /// The desired value, and any larger number.
    SameOrMore,
}

impl Setting {
    /// Whether the value found in the kernel is acceptable.
    pub fn is_met_by(&self, found: &str) -> bool {
        let more = || {
            let (found, wanted) = (found.parse::<u64>().ok()?, self.value.parse().ok()?);
            Some(found >= wanted)
        };
        match self.good {
            Good::Same => found == self.value,
            Good::SameOrMore => more().unwrap_or(false),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.key, self.value)
    }
}
