//! Drops, on external zones, sources that no host on the internet can have.
//!
//! Only new connections are checked: answers were asked for by the router.

use ipnet::IpNet;

use super::{Compiler, Direction, chain, entering, from, purpose};
use crate::family::IpFamily;
use crate::netfilter::{Rule, Table, Target};
use crate::policy::{RefusalReason, Role, Zone, ZoneIndex};
use crate::registry::special_purpose::{self, SpecialPurpose};

impl Compiler<'_> {
    /// Adds the checks of each external zone to INPUT and FORWARD.
    pub(super) fn bogons(&self, table: &mut Table) {
        for (index, zone) in self.policy.indexed_zones() {
            if zone.role != Role::External {
                continue;
            }
            let checks = chain(format_args!("bogon-{}", zone.name));
            for direction in [Direction::Input, Direction::Forward] {
                let jump = entering(zone, Target::Jump(checks.clone()));
                table.rules_mut(&direction.chain()).push(jump);
            }
            self.bogon_checks(table, index, zone);
        }
    }

    fn bogon_checks(&self, table: &mut Table, index: ZoneIndex, zone: &Zone) {
        let checks = chain(format_args!("bogon-{}", zone.name));
        let dropped = chain(format_args!("reserved-{}", zone.name));
        let listed = match self.family {
            IpFamily::V4 => special_purpose::IPV4,
            IpFamily::V6 => special_purpose::IPV6,
        };
        let is_listed = |network: &IpNet| listed.iter().any(|row| row.network.contains(network));
        // If the router is behind another router, the zone's own network is a private one.
        let mut rules: Vec<Rule> = Vec::new();
        let own = self.networks_of(zone).into_iter();
        for own in own.filter(is_listed) {
            rules
                .push(from(own, Target::Return).matching(purpose("own network although reserved")));
        }
        let accepted = zone.accept_bogons.iter();
        for accepted in accepted.filter(|network| self.is_ours(network)) {
            let rule = from(*accepted, Target::Return);
            rules.push(rule.matching(purpose("accepted although reserved")));
        }
        for SpecialPurpose {
            network,
            name,
            private,
        } in listed
        {
            // It is not known which network the router will be in: it may be any of these.
            if zone.is_unknown(self.family == IpFamily::V6) && *private {
                continue;
            }
            let rule = from(*network, Target::Jump(dropped.clone()));
            rules.push(rule.matching(purpose(name)));
        }
        *table.rules_mut(&checks) = rules;
        *table.rules_mut(&dropped) = self.refusal(index, RefusalReason::Bogon, None);
    }
}
