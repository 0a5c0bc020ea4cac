//! Resolves port forwards, and checks them against the allow lines.

use std::net::IpAddr;
use std::ops::Range;

use ipnet::IpNet;

use super::rewrite::{Nat, between, opens_all, opens_any};
use super::{Resolver, span_in};
use crate::config;
use crate::config::Spanned;
use crate::field::PortRange;
use crate::netfilter::Protocol;
use crate::policy::{Addresses, Allow, Endpoint, Flow, Forward, Origin};
use crate::source::Refusal;

impl Resolver<'_> {
    /// Adds the forward of each port or range of an entry.
    pub(super) fn forward(
        &self,
        written: &Spanned<config::ForwardEntry>,
        nat: &mut Nat,
        allows: &[Allow],
    ) -> Result<(), Refusal> {
        let forward = written.get_ref();
        let from = self.find_zone(&forward.from, &[])?;
        self.own_is_known(from, &forward.from)?;
        let (protocol, list) = match (&forward.tcp, &forward.udp) {
            (Some(ports), None) => (Protocol::Tcp, ports),
            (None, Some(ports)) => (Protocol::Udp, ports),
            _ => {
                return Err(self.source.refuse(
                    written.span(),
                    "a forward is of TCP or of UDP, tcp = 8443 or udp = 5004; write one of the two",
                ));
            }
        };
        let all = self.port_ranges(list)?;
        if all.is_empty() {
            return Err(self.source.refuse(
                list.span(),
                "the list names no port; name one, or remove the forward",
            ));
        }
        if forward.to.get_ref() == "router" {
            return Err(self.source.refuse(
                forward.to.span(),
                "a forward leads to a host; open the router's own port by [[allow]] with to = \"router\", and for what is sent to others write [[redirects]]",
            ));
        }
        let (to, address) = self.host(&forward.to, forward.address.as_ref())?;
        if from == to {
            return Err(self.source.refuse(
                forward.to.span(),
                "from and to are the same zone, whose hosts reach each other without the router; remove the forward, and for those who use the address that is known outside, write loopback in the forward from there",
            ));
        }
        let to_port = match &forward.to_port {
            Some(port) => Some(PortRange::port(self.port(port)?)),
            None => None,
        };
        if let (Some(port), true) = (&forward.to_port, all.len() > 1 || all[0].is_range()) {
            return Err(self.source.refuse(
                port.span(),
                "several ports lead to the same ports of the host; remove to-port, or write a forward for each port",
            ));
        }
        for (ports, at) in all.into_iter().zip(&list.get_ref().0) {
            let one = Forward {
                from,
                at: from,
                protocol,
                ports,
                to,
                address,
                to_ports: to_port.unwrap_or(ports),
                direct: forward.direct,
                origin: Origin::new(self.source, written.span().start),
            };
            self.check_forward(&one, written.span(), span_in(at, list.span()), nat, allows)?;
            nat.forwards.push(one);
        }
        Ok(())
    }

    /// Refuses a forward of ports that lead elsewhere already, or to where no line lets
    /// them.
    fn check_forward(
        &self,
        forward: &Forward,
        whole: Range<usize>,
        at: Range<usize>,
        nat: &Nat,
        allows: &[Allow],
    ) -> Result<(), Refusal> {
        let Forward {
            from,
            protocol,
            to,
            address,
            ..
        } = *forward;
        let word = match protocol {
            Protocol::Udp => "udp",
            _ => "tcp",
        };
        let (ports, to_ports) = (told(forward.ports), told(forward.to_ports));
        let taken = |other: &&Forward| {
            (other.from, other.at, other.protocol) == (from, from, protocol)
                && other.ports.common(forward.ports).is_some()
        };
        if let Some(other) = nat.forwards.iter().find(taken) {
            let (are, or) = match forward.ports.is_range() {
                true => ("are", String::new()),
                false => {
                    let to = forward.to_ports.first();
                    let or = format!(", or forward another port, with to-port = {to}");
                    ("is", or)
                }
            };
            return Err(self.source.refuse(
                at,
                format_args!(
                    "{word} {ports} {are} forwarded already, at every address of the router there ({}); keep one of the two{or}",
                    other.origin
                ),
            ));
        }
        let to_router = Flow {
            from: Endpoint::Zone(from),
            to: Endpoint::Router,
        };
        if let Some(own) = opens_any(allows, to_router, protocol, forward.ports) {
            return Err(self.source.refuse(
                at,
                format_args!(
                    "the router itself answers on {word} {ports} ({}); forward another port, or remove that line",
                    own.origin
                ),
            ));
        }
        let there = between(from, to);
        let only_by_it = protocol == Protocol::Udp && !forward.direct;
        let mut named = allows.iter().filter(|allow| allow.flows.contains(&there));
        let named = named.find(|allow| {
            let host = IpNet::from(IpAddr::V4(address));
            let alone =
                matches!(&allow.destinations, Addresses::Only(list) if list.contains(&host));
            let all = allow.services.iter().any(|service| service.everything);
            alone && !allow.ranges.contains(&host) && all
        });
        if let Some(line) = named.filter(|_| only_by_it) {
            return Err(self.source.refuse(
                at,
                format_args!(
                    "all of {address} is open ({}), so that this port of it is open without the forward; set direct = true, or name the services there",
                    line.origin
                ),
            ));
        }
        if !opens_all(allows, there, protocol, forward.to_ports, Some(address)) {
            return Err(self.source.refuse(
                whole,
                format_args!(
                    "no allow line lets {} reach {address} on {word} {to_ports}, so the forward leads nowhere; add [[allow]] from = \"{}\", to = \"{}\", address = \"{address}\", service = {{ {word} = [{}] }}",
                    self.zones[from.0].name,
                    self.zones[from.0].name,
                    self.zones[to.0].name,
                    as_written(forward.to_ports),
                ),
            ));
        }
        Ok(())
    }
}

/// `port 443`, or `ports 50000-50100`.
fn told(ports: PortRange) -> String {
    match ports.is_range() {
        true => format!("ports {}-{}", ports.first(), ports.last()),
        false => format!("port {ports}"),
    }
}

/// As the file has it in a list of ports.
fn as_written(ports: PortRange) -> String {
    match ports.is_range() {
        true => format!("\"{}-{}\"", ports.first(), ports.last()),
        false => ports.to_string(),
    }
}
