//! Lets through the ICMPv6 that IPv6 cannot live without.

use super::{Direction, chain, purpose};
use crate::field::IcmpType;
use crate::netfilter::{Match, Negatable, Protocol, Rule, Table, Target};
use crate::registry::icmpv6::NEIGHBOURS;

/// Lets them in, and out where the router may not send just anything.
pub(super) fn neighbours(table: &mut Table) {
    let neighbours = chain("neighbours");
    for direction in [Direction::Input, Direction::Output] {
        let jump = Rule::new(Target::Jump(neighbours.clone())).of(Protocol::Icmpv6);
        // Before INVALID and right after the loopback: conntrack leaves them
        // untracked, and without them there is no link.
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
