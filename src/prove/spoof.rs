//! Checks any ruleset, also one that camfw did not write, interface by interface: are spoofed
//! sources dropped, and ICMP errors about connections that no host behind the interface has?

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use super::belongs;
use super::bounds::Bounds;
use super::claim::{ClaimResult, Counterexample};
use super::dump_guarantee;
use super::hook_path::HookPath;
use super::hosts::{LOOPBACK, like_hosts, never_forwarded};
use super::judge::judge_chain;
use super::networks::InterfaceNetworks;
use super::packet::{Field, Interfaces, State};
use super::program::{Effect, Program, Step, interface_patterns};
use super::reach::Reach;
use super::space::Space;
use super::witness::{self, Naming};
use crate::error::InvalidValue;
use crate::family::IpFamily;
use crate::netfilter::{Ruleset, TableName};
use camfw_diagrams::Set;

/// A chain to check alone.
pub type ChainPlace = (TableName, String);

/// A claim about any ruleset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignClaim {
    /// No packet opens a connection through an interface that its source is not behind.
    Spoofing,
    /// No interface lets an ICMP error in about a connection that no host behind it has.
    Related,
}

impl FromStr for ForeignClaim {
    type Err = InvalidValue;

    fn from_str(name: &str) -> Result<ForeignClaim, InvalidValue> {
        match name {
            "spoofing" => Ok(ForeignClaim::Spoofing),
            "related" => Ok(ForeignClaim::Related),
            _ => Err(InvalidValue(
                "no claim is called so; use spoofing or related",
            )),
        }
    }
}

/// The result of a claim for one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpoofVerdict {
    /// All such packets are dropped.
    Out,
    /// All such packets are dropped, except those that conntrack assigns to an existing
    /// connection, such as this one.
    OutOfNew(Counterexample),
    /// This packet gets in, unless a match that depends on more than the packet drops it.
    Unknown(Counterexample),
    /// This packet gets in.
    In(Counterexample),
    /// Undecided: the proof reached its limit of memory or steps.
    TooLarge,
}

/// The result of one claim for one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The claim.
    pub claim: ForeignClaim,
    /// The interface.
    pub interface: String,
    /// The result.
    pub kept: SpoofVerdict,
}

