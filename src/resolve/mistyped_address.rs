//! Addresses and networks as people write them: which texts are read as such, and what to
//! write in place of those that are not.
//!
//! Owns that a number with a leading zero is none: some programs read it as octal, so that
//! the file would say another address than its reader sees.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::address::range;
use super::as_list;
use crate::look_alike::look_alike;

/// What an address is written for, with an example.
#[derive(Clone, Copy)]
pub(super) enum AddressForm<'a> {
    /// One address.
    Address(&'a str),
    /// An address or a network.
    Network(&'a str),
    /// An address, or a network, with the length of its prefix.
    WithPrefix(&'a str),
}

impl AddressForm<'_> {
    fn example(self) -> String {
        match self {
            AddressForm::Address(example)
            | AddressForm::Network(example)
            | AddressForm::WithPrefix(example) => example.to_owned(),
        }
    }
}

/// Parses an address with a prefix length.
pub(super) fn address_and_prefix(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    let is_plain = length.bytes().all(|b| b.is_ascii_digit())
        && (length.len() == 1 || !length.starts_with('0'));
    let length = is_plain.then(|| length.parse().ok()).flatten()?;
    IpNet::new(address.parse().ok()?, length).ok()
}

/// What to write instead of a text that is not of the form.
pub(super) fn instead_of_address(text: &str, form: AddressForm<'_>) -> String {
    if let Some(told) = look_alike(text) {
        return told;
    }
    if text.starts_with('!') {
        return "leave addresses out with except, and sources with [[deny]]".into();
    }
    if let Some(list) = as_list(text) {
        return list;
    }
    if let (Some(Ok(_)), AddressForm::Address(example)) = (range(text), form) {
        return format!(
            "write one address, such as {example}: a range goes in source and address of an allow line alone"
        );
    }
    let trimmed = text.trim();
    let (address, prefix) = match trimmed.split_once(['/', ' ']) {
        Some((address, prefix)) => (address.trim(), Some(prefix.trim_matches(['/', ' ']))),
        None => (trimmed, None),
    };
    let example = form.example();
    let Some((address, had_zeros)) = meant_address(address) else {
        let parts = address.split('.').map(str::parse::<u32>);
        let all: Vec<u32> = parts.clone().flatten().collect();
        if all.len() == parts.count() && all.len() > 1 && all.iter().any(|part| *part > 255) {
            return format!("each part of an address is 0 to 255, as in {example}");
        }
        return format!("write it as {example}");
    };
    let (bits, usual) = match address {
        IpAddr::V4(_) => (32, 24),
        IpAddr::V6(_) => (128, 64),
    };
    let length = match prefix.map(|prefix| meant_length(prefix, bits)) {
        Some(None) if prefix.is_some_and(|it| it.bytes().all(|b| b.is_ascii_digit())) => {
            return format!(
                "the length of a prefix is 0 to {bits}; write the network's, such as {address}/{usual}"
            );
        }
        Some(None) => return format!("write it as {example}"),
        Some(length) => length,
        None => None,
    };
    let network = |length: u8| IpNet::new(address, length).map(|net| net.to_string());
    let zeros = match had_zeros {
        true => "without the leading zeros, which some programs read as octal numbers",
        false => "",
    };
    match (form, length) {
        (AddressForm::Address(_), _) if address.is_ipv6() => {
            format!("write the IPv4 address, such as {example}")
        }
        (AddressForm::Address(_), Some(_)) => format!("write it without the prefix: {address}"),
        (AddressForm::WithPrefix(_), None) => {
            format!("add the length of its network's prefix, as in {address}/{usual}")
        }
        (_, length) => {
            let written = match length {
                Some(length) => network(length).unwrap_or(example),
                None => address.to_string(),
            };
            match zeros {
                "" => format!("write it as {written}"),
                zeros => format!("write it {zeros}: {written}"),
            }
        }
    }
}

/// The address that a text most likely means, and whether its numbers had leading zeros.
fn meant_address(text: &str) -> Option<(IpAddr, bool)> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((address, false));
    }
    let parts = text.split('.').map(str::parse::<u8>);
    let parts: Vec<u8> = parts.collect::<Result<_, _>>().ok()?;
    let octets: [u8; 4] = parts.try_into().ok()?;
    Some((IpAddr::from(octets), true))
}

/// The length of a prefix that is a number or a netmask such as 255.255.255.0.
fn meant_length(text: &str, bits: u8) -> Option<u8> {
    if let Ok(length) = text.parse::<u8>() {
        return Some(length).filter(|length| *length <= bits);
    }
    let mask = u32::from(text.parse::<Ipv4Addr>().ok()?);
    let length = mask.leading_ones();
    (mask.count_ones() == length)
        .then(|| u8::try_from(length).ok())
        .flatten()
}
