//! Resolves zones, each with a network and an interface of its own.

use std::ops::Range;

use ipnet::IpNet;

use super::address;
use super::bound;
use super::interface::interface;
use super::named;
use super::own_address::{Own, gateways, own_addresses};
use crate::config::{self, Config, Spanned};
use crate::name::{InterfaceName, ZoneName};
use crate::net::{AddressSource, Device, MOST_METRIC};
use crate::netfilter::SegmentSize;
use crate::policy::{Gateway, Ipv6Mode, OnDeny, Origin, Role, Zone};
use crate::source::{FilePosition, Refusal, Refused, Source};

pub(super) fn zones(
    config: &Config,
    ipv6: Ipv6Mode,
    source: &Source,
) -> Result<Vec<Zone>, Refusal> {
    // TOML sorts tables by name; people read them in the order of the file.
    let mut written: Vec<_> = config.zones.iter().collect();
    written.sort_by_key(|(name, _)| name.span().start);

    let mut zones: Vec<Zone> = Vec::new();
    let mut refused = Refused::default();
    for (name, as_written) in written {
        if let Some(zone) = refused.note(zone(name, as_written, ipv6, source)) {
            refused.note(beside_others(&zone, as_written, &zones, source));
            zones.push(zone);
        }
    }
    if config.zones.is_empty() {
        return Err(Refusal::new(
            source.name(),
            FilePosition::START,
            "there is no zone, so nothing could be allowed; describe each network in a [zones.NAME] table",
        ));
    }
    refused.or(zones)
}

/// Refuses a zone that takes what another one has.
fn beside_others(
    zone: &Zone,
    as_written: &config::ZoneTable,
    zones: &[Zone],
    source: &Source,
) -> Result<(), Refusal> {
    for other in zones {
        if let Some(shared) = shared_link(zone, other) {
            return Err(source.refuse(
                as_written.interface.span(),
                format_args!(
                    "interface {shared} is already zone {}'s ({}); give each zone its own",
                    other.name, other.origin
                ),
            ));
        }
        for (network, theirs) in pairs(zone, other) {
            if overlap(network, theirs) {
                return Err(source.refuse(
                    as_written.address.span(),
                    format_args!(
                        "network {network} overlaps {theirs} of zone {} ({}); give each zone a network of its own",
                        other.name, other.origin
                    ),
                ));
            }
        }
        ways_out(zone, other, as_written, source)?;
    }
    Ok(())
}

/// Refuses a second default route that would take the place of the first one.
fn ways_out(
    zone: &Zone,
    other: &Zone,
    as_written: &config::ZoneTable,
    source: &Source,
) -> Result<(), Refusal> {
    let gateway = as_written.gateway.as_ref().map(Spanned::span);
    let refuse = |span: Option<Range<usize>>, what: &str| {
        let span = span.unwrap_or_else(|| as_written.address.span());
        let (name, origin) = (&other.name, &other.origin);
        Err(source.refuse(span, format_args!("zone {name} ({origin}) has {what}")))
    };
    let both = zone.gateway.is_some() && other.gateway.is_some();
    let by_program = |zone: &Zone| zone.gateway == Some(Gateway::Given) && !zone.by_dhcp();
    if both && (by_program(zone) || by_program(other)) {
        return refuse(
            gateway,
            "a default route already, and of two, one of them by another program, each would take the other's place; keep one, or write gateway = \"device\" and a metric in place of \"given\"",
        );
    }
    if both && zone.metric == other.metric {
        let metric = as_written.metric.as_ref().map(Spanned::span);
        return refuse(
            metric.or(gateway),
            "a default route of the same metric already; keep one, or give the one that stands by a higher metric",
        );
    }
    if zone.has_gateway6() && other.has_gateway6() {
        return refuse(gateway, "the default IPv6 gateway already; keep one");
    }
    Ok(())
}

fn pairs(a: &Zone, b: &Zone) -> impl Iterator<Item = (IpNet, IpNet)> {
    let with = |a: IpNet| b.own().map(move |b| (a.trunc(), b.trunc()));
    a.own().flat_map(with)
}

