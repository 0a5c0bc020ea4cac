//! Accepts the ICMPv6 messages that IPv6 needs to work.

use super::{Direction, chain, interface, purpose, zone_comment};
use crate::field::IcmpType;
use crate::netfilter::{Match, Negatable, Protocol, Rule, Table, Target};
use crate::policy::{Egress, Policy};
use crate::registry::icmpv6::{NEIGHBOURS, ROUTER_ADVERTISEMENT};

/// Accepts the router's advertisements where it may not send everything. Conntrack does not
/// track them either.
pub(super) fn advertisements(policy: &Policy, table: &mut Table) {
    if policy.egress == Egress::Open {
        return;
    }
    for (index, zone) in policy.indexed_zones() {
        if !policy.advertises(index) {
            continue;
        }
        let kind = IcmpType::by_number(ROUTER_ADVERTISEMENT);
        let mut rule = Rule::new(Target::Accept)
            .of(Protocol::Icmpv6)
            .matching(Match::Icmpv6(Negatable::is(kind)))
            .matching(Match::HopLimit(255))
            .matching(zone_comment(zone));
        rule.out_interface = interface(&zone.interface);
        table.rules_mut(&Direction::Output.chain()).insert(1, rule);
    }
}

/// Accepts them on input and, if the router may not send everything, on output.
pub(super) fn neighbours(table: &mut Table) {
    let neighbours = chain("neighbours");
    for direction in [Direction::Input, Direction::Output] {
        let jump = Rule::new(Target::Jump(neighbours.clone())).of(Protocol::Icmpv6);
        // Right after the loopback and before INVALID: conntrack does not track these
        // messages, and no link works without them.
        table.rules_mut(&direction.chain()).insert(1, jump);
    }
    let rules = NEIGHBOURS.iter().map(|message| {
        Rule::new(Target::Accept)
            .of(Protocol::Icmpv6)
            .matching(Match::Icmpv6(Negatable::is(IcmpType::by_number(
                message.number,
            ))))
            .matching(Match::HopLimit(message.hop_limit))
            .matching(purpose(message.name))
    });
    table.rules_mut(&neighbours).extend(rules);
}
