//! The states of the box and all transitions between them.
//!
//! Owns what each state lets through and what it is called. Does no I/O: `record`
//! stores it.

use std::cmp::Ordering;
use std::fmt;

use crate::snapshot::PolicyHash;

/// What is in force.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum InForce {
    /// Nothing passes: neither in, out, nor across, not even on the loopback.
    Sealed {
        /// The step that failed; None if sealing was requested.
        why: Option<String>,
        /// What closes the box; absent in files of earlier versions.
        how: SealedBy,
        /// The trial whose policy could not be enforced. The last good policy is
        /// restored at its deadline.
        trial: Option<Trial>,
    },
    /// Only what the policy allows to and from the router passes; nothing is forwarded.
    /// The rules are loaded, but a setting or the network failed.
    NotForwarding {
        /// The policy whose rules are loaded.
        policy: PolicyHash,
        /// The step that failed.
        why: String,
        /// Why the last good policy is used instead of the file; None if it is the
        /// file's.
        instead: Option<String>,
        /// The trial in progress.
        trial: Option<Trial>,
    },
    /// What the file allows passes, between the zones that exist.
    Applied {
        /// The file's policy.
        policy: PolicyHash,
        /// The interfaces that are missing but not optional; if there are any, the
        /// policy is in force only in part.
        missing: Vec<String>,
    },
    /// What the new file allows passes, until the trial's deadline.
    Pending {
        /// The new file's policy.
        policy: PolicyHash,
        /// As in `Applied`.
        missing: Vec<String>,
        /// The trial, with its deadline.
        trial: Trial,
    },
    /// What the last confirmed policy allows passes, because the file cannot be used.
    LastGood {
        /// The last confirmed policy.
        policy: PolicyHash,
        /// As in `Applied`.
        missing: Vec<String>,
        /// Why the file is not in force.
        why: String,
    },
    /// Everything passes, as requested.
    Open,
    /// Unknown; possibly everything passes: closing the box failed.
    Unsealed {
        /// The step that failed.
        why: String,
        /// As in `Sealed`.
        trial: Option<Trial>,
    },
    /// Unknown: no command has run since the kernel started, or its record cannot be
    /// read. Each caller assumes the safer case, and never that a policy was confirmed.
    Unknown {
        /// Why the record cannot be read; None if there is none.
        why: Option<String>,
    },
}

/// What keeps a sealed box closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum SealedBy {
    /// Its tables, with forwarding off.
    #[default]
    Tables,
    /// The interfaces of its zones are down, because closing the tables failed.
    Links,
}

/// A policy that is in force until it is confirmed or its deadline passes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trial {
    /// Identifies the `apply --confirm` that started it.
    pub(crate) token: String,
    /// The deadline, in seconds since the kernel started.
    pub(crate) deadline: f64,
    /// The time to confirm, in seconds.
    pub(crate) seconds: u64,
}

impl Trial {
    /// The longest time to confirm, in seconds.
    pub(crate) const LONGEST: u64 = 86_400;

    /// How many seconds are left at `now`, in seconds since the kernel started.
    pub(crate) fn seconds_left(&self, now: f64) -> u64 {
        (self.deadline - now).max(0.0).ceil() as u64
    }

    /// Whether the deadline has passed.
    pub(crate) fn is_over(&self, now: f64) -> bool {
        // A deadline that is NaN counts as passed.
        now.partial_cmp(&self.deadline) != Some(Ordering::Less)
    }

    /// Whether the times are plausible for a trial that started before `now`.
    fn is_possible(&self, now: f64) -> bool {
        let latest = now + Trial::LONGEST as f64;
        self.seconds <= Trial::LONGEST && (0.0..=latest).contains(&self.deadline)
    }
}

impl InForce {
    /// The name of each state in the record.
    pub(super) const NAMES: [&str; 8] = [
        "sealed",
        "not-forwarding",
        "applied",
        "pending",
        "last-good",
        "open",
        "unsealed",
        "unknown",
    ];

