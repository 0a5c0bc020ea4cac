//! Resolves the addresses of allow lines: those that are written, and those of host names.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};

use super::list::Lists;
use super::mistyped_address::{AddressForm, address_and_prefix, instead_of_address};
use super::own_address::require_ipv6_enabled;
use super::{named, span_in};
use crate::config::{Ipv6Mode, Spanned, Strings};
use crate::name::HostName;
use crate::policy::{Addresses, Answers, Zone, ZoneIndex};
use crate::source::{Refusal, Source};

/// Addresses and networks as written, without duplicates; None if none are given. A range
/// becomes the networks that are exactly its addresses, and the path of a list those that are
/// in it, where `lists` are given.
pub fn networks(
    written: Option<&Spanned<Strings>>,
    lists: Option<&Lists>,
    ipv6: Ipv6Mode,
    source: &Source,
) -> Result<Option<Vec<IpNet>>, Refusal> {
    let Some(written) = written else {
        return Ok(None);
    };
    let texts = &written.get_ref().0;
    if texts.is_empty() {
        return Err(source.refuse(
            written.span(),
            "the list is empty, which would mean nobody; give an address or remove the key",
        ));
    }
    let mut networks: Vec<IpNet> = Vec::new();
    let mut known: BTreeSet<IpNet> = BTreeSet::new();
    for text in texts {
        let span = span_in(text, written.span());
        let refuse = |what: String| source.refuse(span.clone(), what);
        let list = lists.and_then(|it| it.named(text.get_ref(), span.clone(), source));
        let own;
        let several = match list {
            Some(list) => &list?.networks,
            None => {
                if lists.is_some() && is_file(text.get_ref()) {
                    return Err(refuse(of_file(text.get_ref())));
                }
                own = one(text.get_ref()).map_err(refuse)?;
                &own
            }
        };
        for network in several {
            if network.addr().is_ipv6() {
                require_ipv6_enabled(text.get_ref(), ipv6, span.clone(), source)?;
            }
            if known.insert(*network) {
                networks.push(*network);
            }
        }
    }
    // None at all would stand for any.
    if networks.is_empty() {
        return Err(source.refuse(
            written.span(),
            "all that this lists is IPv6, all of which is dropped; set mode = \"same\" under [ipv6] to filter it as IPv4, or remove this",
        ));
    }
    Ok(Some(networks))
}

/// Whether a text looks like the path of a list, without its `@`.
pub(super) fn is_file(text: &str) -> bool {
    text.starts_with('/') || text.ends_with(".txt")
}

fn of_file(text: &str) -> String {
    let path = match text.starts_with('/') {
        true => text,
        false => "/etc/camfw/blocklist.txt",
    };
    format!(
        "{text:?} is neither an address nor a network; for the list in a file write @ and its whole path: \"@{path}\""
    )
}

/// The networks of one text: of an address, a range or a network.
pub(super) fn one(text: &str) -> Result<Vec<IpNet>, String> {
    match range(text) {
        Some(range) => range,
        None => Ok(vec![network(text)?]),
    }
}

/// The networks that are exactly the addresses of a range, `192.168.9.20-192.168.9.30`;
/// None if the text is none.
pub(super) fn range(text: &str) -> Option<Result<Vec<IpNet>, String>> {
    let (first, last) = text.split_once('-')?;
    let end = |text: &str| text.trim_matches(' ').parse::<IpAddr>();
    let ends = (end(first), end(last));
    let networks = match ends {
        (Ok(IpAddr::V4(first)), Ok(IpAddr::V4(last))) if first <= last => {
            IpSubnets::V4(Ipv4Subnets::new(first, last, 0))
        }
        (Ok(IpAddr::V6(first)), Ok(IpAddr::V6(last))) if first <= last => {
            IpSubnets::V6(Ipv6Subnets::new(first, last, 0))
        }
        (Ok(first), Ok(last)) if first.is_ipv4() == last.is_ipv4() => {
            return Some(Err(format!(
                "{text:?} ends before it begins; write it as {last}-{first}"
            )));
        }
        (Err(_), Err(_)) => return None,
        _ => {
            return Some(Err(format!(
                "{text:?} is not a range of addresses; write both ends, as in 192.168.9.20-192.168.9.30"
            )));
        }
    };
    Some(Ok(networks.collect()))
}

/// The networks of those written as ranges, which name no host by itself.
pub fn of_ranges(
    written: Option<&Spanned<Strings>>,
    lists: &Lists,
    source: &Source,
) -> BTreeSet<IpNet> {
    let texts = written.into_iter().flat_map(|written| &written.get_ref().0);
    let mut all = BTreeSet::new();
    for text in texts {
        match lists.named(text.get_ref(), text.span(), source) {
            Some(list) => all.extend(list.into_iter().flat_map(|list| &list.ranges)),
            None => {
                let range = range(text.get_ref()).and_then(Result::ok);
                all.extend(
                    range
                        .filter(|range| names_no_host(range))
                        .unwrap_or_default(),
                );
            }
        }
    }
    all
}

/// Whether the networks of one text are more than an address. A range of one is that address.
pub(super) fn names_no_host(networks: &[IpNet]) -> bool {
    networks.len() > 1
        || networks
            .iter()
            .any(|it| it.prefix_len() < it.max_prefix_len())
}

fn network(text: &str) -> Result<IpNet, String> {
    let alone = || text.parse::<IpAddr>().map(IpNet::from).ok();
    let network = address_and_prefix(text).or_else(alone).ok_or_else(|| {
        let form = AddressForm::Network("203.0.113.7 or 203.0.113.0/24");
        format!(
            "{text:?} is neither an address nor a network; {}",
            instead_of_address(text, form)
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
    let texts = &written.get_ref().0;
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
        if lower.contains('*') {
            return Err(source.refuse(
                span_in(text, written.span()),
                format_args!(
                    "{lower:?} stands for many names, of which none can be looked up; write each of them, or give address"
                ),
            ));
        }
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
                instead_of_address(written.get_ref(), AddressForm::Address("192.168.8.110"))
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
