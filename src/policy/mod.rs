//! The policy: what the configuration means, checked and complete.
//!
//! Owns zones, services, allow lines and guarantees as values that nothing
//! later has to doubt: every name is resolved, every limit kept. Knows nothing
//! of iptables, netlink or sysctl.

mod address;
mod allow;
mod catalogue;
mod guarantee;
mod interface;
mod label;
mod lint;
mod names;
mod nat;
mod own_address;
mod promise;
mod resolve;
mod service;
mod topology;
mod unreachable;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

pub use crate::config::{Egress, Ipv6Mode, Role};
use crate::field::{IcmpType, PortRange, Rate, TimeWindow};
use crate::name::{
    CameraName, Comment, HostName, InterfaceName, LogPrefix, MacAddress, ServiceName, ZoneName,
};
use crate::net::{Device, MAIN_TABLE, MarkRule, Route, Way};
use crate::source::Source;
pub use address::{Addresses, Answers};
pub use lint::{Warning, warnings};
pub use nat::{Forward, Masquerade, Proxy, ProxyWay, Snat};
pub use promise::{Promise, Vow};
pub use resolve::resolve;
pub use watch::Watch;

/// Who may talk to whom.
#[derive(Debug, Clone)]
pub struct Policy {
    /// In the order of the file.
    pub zones: Vec<Zone>,
    /// In the order of the file.
    pub allows: Vec<Allow>,
    /// What roles and guarantees promise.
    pub promises: Vec<Promise>,
    /// Those that are on, in the order of the file.
    pub masquerades: Vec<Masquerade>,
    /// In the order of the file.
    pub snats: Vec<Snat>,
    /// In the order of the file.
    pub forwards: Vec<Forward>,
    /// In the order of the file.
    pub proxies: Vec<Proxy>,
    /// What the router itself may send.
    pub egress: Egress,
    /// How IPv6 is filtered. Without [`Ipv6Mode::Same`] nothing else here is IPv6.
    pub ipv6: Ipv6Mode,
    /// The names that allow lines go by, each once.
    pub hosts: Vec<HostName>,
    /// For how long connections may be opened to an address that a name had.
    pub names_keep: Duration,
    /// How dropped packets are logged.
    pub log: Log,
    /// In the order of the file.
    pub cameras: Vec<Camera>,
    /// Routes beside the default one and those of the zones' own networks.
    pub routes: Vec<Route>,
    /// Which marks look at which table.
    pub mark_rules: Vec<MarkRule>,
    /// Kernel settings with another value than camfw's own.
    pub sysctls: BTreeMap<String, String>,
    /// How long `boot` waits for interfaces that are not there yet.
    pub wait: Duration,
    /// Whether the last good policy is kept over a reboot.
    pub keep: bool,
    /// How the running box is watched.
    pub watch: Watch,
}

/// A camera that the file names.
#[derive(Debug, Clone)]
pub struct Camera {
    /// Its name.
    pub name: CameraName,
    /// Its address, in its zone's network.
    pub address: Ipv4Addr,
    /// Its hardware address.
    pub mac: Option<MacAddress>,
    /// The zone it is in.
    pub zone: ZoneIndex,
    /// Where the file names it.
    pub origin: Origin,
}

/// Which zone, as its place in [`Policy::zones`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ZoneIndex(usize);

impl Policy {
    /// The zone of an index, which only this policy's resolver makes.
    pub fn zone(&self, index: ZoneIndex) -> &Zone {
        &self.zones[index.0]
    }

    /// What LOG writes before packets that cannot come from this zone.
    pub fn prefixes_of(&self, index: ZoneIndex) -> &ZonePrefixes {
        &self.log.prefixes.zones[index.0]
    }

    /// The cameras of a zone, in the order of the file.
    pub fn cameras_of(&self, zone: ZoneIndex) -> impl Iterator<Item = &Camera> {
        self.cameras
            .iter()
            .filter(move |camera| camera.zone == zone)
    }

