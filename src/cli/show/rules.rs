//! `camfw show rules`: the rules of the file.

use crate::apply;
use crate::cli::{CliError, Command, ExitCode, Flag, Given, print};
use crate::host::config_file::Purpose;
use crate::netfilter::{Ruleset, TableName, restore_text};

const IPV4: Flag = Flag::switch("ipv4", "IPv4's alone").short('4');
const IPV6: Flag = Flag::switch("ipv6", "IPv6's alone").short('6');

pub(in crate::cli) const COMMAND: Command = Command::new(
    "show rules",
    "the rules it gives, as iptables-restore reads them",
    run,
)
.flags(&[IPV4, IPV6]);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let plan = apply::read_plan(&given.config(), Purpose::Ask)?;
    let text = match (given.has(&IPV4), given.has(&IPV6)) {
        (true, false) => rules(&plan.rules.v4),
        (false, true) => rules(&plan.rules.v6),
        _ => format!(
            "# IPv4\n{}# IPv6\n{}",
            rules(&plan.rules.v4),
            rules(&plan.rules.v6)
        ),
    };
    Ok(print(&text))
}

/// A ruleset as input for iptables-restore.
pub fn rules(ruleset: &Ruleset) -> String {
    let names: Vec<TableName> = ruleset.tables().map(|(name, _)| name).collect();
    restore_text(ruleset, &names)
}
