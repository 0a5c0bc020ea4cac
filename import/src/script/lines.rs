//! Zones, flows and rewriting as a configuration, with a comment for each line of the script that is not in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::ImportedScript;
use super::commands::{LeftOut, ScriptedBox};
use super::flows::{FlowEnd, ScriptedFlow, ScriptedFlows};
use super::rewriting::ScriptedRewrite;
use super::rule::RuleTarget;
use super::service;
use super::spans::{PacketBox, Spans};
use super::zones::{ScriptedRole, ScriptedZone};

/// Writes the configuration.
pub fn configuration(
    found: &ScriptedBox,
    zones: &[ScriptedZone],
    flows: &ScriptedFlows,
    rewrites: &[ScriptedRewrite],
    variables: &[(String, String)],
) -> ImportedScript {
    let mut left_out: BTreeSet<LeftOut> = found
        .left_out
        .iter()
        .chain(&flows.left_out)
        .cloned()
        .collect();
    for zone in zones
        .iter()
        .filter(|zone| zone.brought == Some("given") && zone.role == ScriptedRole::Camera)
    {
        left_out.insert(LeftOut {
            line: 0,
            text: format!("zone {}", zone.name),
            why: "the network of cameras tells who is one; give it an address of the router's"
                .to_owned(),
        });
    }
    let written = ConfigurationWriter {
        zones,
        flows,
        cameras: cameras(zones, flows, rewrites, variables),
    };
    let mut text = String::new();
    // A String takes all that is written to it.
    let _ = written.all(&mut text, found, rewrites, &left_out);
    ImportedScript {
        text,
        left_out: left_out.into_iter().collect(),
    }
}

/// The single hosts that lines are about in zones of cameras, by names of their own.
fn cameras(
    zones: &[ScriptedZone],
    flows: &ScriptedFlows,
    rewrites: &[ScriptedRewrite],
    variables: &[(String, String)],
) -> BTreeMap<Ipv4Addr, String> {
    let is_camera =
        |end: FlowEnd| matches!(end, FlowEnd::Zone(at) if zones[at].role == ScriptedRole::Camera);
    let single = |spans: &Option<Spans>| spans.as_ref().and_then(Spans::single).map(Ipv4Addr::from);
    let mut hosts: BTreeSet<Ipv4Addr> = flows.bound.keys().copied().collect();
    for flow in &flows.flows {
        hosts.extend(single(&flow.sources).filter(|_| is_camera(flow.from)));
        hosts.extend(single(&flow.destinations).filter(|_| is_camera(flow.to)));
    }
    for rewrite in rewrites {
        if let ScriptedRewrite::Forward { to, address, .. }
        | ScriptedRewrite::ForwardAddress { to, address, .. } = rewrite
            && is_camera(FlowEnd::Zone(*to))
        {
            hosts.insert(*address);
        }
    }
    let mut named: BTreeMap<Ipv4Addr, String> = BTreeMap::new();
    for host in hosts {
        let variable = variables
            .iter()
            .find(|(_, value)| value.trim_end_matches("/32") == host.to_string());
        let called = variable.map(|(name, _)| name.to_ascii_lowercase().replace('_', "-"));
        let called = called.map(|name| {
            let ends = ["-ip", "-addr", "-address", "-host"];
            let short = ends
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .unwrap_or(&name);
            short.trim_matches('-').to_owned()
        });
        let is_free = |name: &String| {
            !name.is_empty()
                && name.len() <= 32
                && !["any", "router"].contains(&name.as_str())
                && zones.iter().all(|zone| zone.name != *name)
                && named.values().all(|other| other != name)
        };
        let called = called.filter(is_free);
        named.insert(
            host,
            called.unwrap_or_else(|| format!("host-{}", host.to_string().replace('.', "-"))),
        );
    }
    named
}

/// An allow line: all but from whom.
#[derive(Debug, PartialEq, Eq)]
struct AllowedLine {
    line: usize,
    to: Vec<String>,
    address: Option<Vec<String>>,
    except: Option<Vec<String>>,
    host: Option<String>,
    sources: Option<Vec<String>>,
    service: String,
    /// Whether who opens it in a zone of cameras needs an exception.
    out_of_cameras: bool,
}

