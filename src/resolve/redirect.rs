//! Resolves what the router answers in the place of others, and checks it against the allow
//! lines.

use super::Resolver;
use super::rewrite::Nat;
use crate::config::{self, Spanned};
use crate::field::PortRange;
use crate::netfilter::Protocol;
use crate::policy::{Allow, Forward, Origin, Proxy, ProxyWay, RedirectToRouter, Role, Service};
use crate::source::Refusal;

impl Resolver<'_> {
    /// An entry, for one of its zones.
    pub(super) fn redirect(
        &self,
        written: &Spanned<config::RedirectEntry>,
        from: &Spanned<String>,
        nat: &Nat,
        allows: &[Allow],
    ) -> Result<RedirectToRouter, Refusal> {
        let config::RedirectEntry { to, service, .. } = written.get_ref();
        let zone = self.find_zone(from, &[])?;
        self.own_is_known(zone, from)?;
        if self.zones[zone.0].role == Role::External {
            return Err(self.source.refuse(
                from.span(),
                "a redirect is for what leaves the networks here; give a zone that is not external",
            ));
        }
        if to.get_ref() != "router" {
            return Err(self.source.refuse(
                to.span(),
                "a redirect leads to the router itself; write to = \"router\", or see [[forwards]] and [[proxy]]",
            ));
        }
        let services = self.services_of(service)?;
        let ports =
            |of: fn(&Service) -> &Vec<PortRange>| services.iter().flat_map(of).copied().collect();
        let redirect = RedirectToRouter {
            from: zone,
            tcp: ports(|service| &service.tcp),
            udp: ports(|service| &service.udp),
            origin: Origin::new(self.source, written.span().start),
        };
        if services.iter().any(|service| !service.is_of_ports_alone()) {
            return Err(self.source.refuse(
                service.span(),
                "a redirect is of ports; give a service of TCP and UDP alone, such as dns",
            ));
        }
        let proxied = nat.proxies.iter().filter(|other| other.from == zone);
        let proxied = proxied.map(|proxy| (proxied_ports(proxy), &proxy.origin));
        let redirected = nat.redirects.iter().filter(|other| other.from == zone);
        let redirected = redirected.map(|other| (other.ports().map(own), &other.origin));
        let looped = nat.forwards.iter();
        let looped = looped.filter(|other| other.from == zone && other.is_loopback());
        let looped = looped.map(|other| (forwarded_ports(other), &other.origin));
        let ours = redirect.ports().map(own);
        let mut others = proxied.chain(redirected).chain(looped);
        if let Some((_, origin)) = others.find(|(theirs, _)| overlap(&ours, theirs)) {
            return Err(self.source.refuse(
                service.span(),
                format_args!(
                    "these connections are redirected already ({origin}); keep one of the two"
                ),
            ));
        }
        for (protocol, ports) in redirect.ports() {
            for ports in ports {
                let Some(closed) = self.closed_here(allows, zone, protocol, *ports) else {
                    continue;
                };
                let from = &self.zones[zone.0].name;
                return Err(self.source.refuse(
                    service.span(),
                    format_args!(
                        "no allow line lets {from} reach {closed}, so nobody answers; add [[allow]] from = \"{from}\", to = \"router\" with this service"
                    ),
                ));
            }
        }
        Ok(redirect)
    }
}

/// Ports of a protocol.
type OfProtocol = (Protocol, Vec<PortRange>);

fn own((protocol, ports): (Protocol, &[PortRange])) -> OfProtocol {
    (protocol, ports.to_vec())
}

/// Nothing, and the ports that a forward takes.
fn forwarded_ports(forward: &Forward) -> [OfProtocol; 2] {
    [Protocol::Tcp, Protocol::Udp].map(|protocol| {
        let own = match forward.ports {
            Some(ports) => (protocol == ports.protocol).then_some(ports.at),
            None => PortRange::new(1, u16::MAX),
        };
        (protocol, own.into_iter().collect())
    })
}

/// The TCP ports whose connections a proxy takes, and its own.
fn proxied_ports(proxy: &Proxy) -> [OfProtocol; 2] {
    let here = match proxy.way {
        ProxyWay::Here(port) => vec![PortRange::port(port)],
        ProxyWay::Host { .. } => Vec::new(),
    };
    [(Protocol::Tcp, proxy.ports.clone()), (Protocol::Tcp, here)]
}

fn overlap(ours: &[OfProtocol], theirs: &[OfProtocol]) -> bool {
    ours.iter().any(|(protocol, ports)| {
        let same = theirs.iter().filter(|(other, _)| other == protocol);
        let mut theirs = same.flat_map(|(_, theirs)| theirs);
        theirs.any(|theirs| ports.iter().any(|own| own.common(*theirs).is_some()))
    })
}
