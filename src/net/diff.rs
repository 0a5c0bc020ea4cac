//! diff(current, wanted) -> changes, in the order in which they can be made.
//!
//! First what gives links their names and makes those that are made, then
//! addresses, so that no packet meets a link without its own; then up; then
//! routes, rules and neighbours. What camfw made earlier and is not wanted any
//! more goes; what others made stays.

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;

use ipnet::IpNet;
use thiserror::Error;

use super::{
    Current, Device, Held, Kind, LOOPBACK, Link, MAIN_TABLE, MarkRule, Neighbour, Route, Wanted,
    WantedLink, Way,
};
use crate::name::InterfaceName;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Give a link another name; it is set down for it.
    Rename {
        /// The name it has.
        from: String,
        /// The name it is to have.
        to: String,
    },
    /// Make a VLAN.
    AddVlan {
        /// Its name.
        name: String,
        /// The link it is on.
        parent: String,
        /// Its id.
        id: u16,
    },
    /// Make a bridge.
    AddBridge {
        /// Its name.
        name: String,
    },
    /// Make a link a port of a bridge.
    Enslave {
        /// The link.
        port: String,
        /// The bridge.
        bridge: String,
    },
    /// Take a link out of a bridge of an earlier file.
    Release {
        /// The link.
        port: String,
        /// The bridge.
        bridge: String,
    },
    /// Keep a port from the other ports.
    Isolate {
        /// The port.
        port: String,
    },
    /// Set the MTU.
    SetMtu {
        /// Of which link.
        name: String,
        /// Bytes.
        mtu: u32,
    },
    /// Give a link an address.
    AddAddress {
        /// Which link.
        name: String,
        /// The address.
        address: IpNet,
    },
    /// Take an address of ours from a link.
    RemoveAddress {
        /// Which link.
        name: String,
        /// The address.
        address: IpNet,
    },
    /// Set a link up.
    SetUp {
        /// Which.
        name: String,
    },
    /// Put a route in, in place of one to the same destination, with the same
    /// metric, in the same table.
    SetRoute(Route),
    /// Take a route of ours out.
    RemoveRoute(Route),
    /// Add a rule.
    AddRule(MarkRule),
    /// Take a rule of ours out.
    RemoveRule(MarkRule),
    /// Make a neighbour permanent.
    SetNeighbour(Neighbour),
    /// Take a neighbour of ours out.
    RemoveNeighbour(Neighbour),
}

impl Change {
    /// Whether it makes a link or gives it its name, so that the link's kernel
    /// settings can be written only after it.
    pub fn is_structural(&self) -> bool {
        matches!(
            self,
            Change::Rename { .. }
                | Change::AddVlan { .. }
                | Change::AddBridge { .. }
                | Change::Enslave { .. }
                | Change::Release { .. }
                | Change::Isolate { .. }
                | Change::SetMtu { .. }
        )
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Rename { from, to } => write!(f, "interface {from}: rename to {to}"),
            Change::AddVlan { name, parent, id } => {
                write!(f, "interface {name}: make it VLAN {id} on {parent}")
            }
            Change::AddBridge { name } => write!(f, "interface {name}: make it a bridge"),
            Change::Enslave { port, bridge } => {
                write!(f, "interface {port}: make it a port of {bridge}")
            }
            Change::Release { port, bridge } => {
                write!(f, "interface {port}: take it out of {bridge}")
            }
            Change::Isolate { port } => {
                write!(f, "interface {port}: isolate it from other ports")
            }
            Change::SetMtu { name, mtu } => write!(f, "interface {name}: set MTU {mtu}"),
            Change::AddAddress { name, address } => {
                write!(f, "interface {name}: add address {address}")
            }
            Change::RemoveAddress { name, address } => {
                write!(f, "interface {name}: remove address {address}")
            }
            Change::SetUp { name } => write!(f, "interface {name}: set up"),
            Change::SetRoute(route) => write!(f, "set {route}"),
            Change::RemoveRoute(route) => write!(f, "remove {route}"),
            Change::AddRule(rule) => write!(f, "add {rule}"),
            Change::RemoveRule(rule) => write!(f, "remove {rule}"),
            Change::SetNeighbour(neighbour) => write!(f, "set {neighbour}"),
            Change::RemoveNeighbour(neighbour) => write!(f, "remove {neighbour}"),
        }
    }
}

