//! Rewritten addresses: masquerade, SNAT, port forwards and the transparent
//! proxy. None of them allows anything: each goes with an allow line, and is
//! refused without one.

use std::net::{IpAddr, Ipv4Addr};

use toml::Spanned;

use super::resolve::Resolver;
use super::topology::{ipv4, table_number};
use super::{Addresses, Allow, Endpoint, Flow, Origin, Role, ZoneIndex};
use crate::config::{self, Config};
use crate::field::PortRange;
use crate::netfilter::Protocol;
use crate::source::Refusal;

/// Rewrites the source addresses of what one zone sends to another, to that of
/// the interface it leaves by.
#[derive(Debug, Clone)]
pub struct Masquerade {
    /// Whose addresses.
    pub from: ZoneIndex,
    /// On the way to which zone.
    pub to: ZoneIndex,
    /// Where the file says so.
    pub origin: Origin,
}

/// Rewrites the source addresses of what one zone sends to another, to one of
/// the router's.
#[derive(Debug, Clone)]
pub struct Snat {
    /// Whose addresses.
    pub from: ZoneIndex,
    /// On the way to which zone.
    pub to: ZoneIndex,
    /// The router's address there that is seen instead.
    pub address: Ipv4Addr,
    /// Where the file says so.
    pub origin: Origin,
}

/// Sends connections to a port of the router on to a host. An allow line that names
/// the host lets in to that port what came by the forward, and no more unless the
/// forward is `direct`; one that names a network says what it says.
#[derive(Debug, Clone)]
pub struct Forward {
    /// Whose connections.
    pub from: ZoneIndex,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port on the router.
    pub port: u16,
    /// The zone of the host.
    pub to: ZoneIndex,
    /// The host.
    pub address: Ipv4Addr,
    /// The host's port.
    pub to_port: u16,
    /// Whether the host's port is reached without the forward too.
    pub direct: bool,
    /// Where the file says so.
    pub origin: Origin,
}

/// Takes connections from one zone to another to a proxy.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Whose connections.
    pub from: ZoneIndex,
    /// Those that go to this zone.
    pub to: ZoneIndex,
    /// Those to these TCP ports.
    pub ports: Vec<PortRange>,
    /// Where the proxy is.
    pub way: ProxyWay,
    /// Whether a proxy's port on the router is reached without it too.
    pub direct: bool,
    /// Where the file says so.
    pub origin: Origin,
}

/// Where a proxy is.
#[derive(Debug, Clone)]
pub enum ProxyWay {
    /// On the router, at this port.
    Here(u16),
    /// A host, which gets the packets as they are, by a mark and a table.
    Host {
        /// Its address.
        address: Ipv4Addr,
        /// Its zone.
        zone: ZoneIndex,
        /// The table's number, and the mark's.
        table: u32,
    },
}

/// All of it.
pub(super) struct Nat {
    pub masquerades: Vec<Masquerade>,
    pub snats: Vec<Snat>,
    pub forwards: Vec<Forward>,
    pub proxies: Vec<Proxy>,
}

