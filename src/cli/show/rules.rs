//! `camfw show rules`: the rules of the file.

use crate::apply;
use crate::cli::json::{JSON, print_json};
use crate::cli::{CliError, Command, ExitCode, Flag, Given, print};
use crate::family::IpFamily;
use crate::host::config_file::Purpose;
use crate::json::json_object;
use crate::netfilter::{Chain, ChainPolicy, Ruleset, TableName, restore_text, rule_text};

const IPV4: Flag = Flag::switch("ipv4", "IPv4's alone").short('4');
const IPV6: Flag = Flag::switch("ipv6", "IPv6's alone").short('6');

pub(in crate::cli) const COMMAND: Command = Command::new(
    "show rules",
    "the rules it gives, as iptables-restore reads them",
    run,
)
.flags(&[IPV4, IPV6, JSON]);

/// What is shown, for a program.
struct ShownRules {
    tables: Vec<ShownTable>,
}

json_object!(ShownRules { tables });

struct ShownTable {
    family: String,
    table: &'static str,
    chains: Vec<ShownChain>,
}

json_object!(ShownTable {
    family,
    table,
    chains
});

struct ShownChain {
    chain: String,
    /// None of a chain that others jump to.
    policy: Option<&'static str>,
    rules: Vec<ShownRule>,
}

json_object!(ShownChain {
    chain,
    policy,
    rules
});

struct ShownRule {
    /// As iptables-save writes it, after `-A CHAIN`.
    rule: String,
    /// Its comment, which has file and line.
    comment: Option<String>,
}

json_object!(ShownRule { rule, comment });

impl From<&Chain> for ShownChain {
    fn from(chain: &Chain) -> ShownChain {
        let rules = chain.rules.iter().map(|rule| ShownRule {
            rule: rule_text(rule),
            comment: rule.comment().map(ToString::to_string),
        });
        ShownChain {
            chain: chain.name.to_string(),
            policy: chain.policy.map(|policy| match policy {
                ChainPolicy::Accept => "ACCEPT",
                ChainPolicy::Drop => "DROP",
            }),
            rules: rules.collect(),
        }
    }
}

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let plan = apply::read_plan(&given.config(), Purpose::Ask)?;
    let only = (given.has(&IPV4), given.has(&IPV6));
    if given.has(&JSON) {
        let families = plan.rules.iter().filter(|(family, _)| match only {
            (true, false) => *family == IpFamily::V4,
            (false, true) => *family == IpFamily::V6,
            _ => true,
        });
        let tables = families.flat_map(|(family, ruleset)| {
            ruleset.tables().map(move |(name, table)| ShownTable {
                family: family.to_string(),
                table: name.as_str(),
                chains: table.chains.iter().map(ShownChain::from).collect(),
            })
        });
        let tables = tables.collect();
        return Ok(print_json(&ShownRules { tables }));
    }
    let text = match only {
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
