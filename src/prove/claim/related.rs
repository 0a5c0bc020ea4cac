//! The claim that RELATED packets are about a connection of the zone they come from.

use super::Proof;
use crate::policy::Endpoint;
use crate::prove::belongs;
use crate::prove::hook_path::HookPath;
use crate::prove::packet::{Field, State};
use camfw_diagrams::Set;

use super::ClaimResult;

impl Proof<'_> {
    /// Claims that from no zone does a packet pass as part of a connection, or as an ICMP
    /// error about one, unless the connection has an end in that zone. That the connection
    /// itself was opened by an allow line is another claim. Its other end is the packet's
    /// destination, since the kernel takes an error for RELATED only if it goes to the
    /// sender of the packet that it quotes.
    pub(super) fn related(&mut self) {
        let ways = [HookPath::Forward, HookPath::Input];
        let expected = ways.map(|way| self.intent().expected(way));
        let errors = belongs::error_types(&mut self.space);
        let related = self.space.states(&[State::Related]);
        let established = self.space.states(&[State::Established]);
        for (index, zone) in self.policy.indexed_zones() {
            // Narrowed to this zone first: what follows then is of its size.
            let here = self.intent().by(Field::In, Endpoint::Zone(index));
            let related = self.space.diagrams.and(related, here);
            let established = self.space.diagrams.and(established, here);
            let somebodys = self.intent().about_somebody_in(index);
            let sources = self.intent().sources(index);
            // A host may have sent it, before NAT, to one of the destinations that a host
            // without an address may send to.
            let fields = [Field::Destination, Field::DestinationPort];
            let sources = self.space.forget(sources, &fields);
            let spoofed = self.space.diagrams.minus(established, sources);
            let errors = self.space.all(&[related, errors, somebodys]);
            let strange = self.space.diagrams.minus(related, errors);
            let mut answer = ClaimResult::Holds;
            for (way, expected) in ways.into_iter().zip(expected) {
                let strange = self.space.diagrams.minus(strange, expected);
                let strange = self.space.diagrams.or(strange, spoofed);
                if answer == ClaimResult::Holds {
                    let back = self.intent().by(Field::Out, Endpoint::Zone(index));
                    answer = self.no_stranger(way, strange, !back);
                }
            }
            self.claim(
                format!(
                    "from {} nothing reaches another zone or the router by RELATED or ESTABLISHED unless a connection between the two was opened by an allow line",
                    zone.name
                ),
                answer,
            );
        }
        let what = [
            self.intent().own_errors(),
            self.intent().expected(HookPath::Output),
            self.intent().loopback(),
        ];
        let what = self.space.diagrams.union(&what);
        let related = self.space.states(&[State::Related]);
        let strange = self.space.diagrams.minus(related, what);
        let answer = self.no_stranger(HookPath::Output, strange, Set::FULL);
        self.claim(
            "the router sends errors and resets only back to where the packet that they answer came from"
                .into(),
            answer,
        );
        self.own_errors_have_a_rate();
    }

    /// Claims that packets by which anyone can make the router send errors without end are
    /// limited by a rate.
    fn own_errors_have_a_rate(&mut self) {
        let own = self.intent().own_errors();
        let loopback = self.intent().loopback();
        let expected = self.intent().expected(HookPath::Output);
        let others = self.space.diagrams.or(loopback, expected);
        let own = self.space.diagrams.minus(own, others);
        let surely = self.noted[HookPath::Output as usize].must;
        let surely = self.space.diagrams.and(surely, own);
        let answer = self.none_like(HookPath::Output, surely, surely, belongs::example);
        self.claim(
            "the router sends errors and resets no faster than at a rate".into(),
            answer,
        );
    }

    /// Claims that no packet of `strange` gets through; the counterexample is an ICMP error
    /// if possible, and one in `wished`.
    fn no_stranger(&mut self, way: HookPath, strange: Set, wished: Set) -> ClaimResult {
        let accepted = self.noted[way as usize];
        let may = self.space.diagrams.and(accepted.may, strange);
        let must = self.space.diagrams.and(accepted.must, strange);
        self.none_like(way, may, must, |space| {
            let mut wishes = belongs::example(space);
            wishes.push(wished);
            wishes
        })
    }
}
