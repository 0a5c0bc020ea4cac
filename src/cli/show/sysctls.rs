//! `camfw show sysctls`: the kernel settings of the file.

use crate::cli::{CliError, Command, ExitCode, Given, print};
use std::fmt::Write;

use crate::apply;
use crate::cli::json::{JSON, print_json};
use crate::host::config_file::Purpose;
use crate::json::json_object;
use crate::plan::{Plan, sysctl};

pub(in crate::cli) const COMMAND: Command =
    Command::new("show sysctls", "the kernel settings it gives, and why", run).flags(&[JSON]);

/// What is shown, for a program.
struct ShownSettings {
    settings: Vec<ShownSetting>,
}

json_object!(ShownSettings { settings });

struct ShownSetting {
    key: String,
    value: String,
    /// Whether any larger number will do.
    or_more: bool,
    /// Whether the kernel must have it.
    required: bool,
    why: &'static str,
}

json_object!(ShownSetting {
    key,
    value,
    or_more,
    required,
    why
});

impl From<&sysctl::Setting> for ShownSetting {
    fn from(setting: &sysctl::Setting) -> ShownSetting {
        ShownSetting {
            key: setting.key.to_string(),
            value: setting.value.clone(),
            or_more: setting.good == sysctl::Good::SameOrMore,
            required: setting.need == sysctl::Need::Required,
            why: setting.why,
        }
    }
}

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let plan = apply::read_plan(&given.config(), Purpose::Ask)?;
    if given.has(&JSON) {
        let settings = settings(&plan).map(ShownSetting::from).collect();
        return Ok(print_json(&ShownSettings { settings }));
    }
    Ok(print(&sysctls(&plan)))
}

/// The kernel settings in writing order.
fn settings(plan: &Plan) -> impl Iterator<Item = &sysctl::Setting> {
    let before = plan
        .sysctls
        .iter()
        .chain(&plan.with_rules)
        .chain(&plan.room);
    before.chain(&plan.ipv6_on).chain(&plan.forwarding_on)
}

/// The kernel settings in writing order, each with its reason.
pub fn sysctls(plan: &Plan) -> String {
    let mut text = String::new();
    for setting in settings(plan) {
        let _ = writeln!(text, "{setting}  # {}", setting.why);
    }
    text
}
