//! The claim that the connections a zone opens are counted, and limited by the zone's
//! bound.

use super::{ClaimResult, Proof};
use crate::family::IpFamily;
use crate::policy::Endpoint;
use crate::prove::bound;
use crate::prove::hook_path::HookPath;
use crate::prove::packet::{Field, State};
use crate::registry::port;
use camfw_diagrams::Set;

impl Proof<'_> {
    /// Claims that no packet which makes a conntrack entry, or opens the connection of one
    /// anew, gets through while a count of its zone's bound is exceeded. Two exceptions are let in uncounted: answers of DHCP
    /// servers, which may belong to no connection and have a rate of their own, and hosts
    /// that have no address yet, which share one conntrack entry.
    pub(super) fn bounded(&mut self) {
        self.leases_limited();
        let new = self.space.states(&[State::New]);
        let again = self.intent().opening_again();
        let opened = [HookPath::Input, HookPath::Forward].map(|way| {
            let leases = self.intent().leases(way);
            let opened = self.space.diagrams.minus(new, leases);
            let expected = self.intent().expected(way);
            (way, self.space.diagrams.or(opened, expected))
        });
        let exceeded = bound::exceeded(&mut self.space);
        // Its connection is in the table, so that this cannot excuse it.
        let again = self.space.diagrams.and(again, exceeded);
        let past_it = bound::past(&mut self.space);
        let nobody = match self.space.family {
            IpFamily::V4 => self.space.equal(Field::Source, 0),
            IpFamily::V6 => Set::EMPTY,
        };
        for (index, zone) in self.policy.indexed_zones() {
            if zone.bound.is_none() {
                continue;
            }
            let here = self.intent().by(Field::In, Endpoint::Zone(index));
            let again = self.space.diagrams.and(again, here);
            let mut answer = ClaimResult::Holds;
            for (way, opened) in opened {
                let past = self.space.all(&[opened, here, !nobody, past_it]);
                let past = self.space.diagrams.or(past, again);
                let past = self
                    .space
                    .diagrams
                    .and(self.accepted[way as usize].may, past);
                if answer == ClaimResult::Holds {
                    answer = self.none(way, past, Set::EMPTY);
                }
            }
            self.claim(
                format!(
                    "what {} opens is no more than its bound, of each address and of the zone",
                    zone.name
                ),
                answer,
            );
        }
    }

    /// Claims that no TCP connection is opened anew after a reset while the kernel has it:
    /// connlimit would not count it.
    pub(super) fn not_reopened(&mut self) {
        let mut answer = ClaimResult::Holds;
        for way in [HookPath::Input, HookPath::Forward] {
            let again = self.intent().opening_again();
            let loopback = self.intent().loopback();
            let was_reset = bound::was_reset(&mut self.space);
            let accepted = self.accepted[way as usize].may;
            let again = self.space.all(&[accepted, again, was_reset, !loopback]);
            if answer == ClaimResult::Holds {
                // The packet alone does not show whether it was reset.
                answer = self.none(way, again, Set::EMPTY);
            }
        }
        self.claim(
            "a connection that was reset is not opened anew while the kernel has it".into(),
            answer,
        );
    }

    /// Each answer of a DHCP server that belongs to no connection is one of its own in
    /// the kernel's table, from whatever address it is said to come.
    fn leases_limited(&mut self) {
        if self.space.family == IpFamily::V6 {
            return;
        }
        for (index, zone) in self.policy.indexed_zones() {
            let mut offered = self.policy.offers_udp(index, port::DHCP_CLIENT);
            if !zone.by_dhcp() || offered.next().is_some() {
                continue;
            }
            let here = self.intent().by(Field::In, Endpoint::Zone(index));
            let leases = self.intent().leases(HookPath::Input);
            let accepted = self.accepted[HookPath::Input as usize].must;
            let without_limit = self.space.all(&[accepted, here, leases]);
            let answer = self.none(HookPath::Input, without_limit, without_limit);
            let text = format!(
                "answers of DHCP servers in {} are let in at a rate",
                zone.name
            );
            self.claim(text, answer);
        }
    }
}
