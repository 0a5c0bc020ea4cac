//! A rule dropped, two swapped, a mask widened, a negation flipped, a target
//! changed: every such change of a correct ruleset that changes what becomes of
//! any packet is found, and by a packet that shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::Path;

use camfw::family::{Families, IpFamily};
use camfw::netfilter::{
    Connection, CtDirection, Match, Negatable, Rule, Ruleset, Table, TableName, Target,
    TupleAddress, rule_text,
};
use camfw::policy::{Answers, Policy};
use camfw::prove::{self, ClaimResult, Tracer};
use camfw::source::Source;
use ipnet::IpNet;

/// What a rule is but for its values: with `#` in the place of each address, number and name with
/// a digit, `%` for a zone's name in a chain that is not built in, and without its comment. What
/// decides nothing, as LOG, is the same in every chain.
fn kind_of(policy: &Policy, table: TableName, chain: &str, rule: &Rule) -> String {
    let mut rule = rule.clone();
    rule.matches.retain(|it| !matches!(it, Match::Comment(_)));
    let decides = !matches!(rule.target, Some(Target::Log(_) | Target::Nflog(_)));
    let chain = if decides { chain } else { "" };
    let mut text = format!("{} {chain} {}", table.as_str(), rule_text(&rule));
    if chain.bytes().any(|byte| byte.is_ascii_lowercase()) || !decides {
        for zone in &policy.zones {
            text = text.replace(zone.name.as_str(), "%");
        }
    }
    let has_value = |word: &str| word.bytes().any(|byte| byte.is_ascii_digit());
    let words = text.split(' ');
    let words = words.map(|word| if has_value(word) { "#" } else { word });
    words.collect::<Vec<&str>>().join(" ")
}

/// The rules that are changed: of each kind in a chain the first and the last, since the proof of a
/// list of networks has nothing of its own for those in the middle.
fn chosen(policy: &Policy, ruleset: &Ruleset) -> BTreeSet<(TableName, usize, usize)> {
    let mut ends: BTreeMap<String, [(TableName, usize, usize); 2]> = BTreeMap::new();
    for (name, table) in ruleset.tables() {
        for (at, chain) in table.chains.iter().enumerate() {
            for (number, rule) in chain.rules.iter().enumerate() {
                let kind = kind_of(policy, name, &chain.name.to_string(), rule);
                let place = (name, at, number);
                ends.entry(kind).or_insert([place; 2])[1] = place;
            }
        }
    }
    ends.into_values().flatten().collect()
}

/// Every change of one chosen place, in words with the rules that it gives.
fn mutants(policy: &Policy, ruleset: &Ruleset) -> Vec<(String, Ruleset)> {
    let mut all = Vec::new();
    let chosen = chosen(policy, ruleset);
    for (name, table) in ruleset.tables() {
        for (at, chain) in table.chains.iter().enumerate() {
            for (number, rule) in chain.rules.iter().enumerate() {
                if !chosen.contains(&(name, at, number)) {
                    continue;
                }
                let place = format!("{} {} {}", name.as_str(), chain.name, number + 1);
                let mut with = |what: &str, change: &dyn Fn(&mut Vec<Rule>)| {
                    let mut table: Table = table.clone();
                    change(&mut table.chains[at].rules);
                    let mut mutant = ruleset.clone();
                    mutant.set(name, table);
                    all.push((format!("{place} {what}: {}", rule_text(rule)), mutant));
                };
                with("dropped", &|rules| drop(rules.remove(number)));
                if number > 0 {
                    with("swapped", &|rules| rules.swap(number - 1, number));
                }
                for (what, changed) in changed(rule) {
                    with(what, &|rules| rules[number] = changed.clone());
                }
            }
        }
    }
    all
}

fn wider(network: Option<Negatable<IpNet>>) -> Option<Negatable<IpNet>> {
    let Negatable { negated, value } = network?;
    let length = value.prefix_len().checked_sub(1)?;
    let value = IpNet::new(value.addr(), length).ok()?.trunc();
    Some(Negatable { negated, value })
}

fn flipped<T: Clone>(value: &Option<Negatable<T>>) -> Option<Negatable<T>> {
    let mut value = value.clone()?;
    value.negated = !value.negated;
    Some(value)
}

