//! `camfw blocked`: what was refused, by the policy in force; changes nothing.

use std::path::Path;
use std::sync::Arc;

use super::names;
use super::planned::PlannedPolicy;
use super::recorder::{self, NotRecord};
use crate::error::with_causes;
use crate::host::{clock, output};
use crate::json::json_object;
use crate::nearest::did_you_mean;
use crate::observe::listed_hosts::ListedHosts;
use crate::observe::refusals::{Refusals, RefusedAttempt};
use crate::observe::wanted::{self, BlockedHost};
use crate::policy::{Policy, Recordable};
use crate::source::Refusal;

/// What was refused.
#[derive(Debug)]
pub(crate) struct Blocked {
    /// Whether a process records.
    pub(crate) recording: bool,
    /// Entries that were given up, since there was no room.
    pub(crate) given_up: u64,
    /// How often packets came faster than they were read.
    pub(crate) lost: u64,
    /// Why an earlier record cannot be used.
    pub(crate) problems: Vec<String>,
    /// In the order of the file's zones, the router last.
    pub(crate) hosts: Vec<BlockedHost>,
}

json_object!(Blocked {
    recording,
    given_up,
    lost,
    problems,
    hosts
});

/// Reads the record as often as it is asked to.
pub(crate) struct BlockedReader {
    policy: Policy,
    /// What came of whom is compared by it.
    listed: Arc<ListedHosts>,
    since: Option<u64>,
    camera: Option<String>,
    before: Refusals,
}

impl BlockedReader {
    /// `since` is how many seconds ago the last attempt may be; None means any time.
    ///
    /// # Errors
    /// Returns the refusal of the file.
    pub(crate) fn new(
        config: &Path,
        since: Option<u64>,
        camera: Option<String>,
    ) -> Result<BlockedReader, Refusal> {
        let policy = PlannedPolicy::in_force(config)?.plan.policy;
        Ok(BlockedReader {
            listed: Arc::new(ListedHosts::of(&policy)),
            policy,
            since: since.map(|seconds| clock::now().saturating_sub(seconds)),
            camera,
            before: Refusals::default(),
        })
    }

    /// What to write instead of a name that is no listed camera's; None if it is one's.
    pub(crate) fn instead_of(&self, camera: &str) -> Option<String> {
        let names = || self.policy.cameras.iter().map(|it| it.name.as_str());
        let known = names().any(|name| name == camera);
        let instead = || {
            let near = did_you_mean(camera, names());
            near.unwrap_or_else(|| "the file's [[cameras]] have the names".to_owned())
        };
        (!known).then(instead)
    }

    /// Whether the policy has anything recorded, and the kernel can.
    pub(crate) fn recordable(&self) -> Recordable {
        self.policy.recordable()
    }

    /// What is recorded now.
    pub(crate) fn read(&mut self) -> Blocked {
        let (mut refusals, problems) = recorder::read();
        refusals.list(&self.listed);
        let blocked = self.describe(&refusals, &problems, &refusals.all());
        self.before = refusals;
        blocked
    }

    /// What came since it was read last.
    pub(crate) fn read_on(&mut self) -> Blocked {
        let (mut refusals, problems) = recorder::read();
        refusals.list(&self.listed);
        let mut all = refusals.all();
        all.retain(|refused| self.before.count_of(refused) != refused.count);
        let blocked = self.describe(&refusals, &problems, &all);
        self.before = refusals;
        blocked
    }

    fn describe(
        &self,
        refusals: &Refusals,
        problems: &[NotRecord],
        all: &[RefusedAttempt],
    ) -> Blocked {
        let since = self.since.unwrap_or(0);
        Blocked {
            recording: recorder::is_running(),
            given_up: refusals.given_up,
            lost: refusals.lost,
            problems: problems
                .iter()
                .map(|problem| with_causes(problem))
                .collect(),
            hosts: wanted::blocked(
                all,
                &self.policy,
                &names::known(),
                since,
                self.camera.as_deref(),
            ),
        }
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    clock::now()
}

/// Waits until the record may have changed. Returns whether somebody still reads what is
/// printed.
pub(crate) fn wait_while_read() -> bool {
    output::wait_while_read(std::time::Duration::from_secs(1))
}