/// What no change can make so.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NetworkError {
    /// A link is not there.
    #[error(
        "interface {name} of zone {zone} does not exist{how}; look for it with `ip link`, check its driver and the file; if it may be absent, set optional = true on the zone"
    )]
    NoSuchLink {
        /// Its name.
        name: InterfaceName,
        /// The zone it is for.
        zone: String,
        /// How it was looked for.
        how: String,
    },
    /// The name is another link's.
    #[error(
        "interface {from} cannot be renamed to {to}, which is another interface's name; choose another name in the file"
    )]
    NameTaken {
        /// The link to be renamed.
        from: String,
        /// The name that is taken.
        to: InterfaceName,
    },
    /// The link is there and is something else.
    #[error(
        "interface {name} exists and is not {expected}; remove it or choose another name in the file"
    )]
    OtherKind {
        /// Its name.
        name: InterfaceName,
        /// What it ought to be.
        expected: String,
    },
    /// The link of this name is not the device that the file means.
    #[error(
        "interface {name} of zone {zone} is another device{how}; correct the file, or give that device another name"
    )]
    AnotherDevice {
        /// The name.
        name: InterfaceName,
        /// The zone it is for.
        zone: String,
        /// How the zone's was looked for.
        how: String,
    },
    /// Another link has the address.
    #[error("address {address} of zone {zone} is already on interface {other}; remove it there")]
    AddressElsewhere {
        /// The address.
        address: IpNet,
        /// The zone it is for.
        zone: String,
        /// Who has it.
        other: String,
    },
}

/// What has to change, and what cannot be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// In the order in which they can be made, structural ones first.
    pub changes: Vec<Change>,
    /// Links that stay out, and why; the others are not kept back by them.
    pub problems: Vec<NetworkError>,
    /// Optional links that are not there.
    pub absent: Vec<InterfaceName>,
}

impl NetworkError {
    /// Whether a link is not there, which may come yet.
    pub fn is_missing_link(&self) -> bool {
        matches!(self, NetworkError::NoSuchLink { .. })
    }
}

impl Diff {
    /// Whether a link is not there, which may come yet, and is not optional.
    pub fn lacks_links(&self) -> bool {
        self.problems.iter().any(NetworkError::is_missing_link)
    }
}

/// What has to change to make what is into what is wanted.
pub fn diff(current: &Current, wanted: &Wanted) -> Diff {
    let mut diff = Diff::default();
    let names = rename_all(current, wanted, &mut diff);
    let world = World { current, names };

    let mut ready: Vec<&WantedLink> = Vec::new();
    for link in &wanted.links {
        match world.structure(link, &mut diff.changes) {
            Ok(()) => ready.push(link),
            Err(NetworkError::NoSuchLink { .. }) if link.optional => {
                diff.absent.push(link.name.clone());
            }
            Err(problem) => diff.problems.push(problem),
        }
    }
    diff.changes.extend(world.addresses_elsewhere(wanted));
    let mut ups = Vec::new();
    ups.extend(
        world
            .find(LOOPBACK)
            .filter(|link| !link.up)
            .map(|_| up(LOOPBACK)),
    );
    for link in ready.clone() {
        if let Err(problem) = world.addresses(link, &mut diff.changes) {
            ready.retain(|other| other.name != link.name);
            diff.problems.push(problem);
        }
    }
    for link in &ready {
        let lower = match &link.device {
            Device::Vlan { parent, .. } => std::slice::from_ref(parent),
            Device::Bridge { ports } => ports.as_slice(),
            _ => &[],
        };
        for name in lower.iter().chain([&link.name]) {
            let change = up(name.as_str());
            if !world.is_up(name.as_str()) && !ups.contains(&change) {
                ups.push(change);
            }
        }
    }
    diff.changes.extend(ups);

    let usable: HashSet<&str> = ready.iter().map(|link| link.name.as_str()).collect();
    routes(current, wanted, &usable, &mut diff.changes);
    rules(current, wanted, &mut diff.changes);
    neighbours(current, wanted, &usable, &mut diff.changes);
    diff
}

