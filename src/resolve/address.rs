//! Resolves the addresses of allow lines: those that are written, and those of host names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use toml::Spanned;

use super::own_address::require_ipv6_enabled;
use super::{as_list, named, span_in};
use crate::config::{Ipv6Mode, Strings};
use crate::name::HostName;
use crate::policy::{Addresses, Answers, Zone, ZoneIndex};
use crate::source::{Refusal, Source};

/// Addresses and networks as written, without duplicates; None if none are given.
pub fn networks(
    written: Option<&Spanned<Strings>>,
    ipv6: Ipv6Mode,
    source: &Source,
) -> Result<Option<Vec<IpNet>>, Refusal> {
    let Some(written) = written else {
        return Ok(None);
    };
    let Strings(texts) = written.get_ref();
    if texts.is_empty() {
        return Err(source.refuse(
            written.span(),
            "the list is empty, which would mean nobody; give an address or remove the key",
        ));
    }
    let mut networks: Vec<IpNet> = Vec::new();
    for text in texts {
        let span = span_in(text, written.span());
        let network = network(text.get_ref()).map_err(|what| source.refuse(span.clone(), what))?;
        if network.addr().is_ipv6() {
            require_ipv6_enabled(text.get_ref(), ipv6, span, source)?;
        }
        if !networks.contains(&network) {
            networks.push(network);
        }
    }
    Ok(Some(networks))
}

fn network(text: &str) -> Result<IpNet, String> {
    let alone = || text.parse::<IpAddr>().map(IpNet::from);
    let network = text.parse::<IpNet>().or_else(|_| alone()).map_err(|_| {
        format!(
            "{text:?} is no address and no network; {}",
            instead_of_address(text, "203.0.113.7 or 203.0.113.0/24")
        )
    })?;
    if network.trunc() != network {
        return Err(format!(
            "{network} is a host with its network's prefix; write {} for the network",
            network.trunc()
        ));
    }
    Ok(network)
}

/// Host names as written, without duplicates.
pub fn hosts(
    written: Option<&Spanned<Strings>>,
    source: &Source,
) -> Result<Vec<HostName>, Refusal> {
    let Some(written) = written else {
        return Ok(Vec::new());
    };
    let Strings(texts) = written.get_ref();
    if texts.is_empty() {
        return Err(source.refuse(
            written.span(),
            "the list names no host; name one or remove the key",
        ));
    }
    let mut hosts: Vec<HostName> = Vec::new();
    for text in texts {
        // DNS names are not case-sensitive (RFC 4343).
        let lower = text.get_ref().to_ascii_lowercase();
        let host = named::<HostName>(&lower, span_in(text, written.span()), source)?;
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    Ok(hosts)
}

/// The destinations that are written, and those that names resolved to. Until a name has
/// resolved once, it adds no address, and nothing is allowed by it.
pub fn destinations(
    networks: Option<Vec<IpNet>>,
    hosts: &[HostName],
    answers: &Answers,
    ipv6: Ipv6Mode,
) -> Addresses {
    if networks.is_none() && hosts.is_empty() {
        return Addresses::Any;
    }
    let answered = hosts.iter().filter_map(|host| answers.get(host)).flatten();
    let mut all = networks.unwrap_or_default();
    for address in answered {
        let network = IpNet::from(*address);
        if !all.contains(&network) && (address.is_ipv4() || ipv6 == Ipv6Mode::Same) {
            all.push(network);
        }
    }
    Addresses::Only(all)
}

pub(super) fn ipv4(written: &Spanned<String>, source: &Source) -> Result<Ipv4Addr, Refusal> {
    written.get_ref().parse().map_err(|_| {
        source.refuse(
            written.span(),
            format_args!(
                "{:?} is not an IPv4 address; {}",
                written.get_ref(),
                instead_of_address(written.get_ref(), "192.168.8.110")
            ),
        )
    })
}

/// The zone that an address is in, and its network there.
pub(super) fn zone_of(address: IpAddr, zones: &[Zone]) -> Option<(ZoneIndex, IpNet)> {
    zones.iter().enumerate().find_map(|(index, zone)| {
        let own = zone.own().find(|own| own.contains(&address))?;
        Some((ZoneIndex(index), own.trunc()))
    })
}

/// What to write instead of what is no IPv4 address.
pub(super) fn instead_of_address(text: &str, example: &str) -> String {
    if let Some((address, _)) = text.split_once('/')
        && let Ok(address) = address.parse::<IpAddr>()
        && !example.contains('/')
    {
        return format!("write it without the prefix: {address}");
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return format!("write the IPv4 address, such as {example}");
    }
    if let Some(list) = as_list(text) {
        return list;
    }
    let numbers = text.split(['.', '/']).map(str::parse::<u32>);
    if text.contains('.')
        && numbers.clone().all(|number| number.is_ok())
        && numbers.flatten().any(|number| number > 255)
    {
        return format!("each part of an address is 0 to 255, as in {example}");
    }
    format!("write it as {example}")
}
