//! Drops what a listed camera opens on another zone's wire.
//!
//! Table raw checks addresses, and a camera that was plugged in elsewhere takes one that the
//! zone there may have. So its hardware address is checked too: in filter and after
//! ESTABLISHED, so that a running stream costs the same however many cameras there are.
//! Before RELATED, by which a helper lets connections be opened.

use super::hardware::{self, OfAddress};
use super::{Compiler, Direction, chain, entering, interface};
use crate::family::IpFamily;
use crate::netfilter::{Rule, Table, Target};
use crate::policy::{RefusalReason, ZoneIndex};

impl Compiler<'_> {
    /// Adds the jumps of one direction, and the chains that they lead to.
    pub(super) fn misplaced(&self, table: &mut Table, direction: Direction) {
        if direction == Direction::Output {
            return;
        }
        let misplaced = chain("misplaced");
        for (home, theirs) in self.policy.indexed_zones() {
            let macs = self.policy.cameras_of(home).filter_map(|it| it.mac);
            let refused = Rule::new(Target::Jump(misplaced.clone()));
            let of_cameras: Vec<OfAddress> = macs.map(|mac| (mac, vec![refused.clone()])).collect();
            let zones = self.policy.indexed_zones();
            let others = zones.filter(|(index, _)| *index != home && !self.is_closed_to(*index));
            let cameras = chain(format_args!("cameras-{}", theirs.name));
            let jumps = others.map(|(_, zone)| entering(zone, Target::Jump(cameras.clone())));
            let jumps: Vec<Rule> = jumps.collect();
            if of_cameras.is_empty() || jumps.is_empty() {
                continue;
            }
            table.rules_mut(&direction.chain()).extend(jumps);
            hardware::place(table, &cameras, Vec::new(), of_cameras, &[]);
            // The same for the cameras of each zone.
            let refused = table.rules_mut(&misplaced);
            if refused.is_empty() {
                *refused = self.refused_by_zone();
            }
        }
    }

    /// Whether table raw lets no hardware address of another zone's camera into this one.
    fn is_closed_to(&self, index: ZoneIndex) -> bool {
        let zone = self.policy.zone(index);
        let of_listed = || {
            self.policy.macs_without_address(index).is_some()
                && self.proxy_answers(index).is_empty()
        };
        zone.known_only && (self.family == IpFamily::V6 || of_listed())
    }

    fn refused_by_zone(&self) -> Vec<Rule> {
        let zones = self.policy.indexed_zones();
        let zones = zones.filter(|(index, _)| !self.is_closed_to(*index));
        let rules = zones.flat_map(|(index, zone)| {
            let mut rules = self.refusal(index, RefusalReason::Misplaced, None);
            for rule in &mut rules {
                rule.in_interface = interface(&zone.interface);
            }
            rules
        });
        rules.collect()
    }
}
