//! Who is in a matrix, as sets of packets: from them, and to them.

use std::collections::BTreeSet;

use super::{MatrixEnd, MatrixEnds};
use crate::family::IpFamily;
use crate::netfilter::Ruleset;
use crate::policy::{Policy, ZoneIndex};
use crate::prove::claim;
use crate::prove::condition::{address, network_range};
use crate::prove::networks;
use crate::prove::packet::{Field, Interfaces, NO_INTERFACE};
use crate::prove::program::interface_patterns;
use crate::prove::space::Space;
use camfw_diagrams::Set;

/// A zone, a camera, an interface or the router.
pub(super) struct End {
    name: String,
    pub(super) is_camera: bool,
    /// What it is on; None for the router.
    pub(super) wire: Option<usize>,
    pub(super) zone: Option<ZoneIndex>,
    /// The packets from it.
    pub(super) from: Set,
    /// The packets to it.
    pub(super) to: Set,
}

impl End {
    pub(super) fn is_router(&self) -> bool {
        self.wire.is_none()
    }
}

/// The packet space of a ruleset with these ends.
pub(super) fn space(ruleset: &Ruleset, family: IpFamily, of: MatrixEnds<'_>) -> Space {
    match of {
        MatrixEnds::Policy(policy) => claim::space(policy, &[ruleset], family),
        MatrixEnds::Interfaces(behind) => {
            let mut patterns: BTreeSet<String> = interface_patterns(ruleset);
            patterns.extend(behind.iter().map(|it| it.interface.clone()));
            Space::new(family, Interfaces::new(&patterns))
        }
    }
}

/// The ends in the order of the file, each zone before its cameras, the router last.
pub(super) fn ends(space: &mut Space, of: MatrixEnds<'_>) -> Vec<End> {
    let mut ends = match of {
        MatrixEnds::Policy(policy) => of_policy(space, policy),
        MatrixEnds::Interfaces(behind) => {
            let named = behind.iter().enumerate();
            named
                .map(|(wire, it)| {
                    let places = space.interfaces.matching(&it.interface);
                    let side = |space: &mut Space, by, field| {
                        let interface = space.one_of(by, &places);
                        let set = it.set(space, field);
                        space.diagrams.and(interface, set)
                    };
                    End {
                        name: it.interface.clone(),
                        is_camera: false,
                        wire: Some(wire),
                        zone: None,
                        from: side(space, Field::In, Field::Source),
                        to: side(space, Field::Out, Field::Destination),
                    }
                })
                .collect()
        }
    };
    let to = space.equal(Field::Out, NO_INTERFACE);
    let passed_on = passed_on(space, of);
    ends.push(End {
        name: "router".to_owned(),
        is_camera: false,
        wire: None,
        zone: None,
        from: space.equal(Field::In, NO_INTERFACE),
        to: space.diagrams.minus(to, passed_on),
    });
    ends
}

/// The packets that rules send on to a host in a zone's network: the router is not where they
/// go.
fn passed_on(space: &mut Space, of: MatrixEnds<'_>) -> Set {
    let MatrixEnds::Policy(policy) = of else {
        return Set::EMPTY;
    };
    let own = policy.zones.iter().flat_map(|zone| zone.own());
    let own = own.filter(|own| own.addr().is_ipv4() == (space.family == IpFamily::V4));
    let own: Vec<_> = own.collect();
    let networks = own.iter().map(|own| network_range(*own));
    let hosts = space.in_ranges(Field::Destination, networks);
    let own: Vec<u128> = own.iter().map(|own| address(own.addr())).collect();
    let own = space.one_of(Field::Destination, &own);
    let rewritten = space.equal(Field::Dnat, 1);
    let hosts = space.diagrams.minus(hosts, own);
    space.diagrams.and(hosts, rewritten)
}

fn of_policy(space: &mut Space, policy: &Policy) -> Vec<End> {
    let mut ends = Vec::new();
    let behind = networks::behind(policy);
    let own = policy.zones.iter().flat_map(|zone| zone.own());
    let own = own.filter(|own| own.addr().is_ipv4() == (space.family == IpFamily::V4));
    let own: Vec<u128> = own.map(|own| address(own.addr())).collect();
    let own = space.one_of(Field::Destination, &own);
    for ((index, zone), behind) in policy.indexed_zones().zip(&behind) {
        let place = space.interfaces.place(&behind.interface);
        let place = place.unwrap_or(u128::MAX);
        let side = |space: &mut Space, by, field, cameras: &[u128]| {
            let cameras = space.one_of(field, cameras);
            let all = behind.set(space, field);
            let by = space.equal(by, place);
            let others = space.diagrams.minus(all, cameras);
            space.diagrams.and(by, others)
        };
        // Without an address of this family rules do not tell it from others.
        let cameras: Vec<_> = policy.listed(index, space.family).collect();
        let addresses = cameras.iter().map(|camera| {
            let own = camera.addresses_of(space.family);
            own.map(address).collect()
        });
        let addresses: Vec<Vec<u128>> = addresses.collect();
        let all: Vec<u128> = addresses.concat();
        let to = side(space, Field::Out, Field::Destination, &all);
        let zone_end = |name, is_camera, from, to| End {
            name,
            is_camera,
            wire: Some(index.0),
            zone: Some(index),
            from,
            to,
        };
        let name = match cameras.is_empty() {
            true => zone.name.to_string(),
            false => format!("{} (others)", zone.name),
        };
        let from = side(space, Field::In, Field::Source, &all);
        ends.push(zone_end(name, false, from, space.diagrams.minus(to, own)));
        for (camera, addresses) in cameras.iter().zip(&addresses) {
            let from = [
                space.equal(Field::In, place),
                space.one_of(Field::Source, addresses),
                match camera.mac {
                    Some(mac) => space.equal(Field::Mac, mac.number()),
                    None => Set::FULL,
                },
            ];
            let from = space.all(&from);
            let to = space.one_of(Field::Destination, addresses);
            let out = space.equal(Field::Out, place);
            let to = space.diagrams.and(to, out);
            ends.push(zone_end(camera.name.to_string(), true, from, to));
        }
    }
    ends
}

/// The names of several cameras together if they are no longer than this.
const TOGETHER: usize = 18;

/// Ends that are treated alike, as one row or column.
pub(super) fn named(ends: &[End], alike: &[usize]) -> MatrixEnd {
    let names: Vec<&str> = alike.iter().map(|at| ends[*at].name.as_str()).collect();
    let together = names.join(", ");
    let name = match names.len() > 1 && together.len() > TOGETHER {
        true => format!("{} +{}", names[0], names.len() - 1),
        false => together,
    };
    let cameras = match names.len() {
        1 => Vec::new(),
        _ => names.into_iter().map(str::to_owned).collect(),
    };
    MatrixEnd { name, cameras }
}