impl Finding {
    /// The result as that of a claim.
    pub fn answer(&self) -> ClaimResult {
        match &self.kept {
            SpoofVerdict::Out => ClaimResult::Holds,
            SpoofVerdict::OutOfNew(example) => ClaimResult::Rests(example.clone()),
            SpoofVerdict::Unknown(example) => ClaimResult::Doubtful(example.clone()),
            SpoofVerdict::In(example) => ClaimResult::Broken(example.clone()),
            SpoofVerdict::TooLarge => ClaimResult::TooLarge(None),
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let interface = &self.interface;
        let mut say = |what: &str, example: &Counterexample| {
            let Counterexample {
                packet,
                verdict,
                by,
            } = example;
            write!(
                f,
                "{interface}: {what}: camfw trace {packet}: {verdict} by {by}"
            )
        };
        match (&self.kept, self.claim) {
            (SpoofVerdict::In(example), ForeignClaim::Related) => say(
                "by RELATED, anybody here can send to others: ICMP errors about connections that nobody here has are let through",
                example,
            ),
            (SpoofVerdict::Unknown(example), ForeignClaim::Related) => say(
                "whether ICMP errors about connections that nobody here has are let through cannot be told",
                example,
            ),
            (SpoofVerdict::Out, ForeignClaim::Related) => write!(
                f,
                "{interface}: ICMP errors are let through about connections of somebody here alone"
            ),
            (SpoofVerdict::OutOfNew(example), _) => say(
                "spoofed sources are kept out, but for what is taken for part of a connection",
                example,
            ),
            (SpoofVerdict::Unknown(example), ForeignClaim::Spoofing) => say(
                "whether spoofed sources are kept out cannot be told",
                example,
            ),
            (SpoofVerdict::In(example), ForeignClaim::Spoofing) => {
                say("spoofed sources are NOT kept out", example)
            }
            (SpoofVerdict::Out, ForeignClaim::Spoofing) => {
                write!(f, "{interface}: spoofed sources are kept out")
            }
            (SpoofVerdict::TooLarge, _) => {
                write!(f, "{interface}: cannot be told: it takes too much memory")
            }
        }
    }
}

/// The results for each interface of a file: for everything that a packet traverses, or for
/// one chain alone, and then for spoofing only. None if there is no such chain.
pub fn findings(
    ruleset: &Ruleset,
    family: IpFamily,
    behind: &[InterfaceNetworks],
    chain: Option<&ChainPlace>,
) -> Option<Vec<Finding>> {
    let mut patterns: BTreeSet<String> = interface_patterns(ruleset);
    patterns.extend(behind.iter().map(|it| it.interface.clone()));
    let mut space = Space::new(family, Interfaces::new(&patterns));
    let mut program = Program::new(ruleset, &mut space);
    if let Some((table, name)) = chain {
        program.enter(*table, name);
    }
    space.forwarding_counts = program.asked.hops;
    let mut reach = Reach::new(&program);
    let accepted: Vec<(HookPath, Bounds)> = match chain {
        Some((table, name)) => {
            program.chain(*table, name)?;
            // A user-defined chain may be called from any built-in one.
            let ways: &[HookPath] = match name.as_str() {
                "INPUT" | "PREROUTING" => &[HookPath::Input],
                "FORWARD" | "POSTROUTING" => &[HookPath::Forward],
                _ => &[HookPath::Forward, HookPath::Input],
            };
            let mut accepted = Vec::new();
            for way in ways {
                accepted.push((*way, reach.accepted_by(&mut space, *way, *table, name)));
            }
            accepted
        }
        None => {
            reach.follow_alone(&mut space, &[HookPath::Forward, HookPath::Input]);
            let not = never_forwarded(&mut space, &program, behind);
            let across = reach.accepted(&mut space, HookPath::Forward);
            let across = space.and(across, Bounds::exactly(!not));
            let inward = reach.accepted(&mut space, HookPath::Input);
            vec![(HookPath::Forward, across), (HookPath::Input, inward)]
        }
    };
    // What is on the loopback came from no wire, and no host is behind it: the router sent it
    // itself (loopback_xmit in drivers/net/loopback.c).
    let wires = || behind.iter().filter(|it| it.interface != LOOPBACK);
    let wishes = [HookPath::Forward, HookPath::Input].map(|way| {
        let mut all = wishes(&mut space);
        all.extend(like_hosts(&mut space, behind, way));
        (way, all)
    });
    let mut prover = Prover {
        space: &mut space,
        program: &program,
        chain,
        wishes,
    };
    let mut findings = Vec::new();
    for it in wires() {
        let inside = it.set(prover.space, Field::Source);
        let places = wires_of(prover.space, &it.interface);
        let here = prover.space.one_of(Field::In, &places);
        let spoofed = prover.space.diagrams.minus(here, inside);
        findings.push(Finding {
            claim: ForeignClaim::Spoofing,
            interface: it.interface.clone(),
            kept: prover.kept(&accepted, spoofed),
        });
    }
    for it in wires().filter(|_| chain.is_none()) {
        let strange = about_strangers(prover.space, it);
        findings.push(Finding {
            claim: ForeignClaim::Related,
            interface: it.interface.clone(),
            kept: prover.kept_out(&accepted, strange),
        });
    }
    if !space.diagrams.is_complete() {
        for finding in &mut findings {
            finding.kept = SpoofVerdict::TooLarge;
        }
    }
    Some(findings)
}

/// The numbers of the interfaces of this name or wildcard, but for the loopback.
fn wires_of(space: &Space, interface: &str) -> Vec<u128> {
    let mut places = space.interfaces.matching(interface);
    places.retain(|place| *place != Interfaces::LOOPBACK);
    places
}

/// ICMP errors from an interface to another or to the router, sent by a host behind it,
/// about connections that have no end behind it.
fn about_strangers(space: &mut Space, behind: &InterfaceNetworks) -> Set {
    let places = wires_of(space, &behind.interface);
    let mut sets = vec![
        space.one_of(Field::In, &places),
        !space.one_of(Field::Out, &places),
        behind.set(space, Field::Source),
        belongs::error_types(space),
        space.states(&[State::Related]),
        // Conntrack reassembles fragments first.
        space.equal(Field::Fragment, 0),
    ];
    for field in [
        Field::CtOriginalSource,
        Field::CtOriginalDestination,
        Field::CtReplySource,
        Field::CtReplyDestination,
    ] {
        sets.push(!behind.set(space, field));
    }
    space.all(&sets)
}

struct Prover<'s, 'p> {
    space: &'s mut Space,
    program: &'p Program<'p>,
    chain: Option<&'s ChainPlace>,
    /// What a packet that is shown should be like, by its path.
    wishes: [(HookPath, Vec<Set>); 2],
}

impl Prover<'_, '_> {
    fn kept(&mut self, accepted: &[(HookPath, Bounds)], spoofed: Set) -> SpoofVerdict {
        let part = self.space.states(&[State::Established, State::Related]);
        let opening = self.space.diagrams.minus(spoofed, part);
        for (way, accepted) in accepted {
            let surely = self.space.diagrams.and(accepted.must, opening);
            if let Some(example) = self.example(*way, surely) {
                return SpoofVerdict::In(example);
            }
        }
        for (way, accepted) in accepted {
            let perhaps = self.space.diagrams.and(accepted.may, opening);
            if let Some(example) = self.example(*way, perhaps) {
                return SpoofVerdict::Unknown(example);
            }
        }
        for (way, accepted) in accepted {
            let later = self.space.diagrams.and(accepted.may, spoofed);
            if let Some(example) = self.example(*way, later) {
                return SpoofVerdict::OutOfNew(example);
            }
        }
        SpoofVerdict::Out
    }

