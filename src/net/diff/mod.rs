//! diff(current, wanted) -> the changes, in an order in which they can be made.
//!
//! First ports leave bridges of an earlier file and these are removed, links are renamed and
//! created; then addresses are added, so that no packet meets a link without its address;
//! then links are set up; then come routes, rules and neighbours. Objects that camfw created
//! earlier and that are no longer wanted are removed; those of others stay.

mod bridge_ports;
mod leaving;

use std::collections::HashSet;
use std::hash::Hash;

use ipnet::IpNet;

use crate::name::InterfaceName;
use crate::net::rename::{is_device, rename_all};
use crate::net::{
    Current, Device, Held, LOOPBACK, Link, LinkType, MAIN_TABLE, Neighbour, NetworkChange,
    NetworkError, NextHop, Route, Wanted, WantedLink,
};

pub use leaving::left_behind;

/// The required changes, and the problems that no change can fix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// The changes, in order; structural ones first.
    pub changes: Vec<NetworkChange>,
    /// Problems of single links. They do not prevent the changes to other links.
    pub problems: Vec<NetworkError>,
    /// Optional links that do not exist.
    pub absent: Vec<InterfaceName>,
}

impl Diff {
    /// Whether a link that is not optional is missing and may still appear.
    pub fn lacks_links(&self) -> bool {
        self.problems.iter().any(NetworkError::is_missing_link)
    }
}

/// Compares the current state with the wanted one.
pub fn diff(current: &Current, wanted: &Wanted) -> Diff {
    let mut diff = Diff::default();
    let wanted = &*wanted.with_ways_of(current);
    let names = rename_all(current, wanted, &mut diff);
    let world = World { current, names };
    diff.changes.splice(0..0, world.leaving(wanted));

    let mut ready: Vec<&WantedLink> = Vec::new();
    for link in &wanted.links {
        match world.structure(link, wanted, &mut diff.changes) {
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
        let own = [&link.name].into_iter().filter(|_| link.is_set_up());
        for name in link.device.lower().iter().chain(own) {
            let change = up(name.as_str());
            // It is set down for it.
            let becomes_port = |change: &NetworkChange| matches!(change, NetworkChange::Enslave { port, .. } if port == name.as_str());
            let is_up = world.is_up(name.as_str()) && !diff.changes.iter().any(becomes_port);
            if !is_up && !ups.contains(&change) {
                ups.push(change);
            }
        }
    }
    diff.changes.extend(ups);

    // The kernel takes a link's routes away when it is set down, and takes none until it is up.
    ready.retain(|link| link.is_set_up() || world.is_up(link.name.as_str()));
    let usable: HashSet<&str> = ready.iter().map(|link| link.name.as_str()).collect();
    routes(&world.routes(), wanted, &usable, &mut diff.changes);
    leased_metrics(&world.routes(), wanted, &mut diff.changes);
    rules(current, wanted, &mut diff.changes);
    neighbours(&world.neighbours(), wanted, &usable, &mut diff.changes);
    diff
}

/// The links that the file does not name, which camfw ignores.
pub fn ignored_links(current: &Current, wanted: &Wanted) -> Vec<String> {
    let named =
        |link: &&Link| link.name == LOOPBACK || wanted.names().any(|name| name == link.name);
    let others = current.links.iter().filter(|link| !named(link));
    others.map(|link| link.name.clone()).collect()
}

fn up(name: &str) -> NetworkChange {
    NetworkChange::SetUp { name: name.into() }
}

/// The current links and their future names.
struct World<'a> {
    current: &'a Current,
    /// The future name of each link of `current`, in the same order; empty if it goes.
    names: Vec<String>,
}

