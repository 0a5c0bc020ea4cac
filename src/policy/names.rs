//! Whose questions for names the router may ask of others.
//!
//! A name is a way out too: whoever has questions forwarded says what he likes in them to
//! the server of a name of his own.

use super::{Addresses, Allow, Endpoint, Flow, Policy, Role, Service, ZoneIndex};
use crate::field::PortRange;
use crate::registry::port;

/// Whether the port of DNS is among these.
pub(crate) fn has_dns(ports: &[PortRange]) -> bool {
    let dns = PortRange::port(port::DNS);
    ports.iter().any(|ports| ports.contains(dns))
}

impl Policy {
    /// Whether what a zone's hosts ask the router for may be asked of others: whoever of a
    /// zone of cameras asks the router may ask an external zone as well.
    pub fn forwards_names(&self, index: ZoneIndex) -> bool {
        let mut asking = self.dns_lines(index);
        self.zone(index).role != Role::Camera
            || asking.all(|line| {
                let mut outside = self.allows.iter();
                outside.any(|outside| self.asks_outside(index, outside) && holds(outside, line))
            })
    }

    /// Whether hosts of a zone ask the router for names, by their own choice or not.
    pub(crate) fn answers_names(&self, index: ZoneIndex) -> bool {
        self.redirects_names(index) || self.offers_udp(index, port::DNS).next().is_some()
    }

    fn redirects_names(&self, index: ZoneIndex) -> bool {
        let mut redirects = self.redirects.iter().filter(|it| it.from == index);
        redirects.any(|it| has_dns(&it.udp))
    }

    /// Whether all sources of a line from a zone are told names from outside: by the router,
    /// or by a server that they may ask themselves.
    pub(super) fn may_look_up(&self, index: ZoneIndex, line: &Allow) -> bool {
        let asks = |other: &&Allow| {
            let mut services = other.services.iter();
            services.any(|service| has_dns(&service.udp)) && holds(other, line)
        };
        let by_router = || self.dns_lines(index).any(|other| asks(&other));
        let is_out = |allow: &&Allow| {
            let mut flows = allow.flows.iter();
            flows.any(|flow| flow.from == Endpoint::Zone(index) && flow.to != Endpoint::Router)
        };
        let is_forwarded = self.forwards_names(index);
        match self.redirects_names(index) {
            true => is_forwarded,
            false => {
                is_forwarded && by_router() || self.allows.iter().filter(is_out).any(|it| asks(&it))
            }
        }
    }

    /// The lines that let hosts of a zone ask the router for names.
    pub(crate) fn dns_lines(&self, index: ZoneIndex) -> impl Iterator<Item = &Allow> {
        let flow = Flow {
            from: Endpoint::Zone(index),
            to: Endpoint::Router,
        };
        let is_one = |service: &Service| has_dns(&service.udp) || has_dns(&service.tcp);
        let lines = self.allows_of(flow);
        lines.filter(move |allow| allow.services.iter().any(is_one))
    }

    /// Whether a line lets its sources ask an external zone for names, at any time and as
    /// often as they like: the router's server knows of no such condition.
    fn asks_outside(&self, index: ZoneIndex, allow: &Allow) -> bool {
        let is_bounded = allow.when.is_some()
            || allow.limit.is_some()
            || allow.connections.is_some()
            || allow.block_after.is_some();
        let is_out = |to: Endpoint| match to {
            Endpoint::Zone(zone) => self.zone(zone).role == Role::External,
            Endpoint::Router => false,
        };
        let is_dns = |service: &Service| has_dns(&service.udp) && service.source_ports.is_empty();
        let mut flows = allow.flows.iter();
        flows.any(|flow| flow.from == Endpoint::Zone(index) && is_out(flow.to))
            && allow.services.iter().any(is_dns)
            && allow.destinations != Addresses::Only(Vec::new())
            && !allow.by_forward
            && !is_bounded
    }
}

/// Whether all sources of the second line are those of the first.
fn holds(outside: &Allow, line: &Allow) -> bool {
    match &outside.camera {
        Some(_) => outside.camera == line.camera,
        None => outside.sources.contains(&line.sources),
    }
}
