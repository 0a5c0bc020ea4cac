//! Who may open which connections, by the chains of a script: flows between zones, and why a rule has none.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::commands::{LeftOut, ScriptedBox};
use super::rewriting::rewritten;
use super::rule::{FirstPacket, RuleTarget, ScriptRule};
use super::service;
use super::spans::{PacketBox, Spans};
use super::walk::ChainWalk;
use super::zones::{ScriptedRole, ScriptedZone};

/// One end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FlowEnd {
    Router,
    /// By its place in the list of zones.
    Zone(usize),
}

/// What one rule lets one end open to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptedFlow {
    pub line: usize,
    pub from: FlowEnd,
    pub to: FlowEnd,
    /// `None`: from all that are there.
    pub sources: Option<Spans>,
    /// `None`: to all that are there.
    pub destinations: Option<Spans>,
    pub host: Option<String>,
    pub packets: PacketBox,
}

/// What a script's chains come to.
#[derive(Debug, Default)]
pub struct ScriptedFlows {
    pub flows: Vec<ScriptedFlow>,
    /// Whether the router itself may open what it likes.
    pub egress_open: bool,
    /// Whether what no rule lets through is logged.
    pub logs_dropped: bool,
    /// Hardware addresses that hosts are bound to.
    pub bound: BTreeMap<Ipv4Addr, String>,
    pub left_out: BTreeSet<LeftOut>,
    /// Rules, by line and text, of which all is said by lines, or holds without one.
    pub said: BTreeSet<(usize, String)>,
}

impl ScriptedFlows {
    /// Reads the chains of table filter, and what the others drop before.
    pub fn of(found: &mut ScriptedBox, zones: &[ScriptedZone]) -> Self {
        let mut flows = Self::default();
        flows.bind(found, zones);
        let drops_before =
            |zone| !before(found, None, Some(zone), &["OUTPUT", "POSTROUTING"]).is_empty();
        flows.egress_open = ends_open(found, "OUTPUT")
            && !drops(found, "OUTPUT")
            && !zones.iter().any(drops_before);
        for (at, zone) in zones.iter().enumerate() {
            let gone = before(found, Some(zone), None, &["PREROUTING", "INPUT"]);
            flows.input(found, zones, at, gone);
            let others = (0..zones.len()).filter(|to| *to != at && !found.forwards_nothing);
            for to in others {
                let gone = before(
                    found,
                    Some(zone),
                    Some(&zones[to]),
                    &["PREROUTING", "FORWARD", "POSTROUTING"],
                );
                flows.forward(found, zones, (at, to), gone);
            }
            if !flows.egress_open {
                let gone = before(found, None, Some(zone), &["OUTPUT", "POSTROUTING"]);
                flows.output(found, zones, at, gone);
            }
        }
        flows.tell(found);
        flows
    }

    pub fn leave_out(&mut self, rule: &ScriptRule, why: impl Into<String>) {
        self.left_out.insert(LeftOut {
            line: rule.line,
            text: rule.text.clone(),
            why: why.into(),
        });
    }

    fn say(&mut self, rule: &ScriptRule) {
        self.said.insert((rule.line, rule.text.clone()));
    }

    /// A camera's own hardware address is its `mac`, which binds both; that of others is a condition that no
    /// line has.
    fn bind(&mut self, found: &mut ScriptedBox, zones: &[ScriptedZone]) {
        for ((table, _), chain) in &mut found.chains {
            for rule in &mut chain.rules {
                let Some((hardware, negated)) = rule.hardware.clone() else {
                    continue;
                };
                let host = rule.packets.sources.single().map(Ipv4Addr::from);
                let host = host.filter(|_| table == "filter");
                let is_camera = |host: &Ipv4Addr| {
                    let is_there = |zone: &&ScriptedZone| {
                        zone.hosts.minus(&zone.own).covers(&Spans::host(*host))
                    };
                    zones
                        .iter()
                        .find(is_there)
                        .is_some_and(|zone| zone.role == ScriptedRole::Camera)
                };
                let host = host.filter(|host| {
                    is_camera(host) && self.bound.get(host).is_none_or(|known| *known == hardware)
                });
                match (host, &rule.target, negated) {
                    (Some(host), RuleTarget::Accept, false) => {
                        self.bound.insert(host, hardware);
                    }
                    (Some(host), RuleTarget::Drop, true)
                        if rule.unsure.is_none()
                            && rule.packets.service == PacketBox::all().service =>
                    {
                        self.bound.insert(host, hardware);
                        rule.target = RuleTarget::GoesOn(None);
                        rule.first = FirstPacket::Never;
                    }
                    _ => {
                        rule.unsure.get_or_insert_with(|| {
                            "--mac-source but of a camera, with its address, as its mac".to_owned()
                        });
                    }
                }
            }
        }
    }