    /// The IPv4 networks whose sources a zone can have: its own and those that
    /// routes lead to by it.
    pub fn networks_of(&self, zone: &Zone) -> Vec<Ipv4Net> {
        let routed = self.routed_by(zone).filter_map(|network| match network {
            IpNet::V4(network) => Some(network),
            IpNet::V6(_) => None,
        });
        distinct(zone.networks().into_iter().chain(routed))
    }

    /// The same of IPv6, without the link-local network, which every zone has.
    pub fn networks6_of(&self, zone: &Zone) -> Vec<Ipv6Net> {
        let routed = self.routed_by(zone).filter_map(|network| match network {
            IpNet::V6(network) => Some(network),
            IpNet::V4(_) => None,
        });
        distinct(zone.networks6().into_iter().chain(routed))
    }

    /// What routes lead to by a zone; the default says nothing about who is there.
    fn routed_by(&self, zone: &Zone) -> impl Iterator<Item = IpNet> {
        // A table that nothing looks at says nothing either.
        let consulted = |route: &Route| {
            let looks = |rule: &MarkRule| {
                rule.table == route.table && rule.ipv6 == route.destination.addr().is_ipv6()
            };
            route.table == MAIN_TABLE || self.mark_rules.iter().any(looks)
        };
        let routed = self.routes.iter().filter(move |route| match &route.way {
            Way::Gateway { link, .. } => *link == zone.interface.as_str() && consulted(route),
            Way::Blackhole | Way::Unreachable => false,
        });
        routed
            .map(|route| route.destination)
            .filter(|network| network.prefix_len() > 0)
    }

    /// Whether the default route of a family leads out by a zone.
    pub fn has_default_route(&self, zone: &Zone, ipv6: bool) -> bool {
        let by_gateway = match ipv6 {
            false => zone.dhcp || zone.gateway.is_some(),
            true => zone.gateway6.is_some(),
        };
        let routed = |route: &Route| {
            let by =
                matches!(&route.way, Way::Gateway { link, .. } if *link == zone.interface.as_str());
            by && route.table == MAIN_TABLE
                && route.destination.prefix_len() == 0
                && route.destination.addr().is_ipv6() == ipv6
        };
        by_gateway || self.routes.iter().any(routed)
    }

    /// The lines by which somebody in a zone opens this UDP port of the router.
    pub fn offers_udp(&self, zone: ZoneIndex, port: u16) -> impl Iterator<Item = &Allow> {
        let port = PortRange::port(port);
        let flow = Flow {
            from: Endpoint::Zone(zone),
            to: Endpoint::Router,
        };
        self.allows_of(flow).filter(move |allow| {
            let ports = allow.services.iter().flat_map(|service| &service.udp);
            ports.into_iter().any(|ports| ports.contains(port))
        })
    }

    /// The hardware address that is all by which a camera is known that asks for its
    /// address on its own line; None where the line is for others too, or the file
    /// does not name it.
    pub(crate) fn mac_without_address(&self, allow: &Allow) -> Option<MacAddress> {
        let name = allow.camera.as_ref()?;
        let Addresses::Only(sources) = &allow.sources else {
            return None;
        };
        let unspecified = IpNet::from(Ipv4Net::from(Ipv4Addr::UNSPECIFIED));
        if !sources.contains(&unspecified) {
            return None;
        }
        let camera = self.cameras.iter().find(|camera| camera.name == *name)?;
        camera.mac
    }

    /// The hardware addresses of all who may ask for an address in a zone; None where
    /// they are not known.
    pub(crate) fn macs_without_address(&self, index: ZoneIndex) -> Option<Vec<MacAddress>> {
        if !self.zone(index).known_only {
            return None;
        }
        self.cameras_of(index).map(|camera| camera.mac).collect()
    }

    /// Every zone with its index.
    pub fn indexed_zones(&self) -> impl Iterator<Item = (ZoneIndex, &Zone)> {
        self.zones
            .iter()
            .enumerate()
            .map(|(index, zone)| (ZoneIndex(index), zone))
    }

