//! The limit on how much of the kernel's connection table a zone can fill.
//!
//! Owns the numbers, and the table size that follows from them. Limiting open connections
//! is not enough: the kernel does not count those that TCP has closed (already_closed in
//! net/netfilter/nf_conncount.c), and their entries stay for another two minutes. So the
//! rate of new connections is limited too. Both limits apply to each source address, so
//! that one host cannot use up what others need, and to the whole zone, since a host may
//! send from any address of it. What a host keeps in the table by sending on in closed
//! connections, no rule can see: `closed` counts it for `camfw watch`, between whose looks
//! the rate lets in more.

use super::{Ipv6Mode, Policy, Zone};
use crate::field::Rate;

/// The limits on the connections that a zone may open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Open connections per source address.
    pub connections: u32,
    /// New connections per source address.
    pub rate: Rate,
    /// Open connections of the whole zone.
    pub zone_connections: u32,
    /// New connections of the whole zone.
    pub zone_rate: Rate,
}

/// How many seconds a connection that TCP has closed stays in the table at most: the
/// default of nf_conntrack_tcp_timeout_time_wait.
const CLOSED: u64 = 120;

/// How many seconds pass until `camfw watch` looks for closed connections again.
pub const LOOK: u64 = 10;

/// Entries reserved for connections of everyone else.
const RESERVE: u64 = 16_384;

impl Bound {
    /// The most table entries that one source address can take.
    pub fn entries_of_an_address(&self) -> u64 {
        u64::from(self.connections) + self.closed_of_an_address() + self.rate.most_within(LOOK)
    }

    /// The most table entries that the whole zone can take, for one family.
    pub fn entries(&self) -> u64 {
        u64::from(self.zone_connections) + self.closed() + self.zone_rate.most_within(LOOK)
    }

    /// The most of them that TCP has closed, of one source address.
    pub(super) fn closed_of_an_address(&self) -> u64 {
        closed(self.rate)
    }

    /// The most of them that TCP has closed, of the whole zone and one family.
    pub(super) fn closed(&self) -> u64 {
        closed(self.zone_rate)
    }
}

fn closed(rate: Rate) -> u64 {
    rate.most_within(CLOSED) + rate.burst()
}

/// The size that the kernel's connection table needs: what the zones with a bound can fill,
/// and the reserve. None if no zone has a bound.
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
            "bound of {}, for each address and for the zone: {} and {} open connections, {} and {} new ones a second, at most {} and {} entries of the kernel's connection table{}",
            zone.name,
            bound.connections,
            bound.zone_connections,
            bound.rate.per_second().unwrap_or_default(),
            bound.zone_rate.per_second().unwrap_or_default(),
            bound.entries_of_an_address(),
            bound.entries(),
            match policy.ipv6 {
                Ipv6Mode::Drop => "",
                Ipv6Mode::Same => ", for each family",
            }
        ))
    };
    policy.zones.iter().filter_map(tell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Answers;
    use crate::source::Source;

    #[test]
    fn the_table_has_room_for_what_comes_between_two_looks()
    -> Result<(), Box<dyn std::error::Error>> {
        let text = "[zones.camera]\ninterface = \"eth1\"\naddress = \"192.168.8.1/24\"\nrole = \"camera\"\nbound = { zone-connections = 5, limit = \"10000/second\", zone-limit = \"10000/second\" }\n";
        let policy = crate::policy(&Source::new("c.toml", text.to_owned()), &Answers::new())?;
        // Open ones, two minutes and ten seconds of the rate, what comes at once, the rest.
        let least = 5 + 130 * 10_000 + 1000 + 16_384;
        assert!(table_size(&policy).is_some_and(|size| size >= least));
        Ok(())
    }
}
