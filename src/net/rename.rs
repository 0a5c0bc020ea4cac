//! Finds devices by hardware address or path, and gives them the names from the file.

use std::collections::HashSet;

use super::{Current, Device, Diff, Link, LinkType, NetworkChange, NetworkError, Wanted};
use crate::name::InterfaceName;

/// Finds the devices given by hardware address or path and adds their renames to the
/// diff. Returns the future names of all links.
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
            // The named link matches already; others that match as well are ignored.
            continue;
        }
        if let Some(index) = found
            && names[index] != link.name.as_str()
        {
            moves.push((index, &link.name));
        }
    }
    // A wanted name may be in use by a link that is itself to be renamed, so move that
    // one out of the way first.
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
                first.push(NetworkChange::Rename {
                    from,
                    to: aside.clone(),
                });
                then.push(NetworkChange::Rename {
                    from: aside,
                    to: to.to_string(),
                });
            }
            None => then.push(NetworkChange::Rename {
                from,
                to: to.to_string(),
            }),
        }
        names[index] = to.to_string();
    }
    diff.changes.extend(first.into_iter().chain(then));
    names
}

/// Whether a link is the device that the file describes, whatever its name.
pub(super) fn is_device(there: &Link, device: &Device) -> bool {
    // A VLAN or bridge has the hardware address of the device below it.
    let is_physical = there.kind == LinkType::Other;
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

/// Whether a device's path is the wanted one or ends with it, by whole components.
pub(super) fn is_at(there: &str, wanted: &str) -> bool {
    let wanted = wanted.trim_matches('/');
    there == wanted
        || there
            .strip_suffix(wanted)
            .is_some_and(|start| start.ends_with('/'))
}
