//! A zone whose IPv6 address and default route come by router advertisement: lets the
//! advertisements in, and nothing out to where they must not lead.
//!
//! An advertisement may name any prefix as its link's, and the kernel makes a route of it,
//! by which what is for another zone would leave if the prefix is longer than that zone's
//! (addrconf_prefix_rcv in net/ipv6/addrconf.c).

use ipnet::IpNet;

use super::{Compiler, Direction, chain, from, interface, purpose, zone_comment};
use crate::family::IpFamily;
use crate::field::{IcmpType, Rate, Unit};
use crate::netfilter::{CtStates, Match, Negatable, Protocol, Rule, Table, Target};
use crate::policy::Zone;
use crate::registry::icmpv6::ROUTER_ADVERTISEMENT;
use crate::registry::special_purpose::LINK_LOCAL;

/// How many advertisements are taken: whoever is on the link can send them, and the kernel makes a
/// route of each of up to 45 prefixes in one, for as long as it says. A router sends one in
/// three seconds at the most, and its next one says the same (RFC 4861, 6.2.1).
const TAKEN: Option<Rate> = Rate::new(10, Unit::Minute);

impl Compiler<'_> {
    /// The zones whose addresses of this family come by advertisement.
    fn advertised(&self) -> impl Iterator<Item = &Zone> {
        let zones = self.policy.zones.iter();
        zones.filter(|zone| zone.slaac && self.family == IpFamily::V6)
    }

    /// Accepts advertisements. Conntrack does not track them; from where, and by whom, they
    /// come says RFC 4861, 6.1.2.
    pub(super) fn taken_advertisements(&self, table: &mut Table) {
        for zone in self.advertised() {
            let kind = IcmpType::by_number(ROUTER_ADVERTISEMENT);
            let mut rule = from(LINK_LOCAL, Target::Accept)
                .of(Protocol::Icmpv6)
                .matching(Match::Icmpv6(Negatable::is(kind)))
                .matching(Match::HopLimit(255))
                .matching(Match::Conntrack(Negatable::is(CtStates::UNTRACKED)));
            rule.matches.extend(TAKEN.map(Match::Limit));
            rule.in_interface = interface(&zone.interface);
            let rule = rule.matching(zone_comment(zone));
            table.rules_mut(&Direction::Input.chain()).push(rule);
        }
    }

    /// Drops what is for another zone and would leave by such a zone's interface. Comes before
    /// ESTABLISHED: an advertisement may lead an open connection there too.
    pub(super) fn astray(&self, table: &mut Table) {
        for zone in self.advertised() {
            let others = self.policy.zones.iter();
            let others = others.filter(|other| other.name != zone.name);
            let networks: Vec<IpNet> = others.flat_map(|it| self.networks_of(it)).collect();
            if networks.is_empty() {
                continue;
            }
            let astray = chain(format_args!("astray-{}", zone.name));
            for direction in [Direction::Forward, Direction::Output] {
                let mut jump = Rule::new(Target::Jump(astray.clone()));
                jump.out_interface = interface(&zone.interface);
                let jump = jump.matching(zone_comment(zone));
                table.rules_mut(&direction.chain()).insert(0, jump);
            }
            let rules = networks.into_iter().map(|network| {
                let mut rule = Rule::new(Target::Drop).matching(purpose("of another zone"));
                rule.destination = Some(Negatable::is(network));
                rule
            });
            table.rules_mut(&astray).extend(rules);
        }
    }
}
