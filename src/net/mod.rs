//! Links, addresses, routes, rules and neighbours, as values.
//!
//! `plan` derives the desired state from a policy, and `diff` determines what has to
//! change; `host::netlink` applies it. Links are identified by name, because the
//! kernel's indexes change when a device is removed and added again.

mod advertised;
mod bypass;
mod change;
mod diff;
mod lease;
mod neighbour;
mod other_program;
mod problem;
mod rename;
mod seen;
mod unmanaged;
mod way_out;
mod way_watch;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use crate::name::{InterfaceName, MacAddress};

pub use advertised::{advertised_on, advertised_too_much};
pub use bypass::{Bypass, FilterAction, FrameHook, TrafficFilter, bypasses};
pub use change::NetworkChange;
pub use diff::{Diff, diff, ignored_links, left_behind};
pub use lease::{Lease, LeaseError, UsedNetwork, lease};
pub use neighbour::{ForwardingEntry, Neighbour};
pub use other_program::{
    ActiveProgram, NetworkProgram, OtherProgram, is_in_source_directory, keeps_others_routes,
    matches_glob, other_programs, sourced,
};
pub use problem::NetworkError;
pub use seen::{LinkCondition, SeenHost, SeenOnLinks};
pub use unmanaged::unmanaged;
pub use way_out::{
    ASIDE, MOST_METRIC, RouterAnswer, SourceRule, WAY_TABLES, WayOut, WayTrouble,
    unreachable_behind,
};
pub use way_watch::{HOLD, WayState, WayWatch};

/// The name of the loopback, the same in every namespace.
pub const LOOPBACK: &str = "lo";

/// The routing table that is used unless a rule selects another one: RT_TABLE_MAIN.
pub const MAIN_TABLE: u32 = 254;

/// The metric of a route that specifies none. IPv6 has no metric 0; its default is
/// IP6_RT_PRIO_USER of include/uapi/linux/ipv6_route.h.
pub fn default_metric(destination: &IpNet) -> u32 {
    match destination {
        IpNet::V4(_) => 0,
        IpNet::V6(_) => 1024,
    }
}

/// The metric of the unreachable routes behind those of zones and of the file: the
/// highest, so that they apply only if the others are absent.
pub const LAST_METRIC: u32 = u32::MAX;

/// The first of the metrics reserved for such routes. Each DHCP zone has its own, so
/// that a new lease replaces the route of the previous one.
pub const LAST_METRICS: u32 = LAST_METRIC - 255;

/// How a link is identified or created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Device {
    /// By name.
    Named,
    /// By hardware address; the link is then renamed.
    Mac(MacAddress),
    /// By its path under /sys/devices, or the end of that; the link is then renamed.
    Path(String),
    /// A VLAN, created on another link.
    Vlan {
        /// The VLAN id, 1 to 4094.
        id: u16,
        /// The link that it is on.
        parent: InterfaceName,
    },
    /// A bridge, created with ports that reach the router but not each other.
    Bridge {
        /// The links that become its ports.
        ports: Vec<InterfaceName>,
        /// Those of them that reach every other port.
        not_isolated: Vec<InterfaceName>,
    },
}

impl Device {
    /// The links that it is made on.
    pub fn lower(&self) -> &[InterfaceName] {
        match self {
            Device::Vlan { parent, .. } => std::slice::from_ref(parent),
            Device::Bridge { ports, .. } => ports,
            _ => &[],
        }
    }
}

/// Who sets the IPv4 addresses of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressSource {
    /// camfw, those of the file.
    #[default]
    File,
    /// camfw, those that a DHCP server leases.
    Dhcp,
    /// Another program, such as pppd; camfw leaves them alone.
    Given,
    /// Nobody: the link only carries others.
    Nobody,
}

impl AddressSource {
    /// Whether the file does not say which addresses there are.
    pub fn is_unknown(self) -> bool {
        matches!(self, AddressSource::Dhcp | AddressSource::Given)
    }
}