/// Another end, a wider one, the other direction, and none of them.
fn of_connection(connection: &Connection) -> Vec<(&'static str, Connection)> {
    let mut all = Vec::new();
    let of = |end, direction| Connection {
        end,
        direction,
        ..*connection
    };
    let Connection { end, direction, .. } = *connection;
    if let Some((which, network)) = end {
        all.push(("about any connection", of(None, direction)));
        let longer = network.prefix_len().checked_sub(1);
        if let Some(Ok(wide)) = longer.map(|length| IpNet::new(network.addr(), length)) {
            let wide = Some((which, wide.trunc()));
            all.push(("about a wider end", of(wide, direction)));
        }
        for (other, _) in TupleAddress::OPTIONS {
            if other != which {
                all.push(("about another end", of(Some((other, network)), direction)));
            }
        }
    }
    if let Some(way) = direction {
        let other = match way {
            CtDirection::Original => CtDirection::Reply,
            CtDirection::Reply => CtDirection::Original,
        };
        all.push(("of the other direction", of(end, Some(other))));
        all.push(("of either direction", of(end, None)));
    }
    all
}

/// The rule with one thing in it changed.
fn changed(rule: &Rule) -> Vec<(&'static str, Rule)> {
    let mut all = Vec::new();
    if let source @ Some(_) = wider(rule.source) {
        all.push((
            "with a wider source",
            Rule {
                source,
                ..rule.clone()
            },
        ));
    }
    if let destination @ Some(_) = wider(rule.destination) {
        all.push((
            "with a wider destination",
            Rule {
                destination,
                ..rule.clone()
            },
        ));
    }
    if let source @ Some(_) = flipped(&rule.source) {
        all.push((
            "with the source negated",
            Rule {
                source,
                ..rule.clone()
            },
        ));
    }
    let flipped_box =
        |value: &Option<Box<Negatable<_>>>| flipped(&value.as_deref().cloned()).map(Box::new);
    if let in_interface @ Some(_) = flipped_box(&rule.in_interface) {
        all.push((
            "with the interface negated",
            Rule {
                in_interface,
                ..rule.clone()
            },
        ));
    }
    if let out_interface @ Some(_) = flipped_box(&rule.out_interface) {
        all.push((
            "with the way out negated",
            Rule {
                out_interface,
                ..rule.clone()
            },
        ));
    }
    if let protocol @ Some(_) = flipped(&rule.protocol) {
        // Ports of no protocol are refused by iptables; the rest of the rule is not.
        let matches = Vec::new();
        all.push((
            "with the protocol negated",
            Rule {
                protocol,
                matches,
                ..rule.clone()
            },
        ));
    }
    for (place, extension) in rule.matches.iter().enumerate() {
        let Match::Connection(connection) = extension else {
            continue;
        };
        for (what, changed) in of_connection(connection) {
            let mut other = rule.clone();
            other.matches[place] = Match::Connection(changed);
            all.push((what, other));
        }
    }
    for (place, extension) in rule.matches.iter().enumerate() {
        // Without its comment it is the same rule, and a proof of it costs as much.
        if matches!(extension, Match::Comment(_)) {
            continue;
        }
        let mut less = rule.clone();
        less.matches.remove(place);
        all.push(("with a match less", less));
    }
    let target = match &rule.target {
        Some(Target::Accept) => Some(Target::Drop),
        Some(Target::Drop | Target::Return | Target::Jump(_)) => Some(Target::Accept),
        _ => None,
    };
    if target.is_some() {
        all.push((
            "with another target",
            Rule {
                target,
                ..rule.clone()
            },
        ));
    }
    all
}

/// How many mutants change what becomes of a packet, and those that are not found
/// or found by a packet that does not show it.
fn tried(policy: &Policy, rules: &Families<Ruleset>, which: IpFamily) -> (usize, Vec<String>) {
    let (mut changing, mut missed) = (0, Vec::new());
    let before = Tracer::of_policy(policy.clone(), rules.clone());
    for (what, mutant) in mutants(policy, rules.get(which)) {
        let mut both = rules.clone();
        *both.get_mut(which) = mutant;
        let claims = prove::claims_of(policy, both.get(which), which);
        let broken: Vec<_> = claims
            .iter()
            .filter(|claim| !claim.answer.holds())
            .collect();
        if broken.is_empty() {
            if prove::differ(rules.get(which), both.get(which), which) {
                missed.push(format!("{what}: not found"));
            }
            continue;
        }
        changing += 1;
        // Each packet that is given must be judged otherwise by the true rules.
        let after = Tracer::of_policy(policy.clone(), both.clone());
        for claim in broken {
            let ClaimResult::Broken(example) = &claim.answer else {
                continue;
            };
            let verdict = |tracer: &Tracer| {
                let text =
                    verdict_on(tracer, &example.packet).unwrap_or_else(|error| error.to_string());
                // Nat decides where a packet goes, and raw in which zone of conntrack its
                // connection is, so the rules that it met are part of what becomes of it.
                let by_its_rules =
                    what.starts_with("nat ") || claim.what.ends_with("are no other link's");
                match by_its_rules {
                    true => text,
                    false => text.split('\t').next().unwrap_or_default().to_owned(),
                }
            };
            let (was, is) = (verdict(&before), verdict(&after));
            if was == is {
                missed.push(format!("{what}: {claim}: was {was}, is {is}"));
            }
        }
    }
    (changing, missed)
}

