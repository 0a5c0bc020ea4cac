//! Links, addresses, routes, rules and neighbours, as values.
//!
//! `plan` makes them of a policy, `diff` finds what has to change. Nothing
//! here sends anything: `host::netlink` does. Links go by their names, since
//! the kernel's numbers change when a device comes and goes.

mod bypass;
mod change;
mod diff;
mod foreign;
mod lease;
mod problem;
mod rename;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use crate::name::{InterfaceName, MacAddress};

pub use bypass::{Bypass, FilterAction, FrameHook, TrafficFilter, bypasses};
pub use change::NetworkChange;
pub use diff::{Diff, diff, left_alone};
pub use foreign::foreign;
pub use lease::{Lease, LeaseError, Taken, lease};
pub use problem::NetworkError;

/// The loopback's name, the same in every namespace.
pub const LOOPBACK: &str = "lo";

/// The routing table that is looked at where no rule says otherwise: RT_TABLE_MAIN.
pub const MAIN_TABLE: u32 = 254;

/// The metric of a route for which none is asked, since IPv6 knows no 0:
/// IP6_RT_PRIO_USER of include/uapi/linux/ipv6_route.h.
pub fn default_metric(destination: &IpNet) -> u32 {
    match destination {
        IpNet::V4(_) => 0,
        IpNet::V6(_) => 1024,
    }
}

/// The metric of the unreachable routes behind those of zones and of the file: the
/// highest, so that they are taken only where those are not there.
pub const LAST_METRIC: u32 = u32::MAX;

/// The first of the metrics that are kept for such routes: a lease's has one of its
/// zone's own, so that the next lease finds it.
pub const LAST_METRICS: u32 = LAST_METRIC - 255;

/// How a link is found or made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Device {
    /// By its name.
    Named,
    /// By its hardware address, and given the name.
    Mac(MacAddress),
    /// By where it is under /sys/devices, or the end of that; and given the name.
    Path(String),
    /// Made: a VLAN on another link.
    Vlan {
        /// 1 to 4094
        id: u16,
        /// The link it is on.
        parent: InterfaceName,
    },
    /// Made: a bridge whose ports reach the router and not each other.
    Bridge {
        /// The links that become its ports.
        ports: Vec<InterfaceName>,
    },
}

/// What a policy wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// One per zone, in the order of the file.
    pub links: Vec<WantedLink>,
    /// Default routes, static ones and black holes.
    pub routes: Vec<Route>,
    /// Which marks look at which table.
    pub rules: Vec<MarkRule>,
    /// Who has which hardware address, whatever is said on the wire.
    pub neighbours: Vec<Neighbour>,
    /// Whether the file says what IPv6 there is; else what others put there is
    /// theirs, and no packet of it passes.
    pub ipv6: bool,
}

impl Wanted {
    /// The metric of the unreachable route behind the network of a link's lease; None
    /// where the link has none by DHCP.
    pub fn lease_metric(&self, link: &str) -> Option<u32> {
        let index = self
            .links
            .iter()
            .position(|wanted| wanted.name.as_str() == link)?;
        let index = u32::try_from(index).ok()?.min(254);
        self.links[index as usize]
            .dhcp
            .then_some(LAST_METRIC - 1 - index)
    }

    /// The names of all links that the file speaks of: zones' interfaces, and those
    /// that VLANs and bridges are on.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.links.iter().flat_map(|link| {
            let lower = match &link.device {
                Device::Vlan { parent, .. } => std::slice::from_ref(parent),
                Device::Bridge { ports } => ports.as_slice(),
                _ => &[],
            };
            let names = lower.iter().chain([&link.name]);
            names.map(InterfaceName::as_str)
        })
    }
}

/// A link that is to be up with its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedLink {
    /// Its name.
    pub name: InterfaceName,
    /// How it is found or made.
    pub device: Device,
    /// The router's addresses with their networks' prefixes.
    pub addresses: Vec<IpNet>,
    /// Whether its IPv4 address and default route come by DHCP.
    pub dhcp: bool,
    /// Bytes; None leaves it as it is.
    pub mtu: Option<u32>,
    /// The zone it is, for messages.
    pub zone: String,
    /// Whether it may be absent.
    pub optional: bool,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Route {
    /// Where to.
    pub destination: IpNet,
    /// By which way.
    pub way: NextHop,
    /// Lower is taken first; never 0 with IPv6.
    pub metric: u32,
    /// In which table.
    pub table: u32,
}

/// The way a route takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// By another router.
    Gateway {
        /// Its address.
        gateway: IpAddr,
        /// The link that leads to it.
        link: String,
    },
    /// Nowhere: what matches is dropped.
    Blackhole,
    /// Nowhere, and who sends it is told: behind a route that goes with its interface.
    Unreachable,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.way {
            NextHop::Gateway { gateway, link } => {
                write!(f, "route {} via {gateway} on {link}", self.destination)?;
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

/// Packets with a mark look at a table of their own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MarkRule {
    /// The mark.
    pub mark: u32,
    /// The table.
    pub table: u32,
    /// Whether it is for IPv6's packets; else for IPv4's.
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

/// A permanent neighbour.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Neighbour {
    /// Its address.
    pub address: IpAddr,
    /// Its hardware address.
    pub mac: MacAddress,
    /// The link it is on.
    pub link: String,
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "neighbour {} is {} on {}",
            self.address, self.mac, self.link
        )
    }
}

