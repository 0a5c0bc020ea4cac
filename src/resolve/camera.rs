//! Resolves cameras, and checks them against the zones.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::Range;

use super::address::{ipv4, zone_of};
use super::interface::no_port_of;
use super::named;
use crate::config::{self, Config};
use crate::name::{CameraName, InterfaceName, MacAddress};
use crate::net::Device;
use crate::policy::{Camera, Origin, Zone, ZoneIndex};
use crate::source::{Refusal, Refused, Source};

/// The cameras that the file names.
pub fn cameras(config: &Config, zones: &[Zone], source: &Source) -> Result<Vec<Camera>, Refusal> {
    let mut cameras: Vec<Camera> = Vec::new();
    let mut names: Vec<Range<usize>> = Vec::new();
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
        names.push(written.name.span());
        cameras.push(camera);
    }
    refused.note(all_have_ports(&cameras, &names, zones, source));
    refused.or(cameras)
}

/// Refuses cameras without a port beside ones that have it: the kernel would let nothing of
/// them in. A port that lets in whatever comes would let in what has another's hardware address, too.
fn all_have_ports(
    cameras: &[Camera],
    names: &[Range<usize>],
    zones: &[Zone],
    source: &Source,
) -> Result<(), Refusal> {
    let mut refused = Refused::default();
    let mut first: BTreeMap<usize, &Camera> = BTreeMap::new();
    for camera in cameras.iter().filter(|camera| camera.port.is_some()) {
        first.entry(camera.zone.0).or_insert(camera);
    }
    for (camera, span) in cameras.iter().zip(names) {
        let Some(other) = first.get(&camera.zone.0).filter(|_| camera.port.is_none()) else {
            continue;
        };
        let without = source.refuse(
            span.clone(),
            format_args!(
                "nothing of camera {} would come in: since {} ({}) has a port, the ports of {} take listed hardware addresses alone; give it mac and port, too",
                camera.name, other.name, other.origin, zones[camera.zone.0].interface
            ),
        );
        refused.note::<()>(Err(without));
    }
    refused.or(())
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
    let port = place.map(|(_, zone)| port(written, &zones[zone.0], source));
    let port = port.and_then(|port| refused.note(port));
    let (Some(name), Some(mac), Some((address, zone)), Some(port)) = (name, mac, place, port)
    else {
        return refused.or(()).and(Err(Refusal::consequence()));
    };
    Ok(Camera {
        name,
        address,
        mac,
        port,
        zone,
        origin: Origin::new(source, written.name.span().start),
    })
}

/// The port of its zone's bridge that a camera is on.
fn port(
    written: &config::CameraEntry,
    zone: &Zone,
    source: &Source,
) -> Result<Option<InterfaceName>, Refusal> {
    let Some(port) = &written.port else {
        return Ok(None);
    };
    let name = named::<InterfaceName>(port.get_ref(), port.span(), source)?;
    if written.mac.is_none() {
        return Err(source.refuse(
            port.span(),
            "a port takes hardware addresses, and the camera has none here; add mac, which camfw hosts --toml prints",
        ));
    }
    match &zone.device {
        Device::Bridge { ports, .. } if ports.contains(&name) => Ok(Some(name)),
        Device::Bridge { ports, .. } => Err(no_port_of(port, ports, source)),
        _ => Err(source.refuse(
            port.span(),
            format_args!(
                "interface {} of zone {} is no bridge of camfw's, and has no ports; remove port, or make it one: interface = {{ bridge = [\"{0}\"], name = \"br-cam\" }}",
                zone.interface, zone.name
            ),
        )),
    }
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
