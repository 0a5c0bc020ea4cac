//! `camfw check`: checks the configuration file.

use super::{CliError, Command, ExitCode, Given, complain, print};
use crate::host::config_file::Purpose;
use crate::{apply, policy, prove};

pub(super) const COMMAND: Command = Command::new("check", "is the file good?", run).about(
    "Reads the file and what camfw.d has beside it, proves the rules that they give,
and warns of what is probably not meant. Changes nothing. With --config - the
file is standard input.",
);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let config = given.config();
    let plan = match apply::read_plan(&config, Purpose::Ask) {
        Ok(plan) => plan,
        Err(refusal) => {
            refusal.lines().for_each(|line| complain(&line));
            return Ok(ExitCode::Refused);
        }
    };
    if let Some(why) = prove::broken(&plan.policy, &plan.rules) {
        complain(&why);
        return Ok(ExitCode::DoesNotHold);
    }
    for warning in policy::warnings(&plan.policy) {
        complain(&warning.to_string());
    }
    // The file that a boot uses must also be owned by root; other files need not be.
    if given.is_default_config()
        && let Err(refusal) = apply::read_plan(&config, Purpose::Load)
    {
        complain(&format!("{refusal}; until then apply and boot refuse it"));
    }
    if given.is_default_config()
        && let Err(error) = apply::check_network_programs(&plan)
    {
        complain(&format!("{error}; until then apply refuses it"));
        return Ok(ExitCode::Refused);
    }
    // Another file's passwords are another box's.
    if given.is_default_config()
        && let Some(trouble) = apply::mail::trouble(&plan.policy)
    {
        complain(&format!("no mail is sent: {trouble}"));
        return Ok(ExitCode::Refused);
    }
    let bounds = policy::told_bounds(&plan.policy).into_iter();
    let bounds: String = bounds.map(|bound| bound + "\n").collect();
    Ok(print(&format!("{bounds}{}: good\n", config.display())))
}
