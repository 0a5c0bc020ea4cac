//! Claims about a ruleset, each with a packet that shows it to be wrong if it is.
//!
//! Owns the claims: nothing passes while the box is sealed; a connection can be opened if,
//! and only if, an allow line says so; no source address is spoofed; no camera opens
//! anything on another zone's wire; nobody sends packets as part of another host's
//! connection; the guarantees of roles and of the file hold. Each claim is about every
//! possible packet.

mod bounded;
mod guarantee;
mod hours;
mod link_local;
mod misplaced;
mod proof;
mod related;
mod result;
mod source;

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::bounds::Bounds;
use super::condition::{address, network_range};
use super::hook_path::HookPath;
use super::intent::{self};
use super::packet::Interfaces;
use super::program::interface_patterns;
use super::space::{NODES_MAX, OwnAddresses, Space};
use super::witness::Naming;
use crate::family::{Families, IpFamily};
use crate::netfilter::{Ruleset, TableName};
use crate::policy::{Ipv6Mode, Policy};
pub(super) use guarantee::promise_words;
use proof::Proof;
pub use result::{Claim, ClaimResult, Counterexample};

/// The first claim about a policy and its rules that does not hold, in words.
pub fn broken(policy: &Policy, rules: &Families<Ruleset>) -> Option<String> {
    broken_within(policy, rules, NODES_MAX)
}

/// Like [`broken`], with a limit on the number of diagram nodes.
fn broken_within(policy: &Policy, rules: &Families<Ruleset>, most: usize) -> Option<String> {
    let claims = claims_within(policy, rules, most);
    let broken = claims.into_iter().find(|claim| !claim.answer.holds())?;
    Some(broken.to_string())
}

/// Proves the claims of a policy about rules: those compiled from it, or those read from a
/// kernel.
pub fn claims(policy: &Policy, rules: &Families<Ruleset>) -> Vec<Claim> {
    claims_within(policy, rules, NODES_MAX)
}

fn claims_within(policy: &Policy, rules: &Families<Ruleset>, most: usize) -> Vec<Claim> {
    let families = rules.iter();
    families
        .flat_map(|(family, rules)| claims_of_within(policy, rules, family, most))
        .collect()
}

/// The claims about one family's rules.
pub fn claims_of(policy: &Policy, ruleset: &Ruleset, family: IpFamily) -> Vec<Claim> {
    claims_of_within(policy, ruleset, family, NODES_MAX)
}

fn claims_of_within(
    policy: &Policy,
    ruleset: &Ruleset,
    family: IpFamily,
    most: usize,
) -> Vec<Claim> {
    let mut claims = Vec::new();
    if family == IpFamily::V4 {
        claims.push(sealed(policy, ruleset));
    }
    let mut proof = Proof::new(policy, ruleset, family, most);
    if family == IpFamily::V6 && policy.ipv6 == Ipv6Mode::Drop {
        proof.loopback_only();
    } else {
        proof.only();
        proof.spoofed();
        proof.misplaced();
        proof.related();
        proof.bounded();
        proof.not_reopened();
        proof.links_apart();
        proof.sources_as_written();
        proof.hours();
        for promise in &policy.guarantees {
            proof.promise(promise);
        }
    }
    claims.extend(proof.finish());
    claims
}

/// The zone names to use for interfaces when a packet is printed.
pub fn naming(policy: &Policy) -> Naming {
    let zones = policy.zones.iter();
    let cameras = policy.cameras.iter().filter(|it| it.mac.is_some());
    Naming {
        zones: zones
            .map(|zone| (zone.interface.to_string(), zone.name.to_string()))
            .collect(),
        cameras: cameras.flat_map(|it| it.addresses().map(address)).collect(),
    }
}

/// The packet space for a policy and rulesets, with every interface and address that they
/// name.
pub fn space(policy: &Policy, rulesets: &[&Ruleset], family: IpFamily) -> Space {
    let mut patterns: BTreeSet<String> = BTreeSet::new();
    for ruleset in rulesets {
        patterns.extend(interface_patterns(ruleset));
    }
    patterns.extend(policy.zones.iter().map(|zone| zone.interface.to_string()));
    if family == IpFamily::V6 {
        patterns.extend(policy.carriers().into_iter().map(ToString::to_string));
    }
    let mut space = Space::new(family, Interfaces::new(&patterns));
    let mut known = OwnAddresses::default();
    for zone in &policy.zones {
        let ours = zone
            .own()
            .filter(|own| own.addr().is_ipv4() == (family == IpFamily::V4));
        let ours: Vec<IpNet> = ours.collect();
        // In a network with one or two addresses (/31, /32) the last address is a host, not
        // a broadcast address.
        let many = ours
            .iter()
            .filter(|own| own.addr().is_ipv4() && own.prefix_len() < 31);
        known.add(
            intent::place(&space, zone),
            ours.iter().map(|own| address(own.addr())).collect(),
            many.map(|own| address(own.broadcast())).collect(),
        );
        known.add_networks(ours.iter().map(|own| network_range(*own)));
        let mut own = zone.own().map(|own| own.addr());
        if let Some(own) = own.find(|own| own.is_ipv4() == (family == IpFamily::V4)) {
            let place = intent::place(&space, zone);
            space.own_addresses.insert(place, address(own));
        }
    }
    space.know_own(known);
    space
}

/// Claims that nothing passes while the box is sealed, nor while the tables are being
/// loaded one after the other, until filter is in place.
fn sealed(policy: &Policy, ipv4: &Ruleset) -> Claim {
    let mut loaded = Ruleset::sealed();
    let mut answer = nothing_passes(policy, &loaded);
    let before_filter = |name: &TableName| *name <= TableName::Mangle;
    for (name, table) in ipv4.tables().filter(|(name, _)| before_filter(name)) {
        loaded.set(name, table.clone());
        if answer == ClaimResult::Holds {
            answer = nothing_passes(policy, &loaded);
        }
    }
    Claim {
        what: "nothing passes before the rules are loaded".into(),
        answer,
    }
}

fn nothing_passes(policy: &Policy, ipv4: &Ruleset) -> ClaimResult {
    let mut proof = Proof::new(policy, ipv4, IpFamily::V4, NODES_MAX);
    let mut answer = ClaimResult::Holds;
    for way in HookPath::ALL {
        let Bounds { may, must } = proof.accepted[way as usize];
        if answer == ClaimResult::Holds {
            answer = proof.none(way, may, must);
        }
    }
    answer
}

#[cfg(test)]
mod tests;