    /// Checks that no packet of a set gets through, whichever connection it belongs to; the
    /// counterexample leaves by the interface that its destination is behind.
    fn kept_out(&mut self, accepted: &[(HookPath, Bounds)], set: Set) -> SpoofVerdict {
        for surely in [true, false] {
            for (way, accepted) in accepted {
                let through = match surely {
                    true => accepted.must,
                    false => accepted.may,
                };
                let through = self.space.diagrams.and(through, set);
                let mut wishes = belongs::example(self.space);
                wishes.extend(self.wishes(*way));
                match self.example_like(*way, through, &wishes) {
                    Some(example) if surely => return SpoofVerdict::In(example),
                    Some(example) => return SpoofVerdict::Unknown(example),
                    None => {}
                }
            }
        }
        SpoofVerdict::Out
    }

    fn example(&mut self, way: HookPath, set: Set) -> Option<Counterexample> {
        let wishes = self.wishes(way);
        self.example_like(way, set, &wishes)
    }

    fn wishes(&self, way: HookPath) -> Vec<Set> {
        let known = self.wishes.iter().find(|(of, _)| *of == way);
        known.map(|(_, wishes)| wishes.clone()).unwrap_or_default()
    }

    fn example_like(&mut self, way: HookPath, set: Set, wishes: &[Set]) -> Option<Counterexample> {
        let Some((table, name)) = self.chain else {
            return dump_guarantee::example(self.space, self.program, way, set, wishes);
        };
        // If one chain is checked alone, the packet is shown as it arrives there.
        let packet = belongs::pick(self.space, set, wishes)?;
        let judged = judge_chain(self.program, self.space, *table, name, packet);
        let line = witness::written(self.space, &Naming::default(), way, &packet);
        Some(Counterexample::new(line, &judged))
    }
}

/// What a counterexample should look like if nothing is known of the network.
pub fn wishes(space: &mut Space) -> Vec<Set> {
    let tcp = space.equal(Field::Protocol, 6);
    let udp = space.equal(Field::Protocol, 17);
    let new = space.states(&[State::New]);
    let part = space.states(&[State::Established]);
    let mut wishes = vec![new, part, tcp, udp];
    for field in [Field::Dnat, Field::Snat, Field::Mark] {
        wishes.push(space.equal(field, 0));
    }
    let named: Vec<u128> = (0..space.interfaces.len() as u128)
        .filter(|place| !space.interfaces.name(*place).ends_with('+'))
        .collect();
    for field in [Field::In, Field::Out] {
        wishes.push(space.one_of(field, &named));
    }
    let echo = if space.family == IpFamily::V4 { 8 } else { 128 };
    if space.family == IpFamily::V4 {
        // Addresses that a host may have.
        for field in [Field::Source, Field::Destination] {
            wishes.push(space.range(field, 0x0100_0001, 0xdfff_fffe));
        }
    }
    for (field, value) in [
        (Field::Flags, 2),
        (Field::IcmpType, echo),
        (Field::IcmpCode, 0),
        (Field::SourcePort, 40_000),
        (Field::Hops, 64),
    ] {
        wishes.push(space.equal(field, value));
    }
    wishes.push(space.range(Field::DestinationPort, 1, 65_535));
    wishes
}

/// The matches and targets that camfw does not know, each with the number of rules that
/// have it.
pub fn unknown(ruleset: &Ruleset, family: IpFamily) -> BTreeMap<String, usize> {
    counted(ruleset, family, |step| step.unknown())
}

/// What rules test that some packets do not have, each with the number of rules that do.
pub fn absent(ruleset: &Ruleset, family: IpFamily) -> BTreeMap<String, usize> {
    counted(ruleset, family, |step| match step.effect {
        Effect::Continue => Vec::new(),
        _ => step.condition.absent(),
    })
}

fn counted(
    ruleset: &Ruleset,
    family: IpFamily,
    of: impl Fn(&Step<'_>) -> Vec<String>,
) -> BTreeMap<String, usize> {
    let mut space = Space::new(family, Interfaces::new(&interface_patterns(ruleset)));
    let program = Program::new(ruleset, &mut space);
    let mut counted = BTreeMap::new();
    for what in program.steps().flat_map(of) {
        *counted.entry(what).or_default() += 1;
    }
    counted
}