impl Resolver<'_> {
    /// `taken` are the marks and tables that the file gives other uses.
    pub(super) fn nat(
        &self,
        config: &Config,
        allows: &[Allow],
        taken: &[u32],
    ) -> Result<Nat, Refusal> {
        let masquerades = config
            .masquerade
            .iter()
            .map(|written| self.masquerade(written, allows))
            .collect::<Result<Vec<_>, _>>()?;
        let mut nat = Nat {
            masquerades: masquerades.into_iter().flatten().collect(),
            snats: Vec::new(),
            forwards: Vec::new(),
            proxies: Vec::new(),
        };
        for written in &config.snat {
            nat.snats.push(self.snat(written, &nat, allows)?);
        }
        for written in &config.forwards {
            nat.forwards.push(self.forward(written, &nat, allows)?);
        }
        for written in &config.proxy {
            nat.proxies.push(self.proxy(written, &nat, allows, taken)?);
        }
        Ok(nat)
    }

    fn masquerade(
        &self,
        written: &Spanned<config::Masquerade>,
        allows: &[Allow],
    ) -> Result<Option<Masquerade>, Refusal> {
        let config::Masquerade { from, to, enabled } = written.get_ref();
        let (from_zone, to_zone) = (self.find_zone(from, "")?, self.find_zone(to, "")?);
        let flow = between(from_zone, to_zone);
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
            origin: Origin::new(self.source, written.span().start),
        }))
    }

    fn snat(
        &self,
        written: &Spanned<config::Snat>,
        nat: &Nat,
        allows: &[Allow],
    ) -> Result<Snat, Refusal> {
        let config::Snat { from, to, address } = written.get_ref();
        let (from_zone, to_zone) = (self.find_zone(from, "")?, self.find_zone(to, "")?);
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
                    "{own} is no address of the router in zone {}, so no answer would come back; give one of its addresses{}",
                    zone.name,
                    if zone.dhcp { ", or use [[masquerade]] where it comes by DHCP" } else { "" }
                ),
            ));
        }
        let masqueraded = nat.masquerades.iter().map(|other| (other.from, other.to));
        let rewritten = nat.snats.iter().map(|other| (other.from, other.to));
        if masqueraded
            .chain(rewritten)
            .any(|pair| pair == (from_zone, to_zone))
        {
            return Err(self.source.refuse(
                from.span(),
                "the source addresses between these zones are rewritten already; keep one of the two",
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

    fn port(&self, written: &Spanned<i64>) -> Result<u16, Refusal> {
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

    fn forward(
        &self,
        written: &Spanned<config::Forward>,
        nat: &Nat,
        allows: &[Allow],
    ) -> Result<Forward, Refusal> {
        let forward = written.get_ref();
        let from = self.find_zone(&forward.from, "")?;
        let (protocol, at) = match (&forward.tcp, &forward.udp) {
            (Some(port), None) => (Protocol::Tcp, port),
            (None, Some(port)) => (Protocol::Udp, port),
            _ => {
                return Err(self.source.refuse(
                    written.span(),
                    "a forward is of one port, tcp = 8443 or udp = 5004; write one of the two",
                ));
            }
        };
        let port = self.port(at)?;
        let (to, address) = self.host(&forward.to, forward.address.as_ref())?;
        if from == to {
            return Err(self.source.refuse(
                forward.to.span(),
                "from and to are the same zone, whose hosts reach each other without the router; remove the forward",
            ));
        }
        let to_port = match &forward.to_port {
            Some(port) => self.port(port)?,
            None => port,
        };
        let word = match protocol {
            Protocol::Udp => "udp",
            _ => "tcp",
        };
        let taken =
            |other: &&Forward| (other.from, other.protocol, other.port) == (from, protocol, port);
        if let Some(other) = nat.forwards.iter().find(taken) {
            return Err(self.source.refuse(
                at.span(),
                format_args!(
                    "{word} port {port} is forwarded already ({}); keep one of the two",
                    other.origin
                ),
            ));
        }
        let to_router = Flow {
            from: Endpoint::Zone(from),
            to: Endpoint::Router,
        };
        if let Some(own) = opens(allows, to_router, protocol, port, None) {
            return Err(self.source.refuse(
                at.span(),
                format_args!(
                    "the router itself answers on {word} port {port} ({}); forward another port, or remove that line",
                    own.origin
                ),
            ));
        }
        if opens(allows, between(from, to), protocol, to_port, Some(address)).is_none() {
            return Err(self.source.refuse(
                written.span(),
                format_args!(
                    "no allow line lets {} reach {address} on {word} port {to_port}, so the forward leads nowhere; add [[allow]] from = \"{}\", to = \"{}\", address = \"{address}\", service = {{ {word} = [{to_port}] }}",
                    self.zones[from.0].name, self.zones[from.0].name, self.zones[to.0].name,
                ),
            ));
        }
        Ok(Forward {
            from,
            protocol,
            port,
            to,
            address,
            to_port,
            direct: forward.direct,
            origin: Origin::new(self.source, written.span().start),
        })
    }

    /// A camera by its name, or a zone's host by its address.
    fn host(
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
        let zone = self.find_zone(to, ", a camera")?;
        let Some(written) = address else {
            return Err(self.source.refuse(
                to.span(),
                "a zone is not one host; add address = \"192.168.8.20\", or name a camera",
            ));
        };
        let address = ipv4(written, self.source)?;
        self.held(zone, address, written)?;
        Ok((zone, address))
    }

    /// Whether a zone's network holds a host's address.
    fn held(
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
                "{address} is no host's address in zone {}; give one in its network",
                zone.name
            ),
        ))
    }

    fn proxy(
        &self,
        written: &Spanned<config::Proxy>,
        nat: &Nat,
        allows: &[Allow],
        taken: &[u32],
    ) -> Result<Proxy, Refusal> {
        let proxy = written.get_ref();
        let (from, to) = (
            self.find_zone(&proxy.from, "")?,
            self.find_zone(&proxy.to, "")?,
        );
        if from == to {
            return Err(self.source.refuse(
                proxy.to.span(),
                "from and to are the same zone, whose hosts reach each other without the router; remove the proxy",
            ));
        }
        if self.zones[from.0].role == Role::External {
            return Err(self.source.refuse(
                proxy.from.span(),
                "a proxy is for what leaves the networks here; give a zone that is not external",
            ));
        }
        let services = self.services_of(&proxy.service)?;
        let ports: Vec<PortRange> = services
            .iter()
            .flat_map(|service| service.tcp.clone())
            .collect();
        if ports.is_empty()
            || services
                .iter()
                .any(|service| !service.udp.is_empty() || !service.icmp.is_empty())
        {
            return Err(self.source.refuse(
                proxy.service.span(),
                "a proxy takes TCP connections; give a service that is TCP alone, such as http",
            ));
        }
        let proxied = |other: &&Proxy| {
            let overlaps = |own: &PortRange| {
                let theirs = other.ports.iter();
                let apart =
                    |theirs: &PortRange| theirs.last() < own.first() || own.last() < theirs.first();
                !theirs.copied().all(|theirs| apart(&theirs))
            };
            other.from == from && other.to == to && ports.iter().any(overlaps)
        };
        if let Some(other) = nat.proxies.iter().find(proxied) {
            return Err(self.source.refuse(
                proxy.service.span(),
                format_args!(
                    "these connections go to a proxy already ({}); keep one of the two",
                    other.origin
                ),
            ));
        }
        let way = match (&proxy.port, &proxy.via) {
            (Some(port), None) => ProxyWay::Here(self.proxy_port(port, from, allows)?),
            (None, Some(via)) => self.proxy_host(proxy, via, from, &ports, allows, taken, nat)?,
            _ => {
                return Err(self.source.refuse(
                    written.span(),
                    "a proxy is on the router, port = 3128, or a host, via = \"192.168.9.5\"; write one of the two",
                ));
            }
        };
        let direct = match (&proxy.direct, &way) {
            (Some(direct), ProxyWay::Host { .. }) => {
                return Err(self.source.refuse(
                    direct.span(),
                    "packets get to a proxy on a host unchanged, by the allow line to its zone; remove direct",
                ));
            }
            (direct, _) => direct.as_ref().is_some_and(|direct| *direct.get_ref()),
        };
        Ok(Proxy {
            from,
            to,
            ports,
            way,
            direct,
            origin: Origin::new(self.source, written.span().start),
        })
    }

    fn proxy_port(
        &self,
        written: &Spanned<i64>,
        from: ZoneIndex,
        allows: &[Allow],
    ) -> Result<u16, Refusal> {
        let port = self.port(written)?;
        let to_router = Flow {
            from: Endpoint::Zone(from),
            to: Endpoint::Router,
        };
        match opens(allows, to_router, Protocol::Tcp, port, None) {
            Some(_) => Ok(port),
            None => Err(self.source.refuse(
                written.span(),
                format_args!(
                    "no allow line lets {} reach tcp port {port} of the router, so nothing gets to the proxy; add [[allow]] from = \"{}\", to = \"router\", service = {{ tcp = [{port}] }}",
                    self.zones[from.0].name, self.zones[from.0].name
                ),
            )),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn proxy_host(
        &self,
        proxy: &config::Proxy,
        via: &Spanned<String>,
        from: ZoneIndex,
        ports: &[PortRange],
        allows: &[Allow],
        taken: &[u32],
        nat: &Nat,
    ) -> Result<ProxyWay, Refusal> {
        let address = ipv4(via, self.source)?;
        let holds = |index: &ZoneIndex| {
            let own = self.zones[index.0].networks();
            own.iter().any(|own| own.contains(&address))
        };
        let zone = (0..self.zones.len()).map(ZoneIndex).find(holds);
        let zone = match zone {
            Some(zone) if zone != from => zone,
            Some(_) => {
                return Err(self.source.refuse(
                    via.span(),
                    "the proxy is in the zone whose connections it takes, so that its own would come to it again; put it into a zone of its own",
                ));
            }
            None => {
                return Err(self.source.refuse(
                    via.span(),
                    format_args!("{address} is in no zone's network; give a host's in one"),
                ));
            }
        };
        self.held(zone, address, via)?;
        let zone_name = &self.zones[zone.0].name;
        let reaches = |ports: &PortRange| {
            let flow = between(from, zone);
            let open = |allow: &&Allow| allow.destinations == Addresses::Any;
            let lines = allows.iter().filter(|allow| allow.flows.contains(&flow));
            lines
                .filter(open)
                .flat_map(|allow| &allow.services)
                .any(|service| service.tcp.iter().any(|own| own.contains(*ports)))
        };
        if !ports.iter().all(reaches) {
            return Err(self.source.refuse(
                via.span(),
                format_args!(
                    "no allow line lets {from} reach {zone_name} with this service at any address, so nothing gets to the proxy; add [[allow]] from = \"{from}\", to = \"{zone_name}\" with it",
                    from = self.zones[from.0].name
                ),
            ));
        }
        let table = match &proxy.table {
            Some(table) => table_number(table, self.source)?,
            // Out of the way of the tables that people number from 1.
            None => 1000 + u32::try_from(nat.proxies.len()).unwrap_or(0),
        };
        let used = taken.contains(&table);
        let proxied = nat.proxies.iter().any(
            |other| matches!(other.way, ProxyWay::Host { table: theirs, .. } if theirs == table),
        );
        if used || proxied {
            let span = proxy.table.as_ref().map_or(via.span(), Spanned::span);
            return Err(self.source.refuse(
                span,
                format_args!("table {table} is in use already; give the proxy a table of its own"),
            ));
        }
        Ok(ProxyWay::Host {
            address,
            zone,
            table,
        })
    }
}

fn between(from: ZoneIndex, to: ZoneIndex) -> Flow {
    Flow {
        from: Endpoint::Zone(from),
        to: Endpoint::Zone(to),
    }
}

/// The first line that lets a flow open this port, at this address if one is given.
fn opens(
    allows: &[Allow],
    flow: Flow,
    protocol: Protocol,
    port: u16,
    address: Option<Ipv4Addr>,
) -> Option<&Allow> {
    let port = PortRange::port(port);
    let held = |allow: &&Allow| {
        allow.flows.contains(&flow)
            && address.is_none_or(|address| allow.destinations.holds(IpAddr::V4(address)))
            && allow.services.iter().any(|service| {
                let ports = match protocol {
                    Protocol::Udp => &service.udp,
                    _ => &service.tcp,
                };
                ports.iter().any(|own| own.contains(port))
            })
    };
    allows.iter().find(held)
}
