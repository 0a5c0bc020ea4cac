//! What the kernel's own lists say that it has: tables, matches and targets.

use std::path::Path;

use crate::family::IpFamily;
use crate::netfilter::Feature;

/// What the kernel itself lists of a family's tables, matches and targets. A
/// kernel without the legacy tables lists nothing, one with modules only what
/// it has loaded.
pub struct Listed([String; 3]);

/// Reads the kernel's lists.
pub fn listed(family: IpFamily) -> Listed {
    let version = match family {
        IpFamily::V4 => "ip",
        IpFamily::V6 => "ip6",
    };
    Listed(["names", "matches", "targets"].map(|what| {
        std::fs::read_to_string(format!("/proc/net/{version}_tables_{what}")).unwrap_or_default()
    }))
}

impl Listed {
    /// Whether the kernel lists it.
    pub fn has(&self, feature: Feature) -> bool {
        let [names, matches, targets] = &self.0;
        let (list, name) = match feature {
            Feature::Table(name) => (names, name.as_str()),
            Feature::Match(name) => (matches, name),
            Feature::Target(name) => (targets, name),
            // Nothing lists them.
            Feature::ConntrackZones => return false,
            // A module, or a part of the kernel, with parameters is there.
            Feature::Helper(name) => {
                return Path::new(&format!("/sys/module/nf_conntrack_{name}")).exists();
            }
        };
        list.lines().any(|line| line == name)
    }
}