    /// The name of the state in the record.
    pub(super) fn name(&self) -> &'static str {
        let place = match self {
            InForce::Sealed { .. } => 0,
            InForce::NotForwarding { .. } => 1,
            InForce::Applied { .. } => 2,
            InForce::Pending { .. } => 3,
            InForce::LastGood { .. } => 4,
            InForce::Open => 5,
            InForce::Unsealed { .. } => 6,
            InForce::Unknown { .. } => 7,
        };
        InForce::NAMES[place]
    }

    /// The file's policy, confirmed.
    pub(crate) fn applied(policy: PolicyHash) -> InForce {
        InForce::Applied {
            policy,
            missing: Vec::new(),
        }
    }

    /// The file's policy, on trial.
    pub(crate) fn pending(policy: PolicyHash, trial: Trial) -> InForce {
        InForce::Pending {
            policy,
            missing: Vec::new(),
            trial,
        }
    }

    /// The last good policy, instead of the file's.
    pub(crate) fn last_good(policy: PolicyHash, why: &str) -> InForce {
        InForce::LastGood {
            policy,
            missing: Vec::new(),
            why: why.to_owned(),
        }
    }

    /// Sealed on request.
    pub(crate) fn sealed() -> InForce {
        InForce::Sealed {
            why: None,
            how: SealedBy::Tables,
            trial: None,
        }
    }

    /// Sealed because this state could not be reached; a trial continues.
    pub(crate) fn sealed_because(&self, why: &str) -> InForce {
        InForce::Sealed {
            why: Some(why.to_owned()),
            how: SealedBy::Tables,
            trial: self.trial().cloned(),
        }
    }

    /// The same as [`InForce::sealed_because`], but the links had to be set down.
    pub(crate) fn sealed_by_links(&self, why: &str) -> InForce {
        InForce::Sealed {
            why: Some(why.to_owned()),
            how: SealedBy::Links,
            trial: self.trial().cloned(),
        }
    }

    /// Whether only its links keep the box closed.
    pub(crate) fn is_sealed_by_links(&self) -> bool {
        let by_links = SealedBy::Links;
        matches!(self, InForce::Sealed { how, .. } if *how == by_links)
    }

    /// This state could not be reached and closing the box failed too; a trial
    /// continues.
    pub(crate) fn unsealed_because(&self, why: &str) -> InForce {
        InForce::Unsealed {
            why: why.to_owned(),
            trial: self.trial().cloned(),
        }
    }

    /// The policy's rules are in force, but nothing is forwarded.
    pub(crate) fn not_forwarding(self, why: &str) -> InForce {
        let why = why.to_owned();
        match self {
            InForce::Applied { policy, .. } => InForce::NotForwarding {
                policy,
                why,
                instead: None,
                trial: None,
            },
            InForce::Pending { policy, trial, .. } => InForce::NotForwarding {
                policy,
                why,
                instead: None,
                trial: Some(trial),
            },
            InForce::LastGood {
                policy,
                why: instead,
                ..
            } => InForce::NotForwarding {
                policy,
                why,
                instead: Some(instead),
                trial: None,
            },
            InForce::NotForwarding {
                policy,
                instead,
                trial,
                ..
            } => InForce::NotForwarding {
                policy,
                why,
                instead,
                trial,
            },
            other @ (InForce::Sealed { .. }
            | InForce::Open
            | InForce::Unsealed { .. }
            | InForce::Unknown { .. }) => other,
        }
    }

    /// The same policy after another apply, with these interfaces missing.
    pub(crate) fn enforced(self, lacking: Vec<String>) -> InForce {
        match self {
            InForce::NotForwarding {
                policy,
                trial: Some(trial),
                ..
            } => InForce::Pending {
                policy,
                missing: lacking,
                trial,
            },
            InForce::NotForwarding {
                policy,
                instead: Some(why),
                ..
            } => InForce::LastGood {
                policy,
                missing: lacking,
                why,
            },
            InForce::NotForwarding { policy, .. } | InForce::Applied { policy, .. } => {
                InForce::Applied {
                    policy,
                    missing: lacking,
                }
            }
            InForce::Pending { policy, trial, .. } => InForce::Pending {
                policy,
                missing: lacking,
                trial,
            },
            InForce::LastGood { policy, why, .. } => InForce::LastGood {
                policy,
                missing: lacking,
                why,
            },
            other @ (InForce::Sealed { .. }
            | InForce::Open
            | InForce::Unsealed { .. }
            | InForce::Unknown { .. }) => other,
        }
    }

    /// The trial's policy, confirmed; None if no policy is on trial.
    pub(crate) fn confirmed(self) -> Option<InForce> {
        match self {
            InForce::Pending {
                policy, missing, ..
            } => Some(InForce::Applied { policy, missing }),
            _ => None,
        }
    }

    /// The trial in progress.
    pub(crate) fn trial(&self) -> Option<&Trial> {
        match self {
            InForce::Pending { trial, .. } => Some(trial),
            InForce::Sealed { trial, .. }
            | InForce::NotForwarding { trial, .. }
            | InForce::Unsealed { trial, .. } => trial.as_ref(),
            InForce::Applied { .. }
            | InForce::LastGood { .. }
            | InForce::Open
            | InForce::Unknown { .. } => None,
        }
    }

    /// The policy whose rules are loaded.
    pub(crate) fn policy(&self) -> Option<&PolicyHash> {
        match self {
            InForce::NotForwarding { policy, .. }
            | InForce::Applied { policy, .. }
            | InForce::Pending { policy, .. }
            | InForce::LastGood { policy, .. } => Some(policy),
            InForce::Sealed { .. }
            | InForce::Open
            | InForce::Unsealed { .. }
            | InForce::Unknown { .. } => None,
        }
    }

    /// Whether a policy is in force and packets pass between its zones.
    pub(crate) fn is_forwarding(&self) -> bool {
        matches!(
            self,
            InForce::Applied { .. } | InForce::Pending { .. } | InForce::LastGood { .. }
        )
    }

    /// Whether the box has no policy, on purpose or after a failure; no background
    /// program changes that.
    pub(crate) fn is_without_policy(&self) -> bool {
        match self {
            InForce::Sealed { .. } | InForce::Open | InForce::Unsealed { .. } => true,
            InForce::NotForwarding { .. }
            | InForce::Applied { .. }
            | InForce::Pending { .. }
            | InForce::LastGood { .. }
            | InForce::Unknown { .. } => false,
        }
    }

    /// Why the last good policy is in force instead of the file's.
    pub(crate) fn instead(&self) -> Option<&str> {
        match self {
            InForce::LastGood { why, .. } => Some(why),
            InForce::NotForwarding { instead, .. } => instead.as_deref(),
            InForce::Sealed { .. }
            | InForce::Applied { .. }
            | InForce::Pending { .. }
            | InForce::Open
            | InForce::Unsealed { .. }
            | InForce::Unknown { .. } => None,
        }
    }

    /// Why the box is in this state, if there is more to say than the state's name.
    pub(crate) fn why(&self) -> Option<&str> {
        match self {
            InForce::Sealed { why, .. } => why.as_deref(),
            InForce::NotForwarding { why, .. }
            | InForce::LastGood { why, .. }
            | InForce::Unsealed { why, .. } => Some(why),
            InForce::Unknown { why } => Some(
                why.as_deref()
                    .unwrap_or("no camfw command has run since the kernel started"),
            ),
            InForce::Applied { .. } | InForce::Pending { .. } | InForce::Open => None,
        }
    }

    /// Whether a command can have recorded this before `now`.
    pub(crate) fn is_possible(&self, now: f64) -> bool {
        self.trial().is_none_or(|trial| trial.is_possible(now))
    }
}

/// The name of the state, with which the output of `status` begins.
impl fmt::Display for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InForce::Sealed { .. } => "SEALED",
            InForce::NotForwarding { .. } => "NOT FORWARDING",
            InForce::Applied { missing, .. } if missing.is_empty() => "APPLIED",
            InForce::Applied { .. } => "APPLIED, INCOMPLETE",
            InForce::Pending { .. } => "PENDING",
            InForce::LastGood { .. } => "LAST GOOD",
            InForce::Open => "OPEN",
            InForce::Unsealed { .. } => "UNSEALED",
            InForce::Unknown { .. } => "UNKNOWN",
        })
    }
}
