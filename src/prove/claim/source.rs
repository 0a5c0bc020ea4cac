//! The claim that sources are rewritten where the file says so, where a forward depends on it:
//! what it turns back, or the host that an address is all its own.

use super::{ClaimResult, Proof};
use crate::family::IpFamily;
use crate::netfilter::TableName;
use crate::policy::Forward;
use crate::prove::fate;
use crate::prove::hook_path::HookPath;
use crate::prove::packet::State;
use camfw_diagrams::Set;

impl Proof<'_> {
    /// Claims that connections between hosts have the sources that the file gives them. A host
    /// that sees the address of another one in its own zone answers it directly, from an
    /// address that this one never asked.
    pub(super) fn sources_as_written(&mut self) {
        let mut forwards = self.policy.forwards.iter();
        let depends = |forward: &Forward| forward.turns_back() || forward.seen_as().is_some();
        if self.space.family == IpFamily::V6 || !forwards.any(depends) {
            return;
        }
        let way = HookPath::Forward;
        let new = self.space.states(&[State::New]);
        let passing = self.accepted[way as usize].may;
        let passing = self.space.diagrams.and(passing, new);
        let found = fate::sources_rewritten(&mut self.space, &self.program, way, passing);
        let mut meant = self.intent().rewritten_sources();
        for (_, set) in &mut meant {
            *set = self.space.diagrams.and(*set, passing);
        }
        let mut wrong = Vec::new();
        for (what, set) in &found {
            let same = meant.iter().find(|(meant, _)| meant == what);
            let same = same.map_or(Set::EMPTY, |(_, set)| *set);
            wrong.push(self.space.diagrams.minus(*set, same));
        }
        for (what, set) in &meant {
            let same = found.iter().find(|(found, _)| found == what);
            let same = same.map_or(Set::EMPTY, |(_, set)| *set);
            wrong.push(self.space.diagrams.minus(*set, same));
        }
        let wrong = self.space.diagrams.union(&wrong);
        let nat = self.program.table(TableName::Nat);
        let steps = nat.into_iter().flat_map(|nat| &nat.chains);
        let mut steps = steps.flat_map(|chain| &chain.steps);
        let surely = match steps.all(|step| step.condition.doubts.is_empty()) {
            true => wrong,
            false => Set::EMPTY,
        };
        let answer: ClaimResult = self.none(way, wrong, surely);
        self.claim(
            "the source of a connection between hosts is rewritten where the file says so, and nowhere else"
                .into(),
            answer,
        );
    }
}
