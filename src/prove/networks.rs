//! Which addresses are behind which interface, read from a file with an interface and its
//! networks on each line:
//!
//! ```text
//! eth0 any !192.168.0.0/16                  # all but these eth1 192.168.8.0/24,
//! 10.0.0.1-10.0.0.9
//! ```
//!
//! Anything else in the file is refused: a misread interface name would give a wrong
//! answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use thiserror::Error;

use super::condition::address;
use super::intent;
use super::packet::Field;
use super::space::Space;
use crate::family::IpFamily;
use crate::name::InterfaceName;
use crate::policy::{Policy, Role};
use camfw_diagrams::Set;

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    first: IpAddr,
    last: IpAddr,
}

impl Span {
    fn size(&self) -> u128 {
        address(self.last) - address(self.first)
    }
}

/// An interface and the addresses behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceNetworks {
    /// The interface's name, or a wildcard such as `eth+`.
    pub interface: String,
    /// The addresses behind it,
    pub inside: Vec<Span>,
    /// except for these.
    pub outside: Vec<Span>,
}

/// Why a file of networks is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{line}: {problem}; write an interface and its networks, as in: eth1 192.168.8.0/24 10.0.0.1-10.0.0.9"
)]
pub struct NetworksError {
    /// The line number, from 1.
    line: usize,
    problem: String,
}

/// Parses the file; several lines for one interface are merged.
///
/// # Errors
/// The first malformed line, with its number.
pub fn parse(text: &str) -> Result<Vec<InterfaceNetworks>, NetworksError> {
    let mut all: Vec<InterfaceNetworks> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let separators = |c: char| c.is_whitespace() || c == ',';
        let mut words = line.split(separators).filter(|word| !word.is_empty());
        let Some(interface) = words.next() else {
            continue;
        };
        let refuse = |problem| NetworksError {
            line: number + 1,
            problem,
        };
        if !is_interface(interface) {
            return Err(refuse(format!("{interface:?} is no interface")));
        }
        let place = all.iter().position(|known| known.interface == interface);
        let place = place.unwrap_or_else(|| {
            all.push(InterfaceNetworks::new(interface, &[], &[]));
            all.len() - 1
        });
        let (before, taken) = (all[place].inside.len(), all[place].outside.len());
        for word in words {
            let (outside, network) = match word.strip_prefix('!') {
                Some(network) => (true, network),
                None => (false, word),
            };
            let span = span(network)
                .ok_or_else(|| refuse(format!("{word:?} is no network{}", mended(network))))?;
            match outside {
                true => all[place].outside.extend(span),
                false => all[place].inside.extend(span),
            }
        }
        if all[place].inside.len() == before {
            let only = all[place].outside.len() > taken;
            let instead = if only { "; write any before the !" } else { "" };
            return Err(refuse(format!("no network is behind {interface}{instead}")));
        }
    }
    Ok(all)
}

/// Whether this can be the name of an interface (dev_valid_name in net/core/dev.c) or a
/// wildcard for several.
fn is_interface(word: &str) -> bool {
    let name = word.strip_suffix('+').unwrap_or(word);
    let named = name.is_empty() || name == "lo" || InterfaceName::try_from(name).is_ok();
    named && !word.contains([':', '=', '[', ']', '{', '}']) && span(word).is_none()
}

