//! Resolves who reaches the host of a forward from inside by the address that is known
//! outside, and makes their allow lines of the forward's own.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use ipnet::IpNet;

use super::rewrite::{Nat, between};
use super::{Resolver, deny, each_name};
use crate::config::{self, Config};
use crate::field::PortRange;
use crate::netfilter::Protocol;
use crate::policy::{self, Addresses, Allow, Endpoint, Flow, Forward, Role, Service, ZoneIndex};
use crate::source::{Refusal, Refused};

/// A zone of a `loopback`, and the host that it is for.
pub(super) struct Looped {
    zone: ZoneIndex,
    to: ZoneIndex,
    host: Ipv4Addr,
    at: Range<usize>,
}

impl Resolver<'_> {
    /// Adds a forward for each zone of an entry's `loopback`, beside those of the entry itself.
    pub(super) fn loopback(
        &self,
        written: &config::ForwardEntry,
        added: &[Forward],
        nat: &mut Nat,
        allows: &[Allow],
    ) -> Result<Vec<Looped>, Refusal> {
        let mut looped = Vec::new();
        let Some(names) = &written.loopback else {
            return Ok(looped);
        };
        for name in each_name(names, self.source)? {
            let zone = self.find_zone(&name, &[])?;
            let refuse = |what: String| Err(self.source.refuse(name.span(), what));
            if self.zones[zone.0].role == Role::External {
                return refuse(
                    "loopback is for who is inside; write a forward from this zone for who is outside"
                        .into(),
                );
            }
            for forward in added {
                if zone == forward.from {
                    return refuse(
                        "the forward is from this zone already; remove it from loopback".into(),
                    );
                }
                let outside = &self.zones[forward.from.0];
                if outside.address_source.is_unknown() {
                    self.own_is_known(zone, &name)?;
                }
                let one = Forward {
                    from: zone,
                    direct: true,
                    ..forward.clone()
                };
                if let Some(other) = nat.forwards.iter().find(|other| self.is_same(&one, other)) {
                    return refuse(format!(
                        "the router's address in {} is not known here and neither is that in {}, so that this cannot be told from another forward from {} ({}); give them other ports, or one of the two no loopback",
                        outside.name,
                        self.zones[other.at.0].name,
                        name.get_ref(),
                        other.origin
                    ));
                }
                if let Some(own) = self.answered_by_router(&one, allows) {
                    return refuse(format!(
                        "the router itself answers {} there ({}); forward another port, or remove that line",
                        name.get_ref(),
                        own.origin
                    ));
                }
                let helper = |allow: &&Allow| {
                    let mut services = allow.services.iter();
                    leads(&one, allow) && services.any(|service| service.helper)
                };
                if let Some(line) = allows.iter().find(helper) {
                    return refuse(format!(
                        "the FTP helper of the forward's line does not follow what comes from inside ({}); use the passive range in its place, or remove loopback",
                        line.origin
                    ));
                }
                looped.push(Looped {
                    zone,
                    to: one.to,
                    host: one.address,
                    at: name.span(),
                });
                nat.forwards.push(one);
            }
        }
        Ok(looped)
    }

    /// Whether another forward takes the same connections, as far as is known.
    fn is_same(&self, forward: &Forward, other: &Forward) -> bool {
        let unknown = |zone: ZoneIndex| self.zones[zone.0].address_source.is_unknown();
        other.is_loopback()
            && other.from == forward.from
            && other.at != forward.at
            && unknown(other.at)
            && unknown(forward.at)
            && other.overlaps(forward)
    }

    /// A line that opens the same port of the router's address outside to this zone.
    fn answered_by_router<'l>(&self, forward: &Forward, allows: &'l [Allow]) -> Option<&'l Allow> {
        let flow = Flow {
            from: Endpoint::Zone(forward.from),
            to: Endpoint::Router,
        };
        let mut own = allows.iter().filter(|allow| allow.flows.contains(&flow));
        own.find(|allow| {
            let there = self.zones[forward.at.0].addresses.iter();
            let there = there.map(|own| own.addr());
            let mut there = there.filter(|own| forward.own.is_none_or(|only| only == *own));
            // Without an address it is for that in the zone itself.
            let named = allow.destinations != Addresses::Any
                && there.any(|own| allow.destinations.holds(IpAddr::V4(own)));
            let ports = forward.ports.map(|ports| (ports.protocol, ports.at));
            named && !part(&allow.services, &[ports]).is_empty()
        })
    }

    /// The lines of those who come by a forward from inside: for each line that lets them in
    /// from outside one that says the same, from any host of the zone.
    pub(super) fn looped_lines(
        &self,
        config: &Config,
        looped: &[Looped],
        nat: &Nat,
        allows: &[Allow],
    ) -> Result<Vec<Allow>, Refusal> {
        let mut lines = Vec::new();
        if looped.is_empty() {
            return Ok(lines);
        }
        let exceptions = self.exceptions(config)?;
        let denials = self.denials(config)?;
        let mut refused = Refused::default();
        for allow in allows {
            let mut made: Vec<(ZoneIndex, Ipv4Addr)> = Vec::new();
            for Looped { zone, to, host, at } in looped {
                if made.contains(&(*zone, *host)) {
                    continue;
                }
                made.push((*zone, *host));
                let forwards = nat.forwards.iter().filter(|forward| {
                    let here = (forward.from, forward.to, forward.address);
                    forward.is_loopback() && here == (*zone, *to, *host) && leads(forward, allow)
                });
                let ports = forwards.map(|forward| forward.ports);
                let ports = ports.map(|ports| ports.map(|ports| (ports.protocol, ports.to)));
                let services = part(&allow.services, &ports.collect::<Vec<_>>());
                if services.is_empty() {
                    continue;
                }
                let line = Allow {
                    flows: vec![between(*zone, *to)],
                    camera: None,
                    sources: Addresses::Any,
                    sources_of: None,
                    destinations: Addresses::Only(vec![IpNet::from(IpAddr::V4(*host))]),
                    destinations_of: None,
                    ranges: BTreeSet::new(),
                    hosts: Vec::new(),
                    services: services.into(),
                    by_forward: true,
                    ..allow.clone()
                };
                if let Some(broken) = policy::broken(&line, &self.zones, &exceptions) {
                    let refusal = self.against_role(at.clone(), &line, broken);
                    refused.note::<()>(Err(refusal));
                    continue;
                }
                lines.extend(deny::not_denied(line, &denials, self.ipv6));
            }
        }
        refused.or(lines)
    }

    /// The zones of any `loopback`.
    pub(super) fn looped(&self, config: &Config) -> Vec<Endpoint> {
        let names = config.forwards.iter();
        let names = names.filter_map(|written| written.get_ref().loopback.as_ref());
        let names = names.flat_map(|names| &names.get_ref().0);
        let zones = names.filter_map(|name| self.find_zone(name, &[]).ok());
        zones.map(Endpoint::Zone).collect()
    }
}

