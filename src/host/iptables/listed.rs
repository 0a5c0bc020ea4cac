//! The tables, matches and targets that the kernel lists as available.

use std::path::Path;

use crate::family::IpFamily;
use crate::netfilter::Feature;

/// The kernel's own lists of a family's tables, matches and targets. They are empty in
/// a kernel without the legacy tables, and contain only what is loaded in one with
/// modules.
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
    /// Whether there is any legacy table.
    pub fn has_tables(&self) -> bool {
        !self.0[0].is_empty()
    }

    /// Whether the kernel lists a feature.
    pub fn has(&self, feature: Feature) -> bool {
        let [names, matches, targets] = &self.0;
        let (list, name) = match feature {
            Feature::Table(name) => (names, name.as_str()),
            Feature::Match(name) => (matches, name),
            Feature::Target(name) => (targets, name),
            // No list has these.
            Feature::ConntrackZones => return false,
            // A module, or a built-in component with parameters, shows in /sys/module.
            Feature::Helper(name) => {
                return Path::new(&format!("/sys/module/nf_conntrack_{name}")).exists();
            }
        };
        list.lines().any(|line| line == name)
    }
}
