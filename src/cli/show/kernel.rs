//! `camfw show kernel`: the kernel options that the file requires.

use crate::cli::{CliError, Command, ExitCode, Flag, Given, print};
use std::fmt::Write;

use crate::apply;
use crate::host::config_file::Purpose;
use crate::plan::Plan;
use crate::plan::kernel_options::{Backend, requirements};

const NFT: Flag = Flag::switch("nft", "for iptables-nft; for iptables-legacy unless given");

pub(in crate::cli) const COMMAND: Command = Command::new(
    "show kernel",
    "the lines of the kernel's configuration that it needs",
    run,
)
.flags(&[NFT]);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let plan = apply::read_plan(&given.config(), Purpose::Ask)?;
    Ok(print(&kernel(&plan, given.has(&NFT))))
}

/// A fragment of a kernel configuration.
pub fn kernel(plan: &Plan, nft: bool) -> String {
    let backend = if nft { Backend::Nft } else { Backend::Legacy };
    let mut text = String::new();
    for requirement in requirements(plan, backend) {
        let why = requirement.why.join("; ");
        let _ = writeln!(text, "# {why}\n{}=y", requirement.option);
    }
    text
}
