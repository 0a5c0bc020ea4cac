//! DNAT as forwards: of ports of all of the router's addresses or of some, and of all that comes to one, which is a
//! host's both ways.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::commands::ScriptedBox;
use super::flows::{FlowEnd, ScriptedFlow};
use super::rewriting::{ScriptedRewrite, is_about};
use super::rule::{FirstPacket, InterfaceCondition, RuleTarget, ScriptRule};
use super::spans::{PacketBox, ServiceSpans, Spans};
use super::zones::{ScriptedRole, ScriptedZone};

pub fn forward(
    found: &ScriptedBox,
    rule: &ScriptRule,
    from: usize,
    zones: &[ScriptedZone],
    flows: &[ScriptedFlow],
    (address, port): (Ipv4Addr, Option<(u16, u16)>),
) -> Result<Vec<ScriptedRewrite>, String> {
    let packets = &rule.packets;
    let zone = &zones[from];
    let named = &packets.destinations;
    let for_all = *named == Spans::all() || *named == zone.own && !named.is_empty();
    let some = !named.is_empty() && zone.own.covers(named);
    if !(for_all || some)
        || packets.sources != Spans::all()
        || packets.source_ports != Spans::ports()
    {
        return Err("a forward is of all that comes to an address of the router there; its conditions are the allow line's; what it rewrites is let through by no line".to_owned());
    }
    let service = &packets.service;
    let host = Spans::host(address);
    let inside = zones
        .iter()
        .position(|zone| zone.role != ScriptedRole::External && zone.hosts.covers(&host))
        .filter(|to| *to != from);
    let to = inside.ok_or_else(|| format!("{address} is in no zone inside"))?;
    if *service == ServiceSpans::all() && port.is_none() {
        let at = named.single().map(Ipv4Addr::from).filter(|_| some);
        return address_of_its_own(found, zones, flows, (from, at), (to, address));
    }
    let (tcp, ports) = match (
        service.tcp.is_empty(),
        service.udp.is_empty(),
        service.other.is_empty() && service.icmp.is_empty(),
    ) {
        (false, true, true) => (true, &service.tcp),
        (true, false, true) => (false, &service.udp),
        _ => return Err("a forward is of TCP or of UDP, with its ports".to_owned()),
    };
    let single = ports.single().and_then(|port| u16::try_from(port).ok());
    let (arrives, to_port) = match (port, single) {
        (None, _) => (ports.clone(), None),
        (Some((first, last)), Some(port)) if first == last => (
            Spans::one(first.into(), first.into()),
            (first != port).then_some(first),
        ),
        (Some((first, last)), _) if *ports == Spans::one(first.into(), last.into()) => {
            (ports.clone(), None)
        }
        _ => {
            return Err(
                "several ports lead to the same ports of the host; write a forward for each"
                    .to_owned(),
            );
        }
    };
    let passing = passing(flows, from, to, &host);
    let passing = passing
        .filter(|flow| flow.packets.source_ports == Spans::ports())
        .fold(Spans::default(), |all, flow| {
            all.or(if tcp {
                &flow.packets.service.tcp
            } else {
                &flow.packets.service.udp
            })
        });
    if !passing.covers(&arrives) {
        return Err(format!("no rule of FORWARD lets it through to {address}"));
    }
    let at: Vec<Option<Ipv4Addr>> = match for_all {
        true => vec![None],
        false => named.iter().flat_map(each).map(Some).collect(),
    };
    let made = at.into_iter().map(|at| ScriptedRewrite::Forward {
        from,
        at,
        to,
        tcp,
        ports: ports.clone(),
        address,
        to_port,
    });
    Ok(made.collect())
}

/// The addresses of the router between these two, which are few.
fn each((first, last): (u32, u32)) -> impl Iterator<Item = Ipv4Addr> {
    (first..=last).map(Ipv4Addr::from)
}

