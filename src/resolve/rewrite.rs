//! Resolves address translation: masquerade, SNAT, port forwards, the transparent proxy and
//! redirects.
//! None of them allows a connection by itself: each needs an allow line, and is refused
//! without one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;

use super::address::ipv4;
use super::instead_of_name::{TO, example_host};
use super::{A_CAMERA, Resolver, each_name, each_pair};
use crate::config::{self, Config, Spanned};
use crate::field::{PortRange, PortSet};
use crate::net::AddressSource;
use crate::netfilter::Protocol;
use crate::policy::{
    Allow, Endpoint, Flow, Forward, Masquerade, Origin, Proxy, RedirectToRouter, Role, Snat,
    ZoneIndex,
};
use crate::source::{Refusal, Refused};

/// Of a host's IPv6 address in a forward.
pub(super) const FORWARDS: &str = "forwards are of IPv4, since by IPv6 a host has an address of its own that an allow line opens; give its IPv4 address, or remove the forward";

/// Of an IPv6 address of the router's as a source.
const SNAT: &str = "sources are rewritten by IPv4 alone, and by IPv6 hosts go out with their own addresses; give an IPv4 address, or remove this";

/// All address translation of a policy.
pub(super) struct Nat {
    pub masquerades: Vec<Masquerade>,
    pub unmasqueraded: Vec<(ZoneIndex, ZoneIndex)>,
    pub snats: Vec<Snat>,
    pub forwards: Vec<Forward>,
    pub proxies: Vec<Proxy>,
    pub redirects: Vec<RedirectToRouter>,
    /// The lines of those who come by a forward from inside.
    pub lines: Vec<Allow>,
}

