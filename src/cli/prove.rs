//! `camfw prove`: is it what the file says, and nothing else? And of anyone's
//! rules: are spoofed sources kept out, and errors about others' connections?

use std::path::Path;

use super::args::Options;
use super::dump::{dump, networks, unknown};
use super::{FAILED, REFUSED, complain, print};
use crate::apply;
use crate::host::config_file::Purpose;
use crate::netfilter::TableName;
use crate::prove::{self, ForeignClaim};

/// Prints each claim and whether it holds; the exit code.
pub(super) fn run(config: &Path, options: &Options) -> u8 {
    let proven = match options.get("rules") {
        Some(path) => rules(path, options),
        None if ["networks", "chain", "claim"]
            .iter()
            .any(|it| options.has(it)) =>
        {
            Err("--networks, --chain and --claim go with --rules".into())
        }
        None => claims(config, options.has("live")),
    };
    match proven {
        Ok((text, holds)) => {
            print(&text);
            let overdue = match options.get("rules") {
                None => apply::overdue(),
                Some(_) => None,
            };
            if let Some(why) = &overdue {
                complain(&format!("OVERDUE: {why}"));
            }
            if holds && overdue.is_none() {
                0
            } else {
                FAILED
            }
        }
        Err(why) => {
            complain(&why);
            REFUSED
        }
    }
}

fn claims(config: &Path, live: bool) -> Result<(String, bool), String> {
    let plan = apply::read_plan(config, Purpose::Ask).map_err(|refusal| refusal.to_string())?;
    let rules = match live {
        true => apply::live_rules().map_err(|error| error.to_string())?,
        false => plan.rules,
    };
    let claims = prove::claims(&plan.policy, &rules);
    let lines: Vec<String> = claims.iter().map(|claim| format!("{claim}\n")).collect();
    let holds = claims.iter().all(|claim| claim.answer.holds());
    Ok((lines.concat() + &unknown(rules.iter()), holds))
}

fn rules(path: &str, options: &Options) -> Result<(String, bool), String> {
    let (ruleset, family) = dump(path)?;
    let from = options.get("networks").ok_or(
        "--rules needs --networks FILE, which says what is behind each interface: eth1 192.168.8.0/24",
    )?;
    let behind = networks(from)?;
    if behind.is_empty() {
        return Err(format!(
            "{from}: names no interface; write one a line, as in: eth1 192.168.8.0/24"
        ));
    }
    let chain = options.get("chain").map(place).transpose()?;
    let claims = claimed(options)?;
    if chain.is_some() && claims.contains(&ForeignClaim::Related) {
        return Err(
            "--claim related is about all that a packet goes through; leave --chain out".into(),
        );
    }
    let findings = prove::findings(&ruleset, family, &behind, chain.as_ref()).ok_or_else(|| {
        let chain = options.get("chain").unwrap_or_default();
        format!("{path}: there is no {chain}")
    })?;
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
        text += &format!("{path} has no table filter, which is taken to accept everything\n");
    }
    let mut asked = findings.iter().filter(|it| claims.contains(&it.claim));
    let holds = asked.all(prove::Finding::holds);
    Ok((text + &unknown([(family, &ruleset)]), holds))
}

/// The claims that decide the exit code.
fn claimed(options: &Options) -> Result<Vec<ForeignClaim>, String> {
    let mut claims = Vec::new();
    for name in options.every("claim") {
        claims.push(ForeignClaim::by_name(name).ok_or_else(|| {
            format!("--claim {name}: no claim is called so; use spoofing or related")
        })?);
    }
    if claims.is_empty() {
        claims.push(ForeignClaim::Spoofing);
    }
    Ok(claims)
}

fn place(text: &str) -> Result<(TableName, String), String> {
    let wrong = || format!("--chain {text}: write a table and its chain: filter/FORWARD");
    let (table, chain) = text.split_once('/').ok_or_else(wrong)?;
    let mut tables = TableName::ALL.into_iter();
    let table = tables.find(|known| known.as_str() == table);
    if chain == "OUTPUT" {
        return Err(format!(
            "--chain {text}: what goes through it came in by no interface; name a chain that it does go through, as filter/FORWARD"
        ));
    }
    Ok((table.ok_or_else(wrong)?, chain.to_owned()))
}
