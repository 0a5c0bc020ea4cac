//! How much was refused of each camera and of all, as far as it is recorded.

use super::refusals::{Refusals, RefusedAttempt};
use crate::field::plural;
use crate::json::json_object;
use crate::policy::{Camera, Policy};
use crate::registry::port;

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

/// The ports of DNS and NTP, by which a camera asks somebody abroad.
const ASKED: [u16; 2] = [port::DNS, port::NTP];

/// In seconds.
const A_DAY: u64 = 86_400;

/// The most cameras that are named.
const MOST_NAMED: usize = 5;

/// What listed cameras tried for the first time in the day before `now`, in a line; None if
/// it is nothing.
pub(crate) fn newly_tried(policy: &Policy, refusals: &Refusals, now: u64) -> Option<String> {
    let since = now.saturating_sub(A_DAY);
    let mut all = refusals.all();
    all.retain(|it| it.first >= since);
    let mut counts = Vec::new();
    let mut asks = false;
    for camera in &policy.cameras {
        let its = || all.iter().filter(|it| is_of(policy, camera, it));
        asks |= its().any(|it| ASKED.contains(&it.attempt.port));
        match its().count() {
            0 => {}
            count => counts.push(format!("{} {count}", camera.name)),
        }
    }
    let more = counts.len().saturating_sub(MOST_NAMED);
    counts.truncate(MOST_NAMED);
    if more > 0 {
        counts.push(format!("{more} more camera{}", plural(more as u64)));
    }
    let how = match asks {
        true => "; [[redirects]] has the router answer DNS and NTP for others",
        false => "",
    };
    (!counts.is_empty()).then(|| {
        let counts = counts.join(", ");
        format!("new in 24 hours, and blocked: {counts}; camfw blocked{how}")
    })
}

fn is_of(policy: &Policy, camera: &Camera, refused: &RefusedAttempt) -> bool {
    let zone = &policy.zone(camera.zone).name;
    let mut own = camera.addresses();
    own.any(|own| refused.attempt.is_from(zone, own))
}

/// Counts a record by the cameras of a policy.
pub(crate) fn refused_counts(policy: &Policy, refusals: &Refusals) -> RefusedCounts {
    let all = refusals.all();
    let cameras = policy.cameras.iter().map(|camera| {
        let mut counts = RefusedOfCamera {
            name: camera.name.to_string(),
            packets: 0,
            attempts: 0,
            newest: None,
        };
        let its = all.iter().filter(|it| is_of(policy, camera, it));
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

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use crate::observe::attempt::Attempt;
    use crate::policy::Answers;
    use crate::source::Source;

    const FILE: &str = include_str!("../../examples/six-cameras.toml");
    const NOW: u64 = 10 * A_DAY;

    #[test]
    fn what_is_new_is_told_for_a_day() -> Result<(), Box<dyn Error>> {
        let policy = crate::policy(&Source::new("c.toml", FILE), &Answers::new())?;
        let mut refusals = Refusals::default();
        // The porch and the garage, and who is neither.
        for (tag, last, port, ago) in [
            ("camera not-allowed", 11, 443, 10),
            ("camera not-allowed", 11, 80, 20),
            ("camera not-allowed", 11, 25, A_DAY + 1),
            ("camera not-allowed", 12, 53, 10),
            ("camera spoofed", 13, 443, 10),
            ("camera not-allowed", 99, 443, 10),
        ] {
            let attempt = Attempt {
                tag: tag.parse().map_err(|_| "a tag")?,
                source: [192, 168, 8, last].into(),
                destination: [203, 0, 113, 7].into(),
                protocol: 17,
                port,
            };
            refusals.add(&attempt, None, NOW - ago);
        }
        assert_eq!(
            newly_tried(&policy, &refusals, NOW).as_deref(),
            Some(
                "new in 24 hours, and blocked: porch 2, garage 1; camfw blocked; [[redirects]] has the router answer DNS and NTP for others"
            )
        );
        assert_eq!(newly_tried(&policy, &refusals, NOW + A_DAY + 1), None);
        assert_eq!(newly_tried(&policy, &Refusals::default(), NOW), None);
        Ok(())
    }
}
