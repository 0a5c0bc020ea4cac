//! `camfw prove`: proves that the rules let through what the file says and nothing
//! else. For any other rules: proves that they block spoofed sources, and ICMP errors
//! about connections of others, and keep the guarantees that a file of them names.

use super::{CliError, Command, ExitCode, Flag, Given, UsageError, complain, print};
use std::str::FromStr;

use super::dump::{LIVE, NETWORKS, RULES, dump, needed_networks, plan};
use super::json::{JSON, JudgedBothWays, ShownPacket, print_json, result_of};
use crate::apply;
use crate::error::InvalidValue;
use crate::family::IpFamily;
use crate::host::text_file;
use crate::json::json_object;
use crate::netfilter::{Ruleset, TableName};
use crate::policy::DumpGuarantee;
use crate::prove::{self, ChainPlace, Claim, Finding, ForeignClaim, InterfaceNetworks};
use crate::resolve;
use crate::source::{Refusal, Source};

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
const GUARANTEES: Flag = Flag::valued(
    "guarantees",
    "FILE",
    "[[guarantees]] as in the configuration, of interfaces and\naddresses of --networks; they decide, and --claim where given",
);

pub(super) const COMMAND: Command = Command::new(
    "prove",
    "is it what the file says, and nothing else? for every packet",
    run,
)
.about(
    "A line for each claim, with a packet where it does not hold. With --rules and
--networks: are spoofed sources kept out of the interfaces of FILE by anyone's
rules, and ICMP errors about connections that nobody there has? With --guarantees:
do they keep what that file says is never, or always, let through?",
)
.flags(&[LIVE, RULES, NETWORKS, GUARANTEES, CHAIN, CLAIM, JSON]);

/// What was proven, for a program.
struct Proven {
    holds: bool,
    claims: Vec<ProvenClaim>,
    judged_both_ways: Vec<JudgedBothWays>,
    notes: Vec<String>,
}

json_object!(Proven {
    holds,
    claims,
    judged_both_ways,
    notes
});

struct ProvenClaim {
    claim: String,
    /// Whether it counts for the exit code.
    decides: bool,
    result: &'static str,
    shown: Option<ShownPacket>,
    /// The line for people.
    line: String,
}

json_object!(ProvenClaim { claim, decides, result, shown } without { line });

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let proven = match given.file(&RULES) {
        Some(file) => of_dump(given, &file)?,
        None => of_policy(given)?,
    };
    let Some(proven) = proven else {
        return Ok(ExitCode::Refused);
    };
    if given.has(&JSON) {
        print_json(&proven);
    } else {
        let lines = proven.claims.iter().map(|it| it.line.clone() + "\n");
        let notes = proven.notes.iter().map(|it| it.clone() + "\n");
        let unknown = proven.judged_both_ways.iter().map(JudgedBothWays::line);
        print(&lines.chain(notes).chain(unknown).collect::<String>());
    }
    Ok(ExitCode::of(proven.holds))
}

fn of_policy(given: &Given) -> Result<Option<Proven>, CliError> {
    if [NETWORKS, CHAIN, CLAIM, GUARANTEES]
        .iter()
        .any(|flag| given.has(flag))
    {
        return Err(UsageError::Together(
            "--networks, --guarantees, --chain and --claim go with --rules",
        )
        .into());
    }
    let plan = plan(given)?;
    let claims = prove::claims(&plan.policy, &plan.rules);
    let claims: Vec<ProvenClaim> = claims.into_iter().map(ProvenClaim::from).collect();
    let beside = match given.has(&LIVE) {
        true => apply::beside_live_rules().map_err(CliError::LiveRules)?,
        false => Vec::new(),
    };
    let overdue = apply::overdue();
    if let Some(why) = &overdue {
        complain(&format!("OVERDUE: {why}"));
    }
    Ok(Some(Proven {
        holds: overdue.is_none() && beside.is_empty() && claims.iter().all(ProvenClaim::holds),
        claims,
        judged_both_ways: JudgedBothWays::all(plan.rules.iter()),
        notes: beside,
    }))
}

