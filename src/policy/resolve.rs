//! Config -> Policy: every refusal of a file that is TOML is made here.
//!
//! Each refusal is one line with the place, what is wrong and what to do.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use ipnet::IpNet;
use toml::Spanned;

use super::address::{gateways, own_addresses};
use super::guarantee::{self, Exception};
use super::interface::interface;
use super::topology;
use super::{
    Allow, Egress, Endpoint, Flow, Ipv6Mode, Log, LogPrefixes, Masquerade, Origin, Policy, Service,
    Zone, ZoneIndex, catalogue,
};
use crate::config::{self, Config, Ports, Services};
use crate::field::{IcmpType, PortRange, Rate, Unit};
use crate::name::{InterfaceName, LogPrefix, NameError, ServiceName, ZoneName};
use crate::network::Device;
use crate::source::{Place, Refusal, Source};
use crate::sysctl;

/// LOG lines per rule where the file names no rate.
const DEFAULT_LOG_RATE: Option<Rate> = Rate::new(10, Unit::Minute);

/// Checks a configuration and makes it a policy.
///
/// # Errors
/// The first thing that is wrong, in the order zones, services, allow lines,
/// masquerade, log.
pub fn resolve(config: &Config, source: &Source) -> Result<Policy, Refusal> {
    let ipv6 = config.ipv6.mode;
    let resolver = Resolver {
        source,
        zones: zones(config, ipv6, source)?,
        services: BTreeMap::new(),
    };
    let resolver = Resolver {
        services: resolver.services(config)?,
        ..resolver
    };
    let egress = config.router.egress;
    let exceptions = config
        .exceptions
        .iter()
        .map(|exception| resolver.exception(exception))
        .collect::<Result<Vec<_>, _>>()?;
    let allows = config
        .allow
        .iter()
        .map(|allow| resolver.allow(allow, egress, &exceptions))
        .collect::<Result<Vec<_>, _>>()?;
    let masquerades = config
        .masquerade
        .iter()
        .map(|masquerade| resolver.masquerade(masquerade, &allows))
        .collect::<Result<Vec<_>, _>>()?;
    let log = resolver.log(&config.log)?;
    let cameras = topology::cameras(config, &resolver.zones, source)?;
    let routes = topology::routes(config, &resolver.zones, ipv6, source)?;
    let known = sysctl::keys(resolver.zones.iter().map(|zone| &zone.interface), ipv6);
    Ok(Policy {
        cameras,
        routes,
        mark_rules: topology::mark_rules(config, ipv6, source)?,
        sysctls: topology::sysctls(config, &known, source)?,
        wait: wait(config.router.wait.as_ref(), source)?,
        zones: resolver.zones,
        allows,
        masquerades: masquerades.into_iter().flatten().collect(),
        egress,
        ipv6,
        log,
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

struct Resolver<'a> {
    source: &'a Source,
    zones: Vec<Zone>,
    services: BTreeMap<ServiceName, Service>,
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
                        "interface {shared} is already zone {}'s (line {}); give each zone its own",
                        other.name, other.origin.line
                    ),
                ));
            }
            for (network, theirs) in pairs(&zone, other) {
                if overlap(network, theirs) {
                    return Err(source.refuse(
                        as_written.address.span(),
                        format_args!(
                            "network {network} overlaps {theirs} of zone {} (line {}); give each zone a network of its own",
                            other.name, other.origin.line
                        ),
                    ));
                }
            }
            let both = zone.gateway.is_some() && other.gateway.is_some();
            if both || zone.gateway6.is_some() && other.gateway6.is_some() {
                let span = as_written.gateway.as_ref().map_or(0..0, Spanned::span);
                let family = if both { "" } else { "IPv6 " };
                return Err(source.refuse(
                    span,
                    format_args!(
                        "zone {} (line {}) has the default {family}gateway already; keep one",
                        other.name, other.origin.line
                    ),
                ));
            }
        }
        zones.push(zone);
    }
    if zones.is_empty() {
        return Err(Refusal::new(
            &source.name,
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
        origin: Origin::new(&source.name, source.place(name.span().start).line),
    })
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
    fn services(&self, config: &Config) -> Result<BTreeMap<ServiceName, Service>, Refusal> {
        config
            .services
            .iter()
            .map(|(name, written)| {
                let name = named::<ServiceName>(name.get_ref(), name.span(), self.source)?;
                let service =
                    self.service(Some(name.clone()), written.get_ref(), written.span())?;
                Ok((name, service))
            })
            .collect()
    }

    fn service(
        &self,
        name: Option<ServiceName>,
        written: &config::Service,
        span: Range<usize>,
    ) -> Result<Service, Refusal> {
        let ranges = |ports: &[Spanned<Ports>]| {
            ports
                .iter()
                .map(|ports| self.port_range(ports))
                .collect::<Result<Vec<_>, _>>()
        };
        let mut tcp = ranges(&written.tcp)?;
        if let Some(passive) = &written.passive {
            tcp.push(self.port_range(passive)?);
        }
        let udp = ranges(&written.udp)?;
        let icmp = written
            .icmp
            .iter()
            .map(|icmp| {
                IcmpType::by_name(icmp.get_ref()).ok_or_else(|| {
                    self.source.refuse(
                        icmp.span(),
                        format_args!(
                            "{:?} is not an ICMP type known here; use one of {}",
                            icmp.get_ref(),
                            IcmpType::names()
                        ),
                    )
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        if tcp.is_empty() && udp.is_empty() && icmp.is_empty() {
            return Err(self.source.refuse(
                span,
                "the service has no port and no ICMP type; give it tcp, udp or icmp",
            ));
        }
        Ok(Service {
            name,
            tcp,
            udp,
            icmp,
        })
    }

    fn port_range(&self, written: &Spanned<Ports>) -> Result<PortRange, Refusal> {
        let (range, shown) = match written.get_ref() {
            Ports::Number(number) => (
                u16::try_from(*number)
                    .ok()
                    .and_then(|port| PortRange::new(port, port)),
                number.to_string(),
            ),
            Ports::Text(text) => (PortRange::parse(text, '-'), format!("{text:?}")),
        };
        range.ok_or_else(|| {
            self.source.refuse(
                written.span(),
                format_args!(
                    "{shown} is not a port or a range of ports; use 1 to 65535, a range as \"50000-50100\""
                ),
            )
        })
    }

    fn find_service(&self, name: &str, span: Range<usize>) -> Result<Service, Refusal> {
        let unknown = || {
            let own = self.services.keys().map(ToString::to_string);
            let mut known: Vec<String> = own.chain(catalogue::names().map(String::from)).collect();
            known.sort();
            known.dedup();
            self.source.refuse(
                span,
                format_args!(
                    "no service is called {name:?}; define it in [services], or use one of {}",
                    known.join(", ")
                ),
            )
        };
        let Ok(name) = ServiceName::try_from(name) else {
            return Err(unknown());
        };
        match self.services.get(&name) {
            Some(service) => Ok(service.clone()),
            None => catalogue::find(&name).ok_or_else(unknown),
        }
    }

    fn services_of(&self, written: &Spanned<Services>) -> Result<Vec<Service>, Refusal> {
        match written.get_ref() {
            Services::Named(names) if names.is_empty() => Err(self.source.refuse(
                written.span(),
                "the list names no service; name one or remove the line",
            )),
            Services::Named(names) => names
                .iter()
                .map(|name| self.find_service(name.get_ref(), span_in(name, written.span())))
                .collect(),
            Services::Inline(service) => Ok(vec![self.service(None, service, written.span())?]),
        }
    }

    fn find_zone(&self, written: &Spanned<String>, also: &str) -> Result<ZoneIndex, Refusal> {
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

    fn exception(&self, written: &config::Exception) -> Result<Exception, Refusal> {
        let from = self.find_zone(&written.from, "")?;
        let to = self.find_zone(&written.to, "")?;
        if !guarantee::never(self.zones[from.0].role, self.zones[to.0].role) {
            return Err(self.source.refuse(
                written.from.span(),
                format_args!(
                    "no role promises that {} never reaches {}, so there is nothing to lift; remove the exception",
                    self.zones[from.0].name, self.zones[to.0].name
                ),
            ));
        }
        let services = self.services_of(&written.service)?;
        Ok(Exception { from, to, services })
    }

    fn allow(
        &self,
        written: &Spanned<config::Allow>,
        egress: Egress,
        exceptions: &[Exception],
    ) -> Result<Allow, Refusal> {
        let config::Allow {
            from,
            to,
            service,
            limit,
        } = written.get_ref();
        let allow = Allow {
            flows: self.flows(from, to, egress)?,
            services: self.services_of(service)?,
            limit: match limit {
                Some(limit) => Some(self.rate(limit)?),
                None => None,
            },
            origin: Origin::new(
                &self.source.name,
                self.source.place(written.span().start).line,
            ),
        };
        match guarantee::broken(&allow, &self.zones, exceptions) {
            None => Ok(allow),
            Some((camera, target, service)) => Err(self.source.refuse(
                from.span(),
                format_args!(
                    "zone {camera} has role camera, which never opens a connection to {target}; \
                     to let it after all, add [[exceptions]] from = \"{camera}\", to = \"{target}\" with service {service}",
                    camera = self.zones[camera.0].name,
                    target = self.zones[target.0].name,
                ),
            )),
        }
    }

    fn flows(
        &self,
        from: &Spanned<String>,
        to: &Spanned<String>,
        egress: Egress,
    ) -> Result<Vec<Flow>, Refusal> {
        let target = match to.get_ref().as_str() {
            "router" => Endpoint::Router,
            "any" => {
                return Err(self.source.refuse(
                    to.span(),
                    "\"any\" is for from alone, so that each target is named; write an allow line for each",
                ));
            }
            _ => Endpoint::Zone(self.find_zone(to, ", router")?),
        };
        let flow = |from| Flow { from, to: target };
        match from.get_ref().as_str() {
            "any" => {
                let flows: Vec<Flow> = (0..self.zones.len())
                    .map(|index| flow(Endpoint::Zone(ZoneIndex(index))))
                    .filter(|flow| flow.from != flow.to)
                    .collect();
                if flows.is_empty() {
                    return Err(self.source.refuse(
                        from.span(),
                        "there is no other zone than the one in to; remove the line or add a zone",
                    ));
                }
                Ok(flows)
            }
            "router" if target == Endpoint::Router => Err(self.source.refuse(
                from.span(),
                "the router always reaches itself by the loopback; remove the line",
            )),
            "router" if egress == Egress::Open => Err(self.source.refuse(
                from.span(),
                "the router may send anything already; remove the line, or set egress = \"listed\" under [router]",
            )),
            "router" => Ok(vec![flow(Endpoint::Router)]),
            _ => {
                let source = Endpoint::Zone(self.find_zone(from, ", router, any")?);
                if source == target {
                    return Err(self.source.refuse(
                        to.span(),
                        "from and to are the same zone, whose hosts reach each other without the router; remove the line",
                    ));
                }
                Ok(vec![flow(source)])
            }
        }
    }

    fn masquerade(
        &self,
        written: &Spanned<config::Masquerade>,
        allows: &[Allow],
    ) -> Result<Option<Masquerade>, Refusal> {
        let config::Masquerade { from, to, enabled } = written.get_ref();
        let (from_zone, to_zone) = (self.find_zone(from, "")?, self.find_zone(to, "")?);
        let flow = Flow {
            from: Endpoint::Zone(from_zone),
            to: Endpoint::Zone(to_zone),
        };
        if from_zone == to_zone {
            return Err(self.source.refuse(
                to.span(),
                "from and to are the same zone; masquerade is for what leaves a zone",
            ));
        }
        if !enabled {
            return Ok(None);
        }
        if !allows.iter().any(|allow| allow.flows.contains(&flow)) {
            return Err(self.source.refuse(
                from.span(),
                format_args!(
                    "nothing is allowed from {} to {}, so there is nothing to masquerade; add an allow line or set enabled = false",
                    from.get_ref(),
                    to.get_ref()
                ),
            ));
        }
        Ok(Some(Masquerade {
            from: from_zone,
            to: to_zone,
            origin: Origin::new(
                &self.source.name,
                self.source.place(written.span().start).line,
            ),
        }))
    }

    fn log(&self, written: &config::Log) -> Result<Log, Refusal> {
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
                spoofed: self
                    .zones
                    .iter()
                    .map(|zone| prefix(&format!("SPOOFED PKT {} ", zone.name)))
                    .collect::<Result<Vec<_>, _>>()?,
                input: prefix("DROP INPUT ")?,
                forward: prefix("DROP FORWARD ")?,
                output: prefix("DROP OUTPUT ")?,
            },
            dropped: written.dropped,
        })
    }

    fn rate(&self, written: &Spanned<String>) -> Result<Rate, Refusal> {
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
