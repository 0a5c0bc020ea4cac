//! `camfw prove`: is it what the file says, and nothing else? And of anyone's
//! rules: are spoofed sources kept out?

use std::path::Path;

use super::args::Options;
use super::{FAILED, REFUSED, complain, print};
use crate::apply;
use crate::host::text_file;
use crate::prove;
use crate::ruleset::{Ruleset, TableName, read};

/// Prints each claim and whether it holds; the exit code.
pub(super) fn run(config: &Path, options: &Options) -> u8 {
    let proven = match options.get("rules") {
        Some(path) => rules(path, options),
        None if options.has("networks") || options.has("chain") => {
            Err("--networks and --chain go with --rules".into())
        }
        None => claims(config, options.has("live")),
    };
    match proven {
        Ok((text, holds)) => {
            print(&text);
            if holds { 0 } else { FAILED }
        }
        Err(why) => {
            complain(&why);
            REFUSED
        }
    }
}

fn claims(config: &Path, live: bool) -> Result<(String, bool), String> {
    let plan = apply::read_plan(config).map_err(|refusal| refusal.to_string())?;
    let [ipv4, ipv6] = match live {
        true => apply::live_rules()?,
        false => [plan.ipv4, plan.ipv6],
    };
    let claims = prove::claims(&plan.policy, &ipv4, &ipv6);
    let lines: Vec<String> = claims.iter().map(|claim| format!("{claim}\n")).collect();
    let holds = claims.iter().all(|claim| claim.answer.holds());
    Ok((lines.concat() + &unknown(&[&ipv4, &ipv6]), holds))
}

fn rules(path: &str, options: &Options) -> Result<(String, bool), String> {
    let text = text_file::read(path)?;
    let ruleset = read(&text).map_err(|error| format!("{path}: {error}"))?;
    let networks = options.get("networks").ok_or(
        "--rules needs --networks FILE, which says what is behind each interface: eth1 192.168.8.0/24",
    )?;
    let behind = prove::networks(&text_file::read(networks)?)
        .map_err(|error| format!("{networks}:{error}"))?;
    let chain = options.get("chain").map(place).transpose()?;
    let family = prove::family_of(&ruleset);
    let findings = prove::findings(&ruleset, family, &behind, chain.as_ref()).ok_or_else(|| {
        let chain = options.get("chain").unwrap_or_default();
        format!("{path}: there is no {chain}")
    })?;
    let lines: Vec<String> = findings.iter().map(|it| format!("{it}\n")).collect();
    let holds = findings.iter().all(prove::Finding::holds);
    Ok((lines.concat() + &unknown(&[&ruleset]), holds))
}

fn place(text: &str) -> Result<(TableName, String), String> {
    let wrong = || format!("--chain {text}: write a table and its chain: filter/FORWARD");
    let (table, chain) = text.split_once('/').ok_or_else(wrong)?;
    let mut tables = TableName::ALL.into_iter();
    let table = tables.find(|known| known.as_str() == table);
    Ok((table.ok_or_else(wrong)?, chain.to_owned()))
}

/// What was not known, a line each.
fn unknown(rulesets: &[&Ruleset]) -> String {
    let mut text = String::new();
    for ruleset in rulesets {
        for (what, rules) in prove::unknown(ruleset, prove::family_of(ruleset)) {
            text += &format!(
                "judged both ways, since it depends on more than the packet or is not known: {what} (rules: {rules})\n"
            );
        }
    }
    text
}