fn of_dump(given: &Given, file: &str) -> Result<Option<Proven>, CliError> {
    let asked: Vec<ForeignClaim> = given.every(&CLAIM)?;
    let chain = given.value(&CHAIN)?.map(|ChainArgument(place)| place);
    let of_all = |what| match chain {
        Some(_) => Err(UsageError::Together(what)),
        None => Ok(()),
    };
    if asked.contains(&ForeignClaim::Related) {
        of_all("--claim related is about all that a packet goes through; leave --chain out")?;
    }
    if given.has(&GUARANTEES) {
        of_all("--guarantees is about all that a packet goes through; leave --chain out")?;
    }
    let read = dump(file)?;
    let (ruleset, family) = (&read.rules, read.family);
    let behind = needed_networks(given)?;
    let from = given.file(&NETWORKS).unwrap_or_default();
    if prove::only_loopback(&behind) {
        return Err(CliError::NoInterface(from));
    }
    let mut notes = read.strays(&from, &behind)?;
    notes.extend(read.taken_for());
    let mut claims = Vec::new();
    if let Some(name) = given.file(&GUARANTEES) {
        let text = text_file::read(&name)?;
        let all = match guarantees(&Source::new(name.clone(), text), &behind) {
            Ok(all) => all,
            Err(refusal) => {
                refusal.lines().for_each(|line| complain(&line));
                return Ok(None);
            }
        };
        claims = guaranteed(ruleset, family, &behind, &all, &mut notes);
        if claims.is_empty() {
            return Err(CliError::NoGuarantee { file: name, family });
        }
    }
    // Guarantees alone are asked for, unless a claim is named too.
    let told = |claim: ForeignClaim| claims.is_empty() || asked.contains(&claim);
    let told = [ForeignClaim::Spoofing, ForeignClaim::Related].map(told);
    let decides = |claim: ForeignClaim| match asked.is_empty() {
        true => claim == ForeignClaim::Spoofing,
        false => asked.contains(&claim),
    };
    if told.contains(&true) {
        let findings = prove::findings(ruleset, family, &behind, chain.as_ref());
        let Some(findings) = findings else {
            return Err(CliError::NoChain {
                file: file.to_owned(),
                chain: chain.unwrap_or((TableName::Filter, String::new())),
            });
        };
        for finding in findings {
            if told[finding.claim as usize] {
                claims.push(ProvenClaim::of_finding(&finding, decides(finding.claim)));
            }
        }
    }
    if told[ForeignClaim::Spoofing as usize] {
        for it in behind.iter().filter(|it| !it.has_any_of(family)) {
            if prove::only_loopback(std::slice::from_ref(it)) {
                continue;
            }
            notes.push(format!(
                "{}: {from} has no {family} network for it, so every {family} source counts as spoofed",
                it.interface
            ));
        }
    }
    if chain.is_none() && ruleset.tables().all(|(name, _)| name != TableName::Filter) {
        notes.push(format!(
            "{file} has no table filter, which is taken to accept everything"
        ));
    }
    let mut judged_both_ways = JudgedBothWays::all([(family, ruleset)]);
    if claims.iter().any(|it| it.result == "perhaps-broken") {
        judged_both_ways.extend(JudgedBothWays::absent(family, ruleset));
    }
    Ok(Some(Proven {
        holds: claims.iter().all(|it| !it.decides || it.holds()),
        claims,
        judged_both_ways,
        notes,
    }))
}

/// The guarantees of a file about rules with these interfaces.
fn guarantees(
    source: &Source,
    behind: &[InterfaceNetworks],
) -> Result<Vec<DumpGuarantee>, Refusal> {
    let interfaces = behind.iter().map(|it| it.interface.as_str());
    let interfaces: Vec<&str> = interfaces.collect();
    resolve::dump_guarantees(source, &interfaces, |network| {
        prove::place_of(behind, network)
    })
}

fn guaranteed(
    ruleset: &Ruleset,
    family: IpFamily,
    behind: &[InterfaceNetworks],
    all: &[DumpGuarantee],
    notes: &mut Vec<String>,
) -> Vec<ProvenClaim> {
    let mut claims = Vec::new();
    for (what, answer) in prove::guaranteed(ruleset, family, behind, all) {
        match answer {
            Some(answer) => claims.push(ProvenClaim::from(Claim { what, answer })),
            None => notes.push(format!("says nothing about {family}: {what}")),
        }
    }
    claims
}

impl ProvenClaim {
    fn holds(&self) -> bool {
        self.result == "holds"
    }

    fn of_finding(finding: &Finding, decides: bool) -> ProvenClaim {
        let (result, shown) = result_of(&finding.answer());
        let claim = match finding.claim {
            ForeignClaim::Spoofing => "spoofing",
            ForeignClaim::Related => "related",
        };
        ProvenClaim {
            claim: format!("{}: {claim}", finding.interface),
            decides,
            result,
            shown,
            line: finding.to_string(),
        }
    }
}

impl From<Claim> for ProvenClaim {
    fn from(claim: Claim) -> ProvenClaim {
        let (result, shown) = result_of(&claim.answer);
        ProvenClaim {
            line: claim.to_string(),
            claim: claim.what,
            decides: true,
            result,
            shown,
        }
    }
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