/// The network state that a policy requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// One link per zone, in the order of the file.
    pub links: Vec<WantedLink>,
    /// Default routes, static routes and blackhole routes.
    pub routes: Vec<Route>,
    /// Which routing table packets with a mark use.
    pub rules: Vec<MarkRule>,
    /// Which routing table the router's own answers use, by the address that they are from.
    pub source_rules: Vec<SourceRule>,
    /// The ways out, the preferred one first; empty if there is one alone.
    pub ways: Vec<WayOut>,
    /// Permanent neighbour entries, which override what hosts announce.
    pub neighbours: Vec<Neighbour>,
    /// By which port hardware addresses come in; the ports of these bridges are locked.
    pub forwarding: Vec<ForwardingEntry>,
    /// Whether the file defines IPv6 addresses and routes. Otherwise others may manage
    /// them, and no IPv6 packet passes.
    pub ipv6: bool,
}

impl Wanted {
    /// The metric of the unreachable route behind the network of a link's lease; None
    /// if the link does not use DHCP.
    pub fn lease_metric(&self, link: &str) -> Option<u32> {
        let index = self
            .links
            .iter()
            .position(|wanted| wanted.name.as_str() == link)?;
        let index = u32::try_from(index).ok()?.min(254);
        self.links[index as usize]
            .by_dhcp()
            .then_some(LAST_METRIC - 1 - index)
    }

    /// Whether the ports of a bridge are locked: a port that takes any source would take that
    /// of a host on another port.
    pub fn is_locked(&self, bridge: &str) -> bool {
        self.forwarding.iter().any(|entry| entry.bridge == bridge)
    }

    /// Whether it has rules that select a routing table.
    pub fn has_rules(&self) -> bool {
        !self.rules.is_empty() || !self.ways.is_empty()
    }

    /// The names of all links in the file: the zones' interfaces, and the links that
    /// VLANs and bridges are on.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.links.iter().flat_map(|link| {
            let names = link.device.lower().iter().chain([&link.name]);
            names.map(InterfaceName::as_str)
        })
    }
}

/// A link that should be up, with its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedLink {
    /// Its name.
    pub name: InterfaceName,
    /// How it is identified or created.
    pub device: Device,
    /// The router's addresses on it, with their prefix lengths.
    pub addresses: Vec<IpNet>,
    /// Who sets its IPv4 addresses.
    pub address_source: AddressSource,
    /// The MTU in bytes; None leaves it unchanged.
    pub mtu: Option<u32>,
    /// The name of its zone, for messages.
    pub zone: String,
    /// Whether it may be absent.
    pub optional: bool,
    /// The metric of the default route that a lease brings.
    pub metric: u32,
    /// Whether its IPv6 address and default route come by router advertisement.
    pub slaac: bool,
}

impl WantedLink {
    /// Whether DHCP provides its IPv4 address and default route.
    pub fn by_dhcp(&self) -> bool {
        self.address_source == AddressSource::Dhcp
    }

    /// Whether another program sets its addresses.
    pub fn is_given(&self) -> bool {
        self.address_source == AddressSource::Given
    }

    /// Whether camfw sets it up: the program that gives addresses to a link that camfw did
    /// not make sets that up too, and down when it takes them away.
    pub fn is_set_up(&self) -> bool {
        self.is_made() || !self.is_given()
    }

    /// Whether camfw makes it.
    fn is_made(&self) -> bool {
        matches!(self.device, Device::Vlan { .. } | Device::Bridge { .. })
    }
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Route {
    /// The destination network.
    pub destination: IpNet,
    /// The next hop.
    pub way: NextHop,
    /// The metric: lower is preferred. Never 0 for IPv6.
    pub metric: u32,
    /// The routing table.
    pub table: u32,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// By a link.
    Link {
        /// The link's name.
        link: String,
        /// The next router; without one, the destinations are at the link's other end.
        gateway: Option<IpAddr>,
    },
    /// Nowhere: packets are dropped.
    Blackhole,
    /// Nowhere, and the sender gets an ICMP error. Used behind a route that disappears
    /// with its interface.
    Unreachable,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.way {
            NextHop::Link { link, gateway } => {
                write!(f, "route {}", self.destination)?;
                if let Some(gateway) = gateway {
                    write!(f, " via {gateway}")?;
                }
                write!(f, " on {link}")?;
            }
            NextHop::Blackhole => write!(f, "route {} to nowhere", self.destination)?,
            NextHop::Unreachable => write!(f, "route {} unreachable", self.destination)?,
        }
        if self.metric != default_metric(&self.destination) {
            write!(f, ", metric {}", self.metric)?;
        }
        if self.table != MAIN_TABLE {
            write!(f, ", table {}", self.table)?;
        }
        Ok(())
    }
}

