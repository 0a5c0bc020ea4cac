//! `camfw show sysctls`: the kernel settings of the file.

use crate::cli::{CliError, Command, ExitCode, Given, print};
use std::fmt::Write;

use crate::apply;
use crate::host::config_file::Purpose;
use crate::plan::Plan;

pub(in crate::cli) const COMMAND: Command =
    Command::new("show sysctls", "the kernel settings it gives, and why", run);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let plan = apply::read_plan(&given.config(), Purpose::Ask)?;
    Ok(print(&sysctls(&plan)))
}

/// The kernel settings in writing order, each with its reason.
pub fn sysctls(plan: &Plan) -> String {
    let mut text = String::new();
    let before = plan
        .sysctls
        .iter()
        .chain(&plan.with_rules)
        .chain(&plan.room);
    let settings = before.chain(&plan.ipv6_on).chain(&plan.forwarding_on);
    for setting in settings {
        let _ = writeln!(text, "{setting}  # {}", setting.why);
    }
    text
}
