//! How much of the kernel's table of connections those may take that a zone opens.
//!
//! Owns the numbers and what they come to. A count of open
//! connections is not enough: the kernel counts none that TCP has closed
//! (already_closed in net/netfilter/nf_conncount.c), and its entry stays for two
//! minutes more. So the rate of new ones has a bound as well, and both hold for each
//! source address, so that one host does not use up what others need, and for all
//! of the zone, since a host may send from any address of it.

use super::{Ipv6Mode, Policy, Zone};
use crate::field::Rate;

/// How many connections a zone may open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Those that one source address may have open.
    pub connections: u32,
    /// New ones of one source address.
    pub rate: Rate,
    /// Those that all of the zone together may have open.
    pub zone_connections: u32,
    /// New ones of all of the zone together.
    pub zone_rate: Rate,
}

/// For how many seconds a connection that TCP has closed stays in the table at the
/// most: the default of nf_conntrack_tcp_timeout_time_wait.
const CLOSED: u64 = 120;

/// What stays for everybody else.
const RESERVE: u64 = 16_384;

impl Bound {
    /// How many entries of the table one source address takes at the most.
    pub fn entries_of_an_address(&self) -> u64 {
        entries(self.connections, self.rate)
    }

    /// How many all of the zone takes at the most, of one family.
    pub fn entries(&self) -> u64 {
        entries(self.zone_connections, self.zone_rate)
    }
}

fn entries(open: u32, rate: Rate) -> u64 {
    u64::from(open) + rate.most_within(CLOSED) + rate.burst()
}

/// The size that the kernel's table of connections needs: what the zones that have a
/// bound can fill, and the reserve. None where no zone has one.
pub fn table_size(policy: &Policy) -> Option<u64> {
    let zones = policy.zones.iter();
    let bounds: Vec<&Bound> = zones.filter_map(|zone| zone.bound.as_ref()).collect();
    let families = match policy.ipv6 {
        Ipv6Mode::Drop => 1,
        Ipv6Mode::Same => 2,
    };
    let filled: u64 = bounds.iter().map(|bound| bound.entries() * families).sum();
    (!bounds.is_empty()).then_some(filled + RESERVE)
}

/// The bound of each zone that has one, in words.
pub fn told(policy: &Policy) -> Vec<String> {
    let tell = |zone: &Zone| {
        let bound = zone.bound?;
        Some(format!(
            "bound of {}: an address has at most {} connections open and {} new ones a second, the zone {} and {}: no more than {} and {} entries of the kernel's table{}",
            zone.name,
            bound.connections,
            bound.rate.per_second().unwrap_or_default(),
            bound.zone_connections,
            bound.zone_rate.per_second().unwrap_or_default(),
            bound.entries_of_an_address(),
            bound.entries(),
            match policy.ipv6 {
                Ipv6Mode::Drop => "",
                Ipv6Mode::Same => ", of each family",
            }
        ))
    };
    policy.zones.iter().filter_map(tell).collect()
}
