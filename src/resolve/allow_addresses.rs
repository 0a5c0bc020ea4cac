//! Resolves the addresses that an allow line is from and to, and holds them against the
//! zones at its ends.

use std::ops::Range;

use ipnet::IpNet;

use super::allow::{AllowEnd, WrittenAllow};
use super::{Resolver, address};
use crate::config::{Spanned, Strings};
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
        let written = self.networks(line.source)?;
        let span = line.source.map_or(0..0, Spanned::span);
        match (written, camera) {
            (None, None) => Ok(Addresses::Any),
            (None, Some(camera)) => Ok(camera.as_end()),
            (Some(_), Some(camera)) => Err(self.source.refuse(
                span,
                format_args!("camera {} has {}; remove source", camera.name, of(camera)),
            )),
            (Some(networks), None) => {
                if let [Flow { from, .. }] = flows {
                    self.in_zone(*from, &networks, span)?;
                }
                Ok(Addresses::Only(networks))
            }
        }
    }

    pub(super) fn destinations(
        &self,
        line: &WrittenAllow<'_>,
        to: &AllowEnd<'_>,
        hosts: &[HostName],
    ) -> Result<Addresses, Refusal> {
        let written = self.networks(line.address)?;
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
        let outside = matches!(to.endpoint, Endpoint::Zone(zone) if self.zones[zone.0].role == Role::External);
        if let (false, Some(host)) = (outside, line.host) {
            return Err(self.source.refuse(
                host.span(),
                "a name may resolve to anything, so it goes with an external zone alone; give the address here",
            ));
        }
        if let Some(networks) = &written {
            self.in_zone(to.endpoint, networks, span)?;
        }
        Ok(address::destinations(
            written,
            hosts,
            self.answers,
            self.ipv6,
        ))
    }

    /// The addresses of a key that may name lists; None if it is not written.
    pub(super) fn networks(
        &self,
        written: Option<&Spanned<Strings>>,
    ) -> Result<Option<Vec<IpNet>>, Refusal> {
        address::networks(written, Some(&self.lists), self.ipv6, self.source)
    }

    /// Refuses addresses that cannot be at this end because they are in another zone's
    /// network.
    pub(super) fn in_zone(
        &self,
        end: Endpoint,
        networks: &[IpNet],
        span: Range<usize>,
    ) -> Result<(), Refusal> {
        let Endpoint::Zone(index) = end else {
            return Ok(());
        };
        let zone = &self.zones[index.0];
        let others = self.zones.iter().enumerate();
        let others = others.filter(|(other, _)| ZoneIndex(*other) != index);
        let others = others.flat_map(|(_, other)| other.networks());
        let others: Vec<IpNet> = others.map(IpNet::V4).collect();
        let elsewhere = networks
            .iter()
            .find(|network| others.iter().any(|other| other.contains(*network)));
        match elsewhere {
            Some(network) => Err(self.source.refuse(
                span,
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

/// How many addresses a camera has, in words.
fn of(camera: &Camera) -> &'static str {
    match camera.addresses6.is_empty() {
        true => "one address",
        false => "addresses of its own",
    }
}
