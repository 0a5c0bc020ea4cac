//! Resolves cameras, and checks them against the zones.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use ipnet::IpNet;

use super::address::{ipv4, zone_of};
use super::interface::no_port_of;
use super::own_address::require_ipv6_enabled;
use super::{as_list, named, span_in};
use crate::config::{self, Config, Ipv6Mode, Spanned};
use crate::name::{CameraName, InterfaceName, MacAddress};
use crate::net::Device;
use crate::policy::{Camera, Origin, Zone, ZoneIndex};
use crate::source::{Refusal, Refused, Source};

/// The cameras that the file names.
pub fn cameras(
    config: &Config,
    zones: &[Zone],
    ipv6: Ipv6Mode,
    source: &Source,
) -> Result<Vec<Camera>, Refusal> {
    let mut cameras: Vec<Camera> = Vec::new();
    let mut names: Vec<Range<usize>> = Vec::new();
    // Indexed by name, address and hardware address, since there may be thousands.
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let mut refused = Refused::default();
    for written in &config.cameras {
        let Some(camera) = refused.note(camera(written, config, zones, ipv6, source)) else {
            continue;
        };
        let mac = written.mac.as_ref().zip(camera.mac);
        let name = ("name", camera.name.to_string(), written.name.span());
        let addresses = written.address.get_ref().0.iter().filter_map(|text| {
            let address: IpAddr = text.get_ref().parse().ok()?;
            let span = span_in(text, written.address.span());
            Some(("address", address.to_string(), span))
        });
        let mac = mac.map(|(written, mac)| ("hardware address", mac.to_string(), written.span()));
        for (what, value, span) in std::iter::once(name).chain(addresses).chain(mac) {
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
    config: &Config,
    zones: &[Zone],
    ipv6: Ipv6Mode,
    source: &Source,
) -> Result<Camera, Refusal> {
    let mut refused = Refused::default();
    let name = named::<CameraName>(written.name.get_ref(), written.name.span(), source);
    let name = refused.note(name);
    let mac = written.mac.as_ref();
    let mac = mac.map(|mac| named::<MacAddress>(mac.get_ref(), mac.span(), source));
    let mac = refused.note(mac.transpose());
    let place = refused.note(place(written, config, zones, ipv6, source));
    let zone = place.as_ref().map(|place| &zones[place.zone.0]);
    let port = zone.map(|zone| port(written, zone, source));
    let port = port.and_then(|port| refused.note(port));
    let (Some(name), Some(mac), Some(place), Some(port)) = (name, mac, place, port) else {
        return refused.or(()).and(Err(Refusal::consequence()));
    };
    Ok(Camera {
        name,
        address: place.address,
        addresses6: place.addresses6,
        mac,
        port,
        zone: place.zone,
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

/// A camera's addresses, and the zone that they are in.
struct CameraPlace {
    address: Ipv4Addr,
    addresses6: Vec<Ipv6Addr>,
    zone: ZoneIndex,
}

fn place(
    written: &config::CameraEntry,
    config: &Config,
    zones: &[Zone],
    mode: Ipv6Mode,
    source: &Source,
) -> Result<CameraPlace, Refusal> {
    let texts = written.address.get_ref().0.as_slice();
    let refuse = |what: &str| Err(source.refuse(written.address.span(), what));
    let (mut ipv4, mut ipv6): (Option<(Ipv4Addr, ZoneIndex)>, Vec<&Spanned<String>>) =
        (None, Vec::new());
    for text in texts {
        if let Some(list) = as_list(text.get_ref()) {
            return Err(source.refuse(
                span_in(text, written.address.span()),
                format_args!("{:?} is more than one address; {list}", text.get_ref()),
            ));
        }
        // Alone it is one that is meant to be IPv4.
        if text.get_ref().contains(':') && (texts.len() > 1 || mode == Ipv6Mode::Same) {
            ipv6.push(text);
            continue;
        }
        let text = Spanned::new(
            span_in(text, written.address.span()),
            text.get_ref().clone(),
        );
        let address = self::ipv4(&text, source)?;
        if ipv4.is_some() {
            return Err(source.refuse(
                text.span(),
                format_args!("a camera has one IPv4 address, and IPv6 addresses beside it; remove {address} or the other"),
            ));
        }
        ipv4 = Some((
            address,
            zone_of_host(address.into(), config, zones, text.span(), source)?,
        ));
    }
    let Some((address, zone)) = ipv4 else {
        return refuse(match texts {
            [] => "the list has no address; give the camera's, such as 192.168.8.110",
            _ => {
                "the camera has no IPv4 address; give it too, as in [\"192.168.8.110\", \"fd00:8::110\"]"
            }
        });
    };
    let mut addresses6 = Vec::new();
    for text in ipv6 {
        let span = span_in(text, written.address.span());
        let address = address6(
            text.get_ref(),
            &zones[zone.0],
            config,
            zones,
            mode,
            span.clone(),
            source,
        )?;
        if addresses6.contains(&address) {
            return Err(source.refuse(span, format_args!("{address} is listed twice; keep one")));
        }
        addresses6.push(address);
    }
    if !addresses6.is_empty() && zones[zone.0].known_only && written.mac.is_none() {
        return refuse(
            "with known-only, who sends by IPv6 is told by hardware address, since neighbours find each other by addresses that any host can make; add mac, which camfw hosts --toml prints, or remove the IPv6 address",
        );
    }
    Ok(CameraPlace {
        address,
        addresses6,
        zone,
    })
}

/// A camera's IPv6 address, in the zone that its IPv4 address is in.
fn address6(
    text: &str,
    zone: &Zone,
    config: &Config,
    zones: &[Zone],
    mode: Ipv6Mode,
    span: Range<usize>,
    source: &Source,
) -> Result<Ipv6Addr, Refusal> {
    require_ipv6_enabled(text, mode, span.clone(), source)?;
    let refuse = |what: String| Err(source.refuse(span.clone(), what));
    let Ok(address) = text.parse::<Ipv6Addr>() else {
        return refuse(format!(
            "{text:?} is not an IPv6 address; write it alone, without a prefix or a range, as in fd00:8::110"
        ));
    };
    if address.is_unicast_link_local() {
        return refuse(format!(
            "{address} is link-local, which every host has, and is let in for neighbours without being listed; give the camera's address in a network of the zone"
        ));
    }
    if address.is_multicast() {
        return refuse(format!(
            "{address} is a group's, from which nothing comes; give the camera's own address"
        ));
    }
    if zone.addresses6.is_empty() {
        return refuse(format!(
            "zone {} has no IPv6 network; add the router's address there, such as fd00:8::1/64, to the zone's address, or remove {address}",
            zone.name
        ));
    }
    let home = zone_of_host(address.into(), config, zones, span.clone(), source)?;
    let other = &zones[home.0].name;
    if *other != zone.name {
        return refuse(format!(
            "{address} is in zone {other}, and the camera's IPv4 address in {}; give addresses in one zone",
            zone.name
        ));
    }
    Ok(address)
}

/// The zone with a network in which this may be a host's address.
fn zone_of_host(
    address: IpAddr,
    config: &Config,
    zones: &[Zone],
    span: Range<usize>,
    source: &Source,
) -> Result<ZoneIndex, Refusal> {
    let refuse = |what: String| Err(source.refuse(span, what));
    if zones
        .iter()
        .any(|zone| zone.own().any(|own| own.addr() == address))
    {
        return refuse(format!(
            "{address} is the router's own address; give the camera's"
        ));
    }
    let Some((zone, network)) = zone_of(address, zones) else {
        if let Some(too_narrow) = too_narrow(address, config, source) {
            return Err(too_narrow);
        }
        return refuse(format!(
            "{address} is in no zone's network; give the camera's address in one"
        ));
    };
    // Of both families a network of two addresses has hosts alone (RFC 3021, RFC 6164). The
    // first address of a larger one is its routers' (RFC 4291, 2.6.1) or its own.
    let is_none =
        address == network.network() || address.is_ipv4() && address == network.broadcast();
    if network.max_prefix_len() - network.prefix_len() > 1 && is_none {
        return refuse(format!(
            "{address} is not a host's address in {network}; give the camera's"
        ));
    }
    Ok(zone)
}

/// Refuses the zone's address beside which a camera's would be, were it not the only one of its
/// network. It is told once, however many cameras there are.
fn too_narrow(camera: IpAddr, config: &Config, source: &Source) -> Option<Refusal> {
    let usual = if camera.is_ipv4() { 24 } else { 64 };
    config.zones.values().find_map(|zone| {
        zone.address.get_ref().0.iter().find_map(|text| {
            let own = text.get_ref().parse::<IpNet>().ok()?;
            let wide = IpNet::new(own.addr(), usual).ok()?;
            let is_alone = own.prefix_len() == own.max_prefix_len();
            (is_alone && wide.contains(&camera)).then(|| {
                source.refuse(
                    span_in(text, zone.address.span()),
                    format_args!("{own} has room for the router alone, and there are cameras beside it; write {wide}"),
                )
            })
        })
    })
}