/// A rule that selects a routing table for packets with a mark.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MarkRule {
    /// The mark.
    pub mark: u32,
    /// The routing table.
    pub table: u32,
    /// Whether it applies to IPv6 packets; otherwise to IPv4.
    pub ipv6: bool,
}

impl fmt::Display for MarkRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.ipv6 { "IPv6 " } else { "" };
        write!(
            f,
            "{family}rule: mark {} looks at table {}",
            self.mark, self.table
        )
    }
}

/// The network state of the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Current {
    /// All links of the namespace.
    pub links: Vec<Link>,
    /// Unicast routes through a gateway, blackhole routes, and those that camfw created
    /// directly on a link, of all tables; without those that the kernel created, such as
    /// from router advertisements.
    pub routes: Vec<Held<Route>>,
    /// The IPv6 routes of the main table that the kernel created: to what is on a link, and
    /// those from router advertisements.
    pub kernel_routes: Vec<Route>,
    /// Rules that match only a mark.
    pub rules: Vec<Held<MarkRule>>,
    /// The source rules that camfw created.
    pub source_rules: Vec<Held<SourceRule>>,
    /// Permanent neighbour entries.
    pub neighbours: Vec<Held<Neighbour>>,
    /// The forwarding entries of locked ports, and of other ports those that are not learnt.
    pub forwarding: Vec<Held<ForwardingEntry>>,
    /// Routes of kinds that camfw never creates.
    pub other_routes: Vec<OtherRoute>,
    /// Rules of kinds that camfw never creates.
    pub other_rules: Vec<OtherRule>,
    /// Addresses for which the kernel answers on behalf of others, with the link.
    pub proxied: Vec<(IpAddr, String)>,
}

impl Current {
    /// The bridge that the link is a port of, if camfw made it, or if it looks so: version
    /// 0.2.0 put no mark on it, and isolated or locked most ports.
    pub fn earlier_bridge_of(&self, link: &Link) -> Option<&Link> {
        let controller = link.controller.as_ref()?;
        let mut links = self.links.iter();
        let bridge =
            links.find(|there| there.name == *controller && there.kind == LinkType::Bridge)?;
        let mut ports = self
            .links
            .iter()
            .filter(|it| it.controller == link.controller);
        let is_made = bridge.made || ports.any(|port| port.isolated || port.locked);
        is_made.then_some(bridge)
    }
}

/// A route of a kind that camfw never creates: directly on a link, with several next
/// hops, or local.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherRoute {
    /// Where to.
    pub destination: IpNet,
    /// Its type, in the words of ip-route(8).
    pub kind: &'static str,
    /// The encapsulation that sends its packets on before the firewall.
    pub passes_by: Option<&'static str>,
    /// The links that it leads through; empty if it leads nowhere.
    pub links: Vec<String>,
    /// The routing table.
    pub table: u32,
}

/// A rule of a kind that camfw never creates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherRule {
    /// Its priority.
    pub priority: u32,
    /// The routing table that it selects; None if it has another action.
    pub table: Option<u32>,
    /// Whether it applies to IPv6 packets; otherwise to IPv4.
    pub ipv6: bool,
}

/// An object of the kernel, and whether camfw created it, according to its protocol
/// number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held<T> {
    /// The object.
    pub value: T,
    /// Whether camfw created it.
    pub ours: bool,
}

