//! What a chain accepts of the first packets of connections between two interfaces: in the order of its rules,
//! through the chains that it jumps to. A rule that cannot be known accepts nothing, and drops all that it may.

use super::commands::ScriptedBox;
use super::rule::{FirstPacket, RuleTarget, ScriptRule};
use super::spans::PacketBox;

/// Chains within chains; the kernel has no circles of them.
const MOST_DEPTH: usize = 16;
/// Rules that are looked at for one pair of interfaces.
const MOST_STEPS: usize = 50_000;

/// What one rule accepts.
#[derive(Debug)]
pub struct AcceptedPackets<'a> {
    pub rule: &'a ScriptRule,
    /// Without what rules before it drop; `None` where that is too much to be written.
    pub boxes: Option<Vec<PacketBox>>,
}

/// A walk through a table's chain.
#[derive(Debug)]
pub struct ChainWalk<'a> {
    found: &'a ScriptedBox,
    table: &'a str,
    input: Option<&'a str>,
    output: Option<&'a str>,
    steps: usize,
    /// What is dropped, or may be.
    pub dropped: Vec<PacketBox>,
    pub accepted: Vec<AcceptedPackets<'a>>,
    /// Whether the walk was given up: then nothing of it may be used.
    pub given_up: bool,
}

impl<'a> ChainWalk<'a> {
    pub fn new(
        found: &'a ScriptedBox,
        table: &'a str,
        (input, output): (Option<&'a str>, Option<&'a str>),
        dropped: Vec<PacketBox>,
    ) -> Self {
        Self {
            found,
            table,
            input,
            output,
            steps: 0,
            dropped,
            accepted: Vec::new(),
            given_up: false,
        }
    }

    /// Walks through a chain of the kernel's.
    pub fn through(mut self, chain: &'a str) -> Self {
        self.chain(
            chain,
            &PacketBox::all(),
            RuleCertainty {
                sure: true,
                forwarded: false,
            },
            &[],
            0,
        );
        self
    }

    fn is_about(&self, rule: &ScriptRule) -> bool {
        let is = |condition: &Option<super::rule::InterfaceCondition>, interface: Option<&str>| {
            condition
                .as_ref()
                .is_none_or(|it| interface.is_some_and(|name| it.matches(name)))
        };
        rule.first != FirstPacket::Never
            && is(&rule.input, self.input)
            && is(&rule.output, self.output)
    }

    fn chain(
        &mut self,
        name: &'a str,
        context: &PacketBox,
        known: RuleCertainty,
        left: &[PacketBox],
        depth: usize,
    ) {
        let Some(chain) = self
            .found
            .chain(self.table, name)
            .filter(|_| depth < MOST_DEPTH)
        else {
            self.dropped.push(context.clone());
            return;
        };
        // What has gone back to the chain before this one; rules below are not about it.
        let mut returned = left.to_vec();
        for rule in &chain.rules {
            self.steps += 1;
            self.given_up |= self.steps > MOST_STEPS;
            if self.given_up {
                return;
            }
            if !self.is_about(rule) {
                continue;
            }
            let Some(packets) = rule.packets.and(context) else {
                continue;
            };
            let known = RuleCertainty {
                sure: known.sure && rule.unsure.is_none(),
                forwarded: known.forwarded || rule.first == FirstPacket::Forwarded,
            };
            match &rule.target {
                // What came by a forward passes by the forward's own line.
                RuleTarget::Accept if known.sure && !known.forwarded => {
                    let gone = self.dropped.iter().chain(&returned);
                    let boxes = packets.without(gone.filter(|gone| gone.and(&packets).is_some()));
                    self.accepted.push(AcceptedPackets { rule, boxes });
                }
                RuleTarget::Accept
                | RuleTarget::GoesOn(_)
                | RuleTarget::Log
                | RuleTarget::ClampMss => {}
                RuleTarget::Return if depth > 0 => returned.push(packets),
                RuleTarget::Chain(to) if self.found.chain(self.table, to).is_some() => {
                    self.chain(to, &packets, known, &returned, depth + 1);
                }
                _ => self.dropped.push(packets),
            }
        }
    }
}

#[derive(Clone, Copy)]
struct RuleCertainty {
    sure: bool,
    forwarded: bool,
}