    fn input(
        &mut self,
        found: &ScriptedBox,
        zones: &[ScriptedZone],
        at: usize,
        gone: Vec<PacketBox>,
    ) {
        let zone = &zones[at];
        let mut gone = gone;
        gone.extend(rewritten(found, zone));
        let walk =
            ChainWalk::new(found, "filter", (Some(&zone.interface), None), gone).through("INPUT");
        let routers = zones
            .iter()
            .fold(Spans::default(), |all, zone| all.or(&zone.own));
        let mut known: Vec<PacketBox> = Vec::new();
        for accepted in Self::boxes(&walk, &mut self.left_out) {
            let (rule, packets) = accepted;
            if rule.host.is_some() {
                self.leave_out(
                    rule,
                    "the router is reached at its own addresses; write no name",
                );
                continue;
            }
            let mut packets = packets.clone();
            let Some(sources) = senders(&packets.sources, zone) else {
                continue;
            };
            while let Some(port) = groups_refused(&packets) {
                packets.service.udp = packets.service.udp.minus(&Spans::one(port, port));
                self.leave_out(rule, format!("udp port {port} of it: a line for it hears what is sent to a group or broadcast too, which the rule is not about"));
            }
            // What a line without an address is for is known to the kernel alone.
            let destinations = match packets.destinations == Spans::all() {
                true => None,
                false => Some(packets.destinations.and(&routers)),
            };
            if destinations.as_ref().is_some_and(Spans::is_empty) {
                continue;
            }
            if carried_by(&known, &packets) {
                self.say(rule);
                continue;
            }
            known.push(packets.clone());
            self.flow(
                rule,
                (FlowEnd::Zone(at), FlowEnd::Router),
                (sources, destinations),
                packets,
            );
        }
    }

    fn forward(
        &mut self,
        found: &ScriptedBox,
        zones: &[ScriptedZone],
        (at, to): (usize, usize),
        gone: Vec<PacketBox>,
    ) {
        let (zone, target) = (&zones[at], &zones[to]);
        let mut gone = gone;
        gone.extend(rewritten(found, zone));
        let ends = (
            Some(zone.interface.as_str()),
            Some(target.interface.as_str()),
        );
        let walk = ChainWalk::new(found, "filter", ends, gone).through("FORWARD");
        let mut known: Vec<PacketBox> = Vec::new();
        for (rule, packets) in Self::boxes(&walk, &mut self.left_out) {
            let mut packets = packets.clone();
            while let Some(port) = searched(&packets) {
                packets.service.udp = packets.service.udp.minus(&Spans::one(port, port));
                self.leave_out(rule, format!("udp port {port} of it: devices are found there by a multicast group, which no router passes on; write lines with the devices' addresses"));
            }
            if is_of_one_link(&packets.destinations, target) {
                self.leave_out(rule, "it is about a multicast group of one link or a broadcast, which no router passes on");
                continue;
            }
            let (Some(sources), Some(destinations)) = (
                senders(&packets.sources, zone),
                receivers(&packets.destinations, target),
            ) else {
                continue;
            };
            if rule.host.is_some()
                && (target.role != ScriptedRole::External || destinations.is_some())
            {
                continue;
            }
            if rule.host.is_none() {
                if carried_by(&known, &packets) {
                    self.say(rule);
                    continue;
                }
                known.push(packets.clone());
            }
            self.flow(
                rule,
                (FlowEnd::Zone(at), FlowEnd::Zone(to)),
                (sources, destinations),
                packets,
            );
        }
    }

