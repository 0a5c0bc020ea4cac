//! What becomes of single packets, in words.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use ipnet::IpNet;

use super::claim;
use super::judge::{Judgement, Met, judge_routed};
use super::networks::{self, Behind};
use super::packet::{Interfaces, NO_INTERFACE, Packet, Space};
use super::program::{Program, interface_patterns};
use super::reach::Way;
use super::witness::{self, Naming};
use crate::family::{Families, IpFamily};
use crate::netfilter::Ruleset;
use crate::policy::Policy;

/// Options of `camfw trace`: name, without dashes, and value.
type Options = [(String, String)];

/// The interface that the router's own addresses are behind.
const LOOPBACK: &str = "lo";

/// Rules to hold packets against.
pub struct Tracer {
    rules: Families<Ruleset>,
    policy: Option<Policy>,
    /// The one family that there are rules of, if not both.
    only: Option<IpFamily>,
    /// What is behind the interfaces; behind the loopback, the router's own
    /// addresses.
    behind: Vec<Behind>,
}

impl Tracer {
    /// Anyone's rules, and what is behind their interfaces, as far as it is known.
    pub fn of_rules(rules: Ruleset, family: IpFamily, behind: Vec<Behind>) -> Tracer {
        let mut only = Families::default();
        *only.get_mut(family) = rules;
        Tracer {
            rules: only,
            policy: None,
            only: Some(family),
            behind,
        }
    }

    /// A policy's, by the names of its zones.
    pub fn of_policy(policy: Policy, rules: Families<Ruleset>) -> Tracer {
        let mut behind = networks::behind(&policy);
        let own: Vec<IpNet> = policy
            .zones
            .iter()
            .flat_map(|zone| zone.own())
            .map(|own| IpNet::from(own.addr()))
            .collect();
        behind.push(Behind::new(LOOPBACK, &own, &[]));
        Tracer {
            rules,
            policy: Some(policy),
            only: None,
            behind,
        }
    }

    fn naming(&self) -> Naming {
        self.policy.as_ref().map(claim::naming).unwrap_or_default()
    }

