//! The states of the box as a type, and every change from one to another.
//!
//! Owns what each state lets through and what it is called. Reads and writes
//! nothing: `record` keeps it.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::snapshot::PolicyHash;

/// What is in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum InForce {
    /// Nothing passes: not in, not out, not across, not even the loopback.
    Sealed {
        /// The step that failed; None if it was asked for.
        why: Option<String>,
        /// By what; files of earlier versions do not say.
        #[serde(default)]
        how: SealedBy,
        /// The trial whose policy could not be carried out. At its deadline the
        /// last good policy comes back.
        trial: Option<Trial>,
    },
    /// What the policy allows to and from the router passes, and nothing across:
    /// its rules are loaded, and a setting or the network failed.
    NotForwarding {
        /// Whose rules are loaded.
        policy: PolicyHash,
        /// What failed.
        why: String,
        /// Why the policy is the last good one and not the file's.
        instead: Option<String>,
        /// The trial that it is under.
        trial: Option<Trial>,
    },
    /// What the file allows passes, between the zones that are there.
    Applied {
        /// The file's policy.
        policy: PolicyHash,
        /// The interfaces that are missing and not optional; with any of them it
        /// is incomplete.
        #[serde(default)]
        missing: Vec<String>,
    },
    /// What the new file allows passes, until the trial's deadline.
    Pending {
        /// The new file's policy.
        policy: PolicyHash,
        /// As in `Applied`.
        #[serde(default)]
        missing: Vec<String>,
        /// How long.
        trial: Trial,
    },
    /// What the last confirmed policy allows passes, since the file's cannot be used.
    LastGood {
        /// The last confirmed policy.
        policy: PolicyHash,
        /// As in `Applied`.
        #[serde(default)]
        missing: Vec<String>,
        /// Why the file's is not in force.
        why: String,
    },
    /// Everything passes: it was asked for.
    Open,
    /// Unknown, up to everything: the box was to be closed and could not be.
    Unsealed {
        /// What failed.
        why: String,
        /// As in `Sealed`.
        trial: Option<Trial>,
    },
    /// Unknown: no command has run since the kernel started, or what it noted
    /// cannot be read. Taken for whatever is safer; never for confirmed.
    Unknown {
        /// Why the note cannot be read; None if there is none.
        why: Option<String>,
    },
}

/// What a sealed box is closed by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SealedBy {
    /// Its tables, with forwarding off.
    #[default]
    Tables,
    /// The interfaces of its zones are down: something else failed.
    Links,
}

/// A policy that is in force until it is confirmed, or else taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trial {
    /// Which `apply --confirm` began it.
    pub(crate) token: String,
    /// When it is taken back, in seconds from the kernel's start.
    pub(crate) deadline: f64,
    /// How many seconds were given.
    pub(crate) seconds: u64,
}

impl Trial {
    /// The longest, in seconds.
    pub(crate) const LONGEST: u64 = 86_400;

    /// How many seconds are left at `now`, in seconds from the kernel's start.
    pub(crate) fn seconds_left(&self, now: f64) -> u64 {
        (self.deadline - now).max(0.0).ceil() as u64
    }

    /// Whether its time is over.
    pub(crate) fn is_over(&self, now: f64) -> bool {
        // A deadline that is no number is over.
        now.partial_cmp(&self.deadline) != Some(Ordering::Less)
    }

    /// Whether its times can be those of a trial that has begun before `now`.
    fn is_possible(&self, now: f64) -> bool {
        let latest = now + Trial::LONGEST as f64;
        self.seconds <= Trial::LONGEST && (0.0..=latest).contains(&self.deadline)
    }
}

impl InForce {
    /// The file's policy, for good.
    pub(crate) fn applied(policy: PolicyHash) -> InForce {
        InForce::Applied {
            policy,
            missing: Vec::new(),
        }
    }

    /// The file's policy, for a while.
    pub(crate) fn pending(policy: PolicyHash, trial: Trial) -> InForce {
        InForce::Pending {
            policy,
            missing: Vec::new(),
            trial,
        }
    }

    /// The last good policy, in place of the file's.
    pub(crate) fn last_good(policy: PolicyHash, why: &str) -> InForce {
        InForce::LastGood {
            policy,
            missing: Vec::new(),
            why: why.to_owned(),
        }
    }

    /// Closed, since it was asked for.
    pub(crate) fn sealed() -> InForce {
        InForce::Sealed {
            why: None,
            how: SealedBy::Tables,
            trial: None,
        }
    }

    /// Closed, since this state could not be reached; a trial goes on.
    pub(crate) fn sealed_because(&self, why: &str) -> InForce {
        InForce::Sealed {
            why: Some(why.to_owned()),
            how: SealedBy::Tables,
            trial: self.trial().cloned(),
        }
    }

    /// The same, where its links had to go down for it.
    pub(crate) fn sealed_by_links(&self, why: &str) -> InForce {
        InForce::Sealed {
            why: Some(why.to_owned()),
            how: SealedBy::Links,
            trial: self.trial().cloned(),
        }
    }

    /// Whether its links are all that closes it.
    pub(crate) fn is_sealed_by_links(&self) -> bool {
        let by_links = SealedBy::Links;
        matches!(self, InForce::Sealed { how, .. } if *how == by_links)
    }

    /// Not even closed when this state could not be reached; a trial goes on.
    pub(crate) fn unsealed_because(&self, why: &str) -> InForce {
        InForce::Unsealed {
            why: why.to_owned(),
            trial: self.trial().cloned(),
        }
    }

    /// This policy's rules without its forwarding.
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

    /// The same policy, carried out again with these interfaces missing.
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

    /// The trial's policy, for good; None where none waits to be confirmed.
    pub(crate) fn confirmed(self) -> Option<InForce> {
        match self {
            InForce::Pending {
                policy, missing, ..
            } => Some(InForce::Applied { policy, missing }),
            _ => None,
        }
    }

    /// The trial that is under way.
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

    /// Whose rules are loaded.
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

    /// Whether it was left without a policy, on purpose or by a failure, which no
    /// program changes by itself.
    pub(crate) fn is_left_alone(&self) -> bool {
        match self {
            InForce::Sealed { .. } | InForce::Open | InForce::Unsealed { .. } => true,
            InForce::NotForwarding { .. }
            | InForce::Applied { .. }
            | InForce::Pending { .. }
            | InForce::LastGood { .. }
            | InForce::Unknown { .. } => false,
        }
    }

    /// Why the last good policy is in force and not the file's.
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

    /// Why it is so, where there is more to say than the state's name.
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

    /// Whether this can be what a command noted before `now`.
    pub(crate) fn is_possible(&self, now: f64) -> bool {
        self.trial().is_none_or(|trial| trial.is_possible(now))
    }
}

/// The state's name, as `status` begins with.
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
