//! `camfw watch`: the network, kept as the file says while links come and go.
//!
//! Never touches rules: it only looks whether they are the file's.

use std::path::Path;
use std::time::Duration;

use super::{Kernel, Outcome, Patience, StepError, bring_up, in_force, locked, needs_root, write};
use crate::host::netlink;
use crate::network;
use crate::plan::Plan;

/// Keeps at it: whenever a link comes, goes or comes back, makes the network
/// what the file says, as long as the rules are those of the file. Forwarding
/// is turned on when nothing is missing, and left as it is when something is:
/// the rules go by names and keep what is not there closed. Returns only when
/// it cannot go on.
pub fn watch(config: &Path) -> Outcome {
    if let Some(outcome) = needs_root() {
        return outcome;
    }
    let mut said = String::new();
    let mut say = |told: String| {
        if told != said {
            log::info!("watch: {told}");
            said = told;
        }
    };
    let mut plan = match in_force(config) {
        Ok(plan) => plan,
        Err(refusal) => return Outcome::Refused(refusal.to_string()),
    };
    loop {
        match locked("watch") {
            Ok(_lock) => say(look_after(&plan)),
            Err(outcome) => say(outcome.to_string()),
        }
        // Every so often the file is read again even where nothing happens.
        let changed = netlink::wait(LOOK_AGAIN, |current| {
            !network::diff(current, &plan.network).changes.is_empty()
        });
        if let Err(error) = changed {
            return Outcome::Failed(error.to_string());
        }
        // What could not be changed is not tried again at once, and a link
        // that flaps is not chased.
        std::thread::sleep(SETTLE);
        match in_force(config) {
            Ok(read) => plan = read,
            // The rules that are loaded are still those of the plan before.
            Err(refusal) => say(refusal.to_string()),
        }
    }
}

const LOOK_AGAIN: Duration = Duration::from_secs(60);
const SETTLE: Duration = Duration::from_millis(200);

/// One look: the network is brought to the plan, if the rules are the plan's;
/// what to say of it.
fn look_after(plan: &Plan) -> String {
    let looked = Kernel::find().and_then(|kernel| {
        let found = kernel.read()?;
        if !kernel.differences(&found, plan).is_empty() {
            return Ok("the rules are not those of the file; camfw apply brings them in".into());
        }
        kernel.keep_settings(plan)?;
        bring_up(&kernel, plan, netlink::read(), Patience::None)?;
        for setting in &plan.last {
            write(setting)?;
        }
        Ok("the network is as the file says".to_owned())
    });
    looked.unwrap_or_else(|error: StepError| error.to_string())
}