/// The ports of bridges that camfw created, recognized by its mark or an address of ours on
/// the bridge, and those of a plan.
pub fn own_ports(current: &Current, wanted: Option<&Wanted>) -> Vec<String> {
    let named = |name: &str| {
        let mut links = wanted.iter().flat_map(|wanted| &wanted.links);
        links.any(|link| link.name.as_str() == name && matches!(link.device, Device::Bridge { .. }))
    };
    let is_own = |bridge: &str| {
        let mut links = current.links.iter();
        links.any(|link| {
            let is_ours = link.addresses.iter().any(|held| held.ours);
            let is_ours = is_ours || link.made || named(bridge);
            link.name == bridge && link.kind == LinkType::Bridge && is_ours
        })
    };
    let ports = current
        .links
        .iter()
        .filter(|link| link.controller.as_deref().is_some_and(is_own));
    ports.map(|link| link.name.clone()).collect()
}

/// A link of the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Whether it is administratively up (IFF_UP), with or without carrier.
    pub up: bool,
    /// Whether there is a signal at its other end (IFF_LOWER_UP).
    pub carrier: bool,
    /// Its hardware address, if that has six bytes.
    pub mac: Option<MacAddress>,
    /// Its MTU, in bytes.
    pub mtu: u32,
    /// Its device path under /sys/devices; None for virtual links.
    pub path: Option<String>,
    /// Its kind.
    pub kind: LinkType,
    /// Whether camfw made it, by its mark.
    pub made: bool,
    /// The text that is kept with it (`ip link set … alias`), in which camfw notes a name.
    pub alias: String,
    /// Its type as in `ip link add type`; None for physical devices.
    pub link_type: Option<String>,
    /// The link that it is a port of: a bridge, bond or Open vSwitch.
    pub controller: Option<String>,
    /// The links of this namespace that it is on, as for a VLAN or macvlan.
    pub lower: Vec<String>,
    /// Whether an XDP program processes its frames before everything else.
    pub xdp: bool,
    /// The traffic control filters that see its frames.
    pub filters: Vec<TrafficFilter>,
    /// The nftables hooks that see its frames before the firewall and may forward them.
    pub hooks: Vec<FrameHook>,
    /// How many users requested all frames on the wire (IFLA_PROMISCUITY): a
    /// controller, a packet socket, or a link on top. `ip link set promisc on` does not
    /// count.
    pub promiscuity: u32,
    /// Unicast addresses that belong to no link of this namespace and whose frames it
    /// accepts too, as requested by a macvlan on it that was moved to another
    /// namespace.
    pub also_receives: Vec<MacAddress>,
    /// Whether, as a bridge port, it is isolated from other isolated ports.
    pub isolated: bool,
    /// Whether, as a bridge port, it takes only frames from sources with a forwarding entry.
    pub locked: bool,
    /// Whether, as a bridge port, it makes no forwarding entries of what it receives.
    pub learns_nothing: bool,
    /// Its addresses, without those that the kernel assigned: link-local addresses and
    /// those from router advertisements.
    pub addresses: Vec<Held<IpNet>>,
    /// Those that the kernel made from router advertisements.
    pub advertised: Vec<IpNet>,
    /// The addresses at its other end, if it leads to one host: the kernel routes them there.
    pub peers: Vec<IpNet>,
    /// Its IPv6 link-local addresses, whoever assigned them.
    pub link_local: Vec<Ipv6Addr>,
    /// Those of `addresses` that are not used because another host on the link answered
    /// the kernel's duplicate address detection (RFC 4862, 5.4).
    pub duplicates: Vec<IpNet>,
}

impl Link {
    /// Its addresses, whoever assigned them, without link-local ones.
    pub fn own(&self) -> impl Iterator<Item = IpNet> {
        let held = self.addresses.iter().map(|held| held.value);
        held.chain(self.advertised.iter().copied())
    }
}

/// The kinds of link that camfw distinguishes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LinkType {
    /// A physical device, or a kind that camfw does not create.
    #[default]
    Other,
    /// A VLAN.
    Vlan {
        /// The VLAN id.
        id: u16,
        /// The link it is on, if that is in this namespace.
        parent: Option<String>,
    },
    /// A bridge.
    Bridge,
}
