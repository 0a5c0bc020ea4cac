//! Table nat: forwards, redirects, and sources that are rewritten. What of it the configuration cannot say lets
//! nothing through: its packets are taken out of every line.

use std::net::Ipv4Addr;

use super::commands::{LeftOut, ScriptedBox};
use super::flows::{FlowEnd, ScriptedFlow, ScriptedFlows, before};
use super::forward::{forward, is_of_an_address};
use super::rule::{FirstPacket, InterfaceCondition, RuleTarget, ScriptRule};
use super::spans::{PacketBox, ServiceSpans, Spans};
use super::zones::{ScriptedRole, ScriptedZone};

/// Where connections are rewritten, as entries of the configuration.
#[derive(Debug, PartialEq, Eq)]
pub enum ScriptedRewrite {
    Masquerade {
        from: usize,
        to: usize,
    },
    Snat {
        from: usize,
        to: usize,
        address: Ipv4Addr,
    },
    Forward {
        from: usize,
        /// The one of the router's addresses that it is for, if it is not for all of them.
        at: Option<Ipv4Addr>,
        to: usize,
        tcp: bool,
        ports: Spans,
        address: Ipv4Addr,
        to_port: Option<u16>,
    },
    /// All that comes to one address of the router goes to a host, and what the host opens has it as its source.
    ForwardAddress {
        from: usize,
        at: Ipv4Addr,
        to: usize,
        address: Ipv4Addr,
    },
    Redirect {
        from: usize,
        service: ServiceSpans,
    },
}

pub fn is_about(condition: &Option<InterfaceCondition>, zone: &ScriptedZone) -> bool {
    condition
        .as_ref()
        .is_none_or(|it| it.matches(&zone.interface))
}

/// What PREROUTING sends elsewhere than it was sent to: none of it gets where it was sent.
pub fn rewritten(found: &ScriptedBox, zone: &ScriptedZone) -> Vec<PacketBox> {
    let rules = found
        .chain("nat", "PREROUTING")
        .into_iter()
        .flat_map(|chain| &chain.rules);
    let mut all = Vec::new();
    for rule in rules.filter(|rule| rule.first != FirstPacket::Never && is_about(&rule.input, zone))
    {
        let target = match &rule.target {
            RuleTarget::Dnat { to, port } => (Spans::host(*to), *port),
            RuleTarget::Redirect(port) => (zone.own.clone(), port.map(|port| (port, port))),
            RuleTarget::Unknown(_) | RuleTarget::Chain(_) | RuleTarget::Drop => {
                all.push(rule.packets.clone());
                continue;
            }
            _ => continue,
        };
        // What is sent to the target itself gets there either way.
        let mut arrives = rule.packets.clone();
        arrives.destinations = target.0;
        if let Some((first, last)) = target.1 {
            let ports = Spans::one(first.into(), last.into());
            arrives.service.tcp = arrives.service.tcp.and(&ports);
            arrives.service.udp = arrives.service.udp.and(&ports);
        }
        all.extend(rule.packets.minus(&arrives));
    }
    all
}