/// What to write in place of a word that is no network, as far as it can be told.
fn mended(word: &str) -> String {
    if let Some((at, mask)) = word.split_once('/') {
        let (at, mask) = (at.parse::<IpAddr>(), mask.parse::<IpAddr>());
        let network = at.ok().zip(mask.ok());
        let network = network.and_then(|(at, mask)| IpNet::with_netmask(at, mask).ok());
        if let Some(network) = network {
            return format!("; write {}", network.trunc());
        }
    }
    if let Some((first, last)) = word.split_once('-')
        && let (Ok(first), Ok(last)) = (first.parse::<IpAddr>(), last.parse::<IpAddr>())
        && first.is_ipv4() == last.is_ipv4()
    {
        return format!(": the range runs backwards; write {last}-{first}");
    }
    String::new()
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

/// What is behind the interfaces of a policy: each zone's networks; behind an external
/// zone's, every other address too.
pub fn behind(policy: &Policy) -> Vec<InterfaceNetworks> {
    let zones = policy.zones.iter();
    zones
        .map(|zone| {
            let own = intent::networks_of(policy, zone);
            if zone.role != Role::External {
                return InterfaceNetworks::new(zone.interface.as_str(), &own, &[]);
            }
            let others = policy.zones.iter();
            let others = others.filter(|other| other.name != zone.name);
            let others = others.flat_map(|other| intent::networks_of(policy, other));
            let any = [
                IpNet::V4(ipnet::Ipv4Net::default()),
                IpNet::V6(ipnet::Ipv6Net::default()),
            ];
            InterfaceNetworks::new(zone.interface.as_str(), &any, &others.collect::<Vec<_>>())
        })
        .collect()
}

/// The interface that an address is behind; if several, the most specific one.
pub fn interface_of(behind: &[InterfaceNetworks], address: IpAddr) -> Option<&str> {
    let (_, nearest) = behind
        .iter()
        .filter_map(|it| Some((it.distance(address)?, it)))
        .min_by_key(|(distance, _)| *distance)?;
    Some(&nearest.interface)
}

/// Where each range begins, and where the addresses behind it do: between two of these all
/// addresses are behind the same interface.
pub(super) fn borders(behind: &[InterfaceNetworks]) -> impl Iterator<Item = IpAddr> {
    let spans = behind.iter();
    let spans = spans.flat_map(|it| it.inside.iter().chain(&it.outside));
    spans.flat_map(|span| [Some(span.first), next(span.last)].into_iter().flatten())
}

fn next(address: IpAddr) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(address) => Ipv4Addr::from(u32::from(address).checked_add(1)?).into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address).checked_add(1)?).into(),
    })
}

/// The packets whose field is an address that is behind an interface, and in no smaller
/// range of another one.
pub(super) fn nearest(
    behind: &[InterfaceNetworks],
    place: usize,
    space: &mut Space,
    field: Field,
) -> Set {
    let Some(known) = behind.get(place) else {
        return Set::EMPTY;
    };
    let ours = |span: &Span| span.first.is_ipv4() == (space.family == IpFamily::V4);
    let spans: Vec<Span> = known.inside.iter().copied().filter(ours).collect();
    let mut sets = Vec::new();
    for span in spans {
        let mut own = known.part(space, field, &|it| *it == span);
        for (number, other) in behind.iter().enumerate() {
            let smaller = |it: &Span| (it.size(), number) < (span.size(), place);
            if number != place {
                let nearer = other.part(space, field, &smaller);
                own = space.diagrams.minus(own, nearer);
            }
        }
        sets.push(own);
    }
    space.diagrams.union(&sets)
}

impl InterfaceNetworks {
    /// An interface with the addresses in `inside` and not in `outside` behind it.
    pub fn new(interface: &str, inside: &[IpNet], outside: &[IpNet]) -> InterfaceNetworks {
        let spans = |networks: &[IpNet]| {
            let spans = networks.iter().map(|network| Span {
                first: network.network(),
                last: network.broadcast(),
            });
            spans.collect()
        };
        InterfaceNetworks {
            interface: interface.to_owned(),
            inside: spans(inside),
            outside: spans(outside),
        }
    }

    /// Whether any address of this family is behind the interface.
    pub fn has_any_of(&self, family: IpFamily) -> bool {
        let ours = family == IpFamily::V4;
        self.inside.iter().any(|span| span.first.is_ipv4() == ours)
    }