/// An interface that both zones would use. Several VLANs may share a link, which may be a
/// zone itself; a bridge's ports belong to it alone.
fn shared_link<'a>(zone: &'a Zone, other: &Zone) -> Option<&'a InterfaceName> {
    let ports = |zone: &Zone| match &zone.device {
        Device::Bridge { ports, .. } => ports.clone(),
        _ => Vec::new(),
    };
    if zone.interface == other.interface || ports(other).contains(&zone.interface) {
        return Some(&zone.interface);
    }
    match &zone.device {
        Device::Bridge { ports: own, .. } => own
            .iter()
            .find(|port| **port == other.interface || ports(other).contains(port)),
        Device::Vlan { parent, .. } if ports(other).contains(parent) => Some(parent),
        _ => None,
    }
}

fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

fn zone(
    name: &Spanned<String>,
    written: &config::ZoneTable,
    ipv6: Ipv6Mode,
    source: &Source,
) -> Result<Zone, Refusal> {
    let mut refused = Refused::default();
    let as_named = refused.note(named::<ZoneName>(name.get_ref(), name.span(), source));
    let interface = refused.note(interface(&written.interface, source));
    let own = refused.note(own_addresses(&written.address, written.role, ipv6, source));
    let gateways = match (&written.gateway, &own) {
        (Some(gateway), Some(own)) => {
            refused.note(gateways(gateway, own, written.role, ipv6, source))
        }
        (Some(_), None) => None,
        (None, _) => Some((None, None)),
    };
    let is_gateway_known = own.is_some() && gateways.is_some();
    // RFC 8200, 5; the kernel disables IPv6 on a link with a smaller MTU.
    let (gateway, gateway6) = gateways.unwrap_or_default();
    let set_by = own.as_ref().map(|own| own.set_by).unwrap_or_default();
    let leased = (set_by == AddressSource::Dhcp).then_some(Gateway::Given);
    let has_own = |own: &Own| own.slaac || !own.ipv6.is_empty();
    let has_ipv6 = gateway6.is_some() || own.as_ref().is_some_and(has_own);
    let least = if has_ipv6 { 1280 } else { 68 };
    let mtu = written.mtu.as_ref();
    let mtu = mtu.map(|mtu| checked_mtu(mtu, least, source)).transpose();
    let mtu = refused.note(mtu);
    let segments = refused.note(segments(written, mtu.flatten(), set_by, source));
    let known_only = refused.note(known_only(written, source));
    let bound = refused.note(bound::bound(written, source));
    let on_deny = refused.note(on_deny(written, source));
    let accept_bogons = refused.note(accept_bogons(written, ipv6, source));
    let gateway = gateway.or(leased);
    let metric = match is_gateway_known {
        true => refused.note(metric(written, gateway, set_by, source)),
        false => None,
    };
    refused.or(())?;
    let (Some(as_named), Some((interface, device)), Some(own)) = (as_named, interface, own) else {
        return Err(Refusal::consequence());
    };
    let (Some(known_only), Some(bound), Some(on_deny)) = (known_only, bound, on_deny) else {
        return Err(Refusal::consequence());
    };
    Ok(Zone {
        name: as_named,
        interface,
        device,
        addresses: own.ipv4,
        addresses6: own.ipv6,
        slaac: own.slaac,
        address_source: set_by,
        mtu: mtu.flatten(),
        segments: segments.flatten(),
        gateway,
        metric: metric.unwrap_or_default(),
        gateway6,
        role: written.role,
        known_only,
        record: written.record.unwrap_or(written.role == Role::Camera),
        // Another program makes the interface, or takes it away, whenever it likes.
        optional: written.optional || set_by == AddressSource::Given,
        bound,
        on_deny,
        accept_bogons: accept_bogons.unwrap_or_default(),
        origin: Origin::new(source, name.span().start),
    })
}

/// Another program sets the metric along with its route.
fn metric(
    written: &config::ZoneTable,
    gateway: Option<Gateway>,
    set_by: AddressSource,
    source: &Source,
) -> Result<u32, Refusal> {
    let Some(metric) = &written.metric else {
        return Ok(0);
    };
    let is_set = match gateway {
        Some(Gateway::Given) => set_by == AddressSource::Dhcp,
        Some(_) => true,
        None => false,
    };
    if !is_set {
        let why = match written.role {
            Role::External if gateway == Some(Gateway::Given) => {
                "\"given\" leaves the default route, and its metric, to another program; write gateway = \"device\", or remove the metric"
            }
            Role::External => {
                "the zone has no IPv4 default route that camfw sets; give it a gateway, or remove the metric"
            }
            Role::Camera | Role::Private => {
                "a metric is of external zones, whose default routes it orders; remove it"
            }
        };
        return Err(source.refuse(metric.span(), why));
    }
    let number = u32::try_from(*metric.get_ref()).ok();
    number
        .filter(|metric| *metric <= MOST_METRIC)
        .ok_or_else(|| {
            source.refuse(
                metric.span(),
                format_args!(
                    "{} is not a metric of a way out; use 0 to {MOST_METRIC}, the lowest for the one that is preferred",
                    metric.get_ref()
                ),
            )
        })
}

