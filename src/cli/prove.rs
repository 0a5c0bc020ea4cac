//! `camfw prove`: proves that the rules let through what the file says and nothing
//! else. For any other rules: proves that they block spoofed sources, and ICMP errors
//! about connections of others.

use super::{CliError, Command, ExitCode, Flag, Given, UsageError, complain, print};
use std::str::FromStr;

use super::dump::{LIVE, NETWORKS, RULES, dump, needed_networks, plan, unknown};
use crate::apply;
use crate::error::InvalidValue;
use crate::netfilter::TableName;
use crate::prove::{self, ChainPlace, ForeignClaim};

const CHAIN: Flag = Flag::valued(
    "chain",
    "TABLE/CHAIN",
    "of one chain of DUMP alone, as filter/FORWARD",
);
const CLAIM: Flag = Flag::valued(
    "claim",
    "NAME",
    "what decides the exit code: spoofing (unless given) or\nrelated; may be given twice",
);

pub(super) const COMMAND: Command = Command::new(
    "prove",
    "is it what the file says, and nothing else? for every packet",
    run,
)
.about(
    "A line for each claim, with a packet where it does not hold. With --rules and
--networks: are spoofed sources kept out of the interfaces of FILE by anyone's
rules, and ICMP errors about connections that nobody there has?",
)
.flags(&[LIVE, RULES, NETWORKS, CHAIN, CLAIM]);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    match given.file(&RULES) {
        Some(file) => of_dump(given, &file),
        None => of_policy(given),
    }
}

fn of_policy(given: &Given) -> Result<ExitCode, CliError> {
    if [NETWORKS, CHAIN, CLAIM].iter().any(|flag| given.has(flag)) {
        return Err(UsageError::Together("--networks, --chain and --claim go with --rules").into());
    }
    let plan = plan(given)?;
    let claims = prove::claims(&plan.policy, &plan.rules);
    let lines: Vec<String> = claims.iter().map(|claim| format!("{claim}\n")).collect();
    let holds = claims.iter().all(|claim| claim.answer.holds());
    print(&(lines.concat() + &unknown(plan.rules.iter())));
    let overdue = apply::overdue();
    if let Some(why) = &overdue {
        complain(&format!("OVERDUE: {why}"));
    }
    Ok(ExitCode::of(holds && overdue.is_none()))
}

fn of_dump(given: &Given, file: &str) -> Result<ExitCode, CliError> {
    let mut claims: Vec<ForeignClaim> = given.every(&CLAIM)?;
    let chain = given.value(&CHAIN)?.map(|ChainArgument(place)| place);
    let (ruleset, family) = dump(file)?;
    let behind = needed_networks(given)?;
    let from = given.file(&NETWORKS).unwrap_or_default();
    if behind.is_empty() {
        return Err(CliError::NoInterface(from));
    }
    if claims.is_empty() {
        claims.push(ForeignClaim::Spoofing);
    }
    if chain.is_some() && claims.contains(&ForeignClaim::Related) {
        return Err(UsageError::Together(
            "--claim related is about all that a packet goes through; leave --chain out",
        )
        .into());
    }
    let findings = match prove::findings(&ruleset, family, &behind, chain.as_ref()) {
        Some(findings) => findings,
        None => {
            return Err(CliError::NoChain {
                file: file.to_owned(),
                chain: chain.unwrap_or((TableName::Filter, String::new())),
            });
        }
    };
    let mut text: String = findings.iter().map(|it| format!("{it}\n")).collect();
    for it in &behind {
        if !it.has_any_of(family) {
            let interface = &it.interface;
            text += &format!(
                "{interface}: {from} has no {family} network for it, so every {family} source counts as spoofed\n"
            );
        }
    }
    if chain.is_none() && ruleset.tables().all(|(name, _)| name != TableName::Filter) {
        text += &format!("{file} has no table filter, which is taken to accept everything\n");
    }
    print(&(text + &unknown([(family, &ruleset)])));
    let mut asked = findings.iter().filter(|it| claims.contains(&it.claim));
    Ok(ExitCode::of(asked.all(prove::Finding::holds)))
}

/// A chain, as given with `--chain`.
struct ChainArgument(ChainPlace);

impl FromStr for ChainArgument {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<ChainArgument, InvalidValue> {
        let wrong = InvalidValue("write a table and its chain: filter/FORWARD");
        let (table, chain) = text.split_once('/').ok_or(wrong)?;
        let mut tables = TableName::ALL.into_iter();
        let table = tables.find(|known| known.as_str() == table);
        if chain == "OUTPUT" {
            return Err(InvalidValue(
                "what goes through it came in by no interface; name a chain that it does go through, as filter/FORWARD",
            ));
        }
        Ok(ChainArgument((table.ok_or(wrong)?, chain.to_owned())))
    }
}
