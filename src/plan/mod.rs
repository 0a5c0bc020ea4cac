//! The plan: finished values for each part of the kernel, and nothing to decide.

pub mod kernel_options;
mod network;
pub mod sysctl;

use std::time::Duration;

use crate::family::Families;
use crate::field::PortSet;
use crate::netfilter::Ruleset;
use crate::plan::sysctl::Setting;
use crate::policy::Policy;
use crate::{compile, net};

/// What the kernel is to hold.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The rules of each family.
    pub rules: Families<Ruleset>,
    /// Settings that tighten, written before the rules.
    pub sysctls: Vec<Setting>,
    /// Settings that tighten and are not there before the rules, written after them.
    pub with_rules: Vec<Setting>,
    /// The size that the kernel's table of connections needs, where zones have a bound.
    pub room: Option<Setting>,
    /// IPv6 on at interfaces, after the rules and before the addresses.
    pub ipv6_on: Vec<Setting>,
    /// Forwarding, which is the last step.
    pub last: Vec<Setting>,
    /// Links, addresses and routes.
    pub network: net::Wanted,
    /// What it was made of.
    pub policy: Policy,
    /// What connections that are open are judged by, where it is wider than what new
    /// ones are: by addresses that names had.
    pub of_open_connections: Option<Box<Plan>>,
    /// The file's path as it was given, for the DHCP client's hook.
    pub file: String,
    /// How long a boot waits for links that are not there yet.
    pub wait: Duration,
}

impl Plan {
    /// The same plan after the router has offered these UDP ports too.
    pub(crate) fn with_udp_once_offered(&self, ports: &PortSet) -> Plan {
        let mut policy = self.policy.clone();
        policy.udp_once_offered = policy.udp_once_offered.union(ports);
        let open = self.of_open_connections.as_deref();
        Plan {
            of_open_connections: open.map(|open| Box::new(open.with_udp_once_offered(ports))),
            ..Plan::new(policy, &self.file)
        }
    }

    /// Makes a policy into a plan.
    pub fn new(policy: Policy, file: &str) -> Plan {
        Plan {
            file: file.to_owned(),
            rules: Families {
                v4: compile::ipv4(&policy),
                v6: compile::ipv6(&policy),
            },
            sysctls: sysctl::wanted(&policy),
            with_rules: sysctl::with_rules(&policy),
            room: sysctl::room(&policy),
            ipv6_on: sysctl::ipv6_on(&policy),
            last: sysctl::last(&policy),
            network: network::wanted(&policy),
            wait: policy.wait,
            of_open_connections: None,
            policy,
        }
    }
}
