//! The last good policy, and the policy that waits to be confirmed.
//!
//! If the power fails, nothing new is open: a policy is recorded on the disk as
//! unconfirmed before it is applied, and stored as good only after that.

use thiserror::Error;

use super::planned::PlannedPolicy;
use crate::error::with_causes;
use crate::host::store::{self, StoreError, StorePlace};
use crate::policy::Policy;
use crate::snapshot::PolicySnapshot;
use crate::source::Refusal;

const GOOD: &str = "last-good";
const UNCONFIRMED: &str = "unconfirmed";

/// Why there is no usable last good policy.
#[derive(Debug, Error)]
pub(crate) enum NoLastGood {
    #[error("no confirmed policy is kept in {} or {}", StorePlace::Run.folder(), StorePlace::Disk.folder())]
    None,
    #[error("it is not taken")]
    Unreadable(#[source] StoreError),
    #[error("the one in {} is refused", .place.folder())]
    Refused {
        place: StorePlace,
        #[source]
        refusal: Refusal,
    },
}

/// The last policy that was applied and confirmed, resolved and compiled again.
///
/// # Errors
/// Returns an error if none is stored, or if it can no longer be used.
pub(super) fn last() -> Result<PlannedPolicy, NoLastGood> {
    let mut none = NoLastGood::None;
    for place in StorePlace::NEWEST_FIRST {
        let snapshot = match store::read(place, GOOD) {
            Ok(kept) => kept.and_then(|text| PolicySnapshot::from_text(&text)),
            Err(error) => {
                none = NoLastGood::Unreadable(error);
                continue;
            }
        };
        let Some(snapshot) = snapshot else { continue };
        match PlannedPolicy::new(snapshot) {
            Ok(policy) => return Ok(policy),
            Err(refusal) => none = NoLastGood::Refused { place, refusal },
        }
    }
    Err(none)
}

/// Where a policy is stored; the file of a box whose disk is read-only can restrict
/// that to /run.
fn places(policy: &PlannedPolicy) -> &'static [StorePlace] {
    StorePlace::all_or_run(policy.plan.policy.keep)
}

/// Stores a policy as the last good one and clears the unconfirmed mark. Returns
/// descriptions of what could not be stored.
#[must_use]
pub(super) fn keep(policy: &PlannedPolicy) -> Vec<String> {
    let text = policy.snapshot.to_text();
    let mut problems = Vec::new();
    for place in places(policy) {
        let kept = store::write_if_changed(*place, GOOD, &text);
        // Remove the mark last: until then, a boot uses the last good policy.
        if let Err(error) = kept.and_then(|()| store::remove(*place, UNCONFIRMED)) {
            problems.push(problem("the last good policy", &error));
        }
    }
    problems
}

/// Records a policy as unconfirmed before it is applied, for `confirm` and for the next
/// boot. If it could not be recorded for the next boot, returns a description.
///
/// # Errors
/// Returns an error if `confirm` would not find it.
pub(super) fn note_unconfirmed(policy: &PlannedPolicy) -> Result<Option<String>, StoreError> {
    let text = policy.snapshot.to_text();
    store::write(StorePlace::Run, UNCONFIRMED, &text)?;
    if !places(policy).contains(&StorePlace::Disk) {
        return Ok(None);
    }
    let noted = store::write(StorePlace::Disk, UNCONFIRMED, &text);
    let what = "that this policy is unconfirmed";
    Ok(noted.err().map(|error| problem(what, &error)))
}

/// What was recorded as unconfirmed before another policy was.
pub(super) struct Earlier(Vec<(StorePlace, String)>);

impl Earlier {
    /// Reads it.
    pub(super) fn read() -> Earlier {
        let places = StorePlace::NEWEST_FIRST.into_iter();
        let kept = places.filter_map(|place| Some((place, store::read(place, UNCONFIRMED).ok()??)));
        Earlier(kept.collect())
    }

    /// Records it again, because the other policy is not in force.
    pub(super) fn put_back(&self) {
        forget_unconfirmed();
        for (place, text) in &self.0 {
            if let Err(error) = store::write(*place, UNCONFIRMED, text) {
                log::warn!("{}", with_causes(&error));
            }
        }
    }
}

/// Clears the unconfirmed policy, because it is not in force.
fn forget_unconfirmed() {
    for place in StorePlace::NEWEST_FIRST {
        if let Err(error) = store::remove(place, UNCONFIRMED) {
            log::warn!("{}", with_causes(&error));
        }
    }
}

/// The policy on trial since the kernel started.
pub(super) fn on_trial() -> Option<PolicySnapshot> {
    read(StorePlace::Run, UNCONFIRMED)
}

/// Whether a policy was applied and never confirmed, even if it can no longer be read, where
/// this one says that such are recorded. A folder that others can write is no reason to
/// believe so: what is in it is not read, and the file itself is trusted.
///
/// # Errors
/// Returns an error if that cannot be determined.
pub(super) fn is_unconfirmed(policy: &PlannedPolicy) -> Result<bool, StoreError> {
    for place in places(policy) {
        if store::is_there(*place, UNCONFIRMED)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Why a policy cannot be kept for the next boot, by what its folder is now.
pub(crate) fn cannot_keep(policy: &Policy) -> Option<String> {
    let disk = StorePlace::Disk;
    let cause = store::check(disk).err().filter(|_| policy.keep)?;
    Some(format!(
        "the last good policy cannot be kept in {}: {cause}; until then apply and boot exit with 1",
        disk.folder()
    ))
}

/// Whether such a policy was applied since the kernel started.
pub(super) fn is_unconfirmed_now() -> bool {
    !matches!(store::read(StorePlace::Run, UNCONFIRMED), Ok(None))
}

/// All stored policies that are intact.
pub(super) fn all() -> impl Iterator<Item = PolicySnapshot> {
    let names = [GOOD, UNCONFIRMED];
    StorePlace::NEWEST_FIRST
        .into_iter()
        .flat_map(move |place| names.map(|name| (place, name)))
        .filter_map(|(place, name)| read(place, name))
}

fn read(place: StorePlace, name: &str) -> Option<PolicySnapshot> {
    PolicySnapshot::from_text(&store::read(place, name).ok()??)
}

fn problem(what: &str, error: &StoreError) -> String {
    let recorded = || store::is_there(StorePlace::Disk, UNCONFIRMED);
    let then = match error.is_lost_at_reboot().then(recorded) {
        None => "",
        Some(Ok(false)) => "; the next boot takes the file as it is then",
        Some(Ok(true)) => {
            "; a policy that was never confirmed is recorded there, so the next boot takes an earlier one, or stays sealed"
        }
        Some(Err(_)) => "; a boot that cannot read what is kept there stays sealed",
    };
    let (folder, cause) = (error.place.folder(), &error.cause);
    format!("cannot keep {what} in {folder}: {cause}{then}")
}
