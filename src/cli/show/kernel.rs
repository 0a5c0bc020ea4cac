//! `camfw show kernel`: the kernel options that the file requires.

use crate::cli::{CliError, Command, ExitCode, Flag, Given, print};
use std::fmt::Write;

use crate::apply;
use crate::cli::json::{JSON, print_json};
use crate::host::config_file::Purpose;
use crate::json::json_object;
use crate::plan::Plan;
use crate::plan::kernel_options::{Backend, Requirement, requirements};

const NFT: Flag = Flag::switch("nft", "for iptables-nft; for iptables-legacy unless given");

pub(in crate::cli) const COMMAND: Command = Command::new(
    "show kernel",
    "the lines of the kernel's configuration that it needs",
    run,
)
.flags(&[NFT, JSON]);

/// What is shown, for a program.
struct ShownOptions {
    options: Vec<Requirement>,
}

json_object!(ShownOptions { options });
json_object!(Requirement { option, why });

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let plan = apply::read_plan(&given.config(), Purpose::Ask)?;
    let nft = given.has(&NFT);
    if given.has(&JSON) {
        let options = options(&plan, nft);
        return Ok(print_json(&ShownOptions { options }));
    }
    Ok(print(&kernel(&plan, nft)))
}

fn options(plan: &Plan, nft: bool) -> Vec<Requirement> {
    requirements(plan, if nft { Backend::Nft } else { Backend::Legacy })
}

/// A fragment of a kernel configuration.
pub fn kernel(plan: &Plan, nft: bool) -> String {
    let mut text = String::new();
    for requirement in options(plan, nft) {
        let why = requirement.why.join("; ");
        let _ = writeln!(text, "# {why}\n{}=y", requirement.option);
    }
    text
}
