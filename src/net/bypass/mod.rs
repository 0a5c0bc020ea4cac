//! Detects what carries a zone's frames past the firewall, from the current links and
//! those that the file names. Changes nothing.
//!
//! netfilter's IP hooks attribute each packet to the interface on which it arrives or
//! leaves. The frames of a bridge port belong to the bridge (`rx_handler`); those that
//! a macvlan, an Open vSwitch, an XDP program or a traffic control filter takes are
//! likewise not seen by the rules.

use std::collections::BTreeSet;
use std::fmt;

use crate::name::MacAddress;
use crate::net::rename::rename_all;
use crate::net::{Current, Device, Diff, Link, Wanted};

/// A traffic control filter on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficFilter {
    /// Its kind, in the words of `tc filter add`: `u32`, `bpf`, …
    pub kind: String,
    /// What it does to the frames that it matches; a `bpf` filter may do more.
    pub actions: Vec<FilterAction>,
}

/// What a traffic control filter does to a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterAction {
    /// Accepts or drops it, perhaps depending on a rate: gact, police.
    Limit,
    /// Sends it, or a copy, to another link; None if that cannot be found.
    Redirect(Option<String>),
    /// Anything else.
    Other(String),
}

/// An nftables hook that sees a link's frames before the firewall and may forward them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameHook {
    /// A table, given as family and name, with `fwd` or `dup` rules.
    Table(String),
    /// A flowtable: packets of its connections are forwarded, whatever the rules or
    /// ip_forward say (nf_flow_offload_ip_hook in net/netfilter/nf_flow_table_ip.c).
    Flowtable {
        /// The table's family and name.
        table: String,
        /// The flowtable's name.
        name: String,
    },
}

/// A path on which frames of a zone's link pass without the firewall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bypass {
    /// The link on this path; setting it down closes the path.
    pub link: String,
    /// Whether the link is up, so that frames can pass.
    pub is_up: bool,
    /// Whether an apply puts an end to it: a port of a bridge that camfw made.
    pub is_ended: bool,
    way: BypassWay,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum BypassWay {
    PortOf { controller: String, of_type: String },
    HasPort(String),
    Below { upper: String, of_type: String },
    Elsewhere(MacAddress),
    Xdp,
    Filter(TrafficFilter),
    Hook(FrameHook),
    Promiscuous,
}

impl Bypass {
    /// Whether frames certainly pass; otherwise there may be a harmless explanation.
    pub fn is_certain(&self) -> bool {
        self.way != BypassWay::Promiscuous
    }
}

impl fmt::Display for Bypass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = &self.link;
        write!(f, "interface {link}: ")?;
        match &self.way {
            BypassWay::PortOf {
                controller,
                of_type,
            } => write!(
                f,
                "it is a port of {of_type} {controller}, which carries its frames past the firewall; take it out: ip link set {link} nomaster"
            ),
            BypassWay::HasPort(port) => write!(
                f,
                "{port} is a port of it that the file does not name, and reaches the other ports past the firewall; take it out (ip link set {port} nomaster), or name it in the file"
            ),
            BypassWay::Below { upper, of_type } => write!(
                f,
                "{of_type} {upper} on it carries its frames past the firewall; remove it: ip link delete {upper}"
            ),
            BypassWay::Elsewhere(mac) => write!(
                f,
                "frames to {mac} pass by it to a link in another network namespace (a macvlan?) and past the firewall; remove that link, `bridge fdb show dev {link}` lists the address"
            ),
            BypassWay::Xdp => write!(
                f,
                "an XDP program has its frames before the firewall; remove it: ip link set {link} xdp off"
            ),
            BypassWay::Hook(FrameHook::Table(table)) => write!(
                f,
                "table {table} of nftables sends its frames on (fwd or dup) past the firewall; remove it, or what loads it: nft delete table {table}"
            ),
            BypassWay::Hook(FrameHook::Flowtable { table, name }) => write!(
                f,
                "flowtable {name} in table {table} of nftables forwards what is in it past the firewall; remove it, or what loads it: nft delete table {table}"
            ),
            BypassWay::Promiscuous => write!(
                f,
                "something takes every frame on it: a packet capture, or a link in another network namespace (macvlan mode passthru), which would have them past the firewall; end it if it is not yours"
            ),
            BypassWay::Filter(filter) => {
                let kind = &filter.kind;
                write!(
                    f,
                    "a traffic control filter ({kind}) can carry its frames past the firewall; look for it with `tc filter show dev {link}`, remove it: tc qdisc del dev {link} clsact (or ingress, or root)"
                )
            }
        }
    }
}

