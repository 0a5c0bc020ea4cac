//! Resolves whom the router's server asks for names, and refuses whom it may not ask.

use std::net::IpAddr;

use super::address::zone_of;
use super::mistyped_address::{AddressForm, instead_of_address};
use super::own_address::require_ipv6_enabled;
use super::{Resolver, span_in};
use crate::config::{Egress, Spanned, Strings};
use crate::policy::{Allow, Endpoint, Role, has_dns};
use crate::source::{Refusal, Refused};

impl Resolver<'_> {
    /// The servers, each once; none if the file does not say.
    pub(super) fn name_servers(
        &self,
        written: Option<&Spanned<Strings>>,
        allows: &[Allow],
    ) -> Result<Vec<IpAddr>, Refusal> {
        let Some(written) = written else {
            return Ok(Vec::new());
        };
        let texts = &written.get_ref().0;
        if texts.is_empty() {
            return Err(self.source.refuse(
                written.span(),
                "the list names no server; name one, or remove the key",
            ));
        }
        let mut servers: Vec<IpAddr> = Vec::new();
        Refused::each(texts, |text| {
            let span = span_in(text, written.span());
            let refuse = |what: String| Err(self.source.refuse(span.clone(), what));
            let Ok(server) = text.get_ref().parse::<IpAddr>() else {
                let form = AddressForm::Address("9.9.9.9");
                let instead = instead_of_address(text.get_ref(), form);
                return refuse(format!("{:?} is not an address; {instead}", text.get_ref()));
            };
            if server.is_ipv6() {
                require_ipv6_enabled(text.get_ref(), self.ipv6, span.clone(), self.source)?;
            }
            if servers.contains(&server) {
                return refuse(format!("{server} is listed twice; keep one"));
            }
            if let Some(why_not) = self.no_server(server, allows) {
                return refuse(why_not);
            }
            servers.push(server);
            Ok(())
        })?;
        Ok(servers)
    }

    /// Why an address is nobody's whom the router can ask.
    fn no_server(&self, server: IpAddr, allows: &[Allow]) -> Option<String> {
        let link_local = match server {
            IpAddr::V4(server) => server.is_link_local() || server.is_broadcast(),
            IpAddr::V6(server) => server.is_unicast_link_local(),
        };
        let own = self.zones.iter().flat_map(|zone| zone.own());
        let mut own = own.map(|own| own.addr());
        if server.is_loopback() || own.any(|own| own == server) {
            return Some(format!(
                "{server} is the router itself, which would ask itself; give another server's address"
            ));
        }
        if server.is_unspecified() || server.is_multicast() || link_local {
            return Some(format!(
                "{server} is no one server's address; give one, such as 9.9.9.9"
            ));
        }
        let zone = zone_of(server, &self.zones);
        let zone = zone.map(|(zone, _)| (zone, &self.zones[zone.0]));
        if let Some((_, zone)) = zone.filter(|(_, zone)| zone.role == Role::Camera) {
            return Some(format!(
                "{server} is in zone {}, where a camera could answer for it; give a server that is in no zone of cameras",
                zone.name
            ));
        }
        let is_there = |to: Endpoint| match (to, zone) {
            (Endpoint::Zone(to), Some((known, _))) => to == known,
            (Endpoint::Zone(to), None) => self.zones[to.0].role != Role::Camera,
            (Endpoint::Router, _) => false,
        };
        let may_ask = |allow: &Allow| {
            let mut flows = allow.flows.iter();
            flows.any(|flow| flow.from == Endpoint::Router && is_there(flow.to))
                && allow.destinations.holds(server)
                && allow.services.iter().any(|it| has_dns(&it.udp))
        };
        if self.egress == Egress::Open || allows.iter().any(may_ask) {
            return None;
        }
        let outside = self.zones.iter().find(|zone| zone.role == Role::External);
        let to = zone.map(|(_, zone)| zone).or(outside);
        let to = to.map_or("the zone of that server".into(), |zone| {
            format!("\"{}\"", zone.name)
        });
        Some(format!(
            "no allow line lets the router ask {server} for names; add [[allow]] from = \"router\", to = {to}, service = \"dns\""
        ))
    }
}
