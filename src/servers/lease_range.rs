//! Which addresses of a zone are for hosts that nobody listed.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use crate::net::NextHop;
use crate::policy::{Addresses, Gateway, Policy, ProxyWay, Remainder};

/// In networks that have them, the 100th to the 199th address.
const FIRST: u32 = 100;
const COUNT: u32 = 100;

/// Ranges of a zone's network that leases may come from, first and last: without the
/// addresses that the policy says anything about, since a host that was leased one would
/// have what its lines allow.
pub(super) fn lease_ranges(policy: &Policy, own: Ipv4Net) -> Vec<(Ipv4Addr, Ipv4Addr)> {
    let named = named(policy, own.trunc());
    let is_free = |address: &u32| {
        let address = Ipv4Addr::from(*address);
        !named.iter().any(|network| network.contains(&address))
    };
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for address in candidates(own).into_iter().flatten().filter(is_free) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == address => *last = address,
            _ => ranges.push((address, address)),
        }
    }
    let ranges = ranges.into_iter();
    ranges
        .map(|(first, last)| (first.into(), last.into()))
        .collect()
}

/// In a network with fewer than 256 addresses, its upper half; none in one without hosts.
fn candidates(own: Ipv4Net) -> Option<std::ops::Range<u32>> {
    let (network, broadcast) = (u32::from(own.network()), u32::from(own.broadcast()));
    match own.prefix_len() {
        0..=24 => Some(network + FIRST..network + FIRST + COUNT),
        25..=29 => Some(network + (broadcast - network).div_ceil(2)..broadcast),
        _ => None,
    }
}

/// The addresses and parts of a network that the policy names.
fn named(policy: &Policy, network: Ipv4Net) -> Vec<Ipv4Net> {
    let own = policy.zones.iter().flat_map(|zone| &zone.addresses);
    let own = own.map(ipnet::Ipv4Net::addr);
    let cameras = policy.cameras.iter().map(|camera| camera.address);
    let forwards = policy.forwards.iter().map(|forward| forward.address);
    let proxies = policy.proxies.iter().filter_map(|proxy| match proxy.way {
        ProxyWay::Host { address, .. } => Some(address),
        ProxyWay::Here(_) => None,
    });
    let routers = policy.routes.iter().filter_map(|route| match route.way {
        NextHop::Link {
            gateway: Some(IpAddr::V4(gateway)),
            ..
        } => Some(gateway),
        _ => None,
    });
    let gateways = policy.zones.iter().filter_map(|zone| match zone.gateway {
        Some(Gateway::Router(gateway)) => Some(gateway),
        _ => None,
    });
    let hosts = own.chain(cameras).chain(forwards).chain(proxies);
    let hosts = hosts.chain(routers).chain(gateways);
    let lines = policy.allows.iter().flat_map(|allow| {
        let sources = written(&allow.sources, allow.sources_of.as_deref());
        sources.chain(written(
            &allow.destinations,
            allow.destinations_of.as_deref(),
        ))
    });
    let denied = policy.guarantees.iter();
    let denied = denied.filter(|it| it.is_denied_first()).flat_map(|it| {
        let sources = written(&it.sources, None);
        sources.chain(written(&it.destinations, None))
    });
    let lines = lines.chain(denied).filter_map(|named| match named {
        IpNet::V4(named) => Some(named),
        IpNet::V6(_) => None,
    });
    let all = hosts.map(Ipv4Net::from).chain(lines);
    // What holds of all of the network tells nobody there from another.
    all.filter(|named| named.prefix_len() > network.prefix_len() && network.contains(named))
        .collect()
}

/// The networks of one end of a line as they were written: what is left of one without
/// some of its hosts is many.
fn written<'a>(
    addresses: &'a Addresses,
    of: Option<&'a Remainder>,
) -> impl Iterator<Item = IpNet> + 'a {
    let (written, without) = match of {
        Some(of) => (&of.written, of.without.as_slice()),
        None => (addresses, [].as_slice()),
    };
    let written = match written {
        Addresses::Any => [].as_slice(),
        Addresses::Only(networks) => networks.as_slice(),
    };
    written.iter().chain(without).copied()
}