impl Resolver<'_> {
    /// Resolves all of it. `taken` are the marks and routing tables that the file uses
    /// elsewhere.
    pub(super) fn nat(
        &self,
        config: &Config,
        allows: &[Allow],
        taken: &[u32],
    ) -> Result<Nat, Refusal> {
        let mut refused = Refused::default();
        let masquerades = Refused::each(&config.masquerade, |written| {
            let config::MasqueradeEntry { from, to, .. } = written.get_ref();
            let pairs = each_pair(from, to, self.source)?;
            Refused::each(pairs, |(from, to)| {
                self.masquerade(written, &from, &to, allows)
            })
        });
        let masquerades = refused.note(masquerades).into_iter().flatten().flatten();
        let mut nat = Nat {
            masquerades: masquerades.flatten().collect(),
            unmasqueraded: self.unmasqueraded(config),
            snats: Vec::new(),
            forwards: Vec::new(),
            proxies: Vec::new(),
            redirects: Vec::new(),
            lines: Vec::new(),
        };
        for written in &config.snat {
            let from = refused.note(each_name(&written.get_ref().from, self.source));
            for from in from.into_iter().flatten() {
                let snat = self.snat(written, &from, &nat, allows);
                nat.snats.extend(refused.note(snat));
            }
        }
        let mut looped = Vec::new();
        for written in &config.forwards {
            let before = nat.forwards.len();
            let added = self.forward(written, &mut nat, allows);
            if refused.note(added).is_some() {
                let added = nat.forwards[before..].to_vec();
                let zones = self.loopback(written.get_ref(), &added, &mut nat, allows);
                looped.extend(refused.note(zones).into_iter().flatten());
            }
        }
        let lines = self.looped_lines(config, &looped, &nat, allows);
        nat.lines = refused.note(lines).unwrap_or_default();
        for written in &config.proxy {
            let proxy = self.proxy(written, &nat, allows, taken);
            nat.proxies.extend(refused.note(proxy));
        }
        for written in &config.redirects {
            let from = refused.note(each_name(&written.get_ref().from, self.source));
            for from in from.into_iter().flatten() {
                let redirect = self.redirect(written, &from, &nat, allows);
                nat.redirects.extend(refused.note(redirect));
            }
        }
        refused.or(nat)
    }

    /// The zones of entries that are turned off; those that are refused are left out.
    fn unmasqueraded(&self, config: &Config) -> Vec<(ZoneIndex, ZoneIndex)> {
        let off = config.masquerade.iter().map(Spanned::get_ref);
        let off = off.filter(|written| !written.enabled);
        let pairs = off.filter_map(|it| each_pair(&it.from, &it.to, self.source).ok());
        let zones = pairs.flatten().filter_map(|(from, to)| {
            let from = self.find_zone(&from, &[]).ok()?;
            Some((from, self.find_zone(&to, &[]).ok()?))
        });
        zones.collect()
    }

    fn masquerade(
        &self,
        written: &Spanned<config::MasqueradeEntry>,
        from: &Spanned<String>,
        to: &Spanned<String>,
        allows: &[Allow],
    ) -> Result<Option<Masquerade>, Refusal> {
        let (from_zone, to_zone) = (self.find_zone(from, &[])?, self.find_zone(to, &[])?);
        let flow = between(from_zone, to_zone);
        if from_zone == to_zone {
            return Err(self.source.refuse(
                to.span(),
                "from and to are the same zone; masquerade is for what leaves a zone",
            ));
        }
        if !written.get_ref().enabled {
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
            origin: Origin::new(self.source, written.span().start),
        }))
    }

    fn snat(
        &self,
        written: &Spanned<config::SnatEntry>,
        from: &Spanned<String>,
        nat: &Nat,
        allows: &[Allow],
    ) -> Result<Snat, Refusal> {
        let config::SnatEntry { to, address, .. } = written.get_ref();
        let (from_zone, to_zone) = (self.find_zone(from, &[])?, self.find_zone(to, &[])?);
        self.is_ipv4(address, SNAT)?;
        let own = ipv4(address, self.source)?;
        if from_zone == to_zone {
            return Err(self.source.refuse(
                to.span(),
                "from and to are the same zone; source addresses are rewritten for what leaves a zone",
            ));
        }
        let zone = &self.zones[to_zone.0];
        if !zone.addresses.iter().any(|known| known.addr() == own) {
            return Err(self.source.refuse(
                address.span(),
                format_args!(
                    "{own} is not an address of the router in zone {}, so no answer would come back; give one of its addresses{}",
                    zone.name,
                    match zone.address_source {
                        AddressSource::Dhcp => ", or use [[masquerade]] where it comes by DHCP",
                        AddressSource::Given => ", or use [[masquerade]] where another program gives it",
                        AddressSource::File | AddressSource::Nobody => "",
                    }
                ),
            ));
        }
        let masqueraded = nat.masquerades.iter();
        let masqueraded = masqueraded.map(|other| (other.from, other.to, &other.origin));
        let rewritten = nat.snats.iter();
        let rewritten = rewritten.map(|other| (other.from, other.to, &other.origin));
        let mut others = masqueraded.chain(rewritten);
        if let Some((.., origin)) = others.find(|it| (it.0, it.1) == (from_zone, to_zone)) {
            return Err(self.source.refuse(
                from.span(),
                format_args!(
                    "the source addresses between these zones are rewritten already ({origin}); keep one of the two"
                ),
            ));
        }
        if !allows
            .iter()
            .any(|allow| allow.flows.contains(&between(from_zone, to_zone)))
        {
            return Err(self.source.refuse(
                from.span(),
                format_args!(
                    "nothing is allowed from {} to {}, so there is nothing to rewrite; add an allow line or remove this one",
                    from.get_ref(),
                    to.get_ref()
                ),
            ));
        }
        Ok(Snat {
            from: from_zone,
            to: to_zone,
            address: own,
            origin: Origin::new(self.source, written.span().start),
        })
    }

    /// Refuses an IPv6 address where IPv4 alone is rewritten. `because` says so, and what to do.
    pub(super) fn is_ipv4(&self, written: &Spanned<String>, because: &str) -> Result<(), Refusal> {
        match written.get_ref().parse::<Ipv6Addr>() {
            Ok(_) => Err(self.source.refuse(written.span(), because)),
            Err(_) => Ok(()),
        }
    }

    pub(super) fn port(&self, written: &Spanned<i64>) -> Result<u16, Refusal> {
        u16::try_from(*written.get_ref())
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| {
                self.source.refuse(
                    written.span(),
                    format_args!("{} is not a port; use 1 to 65535", written.get_ref()),
                )
            })
    }

    /// A camera by its name, or a host in a zone by its address.
    pub(super) fn host(
        &self,
        to: &Spanned<String>,
        address: Option<&Spanned<String>>,
    ) -> Result<(ZoneIndex, Ipv4Addr), Refusal> {
        if let Some(camera) = self.find_camera(to.get_ref()) {
            return match address {
                None => Ok((camera.zone, camera.address)),
                Some(address) => Err(self.source.refuse(
                    address.span(),
                    format_args!("camera {} has one address; remove address", camera.name),
                )),
            };
        }
        let zone = self.find_end(to, &[A_CAMERA], TO)?;
        let Some(written) = address else {
            let example = example_host(&self.zones[zone.0]);
            let example = example.map_or("its own".into(), |host| format!("\"{host}\""));
            return Err(self.source.refuse(
                to.span(),
                format_args!("a zone is not one host; add address = {example}, or name a camera"),
            ));
        };
        self.is_ipv4(written, FORWARDS)?;
        let address = ipv4(written, self.source)?;
        self.held(zone, address, written)?;
        Ok((zone, address))
    }

    /// The address and port of the router that a redirect from a zone leads to and no line
    /// opens, in words. REDIRECT takes the address that the interface was given first
    /// (nf_nat_redirect_ipv4), which need not be the first of the file: each has to be open.
    pub(super) fn closed_here(
        &self,
        allows: &[Allow],
        zone: ZoneIndex,
        protocol: Protocol,
        ports: PortRange,
    ) -> Option<String> {
        let to_router = Flow {
            from: Endpoint::Zone(zone),
            to: Endpoint::Router,
        };
        let mut own = self.zones[zone.0].addresses.iter().map(Ipv4Net::addr);
        let closed = own.find(|own| !opens_all(allows, to_router, protocol, ports, Some(*own)))?;
        let word = match protocol {
            Protocol::Udp => "udp",
            _ => "tcp",
        };
        Some(format!("{word} port {ports} of the router at {closed}"))
    }

    /// Refuses what needs the router's address in a zone to tell packets to it from others,
    /// where another program gives it.
    pub(super) fn own_is_known(
        &self,
        zone: ZoneIndex,
        written: &Spanned<String>,
    ) -> Result<(), Refusal> {
        let zone = &self.zones[zone.0];
        if zone.role == Role::External || !zone.address_source.is_unknown() {
            return Ok(());
        }
        Err(self.source.refuse(
            written.span(),
            format_args!(
                "the router's address in zone {} is not known, so that this cannot be told from what is for others; write the address there in place of \"given\"",
                zone.name
            ),
        ))
    }

    /// Whether a host's address is in one of a zone's networks.
    pub(super) fn held(
        &self,
        zone: ZoneIndex,
        address: Ipv4Addr,
        written: &Spanned<String>,
    ) -> Result<(), Refusal> {
        let zone = &self.zones[zone.0];
        let inside = zone.networks().iter().any(|own| own.contains(&address));
        let routers = zone.addresses.iter().any(|own| own.addr() == address);
        if inside && !routers {
            return Ok(());
        }
        Err(self.source.refuse(
            written.span(),
            format_args!(
                "{address} is not a host's address in zone {}; give one in its network",
                zone.name
            ),
        ))
    }
}