/// Reads table nat, with the flows that its entries need beside them.
pub fn rewrites(
    found: &ScriptedBox,
    zones: &[ScriptedZone],
    flows: &mut ScriptedFlows,
) -> Vec<ScriptedRewrite> {
    let (mut targets, mut sources) = (Vec::new(), Vec::new());
    let mut earlier: Vec<&ScriptRule> = Vec::new();
    // PREROUTING first: an address of its own is said there, with what POSTROUTING has for it.
    let nat = || found.chains.iter().filter(|((table, _), _)| table == "nat");
    let first = nat().filter(|((_, name), _)| name == "PREROUTING");
    let then = nat().filter(|((_, name), _)| name != "PREROUTING");
    for ((_, name), chain) in first.chain(then) {
        for rule in &chain.rules {
            let made = match (name.as_str(), rule.first) {
                (_, FirstPacket::Never) => Ok(Vec::new()),
                _ if rule.host.is_some() => {
                    Err("who a name is tells no address here; write addresses".to_owned())
                }
                ("PREROUTING", _) if drops_before(found, zones, rule) => {
                    Err("tables raw or mangle drop some of it before; what it rewrites is let through by no line".to_owned())
                }
                ("PREROUTING", _) => prerouting(found, rule, &earlier, zones, &flows.flows),
                ("POSTROUTING", _) if is_of_an_address(rule, zones, &targets) => Ok(Vec::new()),
                ("POSTROUTING", _) => postrouting(rule, zones, &flows.flows),
                _ => Err("table nat is read for PREROUTING and POSTROUTING".to_owned()),
            };
            let all = match name == "PREROUTING" {
                true => {
                    earlier.push(rule);
                    &mut targets
                }
                false => &mut sources,
            };
            match made {
                Ok(made) => {
                    for it in made {
                        if !all.contains(&it) {
                            all.push(it);
                        }
                    }
                }
                Err(why) => {
                    flows.left_out.insert(LeftOut {
                        line: rule.line,
                        text: rule.text.clone(),
                        why,
                    });
                }
            }
        }
    }
    sources.extend(targets);
    sources
}

/// Whether something of what a rule rewrites does not get as far.
fn drops_before(found: &ScriptedBox, zones: &[ScriptedZone], rule: &ScriptRule) -> bool {
    let mut zones = zones.iter().filter(|zone| is_about(&rule.input, zone));
    zones.any(|zone| {
        let gone = before(found, Some(zone), None, &["PREROUTING"]);
        gone.iter().any(|gone| gone.and(&rule.packets).is_some())
    })
}

fn prerouting(
    found: &ScriptedBox,
    rule: &ScriptRule,
    earlier: &[&ScriptRule],
    zones: &[ScriptedZone],
    flows: &[ScriptedFlow],
) -> Result<Vec<ScriptedRewrite>, String> {
    if let Some(why) = &rule.unsure {
        return Err(format!(
            "a forward cannot have {why}; what it rewrites is let through by no line"
        ));
    }
    match &rule.target {
        RuleTarget::Dnat { to, port } => {
            // A forward is of one zone: the one whose address it is, if the rule names no interface.
            let is_it = |zone: &ScriptedZone| match &rule.input {
                Some(_) => is_about(&rule.input, zone),
                None => {
                    zone.role == ScriptedRole::External
                        && (zone.own.is_empty()
                            || !rule.packets.destinations.and(&zone.own).is_empty())
                }
            };
            let from: Vec<usize> = (0..zones.len()).filter(|at| is_it(&zones[*at])).collect();
            let [from] = from[..] else {
                return Err("a forward is from one zone; give the rule the interface that packets come in by".to_owned());
            };
            let overlaps = |before: &&ScriptRule| {
                is_about(&before.input, &zones[from]) && before.packets.and(&rule.packets).is_some()
            };
            if let Some(before) = earlier.iter().copied().find(|before| overlaps(before)) {
                return Err(format!("line {} takes some of it before", before.line));
            }
            forward(found, rule, from, zones, flows, (*to, *port))
        }
        RuleTarget::Redirect(port) => redirect(rule, *port, earlier, zones, flows),
        RuleTarget::Accept | RuleTarget::Return => {
            Err("it keeps packets from the rules below, which no entry says".to_owned())
        }
        _ => Err("what it rewrites is not known here, and let through by no line".to_owned()),
    }
}