/// The flows that let a zone reach a host of another.
fn passing<'a>(
    flows: &'a [ScriptedFlow],
    from: usize,
    to: usize,
    host: &'a Spans,
) -> impl Iterator<Item = &'a ScriptedFlow> {
    flows.iter().filter(move |flow| {
        let destinations = flow.destinations.as_ref();
        (flow.from, flow.to) == (FlowEnd::Zone(from), FlowEnd::Zone(to))
            && flow.host.is_none()
            && destinations.is_none_or(|them| them.covers(host))
    })
}

/// A DNAT of all that comes to one address, which is a host's own where its source is rewritten too.
fn address_of_its_own(
    found: &ScriptedBox,
    zones: &[ScriptedZone],
    flows: &[ScriptedFlow],
    (from, at): (usize, Option<Ipv4Addr>),
    (to, address): (usize, Ipv4Addr),
) -> Result<Vec<ScriptedRewrite>, String> {
    let zone = &zones[from];
    let first = zone.addresses.first().map(Ipv4Net::addr);
    let Some(at) = at else {
        return Err("without ports one address of several is a host's; give the rule -d ADDRESS, or -p and --dport".to_owned());
    };
    if first == Some(at) {
        return Err(format!(
            "{at} is the first address of zone {}, which stays the router's own; give the rule -p and --dport",
            zone.name
        ));
    }
    if !leaves_with(found, zone, address, at) {
        return Err(format!(
            "without ports the address is the host's both ways, and no rule of POSTROUTING has all that leaves from {address} by {} leave with {at}; give the rule -p and --dport, or write -s {address} -o {} -j SNAT --to-source {at} before other rules for it",
            zone.interface, zone.interface
        ));
    }
    if passing(flows, from, to, &Spans::host(address))
        .next()
        .is_none()
    {
        return Err(format!("no rule of FORWARD lets it through to {address}"));
    }
    Ok(vec![ScriptedRewrite::ForwardAddress {
        from,
        at,
        to,
        address,
    }])
}

/// Whether a host's source is rewritten to the address of its own that is made of PREROUTING's rule.
pub fn is_of_an_address(
    rule: &ScriptRule,
    zones: &[ScriptedZone],
    made: &[ScriptedRewrite],
) -> bool {
    made.iter().any(|made| match made {
        ScriptedRewrite::ForwardAddress {
            from, at, address, ..
        } => has_all_leave_with(rule, &zones[*from], *address, *at),
        _ => false,
    })
}

/// Whether a rule of POSTROUTING has all that a host opens by a zone leave with this address.
fn has_all_leave_with(
    rule: &ScriptRule,
    zone: &ScriptedZone,
    host: Ipv4Addr,
    at: Ipv4Addr,
) -> bool {
    let by = rule.output.as_ref().and_then(InterfaceCondition::one);
    let conditions = rule.input.is_some() || rule.unsure.is_some() || rule.host.is_some();
    let whole = PacketBox {
        sources: Spans::host(host),
        destinations: rule.packets.destinations.clone(),
        ..PacketBox::all()
    };
    by == Some(zone.interface.as_str())
        && rule.target == RuleTarget::Snat(at)
        && rule.packets == whole
        && rule.packets.destinations.covers(&zone.hosts)
        && !conditions
}

/// Whether the first rule that all that a host opens by a zone meets has it leave with this address.
fn leaves_with(found: &ScriptedBox, zone: &ScriptedZone, host: Ipv4Addr, at: Ipv4Addr) -> bool {
    let own = PacketBox {
        sources: Spans::host(host),
        ..PacketBox::all()
    };
    let chain = found.chain("nat", "POSTROUTING");
    let mut rules = chain.into_iter().flat_map(|chain| &chain.rules);
    let first = rules.find(|rule| {
        rule.first != FirstPacket::Never
            && is_about(&rule.output, zone)
            && rule.packets.and(&own).is_some()
    });
    first.is_some_and(|rule| has_all_leave_with(rule, zone, host, at))
}