pub(super) fn between(from: ZoneIndex, to: ZoneIndex) -> Flow {
    Flow {
        from: Endpoint::Zone(from),
        to: Endpoint::Zone(to),
    }
}

/// The lines that let a flow open ports of a protocol, on this address if one is given,
/// each with these ports.
fn opened(
    allows: &[Allow],
    flow: Flow,
    protocol: Protocol,
    address: Option<Ipv4Addr>,
) -> impl Iterator<Item = (&Allow, PortRange)> {
    let lines = allows.iter().filter(move |allow| {
        allow.flows.contains(&flow)
            && address.is_none_or(|address| allow.destinations.holds(IpAddr::V4(address)))
    });
    lines.flat_map(move |allow| {
        let ports = allow
            .services
            .iter()
            .flat_map(move |service| match protocol {
                Protocol::Udp => &service.udp,
                _ => &service.tcp,
            });
        ports.map(move |ports| (allow, *ports))
    })
}

/// The first line that lets a flow open any of these ports, on this address if one is given.
pub(super) fn opens_any(
    allows: &[Allow],
    flow: Flow,
    protocol: Protocol,
    asked: PortRange,
    address: Option<Ipv4Addr>,
) -> Option<&Allow> {
    let mut opened = opened(allows, flow, protocol, address);
    let first = opened.find(|(_, ports)| ports.common(asked).is_some());
    first.map(|(allow, _)| allow)
}

/// Whether the lines let a flow open all of these ports, on this address if one is given.
pub(super) fn opens_all(
    allows: &[Allow],
    flow: Flow,
    protocol: Protocol,
    asked: PortRange,
    address: Option<Ipv4Addr>,
) -> bool {
    let opened = opened(allows, flow, protocol, address);
    let together: PortSet = opened.map(|(_, ports)| ports).collect();
    let mut ranges = together.ranges().iter();
    ranges.any(|ports| ports.contains(asked))
}