/// The links that the file does not name, which are left alone.
pub fn left_alone(current: &Current, wanted: &Wanted) -> Vec<String> {
    let named =
        |link: &&Link| link.name == LOOPBACK || wanted.names().any(|name| name == link.name);
    let others = current.links.iter().filter(|link| !named(link));
    others.map(|link| link.name.clone()).collect()
}

fn up(name: &str) -> Change {
    Change::SetUp { name: name.into() }
}

/// The links with the names that they will have.
struct World<'a> {
    current: &'a Current,
    /// What each link of `current` will be called, in its order.
    names: Vec<String>,
}

impl<'a> World<'a> {
    fn find(&self, name: &str) -> Option<&'a Link> {
        let index = self.names.iter().position(|there| there == name)?;
        self.current.links.get(index)
    }

    /// Whether a link is up and stays so: a renamed one is set down.
    fn is_up(&self, name: &str) -> bool {
        self.find(name)
            .is_some_and(|link| link.up && link.name == name)
    }

    /// What makes the link, its ports and its MTU.
    fn structure(&self, link: &WantedLink, changes: &mut Vec<Change>) -> Result<(), NetworkError> {
        let missing = |name: &InterfaceName| NetworkError::NoSuchLink {
            name: name.clone(),
            zone: link.zone.clone(),
            how: how(&link.device),
        };
        let found = self.find(link.name.as_str());
        let name = link.name.to_string();
        let other_kind = |expected: String| NetworkError::OtherKind {
            name: link.name.clone(),
            expected,
        };
        match &link.device {
            Device::Named | Device::Mac(_) | Device::Path(_) => {
                let found = found.ok_or_else(|| missing(&link.name))?;
                // By its name it would get what the rules give the zone's.
                if !is_device(found, &link.device) {
                    return Err(NetworkError::AnotherDevice {
                        name: link.name.clone(),
                        zone: link.zone.clone(),
                        how: how(&link.device),
                    });
                }
                if let Some(bridge) = self.current.earlier_bridge_of(found) {
                    changes.push(Change::Release {
                        port: name,
                        bridge: bridge.to_owned(),
                    });
                }
            }
            Device::Vlan { id, parent } => {
                self.find(parent.as_str()).ok_or_else(|| missing(parent))?;
                let wanted = Kind::Vlan {
                    id: *id,
                    parent: Some(parent.to_string()),
                };
                match found {
                    None => changes.push(Change::AddVlan {
                        name,
                        parent: parent.to_string(),
                        id: *id,
                    }),
                    Some(found) if found.kind == wanted => {}
                    Some(_) => return Err(other_kind(format!("VLAN {id} on {parent}"))),
                }
            }
            Device::Bridge { ports } => {
                for port in ports {
                    self.find(port.as_str()).ok_or_else(|| missing(port))?;
                }
                match found {
                    None => changes.push(Change::AddBridge { name }),
                    Some(found) if found.kind == Kind::Bridge => {}
                    Some(_) => return Err(other_kind("a bridge".into())),
                }
                for port in ports {
                    self.port(port, &link.name, changes);
                }
            }
        }
        match link.mtu {
            Some(mtu) if found.is_none_or(|found| found.mtu != mtu) => {
                let name = link.name.to_string();
                changes.push(Change::SetMtu { name, mtu });
            }
            _ => {}
        }
        Ok(())
    }

    fn port(&self, port: &InterfaceName, bridge: &InterfaceName, changes: &mut Vec<Change>) {
        let link = self.find(port.as_str());
        let port = port.to_string();
        let enslaved = link.is_some_and(|link| link.controller.as_deref() == Some(bridge.as_str()));
        if !enslaved {
            changes.push(Change::Enslave {
                port: port.clone(),
                bridge: bridge.to_string(),
            });
        }
        if !enslaved || !link.is_some_and(|link| link.isolated) {
            changes.push(Change::Isolate { port });
        }
    }

    /// Addresses of ours on links that the file does not name any more: a second
    /// route to their networks would lead there.
    fn addresses_elsewhere(&self, wanted: &Wanted) -> Vec<Change> {
        let links = self.current.links.iter().zip(&self.names);
        let elsewhere =
            links.filter(|(_, name)| !wanted.links.iter().any(|link| link.name.as_str() == *name));
        let removed = elsewhere.flat_map(|(link, name)| {
            let ours = link.addresses.iter().filter(|held| held.ours);
            ours.map(|held| Change::RemoveAddress {
                name: name.clone(),
                address: held.value,
            })
        });
        removed.collect()
    }

    fn addresses(&self, link: &WantedLink, changes: &mut Vec<Change>) -> Result<(), NetworkError> {
        for address in &link.addresses {
            let other = self
                .current
                .links
                .iter()
                .zip(&self.names)
                .find(|(other, name)| {
                    let elsewhere = name.as_str() != link.name.as_str();
                    other.addresses.iter().any(|held| {
                        let same = held.value.addr() == address.addr() && !held.ours;
                        same && (elsewhere || takes_place(&held.value, address))
                    })
                });
            if let Some((_, other)) = other {
                return Err(NetworkError::AddressElsewhere {
                    address: *address,
                    zone: link.zone.clone(),
                    other: other.clone(),
                });
            }
        }
        let held = match self.find(link.name.as_str()) {
            None => Vec::new(),
            Some(found) if found.name == link.name.as_str() => found.addresses.clone(),
            // A link that is set down, as it is to be renamed, loses its IPv6
            // addresses (addrconf_ifdown in net/ipv6/addrconf.c).
            Some(found) => {
                let is_ipv4 = |held: &&Held<IpNet>| matches!(held.value, IpNet::V4(_));
                found.addresses.iter().filter(is_ipv4).cloned().collect()
            }
        };
        let (add, remove) = against(&held, &link.addresses);
        let name = || link.name.to_string();
        // The new before the old, so that the link is never without; but a
        // removed primary address takes its secondaries along, which are those
        // of its own network (Documentation/networking/ip-sysctl.rst,
        // promote_secondaries), so within one network the old goes first; and so
        // does what is in the place of the new.
        let (clash, apart): (Vec<IpNet>, Vec<IpNet>) = remove.into_iter().partition(|old| {
            let clash = |new: &IpNet| new.trunc() == old.trunc() || takes_place(old, new);
            add.iter().any(clash)
        });
        let removal = |address| Change::RemoveAddress {
            name: name(),
            address,
        };
        changes.extend(clash.into_iter().map(removal));
        changes.extend(add.into_iter().map(|address| Change::AddAddress {
            name: name(),
            address,
        }));
        changes.extend(apart.into_iter().map(removal));
        Ok(())
    }
}

