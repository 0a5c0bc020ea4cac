//! `camfw check`: checks the configuration file.

use std::path::Path;

use super::json::{JSON, print_json};
use super::{CliError, Command, ExitCode, Given, complain, print};
use crate::host::config_file::{Purpose, unread_folder};
use crate::host::{self, clock};
use crate::json::json_object;
use crate::{apply, policy, prove};

pub(super) const COMMAND: Command = Command::new("check", "is the file good?", run)
    .about(
        "Reads the file and what camfw.d has beside it, proves the rules that they give,
and warns of what is probably not intended. Changes nothing. With --config - the
file is standard input.",
    )
    .flags(&[JSON]);

/// What was found, for a program.
#[derive(Default)]
struct Checked {
    /// Whether an apply takes the file, as far as it can be told here.
    good: bool,
    mistakes: Vec<FileMistake>,
    /// The same for people: of a file that could not be read there is no line.
    told: Vec<String>,
    not_proven: Option<String>,
    warnings: Vec<String>,
    /// Why apply refuses it on this box.
    refused_here: Vec<String>,
    bounds: Vec<String>,
    /// The hours of lines in local time and in UTC.
    local_time: Vec<String>,
}

json_object!(Checked {
    good,
    mistakes,
    not_proven,
    warnings,
    refused_here,
    bounds,
    local_time
} without { told });

/// What is wrong with the file, and where.
struct FileMistake {
    file: String,
    line: usize,
    column: usize,
    what: String,
}

json_object!(FileMistake {
    file,
    line,
    column,
    what
});

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let mut checked = Checked::default();
    let code = check(given, &mut checked);
    checked.good = code == ExitCode::Done;
    if given.has(&JSON) {
        print_json(&checked);
        return Ok(code);
    }
    for line in &checked.told {
        complain(line);
    }
    for line in checked.not_proven.iter().chain(&checked.warnings) {
        complain(line);
    }
    for line in &checked.refused_here {
        complain(line);
    }
    if checked.good {
        let bounds = checked.bounds.iter().chain(&checked.local_time);
        let bounds = bounds.map(|bound| bound.clone() + "\n");
        let bounds: String = bounds.collect();
        print(&format!("{bounds}{}: good\n", given.config().display()));
    }
    Ok(code)
}

fn check(given: &Given, checked: &mut Checked) -> ExitCode {
    let config = given.config();
    let plan = match apply::read_plan(&config, Purpose::Ask) {
        Ok(plan) => plan,
        Err(refusal) => {
            checked.told = refusal.lines().collect();
            let places = refusal.places();
            checked.mistakes = places
                .map(|(file, place, what)| FileMistake {
                    file: file.to_owned(),
                    line: place.line,
                    column: place.column,
                    what: what.to_owned(),
                })
                .collect();
            return ExitCode::Refused;
        }
    };
    checked.not_proven = prove::broken(&plan.policy, &plan.rules);
    if checked.not_proven.is_some() {
        return ExitCode::DoesNotHold;
    }
    let warnings = policy::warnings(&plan.policy);
    checked.warnings = warnings.iter().map(ToString::to_string).collect();
    if let Some(folder) = unread_folder(&config) {
        let name = |path: &Path| path.file_name().unwrap_or_default().display().to_string();
        checked.warnings.push(format!(
            "{}: warning: nothing in this folder is read; move its files into {}",
            name(&folder),
            name(&config.with_extension("d"))
        ));
    }
    checked.bounds = policy::told_bounds(&plan.policy);
    checked.local_time = policy::told_hours(&plan.policy, clock::now());
    // Only the file that a boot uses is this box's.
    if !given.is_default_config() {
        return ExitCode::Done;
    }
    let refused = &mut checked.refused_here;
    // It must also be owned by root.
    if let Err(refusal) = apply::read_plan(&config, Purpose::Load) {
        refused.push(format!("{refusal}; until then apply and boot refuse it"));
    }
    let (programs, warning) = apply::network_program_errors(&plan);
    let programs = programs.into_iter();
    refused.extend(programs.map(|error| format!("{error}; until then apply refuses it")));
    checked.warnings.extend(warning.map(str::to_owned));
    if host::is_root() {
        let cannot_keep = apply::cannot_keep(&plan.policy).into_iter();
        let warnings = cannot_keep.map(|why| format!("warning: {why}"));
        checked.warnings.extend(warnings);
    }
    // Another file's passwords are another box's.
    let trouble = apply::mail::trouble(&plan.policy);
    refused.extend(trouble.map(|trouble| format!("no mail is sent: {trouble}")));
    match refused.is_empty() {
        true => ExitCode::Done,
        false => ExitCode::Refused,
    }
}
