//! Answers what no line allows, on zones that ask for it, so that nobody there waits.
//!
//! Owns the last rules of INPUT and FORWARD. They let nothing through: what is answered is
//! dropped, and what comes faster than the rate is dropped by the chain's policy. The
//! answer is a packet of the router's own, RELATED to the one that it answers
//! (nf_send_reset in net/ipv4/netfilter/nf_reject_ipv4.c), which [`super::related`] lets
//! back into that zone alone.

use super::{Compiler, Direction, chain, entering, purpose};
use crate::field::{Rate, Unit};
use crate::netfilter::{Answer, CtStates, Match, Negatable, Protocol, Rule, Table, Target};
use crate::policy::OnDeny;

/// How many answers one source gets: one that asks for more takes none from others.
const ANSWERS: Option<Rate> = Rate::new(20, Unit::Second);

impl Compiler<'_> {
    /// Adds the rules, which must come last.
    pub(super) fn reject(&self, table: &mut Table) {
        let zones = self.policy.zones.iter();
        let zones = zones.filter(|zone| zone.on_deny == OnDeny::Reject);
        let (within, answered) = (chain("reject"), chain("answered"));
        for zone in zones {
            for direction in [Direction::Input, Direction::Forward] {
                let jump = entering(zone, Target::Jump(within.clone()));
                table.rules_mut(&direction.chain()).push(jump);
            }
            if table.chain(within.as_str()).is_some() {
                continue;
            }
            // A SYN of a connection that a server has answered may be sent again because the
            // answer was lost: a reset would end what the server's next answer completes.
            let established = Negatable::not(CtStates::ESTABLISHED);
            let mut limited =
                Rule::new(Target::Jump(answered.clone())).matching(Match::Conntrack(established));
            limited
                .matches
                .extend(ANSWERS.map(|rate| Match::HashlimitPerSource {
                    rate,
                    // A new rate needs a new table, see `Compiler::limits`.
                    name: chain(format_args!("reject-{}", rate.short())),
                }));
            *table.rules_mut(&within) = vec![limited];
            let answer = |answer| Rule::new(Target::Reject(answer)).matching(purpose(NOT_ALLOWED));
            *table.rules_mut(&answered) = vec![
                answer(Answer::TcpReset).of(Protocol::Tcp),
                answer(Answer::Prohibited(self.family)),
            ];
        }
    }
}

/// As packets are called that a chain's policy drops.
const NOT_ALLOWED: &str = "not allowed";
