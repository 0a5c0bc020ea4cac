//! The three ways that a packet takes through the hooks, and the tables on each.

use crate::netfilter::TableName;

/// The ways that a packet may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HookPath {
    /// To the router.
    Input,
    /// Across it.
    Forward,
    /// From it.
    Output,
}

impl HookPath {
    /// Each.
    pub const ALL: [HookPath; 3] = [HookPath::Input, HookPath::Forward, HookPath::Output];
}

/// The chains that packets of a way go through once it is known which, in order.
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

/// The chains after routing of one way.
pub fn after_routing(way: HookPath) -> &'static [(TableName, &'static str)] {
    AFTER_ROUTING
        .into_iter()
        .find(|(known, _)| *known == way)
        .map_or(&[], |(_, chains)| chains)
}

/// The chain of a table before routing.
pub fn before_routing(way: HookPath) -> &'static str {
    match way {
        HookPath::Output => "OUTPUT",
        HookPath::Input | HookPath::Forward => "PREROUTING",
    }
}
