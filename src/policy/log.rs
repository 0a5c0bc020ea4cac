//! How dropped packets are logged.

use crate::field::Rate;
use crate::name::LogPrefix;

/// How dropped packets are logged. Each LOG rule has a rate limit of its own.
#[derive(Debug, Clone)]
pub struct Log {
    /// The most lines per LOG rule.
    pub rate: Rate,
    /// The prefixes of log lines.
    pub prefixes: LogPrefixes,
    /// Whether to log also what no allow line lets through.
    pub dropped: bool,
}

/// The log prefixes of a policy, each within the kernel's length limit.
#[derive(Debug, Clone)]
pub struct LogPrefixes {
    /// For packets in conntrack's state INVALID.
    pub invalid: LogPrefix,
    /// For packets with an impossible source, by zone, in the order of
    /// [`Policy::zones`](super::Policy::zones).
    pub zones: Vec<ZonePrefixes>,
    /// For packets to the router that nothing allows.
    pub input: LogPrefix,
    /// For forwarded packets that nothing allows.
    pub forward: LogPrefix,
    /// For packets from the router that nothing allows.
    pub output: LogPrefix,
}

/// The log prefixes of one zone.
#[derive(Debug, Clone)]
pub struct ZonePrefixes {
    /// For a source that the zone cannot have.
    pub spoofed: LogPrefix,
    /// For a source that is not a listed camera.
    pub unknown: LogPrefix,
    /// For a source that no host on the internet can have.
    pub bogon: LogPrefix,
}
