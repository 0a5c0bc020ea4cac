//! Which addresses are behind which interface, as a file says it: an interface
//! and its networks, one a line.
//!
//! ```text
//! eth0 = 0.0.0.0/0 !192.168.0.0/16     # all but these
//! eth1 = 192.168.8.0/24, 10.0.0.1-10.0.0.9
//! ```

use std::net::IpAddr;

use ipnet::IpNet;

use super::condition::address;
use super::diagram::Set;
use super::intent;
use super::packet::{Field, Space};
use crate::policy::{Policy, Role};
use crate::ruleset::IpFamily;

/// Some addresses in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    first: IpAddr,
    last: IpAddr,
}

/// An interface and what is behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// The interface.
    pub interface: String,
    /// These addresses.
    pub inside: Vec<Span>,
    /// But not these.
    pub outside: Vec<Span>,
}

/// Reads the file; several lines of one interface add up.
///
/// # Errors
/// The line that is none, with its number.
pub fn parse(text: &str) -> Result<Vec<Behind>, String> {
    let mut all: Vec<Behind> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let separators = |c: char| c.is_whitespace() || "=,[]\"".contains(c);
        let mut words = line.split(separators).filter(|word| !word.is_empty());
        let Some(interface) = words.next() else {
            continue;
        };
        let interface = interface.trim_end_matches(':');
        let place = all.iter().position(|known| known.interface == interface);
        let place = place.unwrap_or_else(|| {
            all.push(Behind {
                interface: interface.to_owned(),
                inside: Vec::new(),
                outside: Vec::new(),
            });
            all.len() - 1
        });
        let mut outside = false;
        for word in words {
            let word = match word.strip_prefix('!') {
                Some(rest) => {
                    outside = true;
                    rest
                }
                None => word,
            };
            if word.is_empty() {
                continue;
            }
            let span = span(word).ok_or_else(|| {
                let number = number + 1;
                format!(
                    "{number}: {word:?} is no network; write an interface and its networks, as in: eth1 192.168.8.0/24 10.0.0.1-10.0.0.9"
                )
            })?;
            match outside {
                true => all[place].outside.extend(span),
                false => all[place].inside.extend(span),
            }
            outside = false;
        }
    }
    Ok(all)
}

fn span(word: &str) -> Option<Vec<Span>> {
    let of = |network: IpNet| Span {
        first: network.network(),
        last: network.broadcast(),
    };
    if word == "any" {
        let v4 = "0.0.0.0/0".parse().ok()?;
        let v6 = "::/0".parse().ok()?;
        return Some(vec![of(v4), of(v6)]);
    }
    if let Some((first, last)) = word.split_once('-') {
        let (first, last): (IpAddr, IpAddr) = (first.parse().ok()?, last.parse().ok()?);
        return (first.is_ipv4() == last.is_ipv4() && first <= last)
            .then(|| vec![Span { first, last }]);
    }
    let network = word.parse::<IpNet>().ok();
    let network = network.or_else(|| word.parse::<IpAddr>().ok().map(IpNet::from))?;
    Some(vec![of(network)])
}

/// What is behind the interfaces of a policy: the networks of zones, and by an
/// external one everything else.
pub fn behind(policy: &Policy) -> Vec<Behind> {
    let zones = policy.zones.iter();
    zones
        .map(|zone| {
            let own = intent::networks_of(policy, zone);
            if zone.role != Role::External {
                return Behind::new(zone.interface.as_str(), &own, &[]);
            }
            let others = policy.zones.iter();
            let others = others.filter(|other| other.name != zone.name);
            let others = others.flat_map(|other| intent::networks_of(policy, other));
            let any = [
                IpNet::V4(ipnet::Ipv4Net::default()),
                IpNet::V6(ipnet::Ipv6Net::default()),
            ];
            Behind::new(zone.interface.as_str(), &any, &others.collect::<Vec<_>>())
        })
        .collect()
}

/// The interface that an address is behind: the one with the fewest others.
pub fn interface_of(behind: &[Behind], address: IpAddr) -> Option<&str> {
    let (_, nearest) = behind
        .iter()
        .filter_map(|it| Some((it.distance(address)?, it)))
        .min_by_key(|(distance, _)| *distance)?;
    Some(&nearest.interface)
}

impl Behind {
    /// What is behind an interface in these networks and not in those.
    pub fn new(interface: &str, inside: &[IpNet], outside: &[IpNet]) -> Behind {
        let spans = |networks: &[IpNet]| {
            let spans = networks.iter().map(|network| Span {
                first: network.network(),
                last: network.broadcast(),
            });
            spans.collect()
        };
        Behind {
            interface: interface.to_owned(),
            inside: spans(inside),
            outside: spans(outside),
        }
    }

    /// Whether any address of a family is said to be behind the interface.
    pub fn has_any_of(&self, family: IpFamily) -> bool {
        let ours = family == IpFamily::V4;
        self.inside.iter().any(|span| span.first.is_ipv4() == ours)
    }

    /// In how large a part of what is behind the interface an address is; None if
    /// in none.
    pub fn distance(&self, at: IpAddr) -> Option<u128> {
        let within = |span: &&Span| {
            span.first.is_ipv4() == at.is_ipv4() && (span.first..=span.last).contains(&at)
        };
        if self.outside.iter().any(|span| within(&span)) {
            return None;
        }
        let sizes = self.inside.iter().filter(within);
        sizes
            .map(|span| address(span.last) - address(span.first))
            .min()
    }

    /// The packets with an address behind the interface.
    pub fn set(&self, space: &mut Space, field: Field) -> Set {
        let mut sets = |spans: &[Span]| {
            let ours = space.family == IpFamily::V4;
            let ours = spans.iter().filter(|span| span.first.is_ipv4() == ours);
            space.in_ranges(field, ours.map(|it| (address(it.first), address(it.last))))
        };
        let (inside, outside) = (sets(&self.inside), sets(&self.outside));
        space.diagrams.minus(inside, outside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_interface_and_its_networks() {
        let text = "# ours\neth0 = [0.0.0.0/0] !10.0.0.0/8\neth1: 10.1.0.0/16, 10.2.0.1-10.2.0.9 # more\neth1 10.3.0.1\n\n";
        let found = parse(text).unwrap_or_default();
        let shown: Vec<(&str, usize, usize)> = found
            .iter()
            .map(|it| (it.interface.as_str(), it.inside.len(), it.outside.len()))
            .collect();
        assert_eq!(shown, [("eth0", 1, 1), ("eth1", 3, 0)]);
        assert_eq!(parse("lo\n").map(|all| all.len()), Ok(1));
        for bad in ["eth0 x", "eth0 10.0.0.9-10.0.0.1", "eth0 1.2.3.4/33"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
