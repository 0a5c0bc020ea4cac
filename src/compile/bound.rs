//! Limits the connections that a zone with a bound can open.
//!
//! Owns one chain for each such zone. INPUT and FORWARD share it, because connlimit counts
//! separately for each rule (net/netfilter/xt_connlimit.c). Allow lines jump there as their
//! last step, so only allowed connections are counted; one that is dropped there leaves no
//! conntrack entry, since it is never confirmed. The rates are checked first: connlimit
//! remembers each packet that it checks until it next cleans up, a few at a time
//! (CONNCOUNT_GC_MAX_NODES in net/netfilter/nf_conncount.c).

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::{Compiler, chain, entering, from, purpose};
use crate::family::IpFamily;
use crate::name::ChainName;
use crate::netfilter::{CountedTogether, CtStates, Match, Negatable, Rule, Table, Target};
use crate::policy::{Allow, Bound, Endpoint, RefusalReason, Role, Zone, ZoneIndex};
use crate::registry::port;

/// Restricts a rule to connections that are in the table, and that nobody has answered yet.
pub(super) fn unanswered(rule: Rule) -> Rule {
    rule.matching(Match::Conntrack(Negatable::is(CtStates::NEW)))
        .matching(Match::InTable)
}

fn name_of_bound(zone: &Zone) -> ChainName {
    chain(format_args!("bound-{}", zone.name))
}

impl Compiler<'_> {
    /// Passes on, in the chains of the bounds, what is past them.
    pub(super) fn past_bounds(&mut self, table: &mut Table) {
        for (index, zone) in self.policy.indexed_zones() {
            let name = name_of_bound(zone);
            if table.chain(name.as_str()).is_none() {
                continue;
            }
            let rule = self.recorded_by_whose(table, index, RefusalReason::TooMany);
            let rules = table.rules_mut(&name);
            // Before the last, which drops it.
            let place = rules.len().saturating_sub(1);
            rules.splice(place..place, rule);
        }
    }

    /// The target of a rule that accepts a connection opened by this endpoint: ACCEPT, or
    /// the chain of the zone's bound.
    pub(super) fn accepting(&self, table: &mut Table, from: Endpoint) -> Target {
        match self.bounded(from) {
            Some((index, bound)) => Target::Jump(self.bound_chain(table, index, bound)),
            None => Target::Accept,
        }
    }

    /// The same for many lines, of which only the first looks for the chain.
    pub(super) fn accepting_as_known(
        &self,
        table: &mut Table,
        known: &mut Vec<(Endpoint, Target)>,
        from: Endpoint,
    ) -> Target {
        if let Some((_, target)) = known.iter().find(|(end, _)| *end == from) {
            return target.clone();
        }
        let target = self.accepting(table, from);
        known.push((from, target.clone()));
        target
    }

    /// The same for a rule that serves all flows of a line.
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

    /// The bound of an endpoint; the router has none.
    fn bounded(&self, end: Endpoint) -> Option<(ZoneIndex, Bound)> {
        match end {
            Endpoint::Zone(index) => Some((index, self.policy.zone(index).bound?)),
            Endpoint::Router => None,
        }
    }

    /// The chain that accepts packets within the bound and drops all others; none returns
    /// from it.
    fn bound_chain(&self, table: &mut Table, index: ZoneIndex, bound: Bound) -> ChainName {
        let zone = self.policy.zone(index);
        let name = name_of_bound(zone);
        if let Some(known) = table.chain(name.as_str()) {
            return known.name.clone();
        }
        let mut within = Rule::new(Target::Accept);
        within.matches = self.within(zone, bound).into();
        let within = within.matching(purpose("within the bound"));
        let past = Rule::new(Target::Drop).matching(purpose("too many connections"));
        // Until it is answered each packet of a connection is NEW, as those of a
        // stream that nobody answers are (nf_conntrack_in in
        // net/netfilter/nf_conntrack_core.c). The SYN of an answered one opens it anew,
        // and is counted.
        let open = unanswered(Rule::new(Target::Accept));
        let mut rules = vec![open.matching(purpose("open already"))];
        rules.extend(self.uncounted_requests(index));
        rules.push(within);
        rules.push(past);
        *table.rules_mut(&name) = rules;
        name
    }

    /// Hosts that ask for an address all use the same source (RFC 2131, 4.1) and share one
    /// conntrack entry, since their packets are alike. So these packets are not counted:
    /// they cannot fill the table, and one host could use up the count of all others.
    fn uncounted_requests(&self, index: ZoneIndex) -> Vec<Rule> {
        let mut served = self.policy.offers_udp(index, port::DHCP_SERVER);
        // On an external zone that accepts such bogons table raw lets that source in for
        // everything.
        let is_external = self.policy.zone(index).role == Role::External;
        if self.family == IpFamily::V6 || is_external || served.next().is_none() {
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

    /// What a connection of the zone must satisfy, in this order.
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
