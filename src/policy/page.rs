//! The page that the router shows.

/// What the page shows beyond what every page does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// The policy's own lines.
    pub policy: bool,
}