/// Whether a link that has the one cannot be given the other: with IPv6 an
/// address is there once, whatever its prefix length.
fn takes_place(old: &IpNet, new: &IpNet) -> bool {
    let ipv6 = matches!(old, IpNet::V6(_));
    ipv6 && old.addr() == new.addr() && old != new
}

fn how(device: &Device) -> String {
    match device {
        Device::Mac(mac) => format!(" (no interface has the hardware address {mac})"),
        Device::Path(path) => format!(" (no interface is at {path})"),
        _ => String::new(),
    }
}

/// What is wanted and not there, and what is there, is ours, and not wanted.
fn against<T: Eq + Hash + Clone>(held: &[Held<T>], wanted: &[T]) -> (Vec<T>, Vec<T>) {
    // By sets: there may be thousands of routes.
    let is_wanted: HashSet<&T> = wanted.iter().collect();
    let is_held: HashSet<&T> = held.iter().map(|held| &held.value).collect();
    let add = wanted.iter().filter(|value| !is_held.contains(value));
    let remove = held
        .iter()
        .filter(|held| held.ours && !is_wanted.contains(&held.value));
    (
        add.cloned().collect(),
        remove.map(|held| held.value.clone()).collect(),
    )
}

/// Finds the devices that go by hardware address or path and renames them; what
/// every link will be called.
pub(super) fn rename_all(current: &Current, wanted: &Wanted, diff: &mut Diff) -> Vec<String> {
    let mut names: Vec<String> = current.links.iter().map(|link| link.name.clone()).collect();
    let mut moves: Vec<(usize, &InterfaceName)> = Vec::new();
    for link in &wanted.links {
        if !matches!(link.device, Device::Mac(_) | Device::Path(_)) {
            continue;
        }
        let mut links = current.links.iter();
        let found = links.position(|there| is_device(there, &link.device));
        let is_named = |there: &Link| there.name == link.name.as_str();
        let mut links = current.links.iter();
        if links.any(|there| is_named(there) && is_device(there, &link.device)) {
            // Another one may be like it.
            continue;
        }
        if let Some(index) = found
            && names[index] != link.name.as_str()
        {
            moves.push((index, &link.name));
        }
    }
    // A name may be free only after its owner got another: out of the way first.
    let moving: HashSet<usize> = moves.iter().map(|(index, _)| *index).collect();
    let taken = |name: &str| current.links.iter().position(|link| link.name == name);
    let (mut first, mut then) = (Vec::new(), Vec::new());
    for (index, to) in moves {
        let from = names[index].clone();
        match taken(to.as_str()) {
            Some(owner) if !moving.contains(&owner) => {
                let to = to.clone();
                diff.problems.push(NetworkError::NameTaken { from, to });
                continue;
            }
            Some(_) => {
                let aside = format!("camfw-tmp{index}");
                first.push(Change::Rename {
                    from,
                    to: aside.clone(),
                });
                then.push(Change::Rename {
                    from: aside,
                    to: to.to_string(),
                });
            }
            None => then.push(Change::Rename {
                from,
                to: to.to_string(),
            }),
        }
        names[index] = to.to_string();
    }
    diff.changes.extend(first.into_iter().chain(then));
    names
}

