//! How much was refused of each camera and of all, as far as it is recorded.

use super::refusals::Refusals;
use crate::json::json_object;
use crate::policy::Policy;

/// What was refused, as far as it is recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RefusedCounts {
    /// Packets of all hosts and of the router, at least.
    pub(crate) packets: u64,
    /// Different things that were tried.
    pub(crate) attempts: u64,
    /// Entries that were given up, since there was no room.
    pub(crate) given_up: u64,
    /// How often packets came faster than they were read.
    pub(crate) lost: u64,
    /// In the order of the file.
    pub(crate) cameras: Vec<RefusedOfCamera>,
}

json_object!(RefusedCounts {
    packets,
    attempts,
    given_up,
    lost,
    cameras
});

/// What was refused of one camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusedOfCamera {
    /// Its name.
    pub(crate) name: String,
    /// Packets, at least.
    pub(crate) packets: u64,
    /// Different things that it tried.
    pub(crate) attempts: u64,
    /// When it tried something for the first time, the last time that it did, in seconds
    /// since 1970; None if it did not.
    pub(crate) newest: Option<u64>,
}

json_object!(RefusedOfCamera {
    name,
    packets,
    attempts,
    newest
});

/// Counts a record by the cameras of a policy.
pub(crate) fn refused_counts(policy: &Policy, refusals: &Refusals) -> RefusedCounts {
    let all = refusals.all();
    let cameras = policy.cameras.iter().map(|camera| {
        let zone = &policy.zone(camera.zone).name;
        let mut counts = RefusedOfCamera {
            name: camera.name.to_string(),
            packets: 0,
            attempts: 0,
            newest: None,
        };
        // One whose source may be made up is nobody's.
        let its = all.iter().filter(|it| {
            let tag = &it.attempt.tag;
            it.attempt.source == camera.address
                && tag.zone.as_ref() == Some(zone)
                && !tag.reason.has_unchecked_source()
        });
        for refused in its {
            counts.packets = counts.packets.saturating_add(refused.count);
            counts.attempts += 1;
            counts.newest = counts.newest.max(Some(refused.first));
        }
        counts
    });
    RefusedCounts {
        packets: all.iter().fold(0, |sum, it| it.count.saturating_add(sum)),
        attempts: all.len() as u64,
        given_up: refusals.given_up,
        lost: refusals.lost,
        cameras: cameras.collect(),
    }
}
