//! Resolves port forwards, and checks them against the allow lines.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use ipnet::{IpNet, Ipv4Net};

use super::address::ipv4;
use super::rewrite::{Nat, between, opens_all, opens_any};
use super::{Resolver, span_in};
use crate::config;
use crate::config::Spanned;
use crate::field::PortRange;
use crate::netfilter::Protocol;
use crate::policy::{Addresses, Allow, Endpoint, Flow, Forward, ForwardedPorts, Origin, ZoneIndex};
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
        let own = match &forward.at {
            Some(at) => Some(self.one_of_its_own(from, at)?),
            None => None,
        };
        let of = match (&forward.tcp, &forward.udp, &forward.at) {
            (Some(ports), None, _) => Some((Protocol::Tcp, ports)),
            (None, Some(ports), _) => Some((Protocol::Udp, ports)),
            (None, None, Some(at)) => {
                self.can_be_given_away(from, own, at)?;
                None
            }
            _ => {
                return Err(self.source.refuse(
                    written.span(),
                    "a forward is of TCP or of UDP, tcp = 8443 or udp = 5004; write one of the two",
                ));
            }
        };
        let all = match of {
            Some((_, list)) => self.port_ranges(list)?,
            None => Vec::new(),
        };
        if let (Some((_, list)), true) = (of, all.is_empty()) {
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
        let is_one = matches!(all.as_slice(), [one] if !one.is_range());
        if let (Some(port), false) = (&forward.to_port, is_one) {
            return Err(self.source.refuse(
                port.span(),
                "several ports lead to the same ports of the host; remove to-port, or write a forward for each port",
            ));
        }
        let one = Forward {
            from,
            at: from,
            own,
            ports: None,
            to,
            address,
            direct: forward.direct,
            origin: Origin::new(self.source, written.span().start),
        };
        let Some((protocol, list)) = of else {
            let at = forward.at.as_ref().map_or(written.span(), Spanned::span);
            self.check_shared(&one, at.clone(), nat)?;
            self.check_whole(&one, written.span(), at, allows)?;
            nat.forwards.push(one);
            return Ok(());
        };
        for (ports, at) in all.into_iter().zip(&list.get_ref().0) {
            let ports = ForwardedPorts {
                protocol,
                at: ports,
                to: to_port.unwrap_or(ports),
            };
            let one = Forward {
                ports: Some(ports),
                ..one.clone()
            };
            let at = span_in(at, list.span());
            self.check_shared(&one, at.clone(), nat)?;
            self.check_ports(&one, ports, written.span(), at, allows)?;
            nat.forwards.push(one);
        }
        Ok(())
    }

    /// The address in a forward's `at`, which must be the router's in that zone.
    fn one_of_its_own(&self, zone: ZoneIndex, at: &Spanned<String>) -> Result<Ipv4Addr, Refusal> {
        self.is_ipv4(at, FORWARDS_AT)?;
        let own = ipv4(at, self.source)?;
        let zone = &self.zones[zone.0];
        if zone.addresses.iter().any(|known| known.addr() == own) {
            return Ok(own);
        }
        let what = match zone.address_source.is_unknown() {
            true => "which come by DHCP or from another program; remove at, or write them there",
            false => {
                "so nothing for it gets here; add it to the addresses there, or give one of them"
            }
        };
        Err(self.source.refuse(
            at.span(),
            format_args!(
                "{own} is not among the router's addresses in zone {}, {what}",
                zone.name
            ),
        ))
    }

    /// Refuses to give the address away by which the router itself is known.
    fn can_be_given_away(
        &self,
        zone: ZoneIndex,
        own: Option<Ipv4Addr>,
        at: &Spanned<String>,
    ) -> Result<(), Refusal> {
        // The kernel takes the first one for what the router itself sends, and masquerades.
        let first = self.zones[zone.0].addresses.first().map(Ipv4Net::addr);
        if own != first {
            return Ok(());
        }
        Err(self.source.refuse(
            at.span(),
            format_args!(
                "without tcp and udp all of {} goes to the host, and it is the router's own, the first of zone {}; write tcp or udp, or give one of its further addresses",
                at.get_ref(),
                self.zones[zone.0].name
            ),
        ))
    }

    /// Refuses a forward of what leads elsewhere already, or to a host that has an address of
    /// its own and is to be reached another way.
    fn check_shared(&self, forward: &Forward, at: Range<usize>, nat: &Nat) -> Result<(), Refusal> {
        let here = |other: &&Forward| (other.from, other.at) == (forward.from, forward.from);
        let others = || nat.forwards.iter().filter(here);
        if let Some(other) = others().find(|other| forward.overlaps(other)) {
            let (what, or) = match forward.ports {
                None => ("part of the address is".to_owned(), String::new()),
                Some(ports) => {
                    let (are, or) = match ports.at.is_range() {
                        true => ("are", String::new()),
                        false => {
                            let to = ports.to.first();
                            let or = format!(", or forward another port, with to-port = {to}");
                            ("is", or)
                        }
                    };
                    (format!("{} {} {are}", word(ports), told(ports.at)), or)
                }
            };
            let (place, split) = match (other.own, self.zones[forward.from.0].addresses.len()) {
                (Some(own), _) => (own.to_string(), ""),
                (None, 2..) => (
                    EVERY_ADDRESS.to_owned(),
                    ", or give each its address, with at",
                ),
                (None, _) => (EVERY_ADDRESS.to_owned(), ""),
            };
            return Err(self.source.refuse(
                at,
                format_args!(
                    "{what} forwarded already, at {place} ({}); keep one of the two{or}{split}",
                    other.origin
                ),
            ));
        }
        let mut same = others().filter(|other| other.address == forward.address);
        let of_its_own = same.find(|other| match (forward.ports, other.ports) {
            (None, None) => true,
            (Some(_), Some(_)) => false,
            _ => forward.direct != other.direct,
        });
        let Some(other) = of_its_own else {
            return Ok(());
        };
        let why = match (forward.ports, other.ports) {
            (None, None) => {
                "has an address of its own already, by which it is seen outside; keep one of the two, or forward ports of the other address, with tcp or udp"
            }
            _ => {
                "has all of an address forwarded to it, so that its ports are direct or none is; give both the same direct"
            }
        };
        Err(self.source.refuse(
            at,
            format_args!("{} {why} ({})", forward.address, other.origin),
        ))
    }

    /// Refuses an address of its own for a host where the router itself answers, or that no
    /// line lets anybody reach.
    fn check_whole(
        &self,
        forward: &Forward,
        whole: Range<usize>,
        at: Range<usize>,
        allows: &[Allow],
    ) -> Result<(), Refusal> {
        let (from, to, address) = (forward.from, forward.to, forward.address);
        let to_router = Flow {
            from: Endpoint::Zone(from),
            to: Endpoint::Router,
        };
        let mut own = allows
            .iter()
            .filter(|allow| allow.flows.contains(&to_router));
        // Without an address a line is for those that are left.
        let named = own.find(|allow| {
            allow.destinations != Addresses::Any
                && forward
                    .own
                    .is_some_and(|own| allow.destinations.holds(own.into()))
        });
        if let Some(line) = named {
            return Err(self.source.refuse(
                at,
                format_args!(
                    "the router itself answers there ({}); take the address out of that line, or forward ports, with tcp or udp",
                    line.origin
                ),
            ));
        }
        let there = between(from, to);
        let mut lines = allows.iter().filter(|allow| allow.flows.contains(&there));
        if lines.any(|allow| allow.destinations.holds(address.into())) {
            return Ok(());
        }
        let (from, to) = (&self.zones[from.0].name, &self.zones[to.0].name);
        Err(self.source.refuse(
            whole,
            format_args!(
                "no allow line lets {from} reach {address}, so the forward leads nowhere; add [[allow]] from = \"{from}\", to = \"{to}\", address = \"{address}\", service = \"https\""
            ),
        ))
    }

    /// Refuses a forward of ports that the router itself answers, or to where no line lets
    /// them.
    fn check_ports(
        &self,
        forward: &Forward,
        forwarded: ForwardedPorts,
        whole: Range<usize>,
        at: Range<usize>,
        allows: &[Allow],
    ) -> Result<(), Refusal> {
        let (from, to, address) = (forward.from, forward.to, forward.address);
        let protocol = forwarded.protocol;
        let word = word(forwarded);
        let (ports, to_ports) = (told(forwarded.at), told(forwarded.to));
        let to_router = Flow {
            from: Endpoint::Zone(from),
            to: Endpoint::Router,
        };
        if let Some(own) = opens_any(allows, to_router, protocol, forwarded.at, forward.own) {
            let or = match forward.own {
                Some(_) => ", or name the router's other addresses in it",
                None => "",
            };
            return Err(self.source.refuse(
                at,
                format_args!(
                    "the router itself answers on {word} {ports} ({}); forward another port, or remove that line{or}",
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
        if !opens_all(allows, there, protocol, forwarded.to, Some(address)) {
            return Err(self.source.refuse(
                whole,
                format_args!(
                    "no allow line lets {} reach {address} on {word} {to_ports}, so the forward leads nowhere; add [[allow]] from = \"{}\", to = \"{}\", address = \"{address}\", service = {{ {word} = [{}] }}",
                    self.zones[from.0].name,
                    self.zones[from.0].name,
                    self.zones[to.0].name,
                    as_written(forwarded.to),
                ),
            ));
        }
        Ok(())
    }
}

/// Of an IPv6 address of the router's.
const FORWARDS_AT: &str = "forwards are of IPv4, since by IPv6 a host has an address of its own that an allow line opens; give an IPv4 address of the router's, or remove the forward";

const EVERY_ADDRESS: &str = "every address of the router there";

fn word(ports: ForwardedPorts) -> &'static str {
    match ports.protocol {
        Protocol::Udp => "udp",
        _ => "tcp",
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