fn known_only(written: &config::ZoneTable, source: &Source) -> Result<bool, Refusal> {
    match &written.known_only {
        Some(known_only) if *known_only.get_ref() && written.role == Role::External => {
            Err(source.refuse(
                known_only.span(),
                "who is on an external network cannot be listed; remove it, or give the zone another role",
            ))
        }
        Some(known_only) => Ok(*known_only.get_ref()),
        None => Ok(false),
    }
}

/// By default a zone whose packets are smaller than those of the networks around it, or may
/// be: another program sets the MTU along with the address.
fn segments(
    written: &config::ZoneTable,
    mtu: Option<u32>,
    set_by: AddressSource,
    source: &Source,
) -> Result<Option<SegmentSize>, Refusal> {
    let Some(written) = &written.mss else {
        let small = match mtu {
            Some(mtu) => mtu < ETHERNET_MTU,
            None => set_by == AddressSource::Given,
        };
        return Ok(small.then_some(SegmentSize::PathMtu));
    };
    let text = written.get_ref().0.as_str();
    let bytes = text.parse().ok().filter(|bytes| MSS.contains(bytes));
    match (text, bytes) {
        ("clamp", _) => Ok(Some(SegmentSize::PathMtu)),
        ("off", _) => Ok(None),
        (_, Some(bytes)) => Ok(Some(SegmentSize::Bytes(bytes))),
        _ => Err(source.refuse(
            written.span(),
            format_args!(
                "{text} is not a size of TCP segments; use \"clamp\", \"off\", or {} to {} bytes, 1360 for an MTU of 1400",
                MSS.start(),
                MSS.end()
            ),
        )),
    }
}

const ETHERNET_MTU: u32 = 1500;

/// Each host takes segments of 536 bytes (RFC 9293, 3.7.1), and the largest packet has 65535.
const MSS: std::ops::RangeInclusive<u16> = 536..=65495;

fn on_deny(written: &config::ZoneTable, source: &Source) -> Result<OnDeny, Refusal> {
    match (&written.on_deny, written.role) {
        (Some(on_deny), Role::External) if *on_deny.get_ref() == OnDeny::Reject => {
            Err(source.refuse(
                on_deny.span(),
                "whoever forges a source would have the router answer somebody else on the internet; remove it, or give the zone another role",
            ))
        }
        (Some(on_deny), _) => Ok(*on_deny.get_ref()),
        (None, Role::Private) => Ok(OnDeny::Reject),
        (None, Role::External | Role::Camera) => Ok(OnDeny::Drop),
    }
}

fn accept_bogons(
    written: &config::ZoneTable,
    ipv6: Ipv6Mode,
    source: &Source,
) -> Result<Vec<IpNet>, Refusal> {
    let list = &written.accept_bogons;
    if let (Some(list), true) = (list, written.role != Role::External) {
        return Err(source.refuse(
            list.span(),
            "bogons are looked for on external zones alone, elsewhere only the zone's own network is let in; remove it",
        ));
    }
    Ok(address::networks(list.as_ref(), None, ipv6, source)?.unwrap_or_default())
}

/// RFC 791: every link carries 68 bytes; 65535 is the largest packet.
fn checked_mtu(written: &Spanned<i64>, least: u32, source: &Source) -> Result<u32, Refusal> {
    u32::try_from(*written.get_ref())
        .ok()
        .filter(|mtu| (least..=65535).contains(mtu))
        .ok_or_else(|| {
            let mtu = written.get_ref();
            let with = if least > 68 {
                " of a link with IPv6"
            } else {
                ""
            };
            source.refuse(
                written.span(),
                format_args!("{mtu} is not an MTU{with}; use {least} to 65535, 1500 on Ethernet"),
            )
        })
}
