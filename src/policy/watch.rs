//! How the running router is watched.

use std::time::Duration;

/// How `camfw watch` works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// How often everything is compared if no event causes it earlier.
    pub interval: Duration,
    /// Whether rules that differ from the policy are replaced, and not only reported.
    pub restore: bool,
    /// The file that metrics are written to, for node_exporter.
    pub metrics: Option<String>,
    /// After how long without a packet a camera is silent.
    pub silent_after: Duration,
}
