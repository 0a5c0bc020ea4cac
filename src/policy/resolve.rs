//! Config -> Policy: every refusal of a file that is TOML is made here.
//!
//! Each refusal is one line with the place, what is wrong and what to do.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use toml::Spanned;

use super::interface::interface;
use super::own_address::{gateways, own_addresses};
use super::{
    Answers, Camera, Egress, Ipv6Mode, Log, LogPrefixes, Origin, Policy, ProxyWay, Role, Service,
    Zone, ZoneIndex, ZonePrefixes, address, topology,
};
use crate::config::{self, Config};
use crate::field::{Rate, Unit};
use crate::name::{HostName, InterfaceName, LogPrefix, NameError, ServiceName, ZoneName};
use crate::net::{Device, MarkRule, Route, Way};
use crate::plan::sysctl;
use crate::source::{Place, Refusal, Source};

/// LOG lines per rule where the file names no rate.
const DEFAULT_LOG_RATE: Option<Rate> = Rate::new(10, Unit::Minute);

/// Checks a configuration and makes it a policy. `answers` is what the names in
/// it resolved to.
///
/// # Errors
/// The first thing that is wrong, in the order zones, services, cameras, allow
/// lines, routes, NAT, log.
pub fn resolve(config: &Config, answers: &Answers, source: &Source) -> Result<Policy, Refusal> {
    let router = config.router.as_ref().map(Spanned::get_ref);
    let ipv6 = config.ipv6.as_ref().map(|ipv6| ipv6.get_ref().mode);
    let ipv6 = ipv6.unwrap_or_default();
    let zones = zones(config, ipv6, source)?;
    let mut resolver = Resolver {
        source,
        answers,
        ipv6,
        egress: router.map(|router| router.egress).unwrap_or_default(),
        cameras: topology::cameras(config, &zones, source)?,
        camera_places: BTreeMap::new(),
        zones,
        services: BTreeMap::new(),
    };
    let places = resolver.cameras.iter().enumerate();
    resolver.camera_places = places
        .map(|(place, camera)| (camera.name.to_string(), place))
        .collect();
    resolver.services = resolver.services(config)?;
    let allows = resolver.allows(config)?;
    let mut routes = topology::routes(config, &resolver.zones, ipv6, source)?;
    let mut mark_rules = topology::mark_rules(config, ipv6, source)?;
    let marked = mark_rules.iter().flat_map(|rule| [rule.mark, rule.table]);
    let taken: Vec<u32> = marked
        .chain(routes.iter().map(|route| route.table))
        .collect();
    let nat = resolver.nat(config, &allows, &taken)?;
    for proxy in &nat.proxies {
        if let ProxyWay::Host {
            address,
            zone,
            table,
        } = &proxy.way
        {
            routes.push(Route {
                destination: Ipv4Net::default().into(),
                way: Way::Gateway {
                    gateway: (*address).into(),
                    link: resolver.zones[zone.0].interface.to_string(),
                },
                metric: 0,
                table: *table,
            });
            mark_rules.push(MarkRule {
                mark: *table,
                table: *table,
                ipv6: false,
            });
        }
    }
    let known = sysctl::keys(resolver.zones.iter().map(|zone| &zone.interface), ipv6);
    let mut hosts: Vec<HostName> = Vec::new();
    for host in allows.iter().flat_map(|allow| &allow.hosts) {
        if !hosts.contains(host) {
            hosts.push(host.clone());
        }
    }
    let promises = resolver.promises(config)?;
    Ok(Policy {
        routes,
        mark_rules,
        sysctls: topology::sysctls(config, &known, source)?,
        watch: super::watch::watch(config.watch.as_ref().map(Spanned::get_ref), source)?,
        wait: wait(router.and_then(|router| router.wait.as_ref()), source)?,
        keep: router.and_then(|router| router.keep).unwrap_or(true),
        log: resolver.log(config.log.as_ref().map(Spanned::get_ref))?,
        cameras: resolver.cameras,
        promises,
        zones: resolver.zones,
        allows,
        masquerades: nat.masquerades,
        snats: nat.snats,
        forwards: nat.forwards,
        proxies: nat.proxies,
        egress: resolver.egress,
        ipv6,
        hosts,
        names_keep: super::names::keep(config.names.as_ref().map(Spanned::get_ref), source)?,
    })
}

