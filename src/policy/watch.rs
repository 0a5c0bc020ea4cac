//! How the running box is watched.

use std::time::Duration;

/// How `camfw watch` watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// How often everything is compared where no event asks for it.
    pub interval: Duration,
    /// Whether rules that are not the policy's are replaced, not only told.
    pub restore: bool,
}