fn redirect(
    rule: &ScriptRule,
    port: Option<u16>,
    earlier: &[&ScriptRule],
    zones: &[ScriptedZone],
    flows: &[ScriptedFlow],
) -> Result<Vec<ScriptedRewrite>, String> {
    let service = &rule.packets.service;
    let ports = service.tcp.or(&service.udp);
    let same = port.is_none() || ports.single() == port.map(u32::from);
    let others = service.icmp.is_empty() && service.other.is_empty();
    let bare = PacketBox {
        service: service.clone(),
        ..PacketBox::all()
    };
    if !same || !others || bare != rule.packets {
        return Err("a redirect is of all that comes from a zone for the same port of the router; see [[redirects]] and [[proxy]]; what it rewrites is let through by no line".to_owned());
    }
    let mut made = Vec::new();
    for (from, zone) in zones.iter().enumerate() {
        if !is_about(&rule.input, zone)
            || zone.role == ScriptedRole::External
            || zone.own.is_empty()
        {
            continue;
        }
        let taken = earlier.iter().any(|before| {
            is_about(&before.input, zone) && before.packets.and(&rule.packets).is_some()
        });
        let answers = |flow: &&ScriptedFlow| {
            (flow.from, flow.to) == (FlowEnd::Zone(from), FlowEnd::Router)
                && flow
                    .destinations
                    .as_ref()
                    .is_none_or(|them| them.covers(&zone.own))
        };
        let (mut tcp, mut udp) = (Spans::default(), Spans::default());
        for flow in flows.iter().filter(answers) {
            tcp = tcp.or(&flow.packets.service.tcp);
            udp = udp.or(&flow.packets.service.udp);
        }
        if taken || !tcp.covers(&service.tcp) || !udp.covers(&service.udp) {
            return Err(format!(
                "no rule lets zone {} reach the router for it, or one before takes some of it",
                zone.name
            ));
        }
        made.push(ScriptedRewrite::Redirect {
            from,
            service: service.clone(),
        });
    }
    match made.is_empty() {
        true => Err("a redirect is for what leaves a zone inside".to_owned()),
        false => Ok(made),
    }
}

fn postrouting(
    rule: &ScriptRule,
    zones: &[ScriptedZone],
    flows: &[ScriptedFlow],
) -> Result<Vec<ScriptedRewrite>, String> {
    if let Some(why) = &rule.unsure {
        return Err(format!(
            "sources are rewritten of all that leaves a zone; the entry cannot have {why}"
        ));
    }
    let to = rule.output.as_ref().and_then(InterfaceCondition::one);
    let to = to.and_then(|name| zones.iter().position(|zone| zone.interface == name));
    let to = to.ok_or(
        "sources are rewritten of what leaves by one interface; give the rule -o INTERFACE",
    )?;
    let packets = &rule.packets;
    let whole = packets.service == ServiceSpans::all()
        && packets.source_ports == Spans::ports()
        && packets.destinations.covers(&zones[to].hosts)
        && rule.input.is_none();
    if !whole {
        return Err(
            "sources are rewritten of all that leaves a zone for another, whatever service it is"
                .to_owned(),
        );
    }
    let mut made = Vec::new();
    for (from, zone) in zones.iter().enumerate().filter(|zone| zone.0 != to) {
        let both = packets.sources.and(&zone.hosts);
        let opens = flows
            .iter()
            .any(|flow| (flow.from, flow.to) == (FlowEnd::Zone(from), FlowEnd::Zone(to)));
        if both.is_empty() || !opens {
            continue;
        }
        if both != zone.hosts {
            return Err(format!(
                "sources are rewritten of all of a zone; it is about some of zone {}",
                zone.name
            ));
        }
        made.push(match rule.target {
            RuleTarget::Masquerade => ScriptedRewrite::Masquerade { from, to },
            RuleTarget::Snat(address) if zones[to].own.covers(&Spans::host(address)) => {
                ScriptedRewrite::Snat { from, to, address }
            }
            RuleTarget::Snat(address) => {
                return Err(format!(
                    "{address} is no address of the router in zone {}",
                    zones[to].name
                ));
            }
            _ => return Err("it is neither MASQUERADE nor SNAT to an address".to_owned()),
        });
    }
    match made.is_empty() {
        true => Err(format!(
            "no line lets anybody through to zone {}, so that no source is rewritten",
            zones[to].name
        )),
        false => Ok(made),
    }
}