/// Link types that do not take frames from the firewall. Tunnels send and receive
/// packets of the box itself, which its rules see, and a veth's peer is only the other
/// end of its wire.
const BESIDE: &[&str] = &[
    "amt",
    "bareudp",
    "erspan",
    "geneve",
    "gre",
    "gretap",
    "gtp",
    "ip6erspan",
    "ip6gre",
    "ip6gretap",
    "ip6tnl",
    "ipip",
    "netkit",
    "sit",
    "veth",
    "vti",
    "vti6",
    "vxlan",
    "wireguard",
    "xfrm",
];

/// Link types whose packets belong to that link and no zone, and are therefore dropped;
/// but such a link may itself be a bridge port.
const PART: &[&str] = &["dsa", "macsec", "vlan"];

/// The kinds of filter that do nothing beyond their actions.
const PLAIN_FILTERS: &[&str] = &["basic", "flow", "flower", "fw", "matchall", "route", "u32"];

/// The intermediate device of a shaper: it returns frames to where they came from
/// (drivers/net/ifb.c).
const SHAPER: &str = "ifb";

/// All paths that carry frames of the file's interfaces past the firewall; without a
/// file, those of every device.
pub fn bypasses(current: &Current, wanted: Option<&Wanted>) -> Vec<Bypass> {
    let names = match wanted {
        Some(wanted) => rename_all(current, wanted, &mut Diff::default()),
        None => current.links.iter().map(|link| link.name.clone()).collect(),
    };
    let search = Search {
        current,
        names,
        wanted,
    };
    search.all()
}

struct Search<'a> {
    current: &'a Current,
    /// The future name of each link, by which the file knows it.
    names: Vec<String>,
    wanted: Option<&'a Wanted>,
}

impl<'a> Search<'a> {
    fn all(&self) -> Vec<Bypass> {
        let mut found = Vec::new();
        let watched = self.watched();
        let watched = watched
            .iter()
            .filter_map(|index| Some((self.current.links.get(*index)?, self.names.get(*index)?)));
        for (link, name) in watched {
            let mut push = |way| {
                found.push(Bypass {
                    link: link.name.clone(),
                    is_up: link.up,
                    is_ended: link.made && matches!(way, BypassWay::HasPort(_)),
                    way,
                });
            };
            if let Some(controller) = &link.controller
                && !self.is_wanted_port(name, controller)
                && !self.is_taken_out(link)
            {
                push(BypassWay::PortOf {
                    of_type: self.type_of(controller),
                    controller: controller.clone(),
                });
            }
            for port in self.unwanted_ports(link, name) {
                push(BypassWay::HasPort(port));
            }
            for upper in self.on(&link.name).filter(|upper| self.takes_frames(upper)) {
                push(BypassWay::Below {
                    upper: upper.name.clone(),
                    of_type: self.type_of(&upper.name),
                });
            }
            for mac in &link.also_receives {
                push(BypassWay::Elsewhere(*mac));
            }
            if link.xdp {
                push(BypassWay::Xdp);
            }
            for filter in link.filters.iter().filter(|filter| self.can_carry(filter)) {
                push(BypassWay::Filter(filter.clone()));
            }
            for hook in &link.hooks {
                push(BypassWay::Hook(hook.clone()));
            }
            if link.promiscuity > self.explained(link) {
                push(BypassWay::Promiscuous);
            }
        }
        found
    }

    /// The indexes of the links whose frames the firewall must see: those that the file
    /// names, VLANs on them, and shapers that their frames pass through.
    fn watched(&self) -> BTreeSet<usize> {
        let mut watched: BTreeSet<usize> = BTreeSet::new();
        for (index, link) in self.current.links.iter().enumerate() {
            let named = match self.wanted {
                Some(wanted) => wanted.names().any(|name| name == self.names[index]),
                None => link.path.is_some(),
            };
            if named {
                watched.insert(index);
            }
        }
        loop {
            let inside = |name: &String| {
                let is = |index: &usize| self.current.links[*index].name == *name;
                watched.iter().any(is)
            };
            let next = self.current.links.iter().enumerate().find(|(index, link)| {
                let carried = has_type(link, PART) && link.lower.iter().any(inside);
                let shapes = link.link_type.as_deref() == Some(SHAPER)
                    && watched.iter().any(|from| {
                        let filters = &self.current.links[*from].filters;
                        filters.iter().any(|filter| filter.sends_to(&link.name))
                    });
                !watched.contains(index) && (carried || shapes)
            });
            match next {
                Some((index, _)) => watched.insert(index),
                None => return watched,
            };
        }
    }

