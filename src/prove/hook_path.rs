//! The three paths of packets through the netfilter hooks, and the tables on each.

use crate::netfilter::TableName;

/// The path of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HookPath {
    /// To the router itself.
    Input,
    /// Through the router (forwarded).
    Forward,
    /// From the router itself.
    Output,
}

impl HookPath {
    /// All three.
    pub const ALL: [HookPath; 3] = [HookPath::Input, HookPath::Forward, HookPath::Output];
}

/// The chains that packets traverse after the routing decision, in order.
const AFTER_ROUTING: [(HookPath, &[(TableName, &str)]); 3] = [
    (
        HookPath::Input,
        &[
            (TableName::Mangle, "INPUT"),
            (TableName::Filter, "INPUT"),
            (TableName::Security, "INPUT"),
        ],
    ),
    (
        HookPath::Forward,
        &[
            (TableName::Mangle, "FORWARD"),
            (TableName::Filter, "FORWARD"),
            (TableName::Security, "FORWARD"),
            (TableName::Mangle, "POSTROUTING"),
        ],
    ),
    (
        HookPath::Output,
        &[
            (TableName::Filter, "OUTPUT"),
            (TableName::Security, "OUTPUT"),
            (TableName::Mangle, "POSTROUTING"),
        ],
    ),
];

/// The chains of a path after the routing decision.
pub fn after_routing(way: HookPath) -> &'static [(TableName, &'static str)] {
    AFTER_ROUTING
        .into_iter()
        .find(|(known, _)| *known == way)
        .map_or(&[], |(_, chains)| chains)
}

/// The built-in chain of a path before the routing decision.
pub fn before_routing(way: HookPath) -> &'static str {
    match way {
        HookPath::Output => "OUTPUT",
        HookPath::Input | HookPath::Forward => "PREROUTING",
    }
}

/// The chain of nat that rewrites sources on a path.
pub fn source_rewritten_in(way: HookPath) -> &'static str {
    match way {
        HookPath::Input => "INPUT",
        HookPath::Forward | HookPath::Output => "POSTROUTING",
    }
}
