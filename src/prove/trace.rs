//! Traces single packets through rules, in words.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use super::bound;
use super::claim;
use super::described::{DescribedPacket, PacketAddress, PacketError, ROUTER};
use super::hook_path::HookPath;
use super::judge::{Judgement, NewDestination, RuleMet, judge_routed};
use super::networks::{self, InterfaceNetworks};
use super::packet::{Interfaces, NO_INTERFACE, Packet};
use super::program::{Program, interface_patterns};
use super::space::Space;
use super::verdict::Verdict;
use super::witness::{self, Naming};
use crate::family::{Families, IpFamily};
use crate::json::{json_object, to_json};
use crate::name::{CameraName, MacAddress};
use crate::net::Device;
use crate::netfilter::Ruleset;
use crate::policy::{Policy, Role, Zone};
use ipnet::IpNet;

/// The interface that the router's own addresses are behind.
const LOOPBACK: &str = "lo";

/// Rules to trace packets through.
pub struct Tracer {
    rules: Families<Ruleset>,
    policy: Option<Policy>,
    /// The only family that there are rules for; None if there are rules for both.
    only: Option<IpFamily>,
    /// The networks behind the interfaces; behind the loopback, the router's own addresses.
    behind: Vec<InterfaceNetworks>,
}

/// What becomes of one packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedPacket {
    /// What is taken for granted of a packet that is not described in full, or that it does not
    /// come by the router.
    pub assumed: Option<String>,
    /// The rules that it matched, in order.
    pub path: Vec<TracedRule>,
    /// What becomes of it.
    pub verdict: String,
    /// The rule or policy that decides.
    pub by: Option<String>,
}

json_object!(TracedPacket {
    assumed,
    path,
    verdict,
    by
});

/// A rule that a packet matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedRule {
    /// The rule with its place.
    pub rule: String,
    /// Whether it certainly matched.
    pub surely: bool,
    /// What it did.
    pub did: String,
    /// Where it sent the packet on to, if it rewrites destinations.
    pub to: Option<NewDestination>,
}

json_object!(TracedRule {
    rule,
    surely,
    did,
    to
});

impl fmt::Display for TracedPacket {
    /// A line for each rule, and one for the verdict.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(assumed) = &self.assumed {
            writeln!(f, "{assumed}")?;
        }
        for TracedRule {
            rule, surely, did, ..
        } in &self.path
        {
            let surely = if *surely { "" } else { "perhaps " };
            writeln!(f, "{rule}: {surely}{did}")?;
        }
        match &self.by {
            Some(by) => writeln!(f, "{} by {by}", self.verdict),
            None => writeln!(f, "{}", self.verdict),
        }
    }
}

impl Tracer {
    /// Traces through any ruleset, with the networks behind its interfaces as far as they
    /// are known.
    pub fn of_rules(rules: Ruleset, family: IpFamily, behind: Vec<InterfaceNetworks>) -> Tracer {
        let mut only = Families::default();
        *only.get_mut(family) = rules;
        Tracer {
            rules: only,
            policy: None,
            only: Some(family),
            behind,
        }
    }

    /// Traces through a policy's rules, with interfaces called by the names of their zones.
    pub fn of_policy(policy: Policy, rules: Families<Ruleset>) -> Tracer {
        let mut behind = networks::behind(&policy);
        let own: Vec<IpNet> = policy
            .zones
            .iter()
            .flat_map(|zone| zone.own())
            .map(|own| IpNet::from(own.addr()))
            .collect();
        behind.push(InterfaceNetworks::new(LOOPBACK, &own, &[]));
        Tracer {
            rules,
            policy: Some(policy),
            only: None,
            behind,
        }
    }

