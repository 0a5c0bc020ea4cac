//! Tests of the claims: what a proof says when it reaches its limit.

use std::error::Error;

use super::*;
use crate::name::ChainName;
use crate::netfilter::{Negatable, TableName, Target};
use crate::plan::Plan;
use crate::policy::{Addresses, Allow, Answers};
use crate::source::Source;

/// A plan with one line from this many sources to this many destinations, and a line for
/// one host.
fn plan(sources: usize, destinations: usize) -> Result<Plan, Box<dyn Error>> {
    let list = |addresses: Vec<String>| format!("[{}]", addresses.join(", "));
    let sources = (0..sources).map(|number| format!("\"192.168.5.{}\"", number + 2));
    let destinations = (0..destinations).map(|number| {
        let spread = number * 7919 % 65_536;
        format!("\"203.0.{}.{}\"", spread / 256, spread % 256)
    });
    let text = format!(
        "[zones.private]\nrole = \"private\"\ninterface = \"eth1\"\naddress = \"192.168.5.1/24\"\n\
             [zones.external]\nrole = \"external\"\ninterface = \"eth0\"\naddress = \"10.1.1.2/24\"\n\
             [[allow]]\nfrom = \"private\"\nto = \"router\"\nservice = \"ssh\"\n\
             [[allow]]\nfrom = \"private\"\nto = \"external\"\nservice = \"https\"\nsource = {}\naddress = {}\n",
        list(sources.collect()),
        list(destinations.collect()),
    );
    Ok(crate::plan(
        &Source::new("camfw.toml", text),
        &Answers::new(),
    )?)
}

/// The proof takes away what is left out and denied by itself, and so finds rules that were
/// made of addresses which are not the rest.
#[test]
fn rules_of_another_rest_are_found() -> Result<(), Box<dyn Error>> {
    let text = golden("except-and-deny")?;
    let plan = crate::plan(&Source::new("camfw.toml", text), &Answers::new())?;
    assert_eq!(broken(&plan.policy, &plan.rules), None);
    let lines = plan.policy.allows.iter().enumerate();
    let of = |allow: &Allow| [allow.sources_of.is_some(), allow.destinations_of.is_some()];
    let mut changed = 0;
    for (number, allow) in lines {
        for (end, has) in of(allow).into_iter().enumerate().filter(|(_, has)| *has) {
            assert!(has);
            for less in [false, true] {
                let mut other = plan.policy.clone();
                let line = &mut other.allows[number];
                let (addresses, of) = match end {
                    0 => (&mut line.sources, &line.sources_of),
                    _ => (&mut line.destinations, &line.destinations_of),
                };
                let written = of.as_ref().map(|of| of.written.clone());
                match (addresses, less) {
                    (addresses, false) => *addresses = written.ok_or("nothing is left out")?,
                    (Addresses::Only(left), true) => drop(left.remove(0)),
                    (Addresses::Any, true) => return Err("nothing is left out".into()),
                }
                let rules = Plan::new(other, "camfw.toml").rules;
                assert!(broken(&plan.policy, &rules).is_some(), "line {number}");
                changed += 1;
            }
        }
    }
    assert!(changed >= 8, "{changed}");
    Ok(())
}

/// A denial is proven of any rules, whatever is made of the lines.
#[test]
fn rules_that_pass_what_is_denied_break_the_denial() -> Result<(), Box<dyn Error>> {
    let text = golden("except-and-deny")?;
    let denied = crate::plan(&Source::new("camfw.toml", &*text), &Answers::new())?;
    let (open, _) = text.split_once("[[deny]]").ok_or("no denial")?;
    let open = crate::plan(&Source::new("camfw.toml", open), &Answers::new())?;
    let claims = claims_of(&denied.policy, &open.rules.v4, IpFamily::V4);
    let broken = claims.iter().filter(|claim| !claim.answer.holds());
    let broken: Vec<String> = broken.map(ToString::to_string).collect();
    let home = "home never opens a connection to external 16.0.0.0/4 (camfw.toml:";
    assert!(broken.iter().any(|it| it.contains(home)), "{broken:?}");
    Ok(())
}

fn golden(name: &str) -> std::io::Result<String> {
    let file = format!(
        "{}/tests/golden/{name}/config.toml",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read_to_string(file)
}

#[test]
fn a_line_of_many_sources_and_destinations_has_as_many_rules_as_addresses()
-> Result<(), Box<dyn Error>> {
    let plan = plan(249, 1500)?;
    let rules = plan.rules.v4.tables().flat_map(|(_, table)| &table.chains);
    let rules: usize = rules.map(|chain| chain.rules.len()).sum();
    assert!(rules < 4 * (249 + 1500), "{rules} rules");
    assert_eq!(broken(&plan.policy, &plan.rules), None);
    Ok(())
}

#[test]
fn a_proof_past_its_bound_names_the_line() -> Result<(), Box<dyn Error>> {
    let plan = plan(249, 1500)?;
    let why = broken_within(&plan.policy, &plan.rules, 10_000).unwrap_or_default();
    assert!(why.contains("takes more work than a proof may"), "{why}");
    let line = "camfw.toml:13, with 249 sources and 1500 destinations: write networks";
    assert!(why.contains(line), "{why}");
    Ok(())
}

/// A list that is not taken away from lines is in the rules as it is written: no network may be
/// missing there, and none be another.
#[test]
fn a_long_list_of_what_is_denied_is_held_to_each_network() -> Result<(), Box<dyn Error>> {
    let text = golden("deny-many")?;
    let plan = crate::plan(&Source::new("camfw.toml", text), &Answers::new())?;
    assert_eq!(broken(&plan.policy, &plan.rules), None);
    let lines = &plan.policy.allows;
    let whole = |line: &Allow| line.sources_of.is_none() && line.destinations_of.is_none();
    assert!(lines.iter().all(whole));
    let filter = plan.rules.v4.table(TableName::Filter);
    let mut changed = 0;
    let of_flows = |chain: &ChainName| {
        let mut words = ["from-", "to-", "external_to_", "home_to_"].into_iter();
        words.any(|word| chain.as_str().starts_with(word))
    };
    for (chain, at) in filter
        .chains
        .iter()
        .zip(0..)
        .filter(|(it, _)| of_flows(&it.name))
    {
        for (rule, place) in chain.rules.iter().zip(0..) {
            let of = [rule.source, rule.destination].map(|of| of.map(|of| of.value));
            let network = of.into_iter().flatten().next();
            let (Some(network), Some(Target::Return)) = (network, &rule.target) else {
                continue;
            };
            // Each of them would take a second.
            changed += 1;
            if changed % 16 != 1 {
                continue;
            }
            let mut less = filter.clone().into_owned();
            less.chains[at].rules.remove(place);
            let mut other = filter.clone().into_owned();
            let wider = Negatable::is(network.supernet().ok_or("all addresses")?);
            let changed = &mut other.chains[at].rules[place];
            match changed.source {
                Some(_) => changed.source = Some(wider),
                None => changed.destination = Some(wider),
            }
            for table in [less, other] {
                let mut rules = plan.rules.clone();
                rules.v4.set(TableName::Filter, table);
                assert!(broken(&plan.policy, &rules).is_some(), "{network}");
            }
        }
    }
    // Of the networks five are one, and for one of two ways in there is no line.
    assert_eq!(changed, 61 + 70);
    Ok(())
}
