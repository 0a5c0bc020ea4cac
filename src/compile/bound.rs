//! What lets a connection through, where the zone that opens it has a bound.
//!
//! Owns one chain for each such zone, which INPUT and FORWARD share: connlimit
//! counts for each rule by itself (net/netfilter/xt_connlimit.c). Lines lead there
//! as their last step, so what is not allowed is not counted; it leaves no entry in
//! the kernel's table either, since what is dropped is never confirmed. The rates
//! come first: connlimit keeps each packet that it looks at until it next cleans
//! up, a few of them at a time (CONNCOUNT_GC_MAX_NODES in
//! net/netfilter/nf_conncount.c).

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::{Compiler, chain, entering, from, purpose};
use crate::family::IpFamily;
use crate::name::ChainName;
use crate::netfilter::{CountedTogether, Match, Rule, Table, Target};
use crate::policy::{Allow, Bound, Endpoint, Zone, ZoneIndex};
use crate::registry::port;

impl Compiler<'_> {
    /// What the rule does that lets a connection of this end through.
    pub(super) fn accepting(&self, table: &mut Table, from: Endpoint) -> Target {
        match self.bounded(from) {
            Some((index, bound)) => Target::Jump(self.bound_chain(table, index, bound)),
            None => Target::Accept,
        }
    }

    /// The same for a rule that packets of all of a line's flows come to.
    pub(super) fn accepting_from_any(&self, table: &mut Table, allow: &Allow) -> Target {
        let ends = allow.flows.iter().map(|flow| flow.from);
        let (bounded, free): (Vec<Endpoint>, Vec<Endpoint>) =
            ends.partition(|end| self.bounded(*end).is_some());
        match bounded.first() {
            None => Target::Accept,
            Some(first) if free.is_empty() && bounded.iter().all(|end| end == first) => {
                self.accepting(table, *first)
            }
            Some(_) => Target::Jump(self.each_by_its_bound(table)),
        }
    }

    /// The bound of an end, which the router has none of.
    fn bounded(&self, end: Endpoint) -> Option<(ZoneIndex, Bound)> {
        match end {
            Endpoint::Zone(index) => Some((index, self.policy.zone(index).bound?)),
            Endpoint::Router => None,
        }
    }

    /// Lets through, or drops, and sends nothing back.
    fn bound_chain(&self, table: &mut Table, index: ZoneIndex, bound: Bound) -> ChainName {
        let zone = self.policy.zone(index);
        let name = chain(format_args!("bound-{}", zone.name));
        if table.chain(name.as_str()).is_none() {
            let mut within = Rule::new(Target::Accept);
            within.matches = self.within(zone, bound).into();
            let within = within.matching(purpose("within the bound"));
            let past = Rule::new(Target::Drop).matching(purpose("too many connections"));
            // Until it is answered each packet of a connection is NEW, as those of a
            // stream that nobody answers are (nf_conntrack_in in
            // net/netfilter/nf_conntrack_core.c).
            let open = Rule::new(Target::Accept).matching(Match::InTable);
            let mut rules = vec![open.matching(purpose("open already"))];
            rules.extend(self.without_own_count(index));
            rules.extend([within, past]);
            *table.rules_mut(&name) = rules;
        }
        name
    }

    /// All who ask for an address do so from the same one (RFC 2131, 4.1) and have one
    /// entry in the kernel's table together, since their packets are alike: who asks
    /// too often would use up what the others may, and fills nothing.
    fn without_own_count(&self, index: ZoneIndex) -> Vec<Rule> {
        let mut served = self.policy.offers_udp(index, port::DHCP_SERVER);
        if self.family == IpFamily::V6 || served.next().is_none() {
            return Vec::new();
        }
        let asks = from(Ipv4Net::from(Ipv4Addr::UNSPECIFIED), Target::Accept);
        vec![asks.matching(purpose("asks for an address"))]
    }

    fn each_by_its_bound(&self, table: &mut Table) -> ChainName {
        let name = chain("bounded");
        if table.chain(name.as_str()).is_none() {
            let mut rules = Vec::new();
            for (index, zone) in self.policy.indexed_zones() {
                if let target @ Target::Jump(_) = self.accepting(table, Endpoint::Zone(index)) {
                    rules.push(entering(zone, target));
                }
            }
            rules.push(Rule::new(Target::Accept).matching(purpose("of a zone without a bound")));
            *table.rules_mut(&name) = rules;
        }
        name
    }

    /// All that a connection of the zone has to meet, in this order.
    fn within(&self, zone: &Zone, bound: Bound) -> [Match; 4] {
        let Bound {
            connections,
            rate,
            zone_connections,
            zone_rate,
        } = bound;
        [
            Match::HashlimitPerSource {
                rate,
                // A new rate needs a new table, see `Compiler::limits`.
                name: chain(format_args!("bound-{}-{}", zone.name, rate.short())),
            },
            Match::Limit(zone_rate),
            Match::OpenConnections {
                most: connections,
                of: CountedTogether::Source(self.family),
            },
            Match::OpenConnections {
                most: zone_connections,
                of: CountedTogether::All,
            },
        ]
    }
}
