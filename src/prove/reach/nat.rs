//! What the chains of nat let through: they see the first packet of each connection, and whether they are asked at all
//! is conntrack's to say.

use super::Reach;
use super::effect::expected;
use crate::netfilter::{ChainPolicy, TableName};
use crate::prove::bounds::Bounds;
use crate::prove::hook_path::{HookPath, source_rewritten_in};
use crate::prove::packet::{Field, State};
use crate::prove::program::Effect;
use crate::prove::space::Space;

impl Reach<'_, '_> {
    /// A chain of nat: it sees the first packet of each connection, and later packets are
    /// rewritten in the same way.
    pub(super) fn rewritten(&mut self, space: &mut Space, chain: &str, flow: Bounds) -> Bounds {
        let drops = self.nat_drops(chain);
        if !self.program.rewrites && !drops {
            return flow;
        }
        let new = Bounds::exactly(space.states(&[State::New]));
        let first = space.and(flow, new);
        let first = self.through(space, TableName::Nat, chain, first);
        let part = space.states(&[State::Established, State::Related]);
        let later = space.and(flow, Bounds::exactly(part));
        let fields = [Field::Destination, Field::DestinationPort];
        let later = Bounds {
            may: space.forget(later.may, &fields),
            must: !space.forget(!later.must, &fields),
        };
        let part = Bounds::exactly(part);
        let mut later = space.and(later, part);
        if drops {
            // A connection that a helper expected also traverses nat with its first packet.
            let expected = expected(space);
            later.must = space.diagrams.minus(later.must, expected);
        }
        let others = space.or(new, part);
        let others = space.minus(flow, others);
        let others = space.or(later, others);
        self.as_tracked(space, flow, first, others)
    }

    /// Whether a built-in chain of nat, or one that it may call, may drop packets, although they are not meant for it.
    fn nat_drops(&self, built_in: &str) -> bool {
        let chains = self.program.table(TableName::Nat).map(|nat| &nat.chains);
        chains.into_iter().flatten().any(|chain| {
            let mut steps = chain.steps.iter();
            match chain.policy {
                Some(policy) if chain.name == built_in && policy == ChainPolicy::Drop => true,
                Some(_) if chain.name != built_in => false,
                _ => steps.any(|step| matches!(step.effect, Effect::Drop | Effect::Unknown)),
            }
        })
    }

    /// The chain of nat after routing. It changes what a connection's source becomes, which no rule can ask for any
    /// more, and matters here if it may drop.
    pub(super) fn source_rewritten(
        &mut self,
        space: &mut Space,
        way: HookPath,
        flow: Bounds,
    ) -> Bounds {
        let chain = source_rewritten_in(way);
        if !self.nat_drops(chain) {
            return flow;
        }
        let new = Bounds::exactly(space.states(&[State::New]));
        let first = space.and(flow, new);
        let first = self.through(space, TableName::Nat, chain, first);
        let mut others = space.minus(flow, new);
        let expected = expected(space);
        others.must = space.diagrams.minus(others.must, expected);
        self.as_tracked(space, flow, first, others)
    }

    /// What nat leaves of a flow: first packets of connections, and others. Where no rule needs conntrack, nothing
    /// tells whether it is on, and without it nat sees no packet.
    fn as_tracked(&self, space: &mut Space, flow: Bounds, first: Bounds, others: Bounds) -> Bounds {
        let mut left = space.or(first, others);
        if !self.program.tracks {
            left.may = flow.may;
        }
        left
    }
}
