//! Resolves the addresses that an allow line is from and to, and holds them against the
//! zones at its ends.

use std::fmt;

use ipnet::IpNet;

use super::allow::{AllowEnd, WrittenAllow};
use super::instead_of_name::NameKeys;
use super::{Resolver, address, list, span_in};
use crate::config::{Spanned, Strings, list_path};
use crate::name::HostName;
use crate::policy::{Addresses, Camera, Endpoint, Flow, Role, ZoneIndex};
use crate::source::Refusal;

impl Resolver<'_> {
    pub(super) fn sources(
        &self,
        line: &WrittenAllow<'_>,
        flows: &[Flow],
        camera: Option<&Camera>,
    ) -> Result<Addresses, Refusal> {
        let keys = NameKeys {
            zone: Some("from"),
            camera: Some("from"),
            host: false,
        };
        let networks = self.networks(line.source, keys)?;
        let (Some(written), Some(networks)) = (line.source, networks) else {
            return Ok(camera.map_or(Addresses::Any, Camera::as_end));
        };
        if let Some(camera) = camera {
            return Err(self.source.refuse(
                written.span(),
                format_args!("camera {} has {}; remove source", camera.name, of(camera)),
            ));
        }
        if let [Flow { from, .. }] = flows {
            self.in_zone(*from, &networks, written)?;
        }
        Ok(Addresses::Only(networks))
    }

    pub(super) fn destinations(
        &self,
        line: &WrittenAllow<'_>,
        to: &AllowEnd<'_>,
        hosts: &[HostName],
    ) -> Result<Addresses, Refusal> {
        let outside = matches!(to.endpoint, Endpoint::Zone(zone) if self.zones[zone.0].role == Role::External);
        let keys = NameKeys {
            zone: Some("to"),
            camera: Some("to"),
            host: outside && line.host.is_none(),
        };
        let written = self.networks(line.address, keys)?;
        let spans = [line.address, line.host].into_iter().flatten();
        let span = spans.map(Spanned::span).next().unwrap_or(0..0);
        if let Some(camera) = to.camera {
            return match written.is_none() && hosts.is_empty() {
                true => Ok(camera.as_end()),
                false => Err(self.source.refuse(
                    span,
                    format_args!(
                        "camera {} has {}; remove address and host",
                        camera.name,
                        of(camera)
                    ),
                )),
            };
        }
        if let (false, Some(host)) = (outside, line.host) {
            return Err(self.source.refuse(
                host.span(),
                "a name may resolve to anything, so it goes with an external zone alone; give the address here",
            ));
        }
        if let (Some(address), Some(networks)) = (line.address, &written) {
            self.in_zone(to.endpoint, networks, address)?;
        }
        Ok(address::destinations(
            written,
            hosts,
            self.answers,
            self.ipv6,
        ))
    }

    /// The addresses of a key that may name lists; None if it is not written. `keys` are those
    /// that take names beside it.
    pub(super) fn networks(
        &self,
        written: Option<&Spanned<Strings>>,
        keys: NameKeys,
    ) -> Result<Option<Vec<IpNet>>, Refusal> {
        if let Some(written) = written {
            self.are_no_names(written, keys)?;
        }
        address::networks(written, Some(&self.lists), self.ipv6, self.source)
    }

    /// Refuses addresses that cannot be at this end because they are in another zone's
    /// network.
    pub(super) fn in_zone(
        &self,
        end: Endpoint,
        networks: &[IpNet],
        written: &Spanned<Strings>,
    ) -> Result<(), Refusal> {
        let Endpoint::Zone(index) = end else {
            return Ok(());
        };
        let zone = &self.zones[index.0];
        let others = self.zones.iter().enumerate();
        let others = others.filter(|(other, _)| ZoneIndex(*other) != index);
        let others = others.flat_map(|(_, other)| other.own());
        let others: Vec<IpNet> = others.map(|own| own.trunc()).collect();
        let elsewhere = networks
            .iter()
            .find(|network| others.iter().any(|other| other.contains(*network)));
        match elsewhere {
            Some(network) => Err(self.refuse_network(
                written,
                network,
                format_args!(
                    "{} is in another zone than {}; name that zone, or give an address in this one",
                    match network.prefix_len() == network.max_prefix_len() {
                        true => network.addr().to_string(),
                        false => network.to_string(),
                    },
                    zone.name
                ),
            )),
            None => Ok(()),
        }
    }
}

impl Resolver<'_> {
    /// Refuses one of the networks of a key at its own place: in a list, at the list's line.
    pub(super) fn refuse_network(
        &self,
        written: &Spanned<Strings>,
        network: &IpNet,
        what: impl fmt::Display,
    ) -> Refusal {
        for text in &written.get_ref().0 {
            let span = span_in(text, written.span());
            let Some(path) = list_path(text.get_ref()) else {
                let is_it = |own: Vec<IpNet>| own.contains(network);
                if address::one(text.get_ref()).is_ok_and(is_it) {
                    return self.source.refuse(span, what);
                }
                continue;
            };
            let mut lists = self.source.lists().iter();
            let list = lists.find(|list| list.name == path);
            if let Some(at) = list.and_then(|list| list::place_of(list, network)) {
                let named = self.source.pointer(span.start);
                let what = format_args!("{what} (the list is named at {named})");
                return self.source.refuse(at..at, what);
            }
        }
        self.source.refuse(written.span(), what)
    }
}

/// How many addresses a camera has, in words.
fn of(camera: &Camera) -> &'static str {
    match camera.addresses6.is_empty() {
        true => "one address",
        false => "addresses of its own",
    }
}