impl<'a> World<'a> {
    fn find(&self, name: &str) -> Option<&'a Link> {
        let index = self.names.iter().position(|there| there == name)?;
        self.current.links.get(index)
    }

    /// The routes that are left when links are renamed.
    fn routes(&self) -> Vec<Held<Route>> {
        let mut routes = self.current.routes.clone();
        routes.retain_mut(|route| match &mut route.value.way {
            NextHop::Link { link, .. } => self.keeps(link),
            NextHop::Blackhole | NextHop::Unreachable => true,
        });
        routes
    }

    /// The same of neighbours.
    fn neighbours(&self) -> Vec<Held<Neighbour>> {
        let mut neighbours = self.current.neighbours.clone();
        neighbours.retain_mut(|neighbour| self.keeps(&mut neighbour.value.link));
        neighbours
    }

    /// Whether what is on a link outlives its renaming, and then under which name. What is
    /// up is set down for it, and loses all (fib_disable_ip in net/ipv4/fib_frontend.c,
    /// neigh_ifdown in net/core/neighbour.c).
    fn keeps(&self, name: &mut String) -> bool {
        let mut links = self.current.links.iter().zip(&self.names);
        match links.find(|(link, _)| link.name == *name) {
            Some((_, future)) if future.is_empty() => false,
            Some((link, future)) if future != name => {
                name.clone_from(future);
                !link.up
            }
            _ => true,
        }
    }

    /// Whether a link is up and stays up: a renamed one is set down.
    fn is_up(&self, name: &str) -> bool {
        self.find(name)
            .is_some_and(|link| link.up && link.name == name)
    }

    /// Creates the link, and sets its ports and MTU.
    fn structure(
        &self,
        link: &WantedLink,
        wanted: &Wanted,
        changes: &mut Vec<NetworkChange>,
    ) -> Result<(), NetworkError> {
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
                // By its name it would get the traffic that the rules allow for the
                // zone.
                if !is_device(found, &link.device) {
                    return Err(NetworkError::AnotherDevice {
                        name: link.name.clone(),
                        zone: link.zone.clone(),
                        how: how(&link.device),
                    });
                }
            }
            Device::Vlan { id, parent } => {
                self.find(parent.as_str()).ok_or_else(|| missing(parent))?;
                let vlan = LinkType::Vlan {
                    id: *id,
                    parent: Some(parent.to_string()),
                };
                match found {
                    None => changes.push(NetworkChange::AddVlan {
                        name,
                        parent: parent.to_string(),
                        id: *id,
                    }),
                    Some(found) if found.kind == vlan => {}
                    Some(_) => return Err(other_kind(format!("VLAN {id} on {parent}"))),
                }
            }
            Device::Bridge {
                ports,
                not_isolated,
            } => {
                for port in ports {
                    self.find(port.as_str()).ok_or_else(|| missing(port))?;
                }
                match found {
                    None => changes.push(NetworkChange::AddBridge { name }),
                    Some(found) if found.kind == LinkType::Bridge => {}
                    Some(_) => return Err(other_kind("a bridge".into())),
                }
                self.ports(link.name.as_str(), ports, not_isolated, wanted, changes);
            }
        }
        match link.mtu {
            Some(mtu) if found.is_none_or(|found| found.mtu != mtu) => {
                let name = link.name.to_string();
                changes.push(NetworkChange::SetMtu { name, mtu });
            }
            _ => {}
        }
        Ok(())
    }

    /// Removes addresses of ours from links that the file no longer names: otherwise a
    /// second route to their networks would lead there.
    fn addresses_elsewhere(&self, wanted: &Wanted) -> Vec<NetworkChange> {
        let links = self.current.links.iter().zip(&self.names);
        let is_left = |name: &str| !name.is_empty();
        let elsewhere = links.filter(|(_, name)| {
            is_left(name) && !wanted.links.iter().any(|link| link.name.as_str() == *name)
        });
        let removed = elsewhere.flat_map(|(link, name)| {
            let ours = link.addresses.iter().filter(|held| held.ours);
            ours.map(|held| NetworkChange::RemoveAddress {
                name: name.clone(),
                address: held.value,
            })
        });
        removed.collect()
    }

    fn addresses(
        &self,
        link: &WantedLink,
        changes: &mut Vec<NetworkChange>,
    ) -> Result<(), NetworkError> {
        for address in &link.addresses {
            let other = self
                .current
                .links
                .iter()
                .zip(&self.names)
                .find(|(other, name)| {
                    let elsewhere = !name.is_empty() && name.as_str() != link.name.as_str();
                    other.addresses.iter().any(|held| {
                        let same = held.value.addr() == address.addr() && !held.ours;
                        let here = name.as_str() == link.name.as_str();
                        same && (elsewhere || here && takes_place(&held.value, address))
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
            // A link that is set down, as for a rename, loses its IPv6 addresses
            // (addrconf_ifdown in net/ipv6/addrconf.c).
            Some(found) => {
                let is_ipv4 = |held: &&Held<IpNet>| matches!(held.value, IpNet::V4(_));
                found.addresses.iter().filter(is_ipv4).cloned().collect()
            }
        };
        let (add, remove) = against(&held, &link.addresses);
        let name = || link.name.to_string();
        // New addresses are added before old ones are removed, so that the link always
        // has one. But removing a primary address also removes the secondary ones,
        // which are those in the same network (Documentation/networking/ip-sysctl.rst,
        // promote_secondaries), so within one network the old address goes first; and
        // so does one that conflicts with a new one.
        let (clash, apart): (Vec<IpNet>, Vec<IpNet>) = remove.into_iter().partition(|old| {
            let clash = |new: &IpNet| new.trunc() == old.trunc() || takes_place(old, new);
            add.iter().any(clash)
        });
        let removal = |address| NetworkChange::RemoveAddress {
            name: name(),
            address,
        };
        changes.extend(clash.into_iter().map(removal));
        changes.extend(add.into_iter().map(|address| NetworkChange::AddAddress {
            name: name(),
            address,
        }));
        changes.extend(apart.into_iter().map(removal));
        Ok(())
    }
}

/// Whether the old address prevents adding the new one: a link has each IPv6 address
/// only once, whatever its prefix length.
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

/// Compares by equality: what is wanted but absent, and what is ours but not wanted.
fn against<T: Eq + Hash + Clone>(held: &[Held<T>], wanted: &[T]) -> (Vec<T>, Vec<T>) {
    // Uses sets, because there may be thousands of routes.
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

fn routes(
    held: &[Held<Route>],
    wanted: &Wanted,
    usable: &HashSet<&str>,
    changes: &mut Vec<NetworkChange>,
) {
    let possible = |route: &&Route| match &route.way {
        NextHop::Link { link, .. } => usable.contains(link.as_str()),
        NextHop::Blackhole | NextHop::Unreachable => true,
    };
    let possible: Vec<Route> = wanted.routes.iter().filter(possible).cloned().collect();
    let (add, remove) = against(held, &possible);
    // The route of a lease stays until the next lease.
    let of_leases: HashSet<u32> = wanted
        .links
        .iter()
        .filter_map(|link| wanted.lease_metric(link.name.as_str()))
        .collect();
    let of_lease = |route: &Route| {
        route.way == NextHop::Unreachable
            && route.table == MAIN_TABLE
            && of_leases.contains(&route.metric)
    };
    // Removals come first, except of routes that a new one replaces, which leaves no
    // gap.
    let slot = |route: &Route| (route.destination, route.metric, route.table);
    let replaced: HashSet<_> = add.iter().map(slot).collect();
    let gone = remove
        .into_iter()
        .filter(|old| !replaced.contains(&slot(old)) && !of_lease(old));
    changes.extend(gone.map(NetworkChange::RemoveRoute));
    changes.extend(add.into_iter().map(NetworkChange::SetRoute));
}

fn rules(current: &Current, wanted: &Wanted, changes: &mut Vec<NetworkChange>) {
    let (add, remove) = against(&current.rules, &wanted.rules);
    changes.extend(add.into_iter().map(NetworkChange::AddRule));
    changes.extend(remove.into_iter().map(NetworkChange::RemoveRule));
    let (add, remove) = against(&current.source_rules, &wanted.source_rules);
    changes.extend(add.into_iter().map(NetworkChange::AddSourceRule));
    changes.extend(remove.into_iter().map(NetworkChange::RemoveSourceRule));
}

/// The default routes of leases have the metric of their way out; the rest of them is the
/// DHCP client's.
fn leased_metrics(held: &[Held<Route>], wanted: &Wanted, changes: &mut Vec<NetworkChange>) {
    for way in wanted.ways.iter().filter(|way| way.by_dhcp) {
        let leased = held.iter().filter(|held| way.is_default(&held.value));
        let other = leased.filter(|held| !held.ours && held.value.metric != way.metric());
        changes.extend(other.map(|held| NetworkChange::SetLeasedMetric {
            route: held.value.clone(),
            metric: way.metric(),
        }));
    }
}

fn neighbours(
    held: &[Held<Neighbour>],
    wanted: &Wanted,
    usable: &HashSet<&str>,
    changes: &mut Vec<NetworkChange>,
) {
    let possible: Vec<Neighbour> = wanted
        .neighbours
        .iter()
        .filter(|neighbour| usable.contains(neighbour.link.as_str()))
        .cloned()
        .collect();
    let (add, remove) = against(held, &possible);
    let place = |neighbour: &Neighbour| (neighbour.address, neighbour.link.clone());
    let gone = remove
        .into_iter()
        .filter(|old| !add.iter().any(|new| place(new) == place(old)));
    changes.extend(gone.map(NetworkChange::RemoveNeighbour));
    changes.extend(add.into_iter().map(NetworkChange::SetNeighbour));
}

#[cfg(test)]
mod tests;
