//! Resolves cameras, and checks them against the zones.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::address::{ipv4, zone_of};
use super::named;
use crate::config::{self, Config};
use crate::name::{CameraName, MacAddress};
use crate::policy::{Camera, Origin, Zone, ZoneIndex};
use crate::source::{Refusal, Refused, Source};

/// The cameras that the file names.
pub fn cameras(config: &Config, zones: &[Zone], source: &Source) -> Result<Vec<Camera>, Refusal> {
    let mut cameras: Vec<Camera> = Vec::new();
    // Indexed by name, address and hardware address, since there may be thousands.
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let mut refused = Refused::default();
    for written in &config.cameras {
        let Some(camera) = refused.note(camera(written, zones, source)) else {
            continue;
        };
        let mac = written.mac.as_ref().zip(camera.mac);
        let own = [
            ("name", camera.name.to_string(), written.name.span()),
            (
                "address",
                camera.address.to_string(),
                written.address.span(),
            ),
        ];
        let mac = mac.map(|(written, mac)| ("hardware address", mac.to_string(), written.span()));
        for (what, value, span) in own.into_iter().chain(mac) {
            if let Some(other) = taken.insert(value, cameras.len()) {
                let other: &Camera = &cameras[other];
                let twice = source.refuse(
                    span,
                    format_args!(
                        "camera {} ({}) has this {what} already; give each its own",
                        other.name, other.origin
                    ),
                );
                refused.note::<()>(Err(twice));
            }
        }
        if let Some(zone) = zones
            .iter()
            .find(|zone| zone.name.as_str() == camera.name.as_str())
        {
            let taken = source.refuse(
                written.name.span(),
                format_args!(
                    "a zone is called {} ({}); give the camera another name",
                    zone.name, zone.origin
                ),
            );
            refused.note::<()>(Err(taken));
        }
        cameras.push(camera);
    }
    refused.or(cameras)
}

fn camera(
    written: &config::CameraEntry,
    zones: &[Zone],
    source: &Source,
) -> Result<Camera, Refusal> {
    let mut refused = Refused::default();
    let name = named::<CameraName>(written.name.get_ref(), written.name.span(), source);
    let name = refused.note(name);
    let mac = written.mac.as_ref();
    let mac = mac.map(|mac| named::<MacAddress>(mac.get_ref(), mac.span(), source));
    let mac = refused.note(mac.transpose());
    let place = refused.note(place(written, zones, source));
    let (Some(name), Some(mac), Some((address, zone))) = (name, mac, place) else {
        return refused.or(()).and(Err(Refusal::consequence()));
    };
    Ok(Camera {
        name,
        address,
        mac,
        zone,
        origin: Origin::new(source, written.name.span().start),
    })
}

/// A camera's address, and the zone that it is in.
fn place(
    written: &config::CameraEntry,
    zones: &[Zone],
    source: &Source,
) -> Result<(Ipv4Addr, ZoneIndex), Refusal> {
    let address = ipv4(&written.address, source)?;
    let refuse = |what: String| Err(source.refuse(written.address.span(), what));
    if zones
        .iter()
        .any(|zone| zone.addresses.iter().any(|own| own.addr() == address))
    {
        return refuse(format!(
            "{address} is the router's own address; give the camera's"
        ));
    }
    let Some((zone, network)) = zone_of(address.into(), zones) else {
        return refuse(format!(
            "{address} is in no zone's network; give the camera's address in one"
        ));
    };
    if network.prefix_len() < 31 && (address == network.network() || address == network.broadcast())
    {
        return refuse(format!(
            "{address} is not a host's address in {network}; give the camera's"
        ));
    }
    Ok((address, zone))
}