    fn output(
        &mut self,
        found: &ScriptedBox,
        zones: &[ScriptedZone],
        to: usize,
        gone: Vec<PacketBox>,
    ) {
        let target = &zones[to];
        let walk = ChainWalk::new(found, "filter", (None, Some(&target.interface)), gone)
            .through("OUTPUT");
        let mut known: Vec<PacketBox> = Vec::new();
        let end = found
            .chain("filter", "OUTPUT")
            .and_then(|chain| chain.policy);
        let mut all: Vec<(Option<&ScriptRule>, PacketBox)> = Self::boxes(&walk, &mut self.left_out)
            .into_iter()
            .map(|(rule, packets)| (Some(rule), packets.clone()))
            .collect();
        if ends_open(found, "OUTPUT") && !walk.given_up {
            let left = PacketBox::all().without(&walk.dropped).unwrap_or_default();
            all.extend(left.into_iter().map(|packets| (None, packets)));
        }
        for (rule, packets) in all {
            if packets.sources != Spans::all() {
                self.left_out.insert(LeftOut {
                    line: rule.map_or(end.map_or(0, |end| end.1), |rule| rule.line),
                    text: rule.map_or_else(|| "-P OUTPUT ACCEPT".to_owned(), |rule| rule.text.clone()),
                    why: "a line from the router is about whatever address it sends from; -s of it, or of a rule that drops before, is no condition of one".to_owned(),
                });
                continue;
            }
            let Some(destinations) = receivers(&packets.destinations, target) else {
                continue;
            };
            let host = rule.and_then(|rule| rule.host.clone());
            if host.is_some() && (target.role != ScriptedRole::External || destinations.is_some()) {
                continue;
            }
            if host.is_none() {
                if carried_by(&known, &packets) {
                    if let Some(rule) = rule {
                        self.say(rule);
                    }
                    continue;
                }
                known.push(packets.clone());
            }
            let ends = (FlowEnd::Router, FlowEnd::Zone(to));
            match rule {
                Some(rule) => self.flow(rule, ends, (None, destinations), packets),
                None => self.flows.push(ScriptedFlow {
                    line: end.map_or(0, |end| end.1),
                    from: ends.0,
                    to: ends.1,
                    sources: None,
                    destinations,
                    host: None,
                    packets,
                }),
            }
        }
    }

    fn flow(
        &mut self,
        rule: &ScriptRule,
        (from, to): (FlowEnd, FlowEnd),
        (sources, destinations): (Option<Spans>, Option<Spans>),
        packets: PacketBox,
    ) {
        self.say(rule);
        if service::has_more_protocols(&packets, to == FlowEnd::Router) {
            self.leave_out(rule, "of its protocols the lines have TCP, UDP and ICMP alone; write protocol = [...] for others that are meant");
        }
        self.flows.push(ScriptedFlow {
            line: rule.line,
            from,
            to,
            sources,
            destinations,
            host: rule.host.clone(),
            packets,
        });
    }

    /// Each box that a walk found, with its rule; those that are too much to be written are left out.
    fn boxes<'a, 'b>(
        walk: &'b ChainWalk<'a>,
        left_out: &mut BTreeSet<LeftOut>,
    ) -> Vec<(&'a ScriptRule, &'b PacketBox)> {
        let mut all = Vec::new();
        for accepted in &walk.accepted {
            match &accepted.boxes {
                Some(boxes) if !walk.given_up => {
                    all.extend(boxes.iter().map(|packets| (accepted.rule, packets)))
                }
                _ => {
                    left_out.insert(LeftOut {
                        line: accepted.rule.line,
                        text: accepted.rule.text.clone(),
                        why: "the rules before it leave too many pieces of it to be lines"
                            .to_owned(),
                    });
                }
            }
        }
        all
    }
}

/// Who of `wanted` is in a zone: `None` if nobody is, `Some(None)` if all are whom camfw takes for hosts of it.
fn senders(wanted: &Spans, zone: &ScriptedZone) -> Option<Option<Spans>> {
    let both = wanted.and(&zone.hosts);
    match zone.own.covers(&both) {
        true => None,
        false => Some((!both.covers(&zone.senders)).then_some(both)),
    }
}

/// The same of whom packets go to: a line without an address is about whatever leaves by the interface.
fn receivers(wanted: &Spans, zone: &ScriptedZone) -> Option<Option<Spans>> {
    let both = wanted.and(&zone.hosts);
    match zone.own.covers(&both) {
        true => None,
        false => Some((*wanted != Spans::all()).then_some(both)),
    }
}

fn carried_by(known: &[PacketBox], packets: &PacketBox) -> bool {
    known.iter().any(|before| packets.minus(before).is_empty())
}