    /// The allow lines that allow this flow, in the order of the file.
    pub fn allows_of(&self, flow: Flow) -> impl Iterator<Item = &Allow> {
        self.allows
            .iter()
            .filter(move |allow| allow.flows.contains(&flow))
    }
}

/// One network, on one interface.
#[derive(Debug, Clone)]
pub struct Zone {
    /// Its name.
    pub name: ZoneName,
    /// The interface it is on.
    pub interface: InterfaceName,
    /// How the interface is found or made.
    pub device: Device,
    /// The router's own addresses in it, with their networks' prefixes; the
    /// first is the one it sends from. None where they come by DHCP.
    pub addresses: Vec<Ipv4Net>,
    /// The same of IPv6; there may be none.
    pub addresses6: Vec<Ipv6Net>,
    /// Whether IPv4 address and gateway come by DHCP.
    pub dhcp: bool,
    /// Bytes; None leaves it as it is.
    pub mtu: Option<u32>,
    /// The next router, on an external zone.
    pub gateway: Option<Ipv4Addr>,
    /// The next IPv6 router, on an external zone: in its network or link-local.
    pub gateway6: Option<Ipv6Addr>,
    /// What it is.
    pub role: Role,
    /// Whether only the cameras that are listed may send from it.
    pub known_only: bool,
    /// Whether its interface may be absent, as that of a VPN or a modem.
    pub optional: bool,
    /// Networks whose sources an external zone may have although they are
    /// reserved.
    pub accept_bogons: Vec<IpNet>,
    /// Where the file defines it.
    pub origin: Origin,
}

impl Zone {
    /// Its IPv4 networks, without the router's own part of the addresses, each
    /// once.
    pub fn networks(&self) -> Vec<Ipv4Net> {
        distinct(self.addresses.iter().map(Ipv4Net::trunc))
    }

    /// Its IPv6 networks, the same way; not the link-local one.
    pub fn networks6(&self) -> Vec<Ipv6Net> {
        distinct(self.addresses6.iter().map(Ipv6Net::trunc))
    }

    /// The router's own addresses in it, of both families, IPv4 first.
    pub fn own(&self) -> impl Iterator<Item = IpNet> {
        let ipv4 = self.addresses.iter().copied().map(IpNet::V4);
        ipv4.chain(self.addresses6.iter().copied().map(IpNet::V6))
    }

    /// Whether the file has the router speak IPv6 there, beyond what the kernel
    /// does on a link of its own accord.
    pub fn has_ipv6(&self) -> bool {
        !self.addresses6.is_empty() || self.gateway6.is_some()
    }
}

/// Each once, in the order in which they first came.
fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = Vec::new();
    for value in values {
        if !all.contains(&value) {
            all.push(value);
        }
    }
    all
}

/// One end of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// The router itself.
    Router,
    /// A host in a zone.
    Zone(ZoneIndex),
}

/// Who opens a connection, and to whom. Never from one zone to the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Who opens it.
    pub from: Endpoint,
    /// To whom.
    pub to: Endpoint,
}

/// One allow line.
#[derive(Debug, Clone)]
pub struct Allow {
    /// The flows it allows; several where it says `any`.
    pub flows: Vec<Flow>,
    /// The camera that it is for, where the file names one in `from`.
    pub camera: Option<CameraName>,
    /// From which of the zone's addresses.
    pub sources: Addresses,
    /// To which addresses there.
    pub destinations: Addresses,
    /// The names among its destinations; their addresses, as far as they are
    /// known, are in `destinations`.
    pub hosts: Vec<HostName>,
    /// What they carry.
    pub services: Vec<Service>,
    /// New connections per source address.
    pub limit: Option<Rate>,
    /// Connections that one source address may have open.
    pub connections: Option<u32>,
    /// Turns away a source that tries too often.
    pub block_after: Option<BlockAfter>,
    /// Only then.
    pub when: Option<TimeWindow>,
    /// Where the file says so.
    pub origin: Origin,
    /// The name of what the kernel counts for it, made of what the line says.
    pub label: String,
}

