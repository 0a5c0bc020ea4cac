//! The three ways that a packet takes through the hooks, and the tables on each.

use crate::netfilter::TableName;

/// The ways that a packet may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// To the router.
    Input,
    /// Across it.
    Forward,
    /// From it.
    Output,
}

impl Way {
    /// Each.
    pub const ALL: [Way; 3] = [Way::Input, Way::Forward, Way::Output];
}

/// The chains that packets of a way go through once it is known which, in order.
const AFTER_ROUTING: [(Way, &[(TableName, &str)]); 3] = [
    (
        Way::Input,
        &[
            (TableName::Mangle, "INPUT"),
            (TableName::Filter, "INPUT"),
            (TableName::Security, "INPUT"),
        ],
    ),
    (
        Way::Forward,
        &[
            (TableName::Mangle, "FORWARD"),
            (TableName::Filter, "FORWARD"),
            (TableName::Security, "FORWARD"),
            (TableName::Mangle, "POSTROUTING"),
        ],
    ),
    (
        Way::Output,
        &[
            (TableName::Filter, "OUTPUT"),
            (TableName::Security, "OUTPUT"),
            (TableName::Mangle, "POSTROUTING"),
        ],
    ),
];

/// The chains after routing of one way.
pub fn after_routing(way: Way) -> &'static [(TableName, &'static str)] {
    AFTER_ROUTING
        .into_iter()
        .find(|(known, _)| *known == way)
        .map_or(&[], |(_, chains)| chains)
}

/// The chain of a table before routing.
pub fn before_routing(way: Way) -> &'static str {
    match way {
        Way::Output => "OUTPUT",
        Way::Input | Way::Forward => "PREROUTING",
    }
}