    /// The rules, for a packet within its zone's bound.
    fn program(&self, family: IpFamily, space: &mut Space) -> Program<'_> {
        let mut program = Program::new(self.rules.get(family), space);
        if let Some(policy) = &self.policy {
            bound::ask_by_bits(&mut program, policy, family);
        }
        program
    }

    fn naming(&self) -> Naming {
        self.policy.as_ref().map(claim::naming).unwrap_or_default()
    }

    /// The packet space, with the interfaces that the packets name.
    fn space<'o>(
        &self,
        family: IpFamily,
        described: impl IntoIterator<Item = &'o DescribedPacket>,
    ) -> Space {
        let ruleset = self.rules.get(family);
        if let Some(policy) = &self.policy {
            return claim::space(policy, &[ruleset], family);
        }
        let mut patterns: BTreeSet<String> = interface_patterns(ruleset);
        for packet in described {
            let ends = packet.from.iter().chain(&packet.to);
            patterns.extend(ends.filter(|end| *end != ROUTER).cloned());
        }
        patterns.extend(self.behind.iter().map(|it| it.interface.clone()));
        Space::new(family, Interfaces::new(&patterns))
    }

    /// The packet; ends that its description leaves open follow from the policy's networks.
    fn packet(
        &self,
        space: &Space,
        described: &DescribedPacket,
    ) -> Result<(HookPath, Packet), PacketError> {
        if let Some(rules) = self.only
            && rules != space.family
        {
            let packet = space.family;
            return Err(PacketError::NoRules { rules, packet });
        }
        let mut described = described.clone();
        let end = |given: Option<String>, which| -> Result<Option<String>, PacketError> {
            let address = described.address(which).ok_or(PacketError::NoAddress)?;
            Ok(given.or_else(|| self.place_of(address).map(str::to_owned)))
        };
        let from = end(described.from.clone(), PacketAddress::Source)?;
        let to = end(described.to.clone(), PacketAddress::Destination)?;
        (described.from, described.to) = (from, to);
        if let Some((_, mac)) = self.assumed(&described) {
            described.mac = Some(mac.into());
        }
        described.packet(space, &self.naming())
    }

    /// The end that an address belongs to: the router, or the interface that it is behind.
    fn place_of(&self, address: IpAddr) -> Option<&str> {
        match networks::interface_of(&self.behind, address)? {
            LOOPBACK => Some(ROUTER),
            interface => Some(interface),
        }
    }

    /// Judges a packet, and looks up its route again if its destination is rewritten.
    fn judged<'p>(
        &self,
        program: &'p Program<'p>,
        space: &Space,
        way: HookPath,
        packet: Packet,
    ) -> Judgement<'p> {
        judge_routed(program, space, way, packet, &|to| {
            let name = self.place_of(witness::address(space.family, to))?;
            if name == ROUTER {
                return Some((HookPath::Input, NO_INTERFACE));
            }
            Some((HookPath::Forward, space.interfaces.place(name)?))
        })
    }

    /// The path of one packet, with each rule that it matched.
    ///
    /// # Errors
    /// Why there can be no such packet.
    pub fn path(&self, described: &DescribedPacket) -> Result<TracedPacket, PacketError> {
        let family = described.family();
        let mut space = self.space(family, [described]);
        let (way, packet) = self.packet(&space, described)?;
        let program = self.program(family, &mut space);
        space.forwarding_counts = program.asked.hops;
        let judged = self.judged(&program, &space, way, packet);
        let mut traced = self.traced(described, &judged);
        let own = self.to_own(described);
        if let Some((own, assumed)) = own.filter(|_| traced.verdict != Verdict::Accept.to_string())
        {
            let (way, packet) = self.packet(&space, &own)?;
            let verdict = self.judged(&program, &space, way, packet).verdict;
            if verdict.to_string() != traced.verdict {
                let known = traced.assumed.take().map(|known| known + "; ");
                traced.assumed = Some(known.unwrap_or_default() + &assumed);
            }
        }
        Ok(traced)
    }

    /// The packet as one to an address of the router that the policy does not know, if it may
    /// be that: to an address outside, where zones have theirs by DHCP or by another program.
    fn to_own(&self, described: &DescribedPacket) -> Option<(DescribedPacket, String)> {
        if described.to.is_some() || described.own || described.elsewhere {
            return None;
        }
        let destination = described.address(PacketAddress::Destination)?;
        let source = described.address(PacketAddress::Source)?;
        let at = self.place_of(destination)?;
        let from = described
            .from
            .as_deref()
            .or_else(|| self.place_of(source))?;
        let zones = &self.policy.as_ref()?.zones;
        let is =
            |zone: &Zone, end: &str| zone.interface.as_str() == end || zone.name.as_str() == end;
        let is_outside = |zone: &&Zone| zone.role == Role::External && is(zone, at);
        zones.iter().find(is_outside)?;
        let ipv6 = destination.is_ipv6();
        let mut unknown = zones.iter().filter(|zone| zone.is_unknown(ipv6));
        unknown.clone().next()?;
        let mut own = described.clone();
        let flag = match unknown.any(|zone| is(zone, from)) {
            true => {
                own.to = Some(ROUTER.to_owned());
                "--to router"
            }
            false => {
                own.own = true;
                "--own"
            }
        };
        let assumed = format!(
            "assumed: {destination} is not an address of the router that the file does not know; give {flag} if it is"
        );
        Some((own, assumed))
    }

    fn traced(&self, described: &DescribedPacket, judged: &Judgement<'_>) -> TracedPacket {
        let assumed = self.assumed(described).map(|(name, mac)| {
            format!(
                "assumed: it is camera {name} itself, --mac {mac}; give another for a host that has its address"
            )
        });
        let told: Vec<String> = self
            .one_wire(described)
            .into_iter()
            .chain(assumed)
            .collect();
        TracedPacket {
            assumed: (!told.is_empty()).then(|| told.join("; ")),
            path: judged
                .path
                .iter()
                .map(|met| TracedRule {
                    rule: met.place.to_string(),
                    surely: met.surely,
                    did: met.what.clone(),
                    to: met.to.clone(),
                })
                .collect(),
            verdict: judged.verdict.to_string(),
            by: judged.by.map(|by| by.to_string()),
        }
    }

    /// That no rule sees a packet between two hosts of one zone's own networks.
    fn one_wire(&self, described: &DescribedPacket) -> Option<String> {
        let zones = &self.policy.as_ref()?.zones;
        let zone = |given: &Option<String>, which| {
            let address = described.address(which)?;
            let end = given.as_deref().or_else(|| self.place_of(address))?;
            let mut zones = zones.iter();
            let zone = zones.find(|it| it.interface.as_str() == end || it.name.as_str() == end)?;
            let mut own = zone.own();
            own.any(|own| own.contains(&address))
                .then_some((zone, address))
        };
        let (from, source) = zone(&described.from, PacketAddress::Source)?;
        let (to, destination) = zone(&described.to, PacketAddress::Destination)?;
        if from.name != to.name || described.dnat {
            return None;
        }
        let carries = match from.device {
            Device::Bridge { .. } => "the bridge carries it unless both ports are isolated",
            _ => "the switch carries it",
        };
        let (zone, interface) = (&from.name, &from.interface);
        Some(format!(
            "on one wire: {source} and {destination} are in zone {zone} ({interface}): {carries}, and no rule sees it"
        ))
    }

    /// The listed camera that a packet with its address is taken for, if it is not said from
    /// whom, and its hardware address.
    fn assumed(&self, described: &DescribedPacket) -> Option<(&CameraName, MacAddress)> {
        let source = described.address(PacketAddress::Source)?;
        let mut cameras = self.policy.as_ref()?.cameras.iter();
        let camera = cameras.find(|camera| camera.has(source))?;
        let mac = camera.mac.filter(|_| described.mac.is_none())?;
        Some((&camera.name, mac))
    }

    /// The verdict on each packet, one line each: the verdict, the rule that gave it, and
    /// the rules that it matched, separated by tabs.
    ///
    /// # Errors
    /// The index, from 0, of the first packet that is not possible, and why.
    pub fn verdicts(&self, packets: &[DescribedPacket]) -> Result<String, (usize, PacketError)> {
        let line = |_: &DescribedPacket, judged: &Judgement<'_>| {
            let by = judged.by.map_or(String::new(), |by| by.short());
            let place = |met: &RuleMet<'_>| match met.surely {
                true => met.place.short(),
                false => format!("perhaps {}", met.place.short()),
            };
            let path: Vec<String> = judged.path.iter().map(place).collect();
            format!("{}\t{by}\t{}\n", judged.verdict, path.join(", "))
        };
        self.each(packets, &line)
    }

    /// The path of each packet as JSON, one line each.
    ///
    /// # Errors
    /// As for [`Tracer::verdicts`].
    pub fn paths(&self, packets: &[DescribedPacket]) -> Result<String, (usize, PacketError)> {
        let line = |described: &DescribedPacket, judged: &Judgement<'_>| {
            to_json(&self.traced(described, judged)) + "\n"
        };
        self.each(packets, &line)
    }

    /// What is said of each packet.
    fn each(
        &self,
        packets: &[DescribedPacket],
        said: &dyn Fn(&DescribedPacket, &Judgement<'_>) -> String,
    ) -> Result<String, (usize, PacketError)> {
        let families = Families::from_fn(|family| {
            let mut space = self.space(family, packets);
            let program = self.program(family, &mut space);
            space.forwarding_counts = program.asked.hops;
            (space, program)
        });
        let each = packets.iter().enumerate().map(|(number, described)| {
            let (space, program) = families.get(described.family());
            let packet = self.packet(space, described);
            let (way, packet) = packet.map_err(|error| (number, error))?;
            Ok(said(described, &self.judged(program, space, way, packet)))
        });
        each.collect()
    }
}