/// A source that opened so many connections in so many seconds is turned away,
/// until it has not tried for as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockAfter {
    /// How many are let through.
    pub attempts: u8,
    /// Seconds.
    pub within: u32,
}

/// What a connection is opened to; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// None where it is written in place.
    pub name: Option<ServiceName>,
    /// TCP destination ports, passive data ports among them.
    pub tcp: Vec<PortRange>,
    /// UDP destination ports.
    pub udp: Vec<PortRange>,
    /// ICMP types.
    pub icmp: Vec<IcmpType>,
    /// The range of passive FTP, which is in `tcp` too.
    pub passive: Option<PortRange>,
    /// Whether conntrack's FTP helper lets its data connections through.
    pub helper: bool,
}

impl Service {
    /// Whether it holds all that `other` holds.
    fn contains(&self, other: &Service) -> bool {
        let ports = |mine: &[PortRange], others: &[PortRange]| {
            others
                .iter()
                .all(|other| mine.iter().any(|range| range.contains(*other)))
        };
        ports(&self.tcp, &other.tcp)
            && ports(&self.udp, &other.udp)
            && other.icmp.iter().all(|icmp| self.icmp.contains(icmp))
    }
}

impl fmt::Display for Service {
    /// Its name, or its ports where it has none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            return write!(f, "{name}");
        }
        let list = |protocol: &str, values: Vec<String>| match values.len() {
            0 => None,
            _ => Some(format!("{protocol} {}", values.join(","))),
        };
        let parts = [
            list("tcp", self.tcp.iter().map(ToString::to_string).collect()),
            list("udp", self.udp.iter().map(ToString::to_string).collect()),
            list("icmp", self.icmp.iter().map(ToString::to_string).collect()),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
    }
}

/// How dropped packets are logged. Every LOG rule has its own rate.
#[derive(Debug, Clone)]
pub struct Log {
    /// The most lines per LOG rule.
    pub rate: Rate,
    /// What the lines begin with.
    pub prefixes: LogPrefixes,
    /// Whether also to log what no allow line lets through.
    pub dropped: bool,
}

/// The log prefixes of one policy, each within the kernel's limit.
#[derive(Debug, Clone)]
pub struct LogPrefixes {
    /// Packets that conntrack calls INVALID.
    pub invalid: LogPrefix,
    /// Packets that cannot come from a zone, per zone, as [`Policy::zones`].
    pub zones: Vec<ZonePrefixes>,
    /// Packets to the router that nothing allows.
    pub input: LogPrefix,
    /// Packets across the router that nothing allows.
    pub forward: LogPrefix,
    /// Packets from the router that nothing allows.
    pub output: LogPrefix,
}

/// The log prefixes of one zone.
#[derive(Debug, Clone)]
pub struct ZonePrefixes {
    /// A source that the zone cannot have.
    pub spoofed: LogPrefix,
    /// A source that is no camera's of the list.
    pub unknown: LogPrefix,
    /// A source that nobody on the internet has.
    pub bogon: LogPrefix,
}

/// The line of the file that a rule comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    file: String,
    /// The file's number; the main one is 0.
    number: usize,
    /// From 1.
    pub line: usize,
}

impl Origin {
    /// The place of an offset; only the last part of the file's path is kept,
    /// so that the same file gives the same rules wherever it lies.
    pub fn new(source: &Source, offset: usize) -> Origin {
        let (number, place) = source.locate(offset);
        let path = source.files().get(number).map_or("", |file| &file.name);
        let name = path.rsplit('/').next().unwrap_or(path);
        let safe = |c: char| {
            if c.is_ascii_alphanumeric() || "._-".contains(c) {
                c
            } else {
                '_'
            }
        };
        Origin {
            file: name.chars().map(safe).take(64).collect(),
            number,
            line: place.line,
        }
    }

    /// The comment of a rule that does `what`. Text that no comment may hold
    /// is left out.
    pub fn comment(&self, what: &str) -> Option<Comment> {
        Comment::try_from(format!("{self} {what}").as_str())
            .or_else(|_| Comment::try_from(self.to_string().as_str()))
            .ok()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
