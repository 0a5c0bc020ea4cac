//! Tests of the claims: what a proof says when it reaches its limit.

use std::error::Error;

use super::*;
use crate::plan::Plan;
use crate::policy::Answers;
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
