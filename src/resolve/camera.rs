//! Resolves cameras, and checks them against the zones.

use std::collections::BTreeMap;

use super::address::{ipv4, zone_of};
use super::named;
use crate::config::{self, Config};
use crate::name::{CameraName, MacAddress};
use crate::policy::{Camera, Origin, Zone};
use crate::source::{Refusal, Source};

/// The cameras that the file names.
pub fn cameras(config: &Config, zones: &[Zone], source: &Source) -> Result<Vec<Camera>, Refusal> {
    let mut cameras: Vec<Camera> = Vec::new();
    // Indexed by name, address and hardware address, since there may be thousands.
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for written in &config.cameras {
        let camera = camera(written, zones, source)?;
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
                return Err(source.refuse(
                    span,
                    format_args!(
                        "camera {} ({}) has this {what} already; give each its own",
                        other.name, other.origin
                    ),
                ));
            }
        }
        if let Some(zone) = zones
            .iter()
            .find(|zone| zone.name.as_str() == camera.name.as_str())
        {
            return Err(source.refuse(
                written.name.span(),
                format_args!(
                    "a zone is called {} ({}); give the camera another name",
                    zone.name, zone.origin
                ),
            ));
        }
        cameras.push(camera);
    }
    Ok(cameras)
}

fn camera(
    written: &config::CameraEntry,
    zones: &[Zone],
    source: &Source,
) -> Result<Camera, Refusal> {
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
            "{address} is no host's address in {network}; give the camera's"
        ));
    }
    let mac = written.mac.as_ref();
    Ok(Camera {
        name: named::<CameraName>(written.name.get_ref(), written.name.span(), source)?,
        address,
        mac: mac
            .map(|mac| named::<MacAddress>(mac.get_ref(), mac.span(), source))
            .transpose()?,
        zone,
        origin: Origin::new(source, written.name.span().start),
    })
}
