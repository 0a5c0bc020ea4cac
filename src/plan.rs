//! The plan: finished values for each part of the kernel, and nothing to decide.

use std::time::Duration;

use crate::policy::Policy;
use crate::ruleset::Ruleset;
use crate::sysctl::Setting;
use crate::{compile, network, sysctl};

/// What the kernel is to hold.
#[derive(Debug, Clone)]
pub struct Plan {
    /// IPv4 rules.
    pub ipv4: Ruleset,
    /// IPv6 rules.
    pub ipv6: Ruleset,
    /// Settings, but for the forwarding of IPv4, which is the last step.
    pub sysctls: Vec<Setting>,
    /// Links, addresses and routes.
    pub network: network::Wanted,
    /// The file's path as it was given, for the DHCP client's hook.
    pub file: String,
    /// How long a boot waits for links that are not there yet.
    pub wait: Duration,
}

impl Plan {
    /// Makes a policy into a plan.
    pub fn new(policy: &Policy, file: &str) -> Plan {
        Plan {
            file: file.to_owned(),
            ipv4: compile::ipv4(policy),
            ipv6: compile::ipv6(policy),
            sysctls: sysctl::wanted(policy),
            network: network::wanted(policy),
            wait: policy.wait,
        }
    }
}
