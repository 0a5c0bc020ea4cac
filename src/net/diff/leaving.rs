//! What an earlier file had and this one does not: ports of camfw's own bridges, and links
//! that camfw made. Links that camfw did not make are never removed, nor taken out of others'.

use super::{Diff, World, diff};
use crate::net::rename::{is_device, is_found_device, rename_all};
use crate::net::{Current, Device, Link, LinkType, NetworkChange, Wanted, WantedLink};

impl Wanted {
    /// Whether camfw made the link and the file no longer has it, or has it otherwise.
    pub(in crate::net) fn is_over(&self, link: &Link) -> bool {
        let is_it = |device: &Device| match (device, &link.kind) {
            (Device::Bridge { .. }, LinkType::Bridge) => true,
            (Device::Vlan { id, parent }, LinkType::Vlan { id: of, parent: on }) => {
                id == of && on.as_deref() == Some(parent.as_str())
            }
            _ => false,
        };
        let mut links = self.links.iter();
        link.made && !links.any(|it| it.name.as_str() == link.name && is_it(&it.device))
    }

    /// Whether the file has the link as a port of the bridge.
    fn has_port(&self, bridge: &str, port: &str) -> bool {
        self.links.iter().any(|link| match &link.device {
            Device::Bridge { ports, .. } if link.name.as_str() == bridge => {
                ports.iter().any(|it| it.as_str() == port)
            }
            _ => false,
        })
    }
}

impl World<'_> {
    /// Takes ports out of bridges of an earlier file, and removes what is over: VLANs before
    /// the bridges that they may be on.
    pub(super) fn leaving(&self, wanted: &Wanted) -> Vec<NetworkChange> {
        let is_plain = |name: &str| {
            let mut links = wanted.links.iter();
            links.any(|link| link.name.as_str() == name && !link.is_made())
        };
        let links = self.current.links.iter().zip(&self.names);
        let ports = links.filter_map(|(link, name)| {
            let bridge = self.current.earlier_bridge_of(link)?;
            let leaves = match bridge.made {
                true => !wanted.has_port(&bridge.name, name),
                false => is_plain(name),
            };
            leaves.then(|| NetworkChange::Release {
                port: link.name.clone(),
                bridge: bridge.name.clone(),
            })
        });
        let over = |is_bridge: bool| {
            let links = self.current.links.iter();
            let of_kind = links.filter(move |link| (link.kind == LinkType::Bridge) == is_bridge);
            let over = of_kind.filter(|link| wanted.is_over(link));
            over.map(|link| NetworkChange::RemoveLink {
                name: link.name.clone(),
            })
        };
        ports.chain(over(false)).chain(over(true)).collect()
    }
}

impl Diff {
    /// The links to set down before the new rules are loaded. A port that leaves its bridge
    /// would have the new rights of that zone until it is out; so would a device have those
    /// of the zone whose name it is to lose.
    pub fn to_shut(&self, current: &Current, wanted: &Wanted) -> Vec<String> {
        let is_asked = |name: &String| wanted.names().any(|asked| asked == name);
        let is_up = |name: &&String| {
            let mut links = current.links.iter();
            links.any(|link| link.name == **name && link.up)
        };
        let names = self.changes.iter().filter_map(|change| match change {
            NetworkChange::Release { port, .. } => Some(port),
            NetworkChange::Rename { from: name, .. } | NetworkChange::RemoveLink { name } => {
                Some(name).filter(|name| is_asked(name))
            }
            _ => None,
        });
        names.filter(is_up).cloned().collect()
    }

    /// Sets those of them up again that the file does not name and are still there, as they
    /// were before.
    pub fn unshut(&self, shut: &[String], wanted: &Wanted) -> Vec<NetworkChange> {
        let mut names = shut.to_vec();
        for change in &self.changes {
            match change {
                NetworkChange::Rename { from, to, .. } => {
                    let renamed = names.iter_mut().filter(|name| *name == from);
                    renamed.for_each(|name| name.clone_from(to));
                }
                NetworkChange::RemoveLink { name } => names.retain(|it| it != name),
                _ => {}
            }
        }
        names.retain(|name| !wanted.names().any(|asked| asked == name));
        let ups = names.into_iter();
        ups.map(|name| NetworkChange::SetUp { name }).collect()
    }
}

/// The changes from `current` to `new` that a way back to `old` would not undo: camfw takes no
/// port out of a bridge that it did not make, and knows no MTU that no file has.
pub fn left_behind(current: &Current, new: &Wanted, old: &Wanted) -> Vec<NetworkChange> {
    let names = rename_all(current, new, &mut Diff::default());
    let find = |name: &str| {
        let index = names.iter().position(|there| there == name)?;
        current.links.get(index).filter(|link| !link.made)
    };
    let mut changes = diff(current, new).changes;
    changes.retain(|change| match change {
        NetworkChange::Enslave { bridge, .. } => find(bridge).is_some(),
        NetworkChange::SetPort { port, .. } => {
            let bridge = find(port).and_then(|port| find(port.controller.as_deref()?));
            bridge.is_some_and(|bridge| !old.has_port(&bridge.name, port))
        }
        NetworkChange::SetMtu { name, .. } => find(name).is_some_and(|link| {
            let is_it = |device: &Device| is_found_device(device) && is_device(link, device);
            let has_mtu = |it: &WantedLink| {
                it.mtu.is_some() && (it.name.as_str() == link.name || is_it(&it.device))
            };
            !old.links.iter().any(has_mtu)
        }),
        _ => false,
    });
    changes
}