fn verdict_on(tracer: &Tracer, packet: &str) -> Result<String, Box<dyn Error>> {
    let packet = camfw::cli::packet_of_line(packet)?;
    Ok(tracer.verdicts(&[packet]).map_err(|(_, error)| error)?)
}

/// Every mutant of a golden's rules that changes a verdict is found, and at least so
/// many do: the control.
fn every_change_is_found(case: &str, family: IpFamily, least: usize) -> Result<(), Box<dyn Error>> {
    let golden = format!("golden/{case}/config.toml");
    every_change_of_file_is_found(&golden, family, least)
}

/// The same of a file in tests.
fn every_change_of_file_is_found(
    case: &str,
    family: IpFamily,
    least: usize,
) -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let text = fs::read_to_string(root.join(case))?;
    let plan = camfw::plan(&Source::new("config.toml", text), &Answers::new())?;
    let (changing, missed) = tried(&plan.policy, &plan.rules, family);
    assert!(missed.is_empty(), "{case}:\n{}", missed.join("\n"));
    println!("{case} {family:?}: {changing} of them change a verdict");
    assert!(changing >= least, "{case}: {changing}");
    Ok(())
}

// A test each, so that they run side by side.

#[test]
fn changes_of_the_example_are_found() -> Result<(), Box<dyn Error>> {
    every_change_is_found("camera-router", IpFamily::V4, 50)
}

#[test]
fn changes_of_dropped_ipv6_are_found() -> Result<(), Box<dyn Error>> {
    every_change_is_found("camera-router", IpFamily::V6, 1)
}

#[test]
fn changes_of_listed_cameras_are_found() -> Result<(), Box<dyn Error>> {
    every_change_is_found("cameras", IpFamily::V4, 50)
}

#[test]
fn changes_of_a_listed_egress_are_found() -> Result<(), Box<dyn Error>> {
    every_change_is_found("egress-listed", IpFamily::V4, 50)
}

#[test]
fn changes_of_forwards_are_found() -> Result<(), Box<dyn Error>> {
    every_change_is_found("forwards", IpFamily::V4, 50)
}

#[test]
fn changes_of_forwarded_ranges_are_found() -> Result<(), Box<dyn Error>> {
    every_change_is_found("forwards-ranges", IpFamily::V4, 50)
}

#[test]
fn changes_of_what_comes_from_inside_are_found() -> Result<(), Box<dyn Error>> {
    every_change_is_found("loopback", IpFamily::V4, 50)
}

#[test]
fn changes_of_what_comes_from_inside_to_an_unknown_address_are_found() -> Result<(), Box<dyn Error>>
{
    every_change_is_found("loopback-dhcp", IpFamily::V4, 50)
}

#[test]
fn changes_of_public_addresses_are_found() -> Result<(), Box<dyn Error>> {
    every_change_is_found("public-addresses", IpFamily::V4, 50)
}

#[test]
fn changes_of_what_is_denied_are_found() -> Result<(), Box<dyn Error>> {
    every_change_is_found("except-and-deny", IpFamily::V4, 50)
}

#[test]
fn changes_of_protocols_and_source_ports_are_found() -> Result<(), Box<dyn Error>> {
    every_change_is_found("protocols", IpFamily::V4, 50)
}

#[test]
fn changes_of_what_is_redirected_to_the_router_are_found() -> Result<(), Box<dyn Error>> {
    every_change_is_found("redirects-of-cameras", IpFamily::V4, 30)
}

#[test]
fn changes_of_the_same_policy_for_ipv6_are_found() -> Result<(), Box<dyn Error>> {
    every_change_is_found("ipv6-same", IpFamily::V6, 50)
}

#[test]
fn changes_of_a_tree_of_hardware_addresses_are_found() -> Result<(), Box<dyn Error>> {
    every_change_is_found("many-cameras", IpFamily::V4, 50)
}

#[test]
fn changes_of_cameras_of_two_zones_are_found() -> Result<(), Box<dyn Error>> {
    every_change_is_found("cameras-of-two-zones", IpFamily::V4, 50)
}

#[test]
fn changes_of_cameras_of_two_zones_are_found_for_ipv6() -> Result<(), Box<dyn Error>> {
    every_change_is_found("cameras-of-two-zones", IpFamily::V6, 50)
}

/// A camera's address with another hardware address, and its hardware address with another
/// address, where the cameras alone may send and where anybody may.
#[test]
fn changes_of_cameras_with_ipv6_addresses_are_found() -> Result<(), Box<dyn Error>> {
    every_change_of_file_is_found("mutants/cameras-ipv6.toml", IpFamily::V6, 50)
}
