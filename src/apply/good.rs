//! The last good policy, and the one that waits to be confirmed.
//!
//! What is open if the power goes: nothing new. A policy is noted as
//! unconfirmed on the disk before it is applied, and kept as good only after.

use super::plan_of;
use crate::host::store::{self, Place, StoreError};
use crate::kept::Kept;
use crate::plan::Plan;

const GOOD: &str = "last-good";
const UNCONFIRMED: &str = "unconfirmed";

/// Newest first: a disk may have turned read-only since.
const PLACES: [Place; 2] = [Place::Run, Place::Disk];

/// The last policy that was applied and confirmed, if it is still one that can
/// be: it is resolved and compiled again. Why not, if not.
pub fn last() -> Result<(Kept, Plan), String> {
    let mut problems = Vec::new();
    for place in PLACES {
        match read(place, GOOD) {
            Some(kept) => match plan_of(&kept) {
                Ok(plan) => return Ok((kept, plan)),
                Err(refusal) => problems.push(format!("the last good policy: {refusal}")),
            },
            None => problems.push(format!("no last good policy in {}", place.folder())),
        }
    }
    Err(problems.join(", "))
}

/// Keeps a policy as the last good one, and none is unconfirmed any more. What
/// could not be kept, in words.
#[must_use]
pub fn keep(kept: &Kept) -> Vec<String> {
    let text = kept.to_text();
    let mut problems = Vec::new();
    for place in PLACES {
        let there = store::read(place, GOOD).ok().flatten();
        let kept = if there.as_ref() == Some(&text) {
            Ok(())
        } else {
            store::write(place, GOOD, &text)
        };
        // The mark goes last: until then a boot takes what is good.
        if let Err(error) = kept.and_then(|()| store::remove(place, UNCONFIRMED)) {
            problems.push(problem("the last good policy", &error));
        }
    }
    problems
}

/// Notes a policy as unconfirmed, before it is applied. Whether it is noted
/// where `confirm` finds it.
pub fn note_unconfirmed(kept: &Kept) -> Result<(), StoreError> {
    let text = kept.to_text();
    if let Err(error) = store::write(Place::Disk, UNCONFIRMED, &text) {
        let what = "that this policy is unconfirmed";
        log::warn!("{}", problem(what, &error));
    }
    store::write(Place::Run, UNCONFIRMED, &text)
}

/// Nothing is unconfirmed: what was to be is not in force.
pub fn forget_unconfirmed() {
    for place in PLACES {
        if let Err(error) = store::remove(place, UNCONFIRMED) {
            log::warn!("{error}");
        }
    }
}

/// Whether a policy was applied and never confirmed, even one that can no longer
/// be read.
pub fn is_unconfirmed() -> bool {
    let there = |place| !matches!(store::read(place, UNCONFIRMED), Ok(None));
    PLACES.into_iter().any(there)
}

/// Every policy that is kept, whole.
pub fn all() -> impl Iterator<Item = Kept> {
    let names = [GOOD, UNCONFIRMED];
    PLACES
        .into_iter()
        .flat_map(move |place| names.map(|name| (place, name)))
        .filter_map(|(place, name)| read(place, name))
}

fn read(place: Place, name: &str) -> Option<Kept> {
    Kept::from_text(&store::read(place, name).ok()??)
}

fn problem(what: &str, error: &StoreError) -> String {
    let then = match error.is_lost_at_reboot() {
        true => "; the next boot takes the file as it is then",
        false => "",
    };
    let (folder, cause) = (error.place.folder(), &error.cause);
    format!("cannot keep {what} in {folder}: {cause}{then}")
}