/// Whether a link is the device that a file means, whatever it is called.
fn is_device(there: &Link, device: &Device) -> bool {
    // A VLAN or bridge has the hardware address of the device below it.
    let is_physical = there.kind == Kind::Other;
    match device {
        Device::Named => true,
        Device::Mac(mac) => is_physical && there.mac == Some(*mac),
        Device::Path(path) => {
            let there = there.path.as_deref().filter(|_| is_physical);
            there.is_some_and(|there| is_at(there, path))
        }
        Device::Vlan { .. } | Device::Bridge { .. } => false,
    }
}

/// Whether a device's path is the wanted one or ends with it, part by part.
fn is_at(there: &str, wanted: &str) -> bool {
    let wanted = wanted.trim_matches('/');
    there == wanted
        || there
            .strip_suffix(wanted)
            .is_some_and(|start| start.ends_with('/'))
}

fn routes(current: &Current, wanted: &Wanted, usable: &HashSet<&str>, changes: &mut Vec<Change>) {
    let possible = |route: &&Route| match &route.way {
        Way::Gateway { link, .. } => usable.contains(link.as_str()),
        Way::Blackhole | Way::Unreachable => true,
    };
    let possible: Vec<Route> = wanted.routes.iter().filter(possible).cloned().collect();
    let (add, remove) = against(&current.routes, &possible);
    // A lease's own stays until the next lease.
    let of_leases: HashSet<u32> = wanted
        .links
        .iter()
        .filter_map(|link| wanted.lease_metric(link.name.as_str()))
        .collect();
    let of_lease = |route: &Route| {
        route.way == Way::Unreachable
            && route.table == MAIN_TABLE
            && of_leases.contains(&route.metric)
    };
    // Removed first, unless the new one replaces it, which leaves no gap.
    let slot = |route: &Route| (route.destination, route.metric, route.table);
    let replaced: HashSet<_> = add.iter().map(slot).collect();
    let gone = remove
        .into_iter()
        .filter(|old| !replaced.contains(&slot(old)) && !of_lease(old));
    changes.extend(gone.map(Change::RemoveRoute));
    changes.extend(add.into_iter().map(Change::SetRoute));
}