/// How long `boot` waits for interfaces where the file does not say.
const DEFAULT_WAIT: Duration = Duration::from_secs(10);

fn wait(written: Option<&Spanned<i64>>, source: &Source) -> Result<Duration, Refusal> {
    let Some(written) = written else {
        return Ok(DEFAULT_WAIT);
    };
    match u64::try_from(*written.get_ref()) {
        Ok(seconds @ 0..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err(source.refuse(
            written.span(),
            format_args!(
                "{} is not a time to wait; use 0 to 3600 seconds",
                written.get_ref()
            ),
        )),
    }
}

/// What is resolved already while the rest is.
pub(super) struct Resolver<'a> {
    pub source: &'a Source,
    pub answers: &'a Answers,
    pub ipv6: Ipv6Mode,
    pub egress: Egress,
    pub zones: Vec<Zone>,
    pub cameras: Vec<Camera>,
    /// Where in `cameras` a name is; there may be thousands.
    pub camera_places: BTreeMap<String, usize>,
    pub services: BTreeMap<ServiceName, Service>,
}

fn zones(config: &Config, ipv6: Ipv6Mode, source: &Source) -> Result<Vec<Zone>, Refusal> {
    // TOML's tables come sorted by name; a person reads them by place.
    let mut written: Vec<_> = config.zones.iter().collect();
    written.sort_by_key(|(name, _)| name.span().start);

    let mut zones: Vec<Zone> = Vec::new();
    for (name, as_written) in written {
        let zone = zone(name, as_written, ipv6, source)?;
        for other in &zones {
            if let Some(shared) = shared_link(&zone, other) {
                return Err(source.refuse(
                    as_written.interface.span(),
                    format_args!(
                        "interface {shared} is already zone {}'s ({}); give each zone its own",
                        other.name, other.origin
                    ),
                ));
            }
            for (network, theirs) in pairs(&zone, other) {
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
            let has_default = |zone: &Zone| zone.dhcp || zone.gateway.is_some();
            if (zone.dhcp || other.dhcp) && has_default(&zone) && has_default(other) {
                return Err(source.refuse(
                    as_written.address.span(),
                    format_args!(
                        "zone {} ({}) has a default route already, and of two, one of them by DHCP, each would take the other's place; keep one, or give this zone a fixed address without gateway",
                        other.name, other.origin
                    ),
                ));
            }
            let both = zone.gateway.is_some() && other.gateway.is_some();
            if both || zone.gateway6.is_some() && other.gateway6.is_some() {
                let span = as_written.gateway.as_ref().map_or(0..0, Spanned::span);
                let family = if both { "" } else { "IPv6 " };
                return Err(source.refuse(
                    span,
                    format_args!(
                        "zone {} ({}) has the default {family}gateway already; keep one",
                        other.name, other.origin
                    ),
                ));
            }
        }
        zones.push(zone);
    }
    if zones.is_empty() {
        return Err(Refusal::new(
            source.name(),
            Place::START,
            "there is no zone, so nothing could be allowed; describe each network in a [zones.NAME] table",
        ));
    }
    Ok(zones)
}

fn pairs(a: &Zone, b: &Zone) -> Vec<(IpNet, IpNet)> {
    let with = |a: IpNet| b.own().map(move |b| (a.trunc(), b.trunc()));
    a.own().flat_map(with).collect()
}

/// An interface that both zones would use. Several VLANs may be on one link,
/// and the link itself be a zone too; a bridge has its ports to itself.
fn shared_link<'a>(zone: &'a Zone, other: &Zone) -> Option<&'a InterfaceName> {
    let ports = |zone: &Zone| match &zone.device {
        Device::Bridge { ports } => ports.clone(),
        _ => Vec::new(),
    };
    if zone.interface == other.interface || ports(other).contains(&zone.interface) {
        return Some(&zone.interface);
    }
    match &zone.device {
        Device::Bridge { ports: own } => own
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
    written: &config::Zone,
    ipv6: Ipv6Mode,
    source: &Source,
) -> Result<Zone, Refusal> {
    let (interface, device) = interface(&written.interface, source)?;
    let own = own_addresses(&written.address, written.role, ipv6, source)?;
    let (gateway, gateway6) = match &written.gateway {
        Some(gateway) => gateways(gateway, &own, written.role, ipv6, source)?,
        None => (None, None),
    };
    // RFC 8200, 5; the kernel takes IPv6 off a link that carries less.
    let has_ipv6 = !own.ipv6.is_empty() || gateway6.is_some();
    let least = if has_ipv6 { 1280 } else { 68 };
    Ok(Zone {
        name: named::<ZoneName>(name.get_ref(), name.span(), source)?,
        interface,
        device,
        addresses: own.ipv4,
        addresses6: own.ipv6,
        dhcp: own.dhcp,
        mtu: written
            .mtu
            .as_ref()
            .map(|mtu| checked_mtu(mtu, least, source))
            .transpose()?,
        gateway,
        gateway6,
        role: written.role,
        known_only: known_only(written, source)?,
        optional: written.optional,
        accept_bogons: accept_bogons(written, ipv6, source)?,
        origin: Origin::new(source, name.span().start),
    })
}