/// UDP ports, and the groups and broadcasts where they are asked.
const GROUPS: &[(u32, [u8; 4])] = &[
    (67, [255, 255, 255, 255]),
    (1900, [239, 255, 255, 250]),
    (3702, [239, 255, 255, 250]),
    (5353, [224, 0, 0, 251]),
    (5355, [224, 0, 0, 252]),
];

/// A UDP port by itself, by which devices are found, of a rule that is not about certain hosts alone.
fn searched(packets: &PacketBox) -> Option<u32> {
    let is_searched = |(port, group): &&(u32, [u8; 4])| {
        let mut udp = packets.service.udp.iter();
        *port != 67
            && udp.any(|ports| ports == (*port, *port))
            && packets.destinations.covers(&Spans::host((*group).into()))
    };
    GROUPS.iter().find(is_searched).map(|it| it.0)
}

/// Whether what is sent there stays on its link: to a group of the local network, or a broadcast of the zone.
fn is_of_one_link(destinations: &Spans, zone: &ScriptedZone) -> bool {
    let groups = Spans::one(0xe000_0000, 0xe000_00ff);
    let own = zone.addresses.iter().filter(|own| own.prefix_len() < 31);
    let mut broadcasts = own
        .map(|own| own.broadcast())
        .chain([Ipv4Addr::BROADCAST])
        .map(u32::from);
    groups.covers(destinations) && !destinations.is_empty()
        || destinations
            .single()
            .is_some_and(|single| broadcasts.any(|it| it == single))
}

/// A UDP port whose service is heard at a group (or by hosts without an address) that the rule is not about.
fn groups_refused(packets: &PacketBox) -> Option<u32> {
    let refused = GROUPS.iter().find(|(port, group)| {
        let has_port = packets.service.udp.covers(&Spans::one(*port, *port));
        let hears = packets.destinations.covers(&Spans::host((*group).into()));
        let nobody = *port != 67 || packets.sources.covers(&Spans::host(Ipv4Addr::UNSPECIFIED));
        has_port && !(hears && nobody)
    });
    refused.map(|it| it.0)
}

/// Whether a chain of the kernel's lets through what reaches its end.
pub fn ends_open(found: &ScriptedBox, chain: &str) -> bool {
    found
        .chain("filter", chain)
        .is_none_or(|chain| chain.policy.is_none_or(|policy| policy.0))
}

/// Whether a chain may drop the first packet of a connection, whichever interface it leaves by.
fn drops(found: &ScriptedBox, chain: &str) -> bool {
    let rules = found.chains.values().flat_map(|chain| &chain.rules);
    // One that no rule is about, and one of each condition.
    let named = rules.filter_map(|rule| Some(rule.output.as_ref()?.name.as_str()));
    let named: BTreeSet<&str> = named.chain(["-"]).filter(|name| *name != "lo").collect();
    named.into_iter().any(|output| {
        let ends = (None, Some(output));
        let walk = ChainWalk::new(found, "filter", ends, Vec::new()).through(chain);
        walk.given_up || !walk.dropped.is_empty()
    })
}

/// What the tables before the filter drop.
pub fn before(
    found: &ScriptedBox,
    from: Option<&ScriptedZone>,
    to: Option<&ScriptedZone>,
    chains: &[&str],
) -> Vec<PacketBox> {
    let names = (
        from.map(|zone| zone.interface.as_str()),
        to.map(|zone| zone.interface.as_str()),
    );
    let mut gone = Vec::new();
    for table in ["raw", "mangle", "security"] {
        for chain in chains
            .iter()
            .filter(|chain| found.chain(table, chain).is_some())
        {
            // A packet has no way out yet where it comes in, and no way in where it goes out.
            let names = match *chain {
                "PREROUTING" | "INPUT" => (names.0, None),
                "POSTROUTING" | "OUTPUT" => (None, names.1),
                _ => names,
            };
            let walk = ChainWalk::new(found, table, names, Vec::new()).through(chain);
            let closed = found
                .chain(table, chain)
                .is_some_and(|chain| chain.policy.is_some_and(|policy| !policy.0));
            match walk.given_up || closed {
                true => gone.push(PacketBox::all()),
                false => gone.extend(walk.dropped),
            }
        }
    }
    gone
}