/// What the kernel has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Current {
    /// Every link of the namespace.
    pub links: Vec<Link>,
    /// Unicast routes by a gateway and black holes, of every table; without what
    /// the kernel made, such as those of router advertisements.
    pub routes: Vec<Held<Route>>,
    /// Rules that look at a mark alone.
    pub rules: Vec<Held<MarkRule>>,
    /// Permanent neighbours.
    pub neighbours: Vec<Held<Neighbour>>,
    /// Routes of kinds that we never make.
    pub other_routes: Vec<OtherRoute>,
    /// Rules that we never make.
    pub other_rules: Vec<OtherRule>,
    /// Addresses for which the kernel answers on a link in the name of others.
    pub proxied: Vec<(IpAddr, String)>,
}

impl Current {
    /// The bridge that a link is a port of, where that is as we make it: its ports
    /// are isolated. A file that does not name the bridge takes the port out.
    pub fn earlier_bridge_of(&self, link: &Link) -> Option<&str> {
        let controller = link.controller.as_ref().filter(|_| link.isolated)?;
        let mut links = self.links.iter();
        let bridge =
            links.find(|there| there.name == *controller && there.kind == LinkType::Bridge)?;
        Some(&bridge.name)
    }
}

/// A route of a kind that we never make: on a link, by several routers, local.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherRoute {
    /// Where to.
    pub destination: IpNet,
    /// What becomes of what it matches, as ip-route(8) has it.
    pub kind: &'static str,
    /// The links that it leads by; none where it leads nowhere.
    pub links: Vec<String>,
    /// In which table.
    pub table: u32,
}

/// A rule that we never make: which table a packet's way is looked up in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherRule {
    /// Its place among the rules.
    pub priority: u32,
    /// The table; none where it does something else.
    pub table: Option<u32>,
    /// Whether it is for IPv6's packets; else for IPv4's.
    pub ipv6: bool,
}

/// Something that is there, and whether camfw put it there: it marks what it
/// makes with a protocol number of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held<T> {
    /// What is there.
    pub value: T,
    /// Whether it is ours.
    pub ours: bool,
}

/// The ports of the bridges that camfw made: those with an address of its own, and
/// those that a plan has.
pub fn own_ports(current: &Current, wanted: Option<&Wanted>) -> Vec<String> {
    let named = |name: &str| {
        let mut links = wanted.iter().flat_map(|wanted| &wanted.links);
        links.any(|link| link.name.as_str() == name && matches!(link.device, Device::Bridge { .. }))
    };
    let is_own = |bridge: &str| {
        let mut links = current.links.iter();
        links.any(|link| {
            let is_ours = link.addresses.iter().any(|held| held.ours);
            link.name == bridge && link.kind == LinkType::Bridge && (is_ours || named(bridge))
        })
    };
    let ports = current
        .links
        .iter()
        .filter(|link| link.controller.as_deref().is_some_and(is_own));
    ports.map(|link| link.name.clone()).collect()
}

/// A link as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Whether it is set up (IFF_UP), cable or not.
    pub up: bool,
    /// Its hardware address, where it has one of six bytes.
    pub mac: Option<MacAddress>,
    /// Bytes.
    pub mtu: u32,
    /// Where its device is under /sys/devices; virtual links have none.
    pub path: Option<String>,
    /// What kind it is.
    pub kind: LinkType,
    /// Its type as `ip link add type` has it; a device has none.
    pub link_type: Option<String>,
    /// The link that it is a port of: a bridge, a bond, an Open vSwitch.
    pub controller: Option<String>,
    /// The links of this namespace that it is on, as a VLAN or macvlan is.
    pub lower: Vec<String>,
    /// Whether an XDP program has each frame before anything else does.
    pub xdp: bool,
    /// The filters of traffic control that see its frames.
    pub filters: Vec<TrafficFilter>,
    /// What of nftables has its frames before the firewall, and may send them on.
    pub hooks: Vec<FrameHook>,
    /// How many ask for every frame on the wire (IFLA_PROMISCUITY): a controller, a
    /// packet socket, what is on it. `ip link set promisc on` is none of them.
    pub promiscuity: u32,
    /// Unicast addresses, of no link in this namespace, whose frames it takes too:
    /// a macvlan on it that was moved to another namespace asks for them.
    pub also_receives: Vec<MacAddress>,
    /// As a port: whether it reaches no other isolated port.
    pub isolated: bool,
    /// Its addresses, without those that the kernel gave it: link-local ones and
    /// those of router advertisements.
    pub addresses: Vec<Held<IpNet>>,
    /// The link-local ones of IPv6 that the kernel, or somebody else, gave it.
    pub link_local: Vec<Ipv6Addr>,
    /// Those among `addresses` that another host on the link has too: it said so when
    /// the kernel asked (RFC 4862, 5.4), and they are not used.
    pub duplicates: Vec<IpNet>,
}

/// The kinds of link that matter here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LinkType {
    /// A device, or a kind that we do not make.
    #[default]
    Other,
    /// A VLAN.
    Vlan {
        /// Its id.
        id: u16,
        /// The link it is on, where that is in this namespace.
        parent: Option<String>,
    },
    /// A bridge.
    Bridge,
}
