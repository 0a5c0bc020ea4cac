//! The local time of the policy's zone: from the system's database, or as the rules in force
//! were made by.
//!
//! Owns that second file. It is in /run: a boot computes anew, by the clock that it has. What
//! is compared with the kernel is made by the same seasons as what was loaded, so that no
//! rule seems to differ only because time went on.

use crate::host::config_file::Purpose;
use crate::host::store::{self, StoreError, StorePlace};
use crate::host::{clock, zone_data};
use crate::local_time::{BUILT, LocalTime, UTC};
use crate::policy::Policy;

const NAME: &str = "local-time";

/// By the system's database, at this time.
pub(super) fn computed(zone: &str, purpose: Purpose) -> Result<LocalTime, String> {
    if zone == UTC {
        return Ok(LocalTime::utc(BUILT));
    }
    let data = zone_data::read(zone, purpose)?;
    LocalTime::new(zone, &data, clock::now(), BUILT).ok_or_else(|| {
        format!("the data of time zone {zone:?} do not tell its time; install tzdata anew")
    })
}

/// As the rules in force were made by, or computed if they are not of this zone.
pub(super) fn in_force(zone: &str, purpose: Purpose) -> Result<LocalTime, String> {
    match stored().filter(|stored| stored.zone == zone) {
        Some(stored) => Ok(stored),
        None => computed(zone, purpose),
    }
}

/// Stores what the rules that were just loaded were made by.
pub(super) fn keep(policy: &Policy) -> Result<(), StoreError> {
    policy.local_time.as_ref().map_or(Ok(()), |it| {
        store::write_if_changed(StorePlace::Run, NAME, &it.to_text())
    })
}

/// Whether the rules of a policy are known to be made by its local time.
pub(super) fn is_kept(policy: &Policy) -> bool {
    policy.local_time.is_none() || stored() == policy.local_time
}

fn stored() -> Option<LocalTime> {
    let text = store::read(StorePlace::Run, NAME).ok().flatten()?;
    LocalTime::from_text(&text)
}
