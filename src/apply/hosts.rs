//! `camfw hosts`: who is there, by the policy in force; changes nothing, and sends nothing.

use std::path::Path;

use super::error::StepError;
use super::machine::Machine;
use super::planned::PlannedPolicy;
use super::{recorder, sighted};
use crate::error::with_causes;
use crate::host::{self, clock, dhcp, netlink};
use crate::net::SeenOnLinks;
use crate::observe::accounting::{Accounting, CameraCount};
use crate::observe::leased_host::leases;
use crate::observe::presence::Presence;
use crate::observe::presence_of::{HostFacts, presence};
use crate::observe::refusals::Refusals;
use crate::policy::Policy;
use crate::source::Refusal;

/// What is not said to other users than root.
const NOT_ROOT: &str = "only root may read what was counted and recorded; run it as root";

/// Who is there.
///
/// # Errors
/// Returns the refusal of the file.
pub(crate) fn hosts(config: &Path) -> Result<Presence, Refusal> {
    let policy = PlannedPolicy::in_force(config)?.plan.policy;
    let mut unread = Vec::new();
    let accounting = match host::is_root().then(count) {
        Some(Ok(accounting)) => Some(accounting),
        Some(Err(error)) => {
            unread.push(with_causes(&error));
            None
        }
        None => None,
    };
    let counts = accounting.as_ref().map(|it| it.cameras.as_slice());
    let mut presence = present(&policy, counts, &refused(&mut unread));
    presence.unread.splice(0..0, unread);
    Ok(presence)
}

fn count() -> Result<Accounting, StepError> {
    Ok(Machine::counted(&Machine::find()?.read()?))
}

/// The record of what was refused, as far as this user may read it.
pub(super) fn refused(unread: &mut Vec<String>) -> Refusals {
    if !host::is_root() {
        unread.push(NOT_ROOT.to_owned());
        return Refusals::default();
    }
    let (refusals, problems) = recorder::read();
    unread.extend(problems.iter().map(|problem| with_causes(problem)));
    refusals
}

/// Who is there, by what was counted and refused.
pub(super) fn present(
    policy: &Policy,
    counts: Option<&[CameraCount]>,
    refused: &Refusals,
) -> Presence {
    let now = clock::now();
    let (seen, error) = match netlink::seen() {
        Ok(seen) => (seen, None),
        Err(error) => (SeenOnLinks::default(), Some(with_causes(&error))),
    };
    let sightings = sighted::read();
    let facts = HostFacts {
        seen: &seen,
        leases: &leases(&dhcp::leases(), now),
        refused: &refused.all(),
        counts,
        // Twice the interval, and what a look may take on a busy box.
        patience: policy.watch.interval.as_secs() * 2 + 60,
        sightings: &sightings,
        now,
    };
    let mut presence = presence(policy, &facts);
    presence.unread.extend(error);
    presence
}