fn rules(current: &Current, wanted: &Wanted, changes: &mut Vec<Change>) {
    let (add, remove) = against(&current.rules, &wanted.rules);
    changes.extend(add.into_iter().map(Change::AddRule));
    changes.extend(remove.into_iter().map(Change::RemoveRule));
}

fn neighbours(
    current: &Current,
    wanted: &Wanted,
    usable: &HashSet<&str>,
    changes: &mut Vec<Change>,
) {
    let possible: Vec<Neighbour> = wanted
        .neighbours
        .iter()
        .filter(|neighbour| usable.contains(neighbour.link.as_str()))
        .cloned()
        .collect();
    let (add, remove) = against(&current.neighbours, &possible);
    let place = |neighbour: &Neighbour| (neighbour.address, neighbour.link.clone());
    let gone = remove
        .into_iter()
        .filter(|old| !add.iter().any(|new| place(new) == place(old)));
    changes.extend(gone.map(Change::RemoveNeighbour));
    changes.extend(add.into_iter().map(Change::SetNeighbour));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::MacAddress;

    type Result = std::result::Result<(), Box<dyn std::error::Error>>;

    fn link(name: &str) -> Link {
        Link {
            name: name.into(),
            up: true,
            mtu: 1500,
            ..Link::default()
        }
    }

    fn wanted(
        name: &str,
        device: Device,
    ) -> std::result::Result<Wanted, Box<dyn std::error::Error>> {
        Ok(Wanted {
            links: vec![WantedLink {
                name: InterfaceName::try_from(name)?,
                device,
                addresses: vec!["192.168.0.2/24".parse()?],
                dhcp: false,
                mtu: None,
                zone: "external".into(),
                optional: false,
            }],
            routes: vec![Route {
                destination: "0.0.0.0/0".parse()?,
                way: Way::Gateway {
                    gateway: "192.168.0.1".parse()?,
                    link: name.into(),
                },
                metric: 0,
                table: MAIN_TABLE,
            }],
            rules: Vec::new(),
            neighbours: Vec::new(),
            ipv6: false,
        })
    }

    fn told(current: &Current, wanted: &Wanted) -> Vec<String> {
        let diff = diff(current, wanted);
        let changes = diff.changes.iter().map(ToString::to_string);
        changes
            .chain(diff.problems.iter().map(ToString::to_string))
            .collect()
    }

    #[test]
    fn from_nothing_to_wanted_and_then_nothing_more() -> Result {
        let wanted = wanted("eth0", Device::Named)?;
        let mut current = Current {
            links: vec![
                Link {
                    up: false,
                    ..link(LOOPBACK)
                },
                Link {
                    up: false,
                    ..link("eth0")
                },
            ],
            ..Current::default()
        };
        assert_eq!(
            told(&current, &wanted),
            [
                "interface eth0: add address 192.168.0.2/24",
                "interface lo: set up",
                "interface eth0: set up",
                "set route 0.0.0.0/0 via 192.168.0.1 on eth0",
            ]
        );
        for link in &mut current.links {
            link.up = true;
        }
        current.links[1].addresses = vec![Held {
            value: "192.168.0.2/24".parse()?,
            ours: true,
        }];
        current.routes = vec![Held {
            value: wanted.routes[0].clone(),
            ours: false,
        }];
        assert!(told(&current, &wanted).is_empty());
        Ok(())
    }

    #[test]
    fn only_what_is_ours_is_removed() -> Result {
        let wanted = wanted("eth0", Device::Named)?;
        let route = |to: &str, ours| -> std::result::Result<_, Box<dyn std::error::Error>> {
            Ok(Held {
                value: Route {
                    destination: to.parse()?,
                    ..wanted.routes[0].clone()
                },
                ours,
            })
        };
        let mut eth0 = link("eth0");
        for (address, ours) in [
            ("192.168.0.2/24", true),
            ("10.0.0.1/8", true),
            ("10.0.0.2/8", false),
            ("192.168.0.9/24", true),
        ] {
            eth0.addresses.push(Held {
                value: address.parse()?,
                ours,
            });
        }
        let current = Current {
            links: vec![eth0],
            routes: vec![
                route("0.0.0.0/0", true)?,
                route("10.1.0.0/16", true)?,
                route("10.2.0.0/16", false)?,
            ],
            ..Current::default()
        };
        assert_eq!(
            told(&current, &wanted),
            [
                "interface eth0: remove address 10.0.0.1/8",
                "interface eth0: remove address 192.168.0.9/24",
                "remove route 10.1.0.0/16 via 192.168.0.1 on eth0",
            ]
        );
        Ok(())
    }

    #[test]
    fn an_ipv6_address_is_on_a_link_once_whatever_its_prefix_length() -> Result {
        let mut wanted = wanted("eth0", Device::Named)?;
        wanted.links[0].addresses = vec!["fd00::1/64".parse()?];
        wanted.routes.clear();
        let with = |address: &str, ours| -> std::result::Result<_, Box<dyn std::error::Error>> {
            let mut eth0 = link("eth0");
            eth0.addresses.push(Held {
                value: address.parse()?,
                ours,
            });
            Ok(Current {
                links: vec![eth0],
                ..Current::default()
            })
        };
        assert_eq!(
            told(&with("fd00::1/48", true)?, &wanted),
            [
                "interface eth0: remove address fd00::1/48",
                "interface eth0: add address fd00::1/64",
            ]
        );
        assert_eq!(
            told(&with("fd00::1/48", false)?, &wanted),
            ["address fd00::1/64 of zone external is already on interface eth0; remove it there"]
        );
        assert!(told(&with("fd00::1/64", false)?, &wanted).is_empty());
        Ok(())
    }

    #[test]
    fn another_device_does_not_take_the_place_by_its_name() -> Result {
        let mac = |last| MacAddress::from([2, 0, 0, 0, 0, last]);
        let with = |mac| Link {
            mac: Some(mac),
            ..link("eth0")
        };
        for device in [Device::Mac(mac(1)), Device::Path("usb1/1-1".into())] {
            let mut wanted = wanted("eth0", device)?;
            let mut current = Current {
                links: vec![with(mac(2))],
                ..Current::default()
            };
            wanted.links[0].optional = true;
            let told = told(&current, &wanted).join("; ");
            assert!(told.contains("is another device (no interface"), "{told}");
            assert!(!told.contains("add address"), "{told}");
            assert!(
                !diff(&current, &wanted).lacks_links(),
                "nobody waits for it"
            );
            // The control.
            current.links[0].mac = Some(mac(1));
            current.links[0].path = Some("/devices/pci0/usb1/1-1".into());
            assert_eq!(diff(&current, &wanted).problems, []);
        }
        Ok(())
    }

    #[test]
    fn of_two_alike_the_one_that_has_the_name_keeps_it() -> Result {
        let mac = MacAddress::from([2, 0, 0, 0, 0, 1]);
        let alike = |name| Link {
            mac: Some(mac),
            ..link(name)
        };
        let current = Current {
            links: vec![alike("eth7"), alike("eth0")],
            ..Current::default()
        };
        let told = told(&current, &wanted("eth0", Device::Mac(mac))?);
        assert!(!told.iter().any(|told| told.contains("rename")), "{told:?}");
        Ok(())
    }

    #[test]
    fn a_renamed_link_gets_its_ipv6_addresses_again() -> Result {
        let mac = MacAddress::from([2, 0, 0, 0, 0, 1]);
        let mut wanted = wanted("ext0", Device::Mac(mac))?;
        wanted.links[0].addresses.push("fd00::1/64".parse()?);
        wanted.routes.clear();
        let mut eth0 = Link {
            mac: Some(mac),
            ..link("eth0")
        };
        for address in &wanted.links[0].addresses {
            eth0.addresses.push(Held {
                value: *address,
                ours: true,
            });
        }
        let current = Current {
            links: vec![eth0],
            ..Current::default()
        };
        assert_eq!(
            told(&current, &wanted),
            [
                "interface eth0: rename to ext0",
                "interface ext0: add address fd00::1/64",
                "interface ext0: set up",
            ]
        );
        Ok(())
    }

    #[test]
    fn devices_swap_names() -> Result {
        let mac = |last| MacAddress::from([2, 0, 0, 0, 0, last]);
        let mut wanted_links = wanted("eth0", Device::Mac(mac(1)))?;
        wanted_links.links.push(WantedLink {
            name: InterfaceName::try_from("eth1")?,
            device: Device::Mac(mac(0)),
            addresses: Vec::new(),
            dhcp: false,
            mtu: Some(1400),
            zone: "camera".into(),
            optional: false,
        });
        let current = Current {
            links: vec![
                Link {
                    mac: Some(mac(0)),
                    ..link("eth0")
                },
                Link {
                    mac: Some(mac(1)),
                    ..link("eth1")
                },
            ],
            ..Current::default()
        };
        assert_eq!(
            told(&current, &wanted_links)[..5],
            [
                "interface eth1: rename to camfw-tmp1",
                "interface eth0: rename to camfw-tmp0",
                "interface camfw-tmp1: rename to eth0",
                "interface camfw-tmp0: rename to eth1",
                "interface eth1: set MTU 1400",
            ]
        );
        Ok(())
    }

    #[test]
    fn what_cannot_be_is_told_and_keeps_nothing_else_back() -> Result {
        let mac = MacAddress::from([2, 0, 0, 0, 0, 9]);
        let mut wanted_links = wanted("ext0", Device::Mac(mac))?;
        wanted_links
            .links
            .extend(wanted("eth1", Device::Named)?.links);
        wanted_links.links[1].addresses = vec!["10.0.0.1/8".parse()?];
        let current = Current {
            links: vec![link("eth1")],
            ..Current::default()
        };
        assert_eq!(
            told(&current, &wanted_links),
            [
                "interface eth1: add address 10.0.0.1/8",
                "interface ext0 of zone external does not exist (no interface has the hardware address 02:00:00:00:00:09); look for it with `ip link`, check its driver and the file; if it may be absent, set optional = true on the zone",
            ]
        );
        Ok(())
    }

    #[test]
    fn vlans_and_bridges_are_made_once() -> Result {
        let port = |name| InterfaceName::try_from(name);
        let bridge = wanted(
            "br0",
            Device::Bridge {
                ports: vec![port("eth1")?, port("eth2")?],
            },
        )?;
        let mut current = Current {
            links: vec![link("eth1"), link("eth2")],
            ..Current::default()
        };
        assert_eq!(
            told(&current, &bridge)[..5],
            [
                "interface br0: make it a bridge",
                "interface eth1: make it a port of br0",
                "interface eth1: isolate it from other ports",
                "interface eth2: make it a port of br0",
                "interface eth2: isolate it from other ports",
            ]
        );
        for link in &mut current.links {
            link.controller = Some("br0".into());
            link.isolated = true;
        }
        let vlan = wanted(
            "eth1.20",
            Device::Vlan {
                id: 20,
                parent: port("eth1")?,
            },
        )?;
        current.links.push(Link {
            kind: Kind::Bridge,
            ..link("br0")
        });
        current.links.push(Link {
            kind: Kind::Vlan {
                id: 21,
                parent: Some("eth1".into()),
            },
            ..link("eth1.20")
        });
        assert!(
            !told(&current, &bridge)
                .iter()
                .any(|line| line.contains("port of") || line.contains("isolate"))
        );
        assert_eq!(
            told(&current, &vlan),
            [
                "interface eth1.20 exists and is not VLAN 20 on eth1; remove it or choose another name in the file"
            ]
        );
        Ok(())
    }

    #[test]
    fn paths_match_part_by_part() {
        let there = "platform/soc/1af0000.fsl-dpaa/eth";
        assert!(is_at(there, "1af0000.fsl-dpaa/eth") && is_at(there, there));
        assert!(!is_at(there, "dpaa/eth") && !is_at(there, "soc"));
    }
}