    /// The size of the range around an address behind the interface, to tell which
    /// interface is the most specific; None if the address is not behind it.
    pub fn distance(&self, at: IpAddr) -> Option<u128> {
        let within = |span: &&Span| {
            span.first.is_ipv4() == at.is_ipv4() && (span.first..=span.last).contains(&at)
        };
        if self.outside.iter().any(|span| within(&span)) {
            return None;
        }
        let sizes = self.inside.iter().filter(within);
        sizes.map(Span::size).min()
    }

    /// The packets whose field is an address behind the interface.
    pub fn set(&self, space: &mut Space, field: Field) -> Set {
        self.part(space, field, &|_| true)
    }

    /// The same of some of its ranges.
    fn part(&self, space: &mut Space, field: Field, of: &dyn Fn(&Span) -> bool) -> Set {
        let ours = space.family == IpFamily::V4;
        let mut sets = |spans: &[Span], of: &dyn Fn(&Span) -> bool| {
            let spans = spans.iter().filter(|span| of(span));
            let ours = spans.filter(|span| span.first.is_ipv4() == ours);
            space.in_ranges(field, ours.map(|it| (address(it.first), address(it.last))))
        };
        let (inside, outside) = (sets(&self.inside, of), sets(&self.outside, &|_| true));
        space.diagrams.minus(inside, outside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_interface_and_its_networks() -> Result<(), NetworksError> {
        let text = "# ours\neth0 0.0.0.0/0 !10.0.0.0/8\neth1 10.1.0.0/16, 10.2.0.1-10.2.0.9 # more\neth1 10.3.0.1\n\nlo any\nppp+ 10.4.0.0/16\nnetwork 10.5.0.0/16\n";
        let found = parse(text)?;
        let shown: Vec<(&str, usize, usize)> = found
            .iter()
            .map(|it| (it.interface.as_str(), it.inside.len(), it.outside.len()))
            .collect();
        let expected = [
            ("eth0", 1, 1),
            ("eth1", 3, 0),
            ("lo", 2, 0),
            ("ppp+", 1, 0),
            ("network", 1, 0),
        ];
        assert_eq!(shown, expected);
        Ok(())
    }

    /// A file of another kind was once read as lines for interfaces with odd names; the
    /// rules were then proven for these and not for the interfaces that exist.
    #[test]
    fn whatever_else_is_refused_with_its_line() {
        for (bad, problem) in [
            ("[eth1]", "\"[eth1]\" is no interface"),
            ("network = \"192.168.8.0/24\"", "\"=\" is no network"),
            ("eth1 = 192.168.8.0/24", "\"=\" is no network"),
            ("eth1: 192.168.8.0/24", "\"eth1:\" is no interface"),
            ("eth1 \"192.168.8.0/24\"", "is no network"),
            ("eth1 [192.168.8.0/24]", "is no network"),
            ("192.168.8.0/24 eth1", "\"192.168.8.0/24\" is no interface"),
            ("192.168.8.1 192.168.8.0/24", "is no interface"),
            ("a-name-that-is-too-long 10.0.0.0/8", "is no interface"),
            ("eth0 x", "\"x\" is no network"),
            (
                "eth0 10.0.0.9-10.0.0.1",
                "is no network: the range runs backwards; write 10.0.0.1-10.0.0.9",
            ),
            (
                "eth0 10.1.0.0/255.255.255.0",
                "is no network; write 10.1.0.0/24",
            ),
            ("eth0 10.1.0.0/255.0.255.0", "is no network; write an"),
            ("eth0 1.2.3.4/33", "is no network"),
            ("eth0 ! 10.0.0.0/8", "\"!\" is no network"),
            ("eth0", "no network is behind eth0"),
            (
                "eth0 !10.0.0.0/8",
                "no network is behind eth0; write any before the !",
            ),
        ] {
            let error = parse(&format!("# a remark\n{bad}\n")).err();
            let error = error.map(|it| it.to_string()).unwrap_or_default();
            assert!(
                error.starts_with("2: ") && error.contains(problem),
                "{bad:?}: {error}"
            );
        }
    }
}
