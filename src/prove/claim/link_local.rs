//! The claim that no link-local connection is taken for one of another link.

use super::{ClaimResult, Proof};
use crate::family::IpFamily;
use crate::policy::Endpoint;
use crate::prove::fate;
use crate::prove::hook_path::HookPath;
use crate::prove::packet::{Field, State};
use crate::prove::reach::Reach;
use crate::registry::special_purpose::LINK_LOCAL;

impl Proof<'_> {
    /// A link-local address does not identify a host on another link (RFC 4291, 2.5.6), and
    /// two interfaces with one hardware address, such as VLANs, give the router the same
    /// link-local address on both. So conntrack must keep the connections of each link in a
    /// zone of their own.
    pub(super) fn links_apart(&mut self) {
        if self.space.family == IpFamily::V4 {
            return;
        }
        for (index, zone) in self.policy.indexed_zones() {
            let number = self.policy.conntrack_zone(index);
            let mut answer = ClaimResult::Holds;
            for (way, side, end) in [
                (HookPath::Input, Field::In, Field::Source),
                (HookPath::Output, Field::Out, Field::Destination),
            ] {
                let reach = Reach::new(&self.program);
                let apart =
                    fate::in_conntrack_zone(&mut self.space, &self.program, &reach, way, number);
                let here = self.intent().by(side, Endpoint::Zone(index));
                let link_local = self.intent().networks(end, &[LINK_LOCAL.into()]);
                let states = [State::New, State::Established, State::Related];
                let tracked = self.space.states(&states);
                let strange = self.space.all(&[here, link_local, tracked, !apart]);
                let accepted = self.noted[way as usize];
                let may = self.space.diagrams.and(accepted.may, strange);
                let must = self.space.diagrams.and(accepted.must, strange);
                if answer == ClaimResult::Holds {
                    answer = self.none(way, may, must);
                }
            }
            let zone = &zone.name;
            self.claim(
                format!("connections of link-local addresses in {zone} are no other link's"),
                answer,
            );
        }
    }
}
