//! What is so, beside what ought to be; changes nothing.

use std::path::Path;

use serde::Serialize;

use super::state::State;
use super::{Kernel, StepError, lease, plan_of, read_policy};
use crate::accounting::Accounting;
use crate::host::iptables::Found;
use crate::host::{self, clock, netlink};
use crate::kept::Kept;
use crate::network;
use crate::plan::Plan;
use crate::source::Refusal;
use crate::sysctl::Need;

/// Everything that `status` tells.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether the kernel holds what the file says.
    pub holds: bool,
    /// What the last command came to: applied, sealed, unsealed, open; unknown
    /// where /run does not tell.
    pub outcome: String,
    /// Since when, in seconds from 1970 by the clock as it is now.
    pub since: Option<u64>,
    /// For how many seconds.
    pub seconds: Option<u64>,
    /// The hash of the policy that the kernel was compared with: SHA-256 of the
    /// file.
    pub policy: String,
    /// confirmed, pending, or last-good where that is in force and not the file;
    /// none where no policy is in force.
    pub confirmation: &'static str,
    /// How many seconds are left to confirm a pending one.
    pub seconds_left: Option<u64>,
    /// Why the last good policy is in force.
    pub instead: Option<String>,
    /// Each difference, in words.
    pub drift: Vec<String>,
    /// What was counted since the tables were first loaded.
    pub accounting: Accounting,
}

/// Compares the kernel with what the file says; where the last good policy is
/// in force, with that.
///
/// # Errors
/// The one line that refuses the file.
pub fn status(config: &Path) -> Result<Report, Refusal> {
    let state = State::read();
    let kept = match state.policy() {
        Some(kept) if !state.instead.is_empty() => plan_of(&kept).map(|plan| (kept, plan)),
        _ => read_policy(config),
    };
    let (kept, plan) = kept?;
    let mut report = report(&state, &kept);
    match look(&plan) {
        Ok((drift, accounting)) => {
            report.drift.extend(drift);
            report.accounting = accounting;
        }
        Err(error) => report.drift.push(format!("cannot tell: {error}")),
    }
    report.holds = report.drift.is_empty();
    Ok(report)
}

fn report(state: &State, kept: &Kept) -> Report {
    let now = clock::uptime();
    let known = !state.outcome.is_empty();
    let seconds = known.then(|| (now - state.at).max(0.0) as u64);
    let pending = !state.token.is_empty();
    let instead = (!state.instead.is_empty()).then(|| state.instead.clone());
    let drift = instead
        .iter()
        .map(|why| format!("the last good policy is in force, and not the file: {why}"));
    Report {
        holds: false,
        outcome: if known {
            state.outcome.clone()
        } else {
            "unknown".into()
        },
        since: seconds.map(|seconds| clock::now().saturating_sub(seconds)),
        seconds,
        policy: kept.hash(),
        confirmation: match (pending, &instead) {
            (true, _) => "pending",
            (false, Some(_)) => "last-good",
            (false, None) if state.policy.is_empty() => "none",
            (false, None) => "confirmed",
        },
        seconds_left: pending.then(|| (state.deadline - now).max(0.0) as u64),
        drift: drift.collect(),
        instead,
        accounting: Accounting::default(),
    }
}

fn look(plan: &Plan) -> Result<(Vec<String>, Accounting), StepError> {
    let kernel = Kernel::find()?;
    let found = kernel.read()?;
    let counted = found.iter().map(|found| (&found.rules, &found.counters));
    let accounting = Accounting::of(counted);
    Ok((drift(&kernel, &found, plan)?, accounting))
}

/// Rules beside ours that see the same packets, in words.
pub fn others(kernel: &Kernel) -> Vec<String> {
    let program = kernel
        .families
        .first()
        .map_or("iptables", |ipv4| ipv4.program());
    let tables = host::others::find(program).into_iter();
    let told = tables.map(|table| {
        format!(
            "{}: table {} sees the same packets: {} rules, chains {}; remove it, or what loads it",
            table.of,
            table.name,
            table.rules,
            table.chains.join(", ")
        )
    });
    told.collect()
}

/// What carries frames of the plan's interfaces past the firewall, in words.
pub fn bypasses(current: &network::Current, plan: &Plan) -> Vec<String> {
    let found = network::bypasses(current, Some(&plan.network));
    found.iter().map(ToString::to_string).collect()
}

/// Every difference between the kernel and a plan, in words.
pub fn drift(kernel: &Kernel, found: &[Found], plan: &Plan) -> Result<Vec<String>, StepError> {
    let mut told = kernel.differences(found, plan);
    let mut settings = kernel.settings(plan);
    settings.extend(plan.ipv6_on.iter().chain(&plan.last).cloned());
    for setting in settings {
        match host::sysctl::get(&setting.key)? {
            Some(value) if value == setting.value => {}
            None if setting.need == Need::IfPresent => {}
            value => told.push(format!(
                "sysctl {} is {}, not {}",
                setting.key,
                value.as_deref().unwrap_or("absent"),
                setting.value
            )),
        }
    }
    let current = netlink::read()?;
    let diff = network::diff(&current, &plan.network);
    told.extend(bypasses(&current, plan));
    told.extend(lease::refusals(plan));
    told.extend(network::foreign(&current, &plan.network));
    told.extend(
        diff.changes
            .iter()
            .map(|change| format!("not so: {change}")),
    );
    told.extend(diff.problems.iter().map(ToString::to_string));
    told.extend(others(kernel));
    Ok(told)
}
