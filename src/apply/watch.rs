//! `camfw watch`: the box, kept as the policy that is in force says.
//!
//! Never brings in a file that was only edited, and leaves a box alone that was
//! sealed or opened on purpose.

use std::path::Path;
use std::time::Duration;

use super::state::State;
use super::{
    Kernel, Outcome, Patience, StepError, bring_up, enforce, failed, good, lease, locked,
    needs_root, plan_of, read_policy, status, write,
};
use crate::host::netlink;
use crate::kept::Kept;
use crate::network::{self, Current};
use crate::plan::Plan;

/// A link that flaps is not chased, nor tried again at once what could not be
/// changed.
const SETTLE: Duration = Duration::from_millis(200);

/// How often it looks whether there is a policy again.
const IDLE: Duration = Duration::from_secs(10);

/// Keeps at it: every so often, and whenever links, addresses or routes change,
/// tells each difference, and makes the network what the policy says as long as
/// the rules are the policy's. Rules that are not are loaded again only where the
/// policy says so. Forwarding is turned on when nothing is missing, and left as
/// it is when something is: the rules go by names and keep what is not there
/// closed. Returns only when it cannot go on.
pub fn watch(config: &Path) -> Outcome {
    if let Some(outcome) = needs_root() {
        return outcome;
    }
    let mut said: Vec<String> = Vec::new();
    let mut left_over: Option<Vec<String>> = None;
    loop {
        let mut watched = Watched::default();
        match locked("watch") {
            Ok(_lock) => watched.look(config),
            Err(outcome) => watched.told.push(outcome.to_string()),
        }
        // What was said last time and is still so is not said again.
        for line in watched.told.iter().filter(|line| !said.contains(line)) {
            log::warn!("watch: {line}");
        }
        if watched.told.is_empty() && !said.is_empty() {
            log::info!("watch: everything is as the policy says");
        }
        said = watched.told;
        let seen = watched.plan.as_ref().and_then(|plan| {
            let current = netlink::read().ok()?;
            Some(differences(&current, plan))
        });
        // Something may have come between the look and this; what stays although it
        // was looked at waits for its time.
        let left = seen.as_ref().is_some_and(|seen| !seen.is_empty());
        if left && seen != left_over {
            left_over = seen;
            std::thread::sleep(SETTLE);
            continue;
        }
        left_over.clone_from(&seen);
        let interval = watched
            .plan
            .as_ref()
            .map_or(IDLE, |plan| plan.policy.watch.interval);
        let changed = netlink::wait(interval, |current| {
            let now = watched.plan.as_ref().map(|plan| differences(current, plan));
            now != seen
        });
        if let Err(error) = changed {
            return Outcome::Failed(error.to_string());
        }
        std::thread::sleep(SETTLE);
    }
}

/// What of the network is not as the policy says.
fn differences(current: &Current, plan: &Plan) -> Vec<String> {
    let mut told = status::bypasses(current, plan);
    told.extend(network::foreign(current, &plan.network));
    let diff = network::diff(current, &plan.network);
    told.extend(diff.changes.iter().map(ToString::to_string));
    told.extend(diff.problems.iter().map(ToString::to_string));
    told
}

/// One look.
#[derive(Default)]
struct Watched {
    /// What is to be said, a line each.
    told: Vec<String>,
    /// What the box is held against; None where there is nothing to keep.
    plan: Option<Plan>,
}

impl Watched {
    fn look(&mut self, config: &Path) {
        let state = State::read();
        if !state.outcome.is_empty() && state.outcome != "applied" && state.policy.is_empty() {
            let outcome = &state.outcome;
            let line = format!("the box is {outcome}, and left so; camfw apply brings a policy in");
            self.told.push(line);
            return;
        }
        let file = read_policy(config);
        let policy = match state.policy() {
            Some(kept) => {
                if file
                    .as_ref()
                    .is_ok_and(|(file, _)| file.hash() != kept.hash())
                {
                    let line = "the file is not what is in force; camfw apply brings it in";
                    self.told.push(line.into());
                }
                plan_of(&kept).map(|plan| (kept, plan))
            }
            None => file,
        };
        match policy {
            Ok(policy) => {
                if let Err(error) = self.keep(&state, &policy) {
                    self.told.push(error.to_string());
                }
                self.plan = Some(policy.1);
            }
            Err(refusal) => self.told.push(refusal.to_string()),
        }
    }

    fn keep(&mut self, state: &State, policy: &(Kept, Plan)) -> Result<(), StepError> {
        let (kept, plan) = policy;
        let kernel = Kernel::find()?;
        let rules = kernel.differences(&kernel.read()?, plan);
        self.told.extend(status::others(&kernel));
        if !rules.is_empty() {
            // Where nothing is known to be in force there is nothing to restore.
            if !plan.policy.watch.restore || state.policy.is_empty() {
                self.told.extend(rules);
                let line = "the rules are not the policy's; camfw apply brings them in";
                self.told.push(line.into());
                return Ok(());
            }
            for line in rules {
                log::warn!("watch: {line}");
            }
            match enforce(plan, Patience::None) {
                Ok(_) => log::warn!("watch: restored: the rules are the policy's again"),
                Err(failure) => self
                    .told
                    .push(failed(policy, &state.instead, failure).to_string()),
            }
            return Ok(());
        }
        for setting in kernel.differing_settings(plan)? {
            if write(&setting)? > 0 {
                log::warn!("watch: mended: sysctl {setting}");
            }
        }
        let current = netlink::read();
        if let Ok(current) = &current {
            self.told.extend(status::bypasses(current, plan));
            self.told.extend(lease::refusals(plan));
            self.told.extend(network::foreign(current, &plan.network));
            for change in network::diff(current, &plan.network).changes {
                log::info!("watch: {change}");
            }
        }
        bring_up(&kernel, plan, current, Patience::None)?;
        for setting in &plan.last {
            write(setting)?;
        }
        if state.outcome == "sealed" {
            // What was missing when it was applied has come.
            let outcome = "applied".to_owned();
            let at = State::of("").at;
            let state = state.clone();
            State {
                outcome,
                at,
                ..state
            }
            .write();
        }
        if !state.policy.is_empty() && state.token.is_empty() && state.instead.is_empty() {
            // A boot may have come before the disk could be written.
            self.told.extend(good::keep(kept));
        }
        Ok(())
    }
}
