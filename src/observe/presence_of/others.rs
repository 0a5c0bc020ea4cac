//! Hosts of a zone that are no listed cameras: who has an address that a line names, and who is
//! named nowhere.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Evidence, HostFacts};
use crate::config::Role;
use crate::name::MacAddress;
use crate::net::NextHop;
use crate::observe::presence::{MOST_ADDRESSES, UnlistedHost};
use crate::policy::{Addresses, Endpoint, Gateway, Origin, Policy, ProxyWay, ZoneIndex};

/// The addresses of single hosts of a zone that the file names outside of `[[cameras]]`, each
/// with the first line that does.
fn named(policy: &Policy, index: ZoneIndex) -> BTreeMap<IpAddr, &Origin> {
    let end = Endpoint::Zone(index);
    let mut named = BTreeMap::new();
    for allow in &policy.allows {
        let mut flows = allow.flows.iter();
        let from = flows.clone().any(|flow| flow.from == end);
        let to = flows.any(|flow| flow.to == end) && allow.hosts.is_empty();
        for (is_here, addresses) in [(from, &allow.sources), (to, &allow.destinations)] {
            if let (true, Addresses::Only(networks)) = (is_here, addresses) {
                let single = networks
                    .iter()
                    .filter(|it| it.prefix_len() == it.max_prefix_len());
                for network in single {
                    named.entry(network.addr()).or_insert(&allow.origin);
                }
            }
        }
    }
    for proxy in &policy.proxies {
        if let ProxyWay::Host { address, zone, .. } = proxy.way
            && zone == index
        {
            named.entry(address.into()).or_insert(&proxy.origin);
        }
    }
    named
}

/// The hosts of a zone that are no cameras, the latest first. Those with a line have an address
/// that it names.
pub(super) fn others(
    policy: &Policy,
    index: ZoneIndex,
    evidence: &[Evidence],
    facts: &HostFacts<'_>,
) -> Vec<UnlistedHost> {
    let zone = policy.zone(index);
    let gateway = match zone.gateway {
        Some(Gateway::Router(gateway)) => Some(IpAddr::from(gateway)),
        _ => None,
    };
    let gateways = gateway.into_iter();
    let gateways = gateways.chain(zone.gateway6.map(IpAddr::from));
    let next_hops = policy.routes.iter().filter_map(|route| match &route.way {
        NextHop::Link { gateway, link } if *link == zone.interface.as_str() => *gateway,
        _ => None,
    });
    let own = zone.own().map(|own| own.addr());
    let known: Vec<IpAddr> = gateways.chain(next_hops).chain(own).collect();
    let named = named(policy, index);
    let here = || evidence.iter().filter(|it| it.zone == index);
    // A router of the file sends for others.
    let routers = here().filter(|it| known.contains(&it.address));
    let mut macs: Vec<MacAddress> = routers.filter_map(|it| it.mac).collect();
    macs.extend(policy.cameras.iter().filter_map(|camera| camera.mac));
    // What uses a camera's address is told of with the camera.
    let is_a_cameras = |it: &Evidence| {
        let mut cameras = policy.cameras.iter();
        cameras
            .any(|camera| camera.has(it.address) && (camera.zone == index || camera.mac.is_none()))
    };
    let unnamed = policy.cameras_of(index).filter(|it| it.mac.is_none());
    for camera in unnamed {
        let own = here().filter(|it| camera.has(it.address));
        macs.extend(own.filter_map(|it| it.mac));
    }
    // What a line names, then IPv4, then the latest: a host has as many IPv6 addresses as it
    // likes.
    let rank = |it: &Evidence| {
        let is_other = !named.contains_key(&it.address);
        let latest = std::cmp::Reverse(it.last);
        (is_other, it.address.is_ipv6(), latest, it.address)
    };
    let mut unlisted: Vec<&Evidence> = here().collect();
    unlisted.sort_unstable_by_key(|it| (it.mac, rank(it)));
    let mut hosts: Vec<(Option<MacAddress>, UnlistedHost)> = Vec::new();
    for it in unlisted {
        let is_known = known.contains(&it.address)
            || is_a_cameras(it)
            || it.mac.is_some_and(|mac| macs.contains(&mac))
            || zone.role == Role::External && it.mac.is_none();
        let networks = zone.own().any(|own| own.contains(&it.address));
        let link_local = matches!(it.address, IpAddr::V6(own) if own.is_unicast_link_local());
        let is_its = networks || link_local;
        // From outside, and of a host without a hardware address, any source may come.
        if is_known || !is_its && (zone.role == Role::External || it.mac.is_none()) {
            continue;
        }
        // They are sorted by hardware address.
        match hosts.last_mut() {
            Some((mac, host)) if mac.is_some() && *mac == it.mac => {
                host.last_seen = host.last_seen.max(it.last);
                match host.addresses.len() < MOST_ADDRESSES {
                    true => host.addresses.extend(is_its.then_some(it.address)),
                    false => host.more_addresses += usize::from(is_its),
                }
            }
            _ => {
                let mut leases = facts.leases.iter();
                let lease = leases.find(|lease| Some(lease.mac) == it.mac);
                let host = UnlistedHost {
                    hardware: it.mac.map(|mac| mac.to_string()),
                    addresses: is_its.then_some(it.address).into_iter().collect(),
                    more_addresses: 0,
                    last_seen: it.last,
                    calls_itself: lease.and_then(|lease| lease.name.clone()),
                    line: named.get(&it.address).map(ToString::to_string),
                };
                hosts.push((it.mac, host));
            }
        }
    }
    let mut hosts: Vec<UnlistedHost> = hosts.into_iter().map(|(_, host)| host).collect();
    hosts.sort_by_key(|host| std::cmp::Reverse(host.last_seen));
    hosts
}