/// Whether a line lets in who comes by the forward from outside.
fn leads(forward: &Forward, allow: &Allow) -> bool {
    let outside = between(forward.at, forward.to);
    let there = allow.destinations.holds(IpAddr::V4(forward.address));
    allow.flows.contains(&outside) && there
}

/// What services have of these ports; None among them means all of everything.
fn part(services: &[Service], ports: &[Option<(Protocol, PortRange)>]) -> Vec<Service> {
    if ports.contains(&None) {
        return services.to_vec();
    }
    let common = |protocol: Protocol, own: &[PortRange]| -> Vec<PortRange> {
        let asked = ports.iter().flatten();
        let asked = asked.filter(|(of, _)| *of == protocol);
        let common = asked.flat_map(|(_, asked)| own.iter().filter_map(|own| own.common(*asked)));
        let mut common: Vec<PortRange> = common.collect();
        common.dedup();
        common
    };
    let parts = services.iter().map(|service| Service {
        tcp: common(Protocol::Tcp, &service.tcp),
        udp: common(Protocol::Udp, &service.udp),
        icmp: Vec::new(),
        protocols: Vec::new(),
        everything: false,
        ..service.clone()
    });
    parts
        .filter(|part| !part.tcp.is_empty() || !part.udp.is_empty())
        .collect()
}
