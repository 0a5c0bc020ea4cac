//! How dropped packets are logged, and what each line begins with.

use crate::field::Rate;
use crate::name::LogPrefix;

/// How dropped packets are logged. Every LOG rule has its own rate.
#[derive(Debug, Clone)]
pub struct Log {
    /// The most lines per LOG rule.
    pub rate: Rate,
    /// What the lines begin with.
    pub prefixes: LogPrefixes,
    /// Whether also to log what no allow line lets through.
    pub dropped: bool,
}

/// The log prefixes of one policy, each within the kernel's limit.
#[derive(Debug, Clone)]
pub struct LogPrefixes {
    /// Packets that conntrack calls INVALID.
    pub invalid: LogPrefix,
    /// Packets that cannot come from a zone, per zone, as [`Policy::zones`](super::Policy::zones).
    pub zones: Vec<ZonePrefixes>,
    /// Packets to the router that nothing allows.
    pub input: LogPrefix,
    /// Packets across the router that nothing allows.
    pub forward: LogPrefix,
    /// Packets from the router that nothing allows.
    pub output: LogPrefix,
}

/// The log prefixes of one zone.
#[derive(Debug, Clone)]
pub struct ZonePrefixes {
    /// A source that the zone cannot have.
    pub spoofed: LogPrefix,
    /// A source that is no camera's of the list.
    pub unknown: LogPrefix,
    /// A source that nobody on the internet has.
    pub bogon: LogPrefix,
}