    /// The space of packets by these interfaces too.
    fn space<'o>(&self, family: IpFamily, named: impl IntoIterator<Item = &'o Options>) -> Space {
        let ruleset = self.rules.get(family);
        if let Some(policy) = &self.policy {
            return claim::space(policy, &[ruleset], family);
        }
        let mut patterns: BTreeSet<String> = interface_patterns(ruleset);
        for (name, value) in named.into_iter().flatten() {
            if matches!(name.as_str(), "from" | "to") && value != "router" {
                patterns.insert(value.clone());
            }
        }
        patterns.extend(self.behind.iter().map(|it| it.interface.clone()));
        Space::new(family, Interfaces::new(&patterns))
    }

    /// The packet, with the ends that the policy's networks give it where the
    /// options do not.
    fn packet(&self, space: &Space, options: &Options) -> Result<(Way, Packet), String> {
        let mut options = options.to_vec();
        let value = |name: &str| options.iter().find(|(known, _)| known == name);
        if let Some(only) = self.only
            && only != space.family
        {
            return Err(format!(
                "the rules are of {only} and the packet is of {}; give it addresses of {only}",
                space.family
            ));
        }
        let mut found = Vec::new();
        for (end, address) in [("from", "src"), ("to", "dst")] {
            let Some((_, address)) = value(address) else {
                return Err(format!(
                    "a packet has an address at both ends; give --{address}"
                ));
            };
            if value(end).is_none() {
                let address: Option<IpAddr> = address.parse().ok();
                let name = address.and_then(|address| self.place_of(address));
                found.extend(name.map(|name| (end.to_owned(), name.to_owned())));
            }
        }
        if value("proto").is_none() {
            found.push(("proto".into(), "tcp".into()));
        }
        options.extend(found);
        witness::packet(space, &self.naming(), &options)
    }

    /// Which end an address is at: the router, or the interface that it is behind.
    fn place_of(&self, address: IpAddr) -> Option<&str> {
        match networks::interface_of(&self.behind, address)? {
            LOOPBACK => Some("router"),
            interface => Some(interface),
        }
    }

    /// What becomes of a packet; where it goes is found anew if its destination is
    /// rewritten.
    fn judged<'p>(
        &self,
        program: &'p Program<'p>,
        space: &Space,
        way: Way,
        packet: Packet,
    ) -> Judgement<'p> {
        judge_routed(program, space, way, packet, &|to| {
            let name = self.place_of(witness::address(space.family, to))?;
            if name == "router" {
                return Some((Way::Input, NO_INTERFACE));
            }
            Some((Way::Forward, space.interfaces.place(name)?))
        })
    }

    /// The way of one packet, a line for each rule that it met.
    ///
    /// # Errors
    /// What is wrong with the options.
    pub fn path(&self, options: &Options) -> Result<String, String> {
        let family = family_of(options);
        let mut space = self.space(family, [options]);
        let (way, packet) = self.packet(&space, options)?;
        let program = Program::new(self.rules.get(family), &space);
        space.forwarding_counts = program.asked.hops;
        let judged = self.judged(&program, &space, way, packet);
        let mut text = String::new();
        for met in &judged.path {
            let surely = if met.surely { "" } else { "perhaps " };
            let _ = writeln!(text, "{}: {surely}{}", met.place, met.what);
        }
        let _ = writeln!(text, "{}", ending(&judged));
        Ok(text)
    }

    /// The verdict on each packet, a line each: the verdict, the rule that gave
    /// it, and the rules that it met, with tabs between. Lines come with their
    /// numbers from 0.
    ///
    /// # Errors
    /// The first line that is no packet.
    pub fn verdicts<'l>(
        &self,
        lines: impl Iterator<Item = (usize, &'l str)>,
    ) -> Result<String, String> {
        let mut packets: Vec<(usize, Vec<(String, String)>)> = Vec::new();
        for (number, line) in lines {
            packets.push((number, split(line)));
        }
        let families = Families::from_fn(|family| {
            let packets = packets.iter().map(|(_, packet)| packet.as_slice());
            let mut space = self.space(family, packets);
            let program = Program::new(self.rules.get(family), &space);
            space.forwarding_counts = program.asked.hops;
            (space, program)
        });
        let mut text = String::new();
        for (number, options) in &packets {
            let family = family_of(options);
            let (space, program) = families.get(family);
            let (way, packet) = self
                .packet(space, options)
                .map_err(|error| format!("{}: {error}", number + 1))?;
            let judged = self.judged(program, space, way, packet);
            let by = judged.by.map_or(String::new(), |by| by.short());
            let place = |met: &Met<'_>| match met.surely {
                true => met.place.short(),
                false => format!("perhaps {}", met.place.short()),
            };
            let path: Vec<String> = judged.path.iter().map(place).collect();
            let _ = writeln!(text, "{}\t{by}\t{}", judged.verdict, path.join(", "));
        }
        Ok(text)
    }
}

fn ending(judged: &Judgement<'_>) -> String {
    match &judged.by {
        Some(by) => format!("{} by {by}", judged.verdict),
        None => judged.verdict.to_string(),
    }
}

/// The options of a line, with or without the command before them.
fn split(line: &str) -> Vec<(String, String)> {
    let mut options: Vec<(String, String)> = Vec::new();
    for word in line.split_whitespace() {
        match (word.strip_prefix("--"), options.last_mut()) {
            (Some(name), _) => options.push((name.to_owned(), String::new())),
            (None, Some((_, value))) => *value = word.to_owned(),
            (None, None) => {}
        }
    }
    options
}

fn family_of(options: &Options) -> IpFamily {
    let mut addresses = options
        .iter()
        .filter(|(name, _)| matches!(name.as_str(), "src" | "dst"));
    match addresses.any(|(_, address)| address.contains(':')) {
        true => IpFamily::V6,
        false => IpFamily::V4,
    }
}
