//! The plan: final values for each part of the kernel, with no decisions left.

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

/// The state that the kernel is to be brought to.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The ruleset of each family.
    pub rules: Families<Ruleset>,
    /// Settings that restrict; written before the rules are loaded.
    pub sysctls: Vec<Setting>,
    /// Settings that restrict but exist only once the rules are loaded; written after
    /// them.
    pub with_rules: Vec<Setting>,
    /// The required size of the connection table, if a zone has a bound.
    pub room: Option<Setting>,
    /// Settings that enable IPv6 on interfaces; written after the rules and before the
    /// addresses.
    pub ipv6_on: Vec<Setting>,
    /// Forwarding; turned on as the last step.
    pub forwarding_on: Vec<Setting>,
    /// The desired links, addresses and routes.
    pub network: net::Wanted,
    /// The policy that the plan implements.
    pub policy: Policy,
    /// The plan that decides about open connections, if it allows more than this one
    /// does for new connections: it includes former addresses of host names.
    pub of_open_connections: Option<Box<Plan>>,
    /// The configuration's path as given on the command line, for the DHCP client's
    /// hook.
    pub file: String,
    /// How long a boot waits for links that do not exist yet.
    pub wait: Duration,
}

impl Plan {
    /// The same plan, with these UDP ports marked as once offered by the router.
    pub(crate) fn with_udp_once_offered(&self, ports: &PortSet) -> Plan {
        let mut policy = self.policy.clone();
        policy.udp_once_offered = policy.udp_once_offered.union(ports);
        let open = self.of_open_connections.as_deref();
        Plan {
            of_open_connections: open.map(|open| Box::new(open.with_udp_once_offered(ports))),
            // The ways out that are set aside stay so.
            network: self.network.clone(),
            ..Plan::new(policy, &self.file)
        }
    }

    /// The same plan for a kernel that cannot pass refused packets to a program.
    pub(crate) fn without_recording(&self) -> Plan {
        let mut policy = self.policy.clone();
        policy.can_record = false;
        let open = self.of_open_connections.as_deref();
        Plan {
            of_open_connections: open.map(|open| Box::new(open.without_recording())),
            // The ways out that are set aside stay so.
            network: self.network.clone(),
            ..Plan::new(policy, &self.file)
        }
    }

    /// What the network and the bounds are kept by until the plan is made anew: without
    /// rules and lines, the larger part of it.
    pub(crate) fn at_rest(mut self) -> Plan {
        self.rules = Families::default();
        self.of_open_connections = None;
        self.policy.allows = Vec::new();
        self
    }

    /// Derives the plan from a policy.
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
            forwarding_on: sysctl::forwarding_on(&policy),
            network: network::wanted(&policy),
            wait: policy.wait,
            of_open_connections: None,
            policy,
        }
    }
}
