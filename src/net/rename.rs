//! Finds devices by hardware address or path, gives them the names from the file, and gives
//! those that no file has found any more the names back that they had.
//!
//! The name that a device had is noted in the text that the kernel keeps with it
//! (`ip link set … alias`), behind what others wrote there: it goes where the device goes.

use std::collections::HashSet;

use super::{Current, Device, Diff, Link, LinkType, NetworkChange, NetworkError, Wanted};
use crate::name::InterfaceName;

/// What comes before the name that a device had before camfw renamed it.
const WAS: &str = "camfw: was ";

/// The longest text that the kernel keeps with a link: IFALIASZ of linux/if.h, without the NUL.
const LONGEST_ALIAS: usize = 255;

/// A device that gets another name.
struct Move {
    /// Its index in `Current`.
    index: usize,
    to: InterfaceName,
    /// Whether it is the name that it had, which nobody else's has to make room for.
    is_back: bool,
}

/// Finds the devices given by hardware address or path and adds their renames to the
/// diff. Returns the future names of all links; empty for one that will be removed.
pub(super) fn rename_all(current: &Current, wanted: &Wanted, diff: &mut Diff) -> Vec<String> {
    let names = current.links.iter().map(|link| match wanted.is_over(link) {
        true => String::new(),
        false => link.name.clone(),
    });
    let mut names: Vec<String> = names.collect();
    let mut moves: Vec<Move> = Vec::new();
    for link in &wanted.links {
        if !is_found_device(&link.device) {
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
            moves.push(Move {
                index,
                to: link.name.clone(),
                is_back: false,
            });
        }
    }
    moves.extend(moves_back(current, wanted));
    // A wanted name may be in use by a link that is itself to be renamed, so move that
    // one out of the way first.
    let taken = |name: &str| names.iter().position(|there| there == name);
    let mut moving: HashSet<usize> = moves.iter().map(|it| it.index).collect();
    loop {
        let is_free = |owner: usize| moving.contains(&owner);
        moves.retain(|it| !it.is_back || taken(it.to.as_str()).is_none_or(is_free));
        let left: HashSet<usize> = moves.iter().map(|it| it.index).collect();
        if left.len() == moving.len() {
            break;
        }
        moving = left;
    }
    let owners: Vec<Option<usize>> = moves.iter().map(|it| taken(it.to.as_str())).collect();
    let (mut first, mut then) = (Vec::new(), Vec::new());
    for (Move { index, to, .. }, owner) in moves.into_iter().zip(owners) {
        let Some(link) = current.links.get(index) else {
            continue;
        };
        let (mut from, alias) = (link.name.clone(), alias_as(link, to.as_str()));
        match owner {
            Some(owner) if !moving.contains(&owner) => {
                diff.problems.push(NetworkError::NameTaken { from, to });
                continue;
            }
            Some(_) => {
                let aside = format!("camfw-tmp{index}");
                first.push(NetworkChange::Rename {
                    alias: alias_as(link, &aside),
                    to: aside.clone(),
                    from,
                });
                from = aside;
            }
            None => {}
        }
        names[index] = to.to_string();
        then.push(NetworkChange::Rename {
            from,
            to: to.to_string(),
            alias,
        });
    }
    diff.changes.extend(first.into_iter().chain(then));
    names
}

/// The devices that camfw renamed for a policy, and that this one does not find by address or
/// path, get the names back that they had; but where the file has just the one that they got.
fn moves_back<'a>(current: &'a Current, wanted: &'a Wanted) -> impl Iterator<Item = Move> + 'a {
    let is_asked = |name: &str| wanted.names().any(|asked| asked == name);
    let of_found = |name: &str| {
        let mut links = wanted.links.iter();
        links.any(|link| link.name.as_str() == name && is_found_device(&link.device))
    };
    let is_found = |there: &Link| {
        let mut links = wanted.links.iter();
        links.any(|link| is_found_device(&link.device) && is_device(there, &link.device))
    };
    let mut given = HashSet::new();
    let links = current.links.iter().enumerate();
    links.filter_map(move |(index, link)| {
        let to = InterfaceName::try_from(noted(link)?.1).ok()?;
        let stays = is_asked(&link.name) && !of_found(&link.name) && !is_asked(to.as_str());
        let is_there = link.name == to.as_str();
        let goes_back = !is_there && !is_found(link) && !of_found(to.as_str()) && !stays;
        (goes_back && given.insert(to.to_string())).then_some(Move {
            index,
            to,
            is_back: true,
        })
    })
}

/// What others wrote on a link, and the name that it had before camfw renamed it.
fn noted(link: &Link) -> Option<(&str, &str)> {
    let is_physical = link.kind == LinkType::Other;
    link.alias.rsplit_once(WAS).filter(|_| is_physical)
}

/// What is kept with a link once it has this name.
fn alias_as(link: &Link, name: &str) -> String {
    let (others, was) = noted(link).unwrap_or((&link.alias, &link.name));
    let others = others.trim_end();
    if was == name {
        return others.to_owned();
    }
    match others.len() + 1 + WAS.len() + was.len() > LONGEST_ALIAS {
        true => format!("{WAS}{was}"),
        false => format!("{others} {WAS}{was}").trim_start().to_owned(),
    }
}

/// Whether a device is found, and gets the file's name.
pub(super) fn is_found_device(device: &Device) -> bool {
    matches!(device, Device::Mac(_) | Device::Path(_))
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