struct ConfigurationWriter<'a> {
    zones: &'a [ScriptedZone],
    flows: &'a ScriptedFlows,
    cameras: BTreeMap<Ipv4Addr, String>,
}

impl ConfigurationWriter<'_> {
    fn all(
        &self,
        out: &mut String,
        found: &ScriptedBox,
        rewrites: &[ScriptedRewrite],
        left_out: &BTreeSet<LeftOut>,
    ) -> fmt::Result {
        writeln!(
            out,
            "# Made by camfw-import of a script for iptables. It lets through no more than the script, and answers."
        )?;
        writeln!(
            out,
            "# Read it, `camfw check` it, and `camfw compare` it with what iptables-save prints of the script."
        )?;
        for LeftOut { line, text, why } in left_out {
            let place = match line {
                0 => String::new(),
                line => format!("line {line}: "),
            };
            writeln!(
                out,
                "# Left out: {place}{}: {}",
                in_a_comment(text),
                in_a_comment(why)
            )?;
        }
        writeln!(out, "\nversion = 1")?;
        for (at, zone) in self.zones.iter().enumerate() {
            self.zone(out, found, at, zone)?;
        }
        for (address, name) in &self.cameras {
            writeln!(
                out,
                "\n[[cameras]]\nname    = \"{name}\"\naddress = \"{address}\""
            )?;
            if let Some(hardware) = self.flows.bound.get(address) {
                writeln!(out, "mac     = \"{hardware}\"")?;
            }
        }
        for zone in self.zones {
            for route in &zone.routes {
                let via = route.via.map(|via| via.to_string());
                let via = via.unwrap_or_else(|| zone.name.clone());
                let to = route.to;
                writeln!(out, "\n[[routes]]\nto  = \"{to}\"\nvia = \"{via}\"")?;
                if let Some(metric) = route.metric {
                    writeln!(out, "metric = {metric}")?;
                }
            }
        }
        if !self.flows.egress_open {
            writeln!(out, "\n[router]\negress = \"listed\"")?;
        }
        if self.flows.logs_dropped {
            writeln!(out, "\n[log]\ndropped = true")?;
        }
        for (line, from) in self.lines() {
            self.line(out, &line, &from)?;
        }
        for rewrite in rewrites {
            self.rewrite(out, rewrite)?;
        }
        Ok(())
    }

    fn zone(
        &self,
        out: &mut String,
        found: &ScriptedBox,
        at: usize,
        zone: &ScriptedZone,
    ) -> fmt::Result {
        writeln!(
            out,
            "\n[zones.{}]\ninterface = \"{}\"",
            zone.name, zone.interface
        )?;
        let addresses: Vec<String> = zone.addresses.iter().map(Ipv4Net::to_string).collect();
        match zone.brought {
            Some(brought) => writeln!(out, "address   = \"{brought}\"")?,
            None => writeln!(out, "address   = {}", list(&addresses))?,
        }
        if let Some(gateway) = &zone.gateway {
            writeln!(out, "gateway   = \"{gateway}\"")?;
        }
        if let Some(metric) = zone.metric {
            writeln!(out, "metric    = {metric}")?;
        }
        writeln!(out, "role      = \"{}\"", zone.role.word())?;
        let chain = found.chain("mangle", "FORWARD");
        let mut rules = chain.into_iter().flat_map(|chain| &chain.rules);
        let clamps = rules.any(|rule| {
            let is_out = rule
                .output
                .as_ref()
                .is_none_or(|it| it.matches(&self.zones[at].interface));
            rule.target == RuleTarget::ClampMss && is_out
        });
        if clamps && zone.role == ScriptedRole::External {
            writeln!(out, "mss       = \"clamp\"")?;
        }
        Ok(())
    }

    /// Who an end of a flow is, and the addresses that it does not say.
    fn end(&self, end: FlowEnd, hosts: Option<&Spans>) -> (String, Option<Vec<String>>) {
        let FlowEnd::Zone(at) = end else {
            return ("router".to_owned(), hosts.map(addresses_in_toml));
        };
        let single = hosts.and_then(Spans::single).map(Ipv4Addr::from);
        match single.and_then(|host| self.cameras.get(&host)) {
            Some(camera) => (camera.clone(), None),
            None => (self.zones[at].name.clone(), hosts.map(addresses_in_toml)),
        }
    }

    /// Lines in the order of the script's, each with all from whom it is.
    fn lines(&self) -> Vec<(AllowedLine, Vec<(String, FlowEnd)>)> {
        let mut lines: Vec<(AllowedLine, Vec<(String, FlowEnd)>)> = Vec::new();
        for flow in &self.flows.flows {
            let Some(service) = service::in_toml(&flow.packets, flow.to == FlowEnd::Router) else {
                continue;
            };
            let (from, sources) = self.end(flow.from, flow.sources.as_ref());
            let (to, address) = self.end(flow.to, flow.destinations.as_ref());
            let except = address
                .as_ref()
                .and_then(|address| self.except(flow, address.len()));
            let line = AllowedLine {
                line: flow.line,
                to: vec![to],
                address: address.filter(|_| except.is_none()),
                except,
                host: flow.host.clone(),
                sources,
                service,
                out_of_cameras: self.is_out_of_cameras(flow),
            };
            match lines.iter_mut().find(|known| known.0 == line) {
                Some((_, known)) => known.push((from, flow.from)),
                None => lines.push((line, vec![(from, flow.from)])),
            }
        }
        // To several zones with all that is there, as from several.
        let mut joined: Vec<(AllowedLine, Vec<(String, FlowEnd)>)> = Vec::new();
        for (line, from) in lines {
            let is_whole = |line: &AllowedLine| {
                line.address.is_none() && line.except.is_none() && line.host.is_none()
            };
            let alike = joined.iter_mut().find(|(known, ends)| {
                *ends == from
                    && is_whole(known)
                    && is_whole(&line)
                    && (known.line, &known.sources, &known.service)
                        == (line.line, &line.sources, &line.service)
                    && known.out_of_cameras == line.out_of_cameras
                    && line
                        .to
                        .iter()
                        .all(|to| *to != "router" && from.iter().all(|end| end.0 != *to))
            });
            match alike {
                Some((known, _)) => known.to.extend(line.to),
                None => joined.push((line, from)),
            }
        }
        joined.sort_by_key(|line| line.0.line);
        joined
    }

    /// What a line is not about, where that is less to read than what it is about.
    fn except(&self, flow: &ScriptedFlow, listed: usize) -> Option<Vec<String>> {
        let FlowEnd::Zone(at) = flow.to else {
            return None;
        };
        let others = flow.packets.destinations.not();
        let written = addresses_in_toml(&others);
        (written.len() < listed && self.zones[at].hosts.covers(&others)).then_some(written)
    }

    fn is_out_of_cameras(&self, flow: &ScriptedFlow) -> bool {
        let role = |end| match end {
            FlowEnd::Zone(at) => Some(self.zones[at].role),
            FlowEnd::Router => None,
        };
        role(flow.from) == Some(ScriptedRole::Camera)
            && matches!(
                role(flow.to),
                Some(ScriptedRole::External | ScriptedRole::Private)
            )
    }

    fn line(
        &self,
        out: &mut String,
        line: &AllowedLine,
        from: &[(String, FlowEnd)],
    ) -> fmt::Result {
        let zones: BTreeSet<&str> = from.iter().map(|it| it.0.as_str()).collect();
        let others = self
            .zones
            .iter()
            .filter(|zone| !line.to.contains(&zone.name));
        let all: BTreeSet<&str> = others.map(|zone| zone.name.as_str()).collect();
        let names: Vec<String> = from.iter().map(|it| it.0.clone()).collect();
        let from = match zones == all && zones.len() > 1 && line.to.len() == 1 {
            true => "\"any\"".to_owned(),
            false => list(&names),
        };
        match line.line {
            0 => writeln!(out)?,
            number => writeln!(out, "\n# Line {number}.")?,
        }
        writeln!(
            out,
            "[[allow]]\nfrom    = {from}\nto      = {}",
            list(&line.to)
        )?;
        if let Some(sources) = &line.sources {
            writeln!(out, "source  = {}", list(sources))?;
        }
        if let Some(address) = &line.address {
            writeln!(out, "address = {}", list(address))?;
        }
        if let Some(except) = &line.except {
            writeln!(out, "except  = {}", list(except))?;
        }
        if let Some(host) = &line.host {
            writeln!(out, "host    = \"{host}\"")?;
        }
        writeln!(out, "service = {}", line.service)?;
        if line.out_of_cameras {
            writeln!(
                out,
                "\n[[exceptions]]\nfrom    = {}\nto      = {}\nservice = {}",
                list(&names),
                list(&line.to),
                line.service
            )?;
        }
        Ok(())
    }

    fn rewrite(&self, out: &mut String, rewrite: &ScriptedRewrite) -> fmt::Result {
        let name = |at: &usize| self.zones[*at].name.as_str();
        match rewrite {
            ScriptedRewrite::Masquerade { from, to } => {
                writeln!(
                    out,
                    "\n[[masquerade]]\nfrom = \"{}\"\nto   = \"{}\"",
                    name(from),
                    name(to)
                )
            }
            ScriptedRewrite::Snat { from, to, address } => {
                writeln!(
                    out,
                    "\n[[snat]]\nfrom    = \"{}\"\nto      = \"{}\"\naddress = \"{address}\"",
                    name(from),
                    name(to)
                )
            }
            ScriptedRewrite::Forward {
                from,
                at,
                to,
                tcp,
                ports,
                address,
                to_port,
            } => {
                let protocol = if *tcp { "tcp" } else { "udp" };
                let ports = service::ports_in_toml(ports).unwrap_or_default();
                writeln!(out, "\n[[forwards]]\nfrom = \"{}\"", name(from))?;
                if let Some(at) = at {
                    writeln!(out, "at   = \"{at}\"")?;
                }
                writeln!(out, "{protocol}  = {ports}")?;
                self.forwarded_to(out, *to, address)?;
                match to_port {
                    Some(port) => writeln!(out, "to-port = {port}"),
                    None => Ok(()),
                }
            }
            ScriptedRewrite::ForwardAddress {
                from,
                at,
                to,
                address,
            } => {
                let from = name(from);
                writeln!(out, "\n[[forwards]]\nfrom = \"{from}\"\nat   = \"{at}\"")?;
                self.forwarded_to(out, *to, address)
            }
            ScriptedRewrite::Redirect { from, service } => {
                let packets = PacketBox {
                    service: service.clone(),
                    ..PacketBox::all()
                };
                let service = service::in_toml(&packets, true).unwrap_or_default();
                writeln!(
                    out,
                    "\n[[redirects]]\nfrom    = \"{}\"\nto      = \"router\"\nservice = {service}",
                    name(from)
                )
            }
        }
    }

    fn forwarded_to(&self, out: &mut String, to: usize, address: &Ipv4Addr) -> fmt::Result {
        match self.cameras.get(address) {
            Some(camera) => writeln!(out, "to   = \"{camera}\""),
            None => {
                let to = &self.zones[to].name;
                writeln!(out, "to   = \"{to}\"\naddress = \"{address}\"")
            }
        }
    }
}

fn list(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("\"{text}\"")).collect();
    match &quoted[..] {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

/// Networks where ranges are some, else ranges.
fn addresses_in_toml(spans: &Spans) -> Vec<String> {
    let one = |(first, last): (u32, u32)| {
        let (from, to) = (Ipv4Addr::from(first), Ipv4Addr::from(last));
        let length = (0..=32).find(|length| {
            Ipv4Net::new(from, *length)
                .is_ok_and(|network| network.network() == from && network.broadcast() == to)
        });
        match length {
            Some(32) => from.to_string(),
            Some(length) => format!("{from}/{length}"),
            None => format!("{from}-{to}"),
        }
    };
    spans.iter().map(one).collect()
}

/// Nothing of a script's text ends the comment that it stands in.
fn in_a_comment(text: &str) -> String {
    let plain = |c: char| {
        if c == ' ' || c.is_ascii_graphic() {
            c
        } else {
            '?'
        }
    };
    text.chars().take(300).map(plain).collect()
}