fn known_only(written: &config::Zone, source: &Source) -> Result<bool, Refusal> {
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

fn accept_bogons(
    written: &config::Zone,
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
    Ok(address::networks(list.as_ref(), ipv6, source)?.unwrap_or_default())
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

impl Resolver<'_> {
    pub(super) fn find_zone(
        &self,
        written: &Spanned<String>,
        also: &str,
    ) -> Result<ZoneIndex, Refusal> {
        self.zones
            .iter()
            .position(|zone| zone.name.as_str() == written.get_ref())
            .map(ZoneIndex)
            .ok_or_else(|| {
                let known: Vec<&str> = self.zones.iter().map(|zone| zone.name.as_str()).collect();
                self.source.refuse(
                    written.span(),
                    format_args!(
                        "no zone is called {:?}; use one of {}{also}",
                        written.get_ref(),
                        known.join(", ")
                    ),
                )
            })
    }

    fn log(&self, written: Option<&config::Log>) -> Result<Log, Refusal> {
        let default = config::Log::default();
        let written = written.unwrap_or(&default);
        let rate = match (&written.rate, DEFAULT_LOG_RATE) {
            (Some(rate), _) => self.rate(rate)?,
            (None, Some(rate)) => rate,
            (None, None) => unreachable!("10 is within 1 and COUNT_MAX"),
        };
        let (start, span) = match &written.prefix {
            Some(prefix) => (prefix.get_ref().as_str(), prefix.span()),
            None => ("", 0..0),
        };
        let prefix = |what: &str| -> Result<LogPrefix, Refusal> {
            named::<LogPrefix>(&format!("{start}{what}"), span.clone(), self.source)
        };
        Ok(Log {
            rate,
            prefixes: LogPrefixes {
                invalid: prefix("DROP INVALID ")?,
                zones: self
                    .zones
                    .iter()
                    .map(|zone| {
                        Ok(ZonePrefixes {
                            spoofed: prefix(&format!("SPOOFED PKT {} ", zone.name))?,
                            unknown: prefix(&format!("UNKNOWN PKT {} ", zone.name))?,
                            bogon: prefix(&format!("BOGON PKT {} ", zone.name))?,
                        })
                    })
                    .collect::<Result<Vec<_>, _>>()?,
                input: prefix("DROP INPUT ")?,
                forward: prefix("DROP FORWARD ")?,
                output: prefix("DROP OUTPUT ")?,
            },
            dropped: written.dropped,
        })
    }

    pub(super) fn rate(&self, written: &Spanned<String>) -> Result<Rate, Refusal> {
        Rate::parse(written.get_ref()).ok_or_else(|| {
            self.source.refuse(
                written.span(),
                format_args!(
                    "{:?} is not a rate; write it as \"6/minute\": 1 to {} per second, minute, hour or day",
                    written.get_ref(),
                    Rate::COUNT_MAX
                ),
            )
        })
    }
}

/// The place of one string of a list; one that stands alone, in place of a list,
/// has its place from the whole value (see the visitors in config.rs).
pub(super) fn span_in(string: &Spanned<String>, whole: Range<usize>) -> Range<usize> {
    if string.span().is_empty() {
        whole
    } else {
        string.span()
    }
}

pub(super) fn named<'t, N>(text: &'t str, span: Range<usize>, source: &Source) -> Result<N, Refusal>
where
    N: TryFrom<&'t str, Error = NameError>,
{
    N::try_from(text).map_err(|error| source.refuse(span, error))
}