    /// Whether the link is a port of a bridge as the file defines it.
    fn is_wanted_port(&self, link: &str, controller: &str) -> bool {
        self.own_bridges().any(|(bridge, ports)| {
            bridge == controller && ports.iter().any(|port| port.as_str() == link)
        })
    }

    /// Whether the next apply removes the link from its bridge, or moves it to one of
    /// the file's.
    fn is_taken_out(&self, link: &Link) -> bool {
        self.wanted.is_some() && self.current.earlier_bridge_of(link).is_some()
    }

    fn own_bridges(&self) -> impl Iterator<Item = (&'a str, &'a [crate::name::InterfaceName])> {
        let links = self.wanted.into_iter().flat_map(|wanted| &wanted.links);
        links.filter_map(|link| match &link.device {
            Device::Bridge { ports, .. } => Some((link.name.as_str(), ports.as_slice())),
            _ => None,
        })
    }

    /// The ports of a bridge of the file that the file does not name.
    fn unwanted_ports(&self, link: &Link, name: &str) -> Vec<String> {
        let Some((_, ports)) = self.own_bridges().find(|(bridge, _)| *bridge == name) else {
            return Vec::new();
        };
        let links = self.current.links.iter().zip(&self.names);
        let unwanted = links.filter(|(port, port_name)| {
            port.controller.as_ref() == Some(&link.name)
                && !ports.iter().any(|own| own.as_str() == port_name.as_str())
        });
        unwanted.map(|(port, _)| port.name.clone()).collect()
    }

    fn on(&self, lower: &str) -> impl Iterator<Item = &'a Link> {
        let on = move |link: &&Link| link.lower.iter().any(|name| name == lower);
        self.current.links.iter().filter(on)
    }

    /// Whether a link takes frames from the one that it is on. A link that the file
    /// names belongs to a zone, so its frames are judged. An unknown kind is assumed to
    /// take frames.
    fn takes_frames(&self, upper: &Link) -> bool {
        let named = |wanted: &Wanted| wanted.names().any(|name| name == upper.name);
        let harmless = has_type(upper, BESIDE) || has_type(upper, PART);
        !harmless && !self.wanted.is_some_and(named)
    }

    /// How much of the promiscuity count is explained: by the controller, and by each
    /// link on top, in this namespace or (`also_receives`) in another one, because a
    /// device without an address filter accepts all frames for a second address
    /// (__dev_set_rx_mode in net/core/dev.c); VLANs pass such requests on.
    fn explained(&self, link: &Link) -> u32 {
        let upper: u32 = self
            .on(&link.name)
            .map(|upper| 1_u32.saturating_add(upper.promiscuity))
            .sum();
        u32::from(link.controller.is_some()) + u32::from(!link.also_receives.is_empty()) + upper
    }

    fn can_carry(&self, filter: &TrafficFilter) -> bool {
        let plain = PLAIN_FILTERS.contains(&filter.kind.as_str());
        let can = |action: &FilterAction| match action {
            FilterAction::Limit => false,
            FilterAction::Redirect(Some(to)) => self.type_of(to) != SHAPER,
            FilterAction::Redirect(None) | FilterAction::Other(_) => true,
        };
        !plain || filter.actions.iter().any(can)
    }

    fn type_of(&self, name: &str) -> String {
        let link = self.current.links.iter().find(|link| link.name == name);
        let link_type = link.and_then(|link| link.link_type.clone());
        link_type.unwrap_or_else(|| "interface".into())
    }
}

impl TrafficFilter {
    fn sends_to(&self, link: &str) -> bool {
        let sends = |action: &FilterAction| matches!(action, FilterAction::Redirect(Some(to)) if to == link);
        self.actions.iter().any(sends)
    }
}

fn has_type(link: &Link, types: &[&str]) -> bool {
    let link_type = link.link_type.as_deref();
    link_type.is_some_and(|link_type| types.contains(&link_type))
}

#[cfg(test)]
mod tests;
