//! The addresses at one end of an allow line or a guarantee.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::config::Ipv6Mode;
use crate::name::HostName;

/// A set of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addresses {
    /// Every address.
    Any,
    /// The addresses in these networks; an empty list is the empty set.
    Only(Vec<IpNet>),
}

impl Addresses {
    /// A single address.
    pub fn one(address: impl Into<IpAddr>) -> Addresses {
        Addresses::Only(vec![IpNet::from(address.into())])
    }

    /// The number of addresses and networks listed; `Any` counts as one.
    pub(crate) fn count(&self) -> usize {
        match self {
            Addresses::Any => 1,
            Addresses::Only(networks) => networks.len(),
        }
    }

    /// Whether it contains every address of `other`. Compares network by network, and so
    /// does not see that several networks together contain one.
    pub fn contains(&self, other: &Addresses) -> bool {
        match (self, other) {
            (Addresses::Any, _) => true,
            (Addresses::Only(_), Addresses::Any) => false,
            (Addresses::Only(own), Addresses::Only(others)) => others
                .iter()
                .all(|other| own.iter().any(|own| own.contains(other))),
        }
    }

    /// Without those of other networks: of a network that has some of them, the largest
    /// networks beside them.
    pub(crate) fn without(&self, others: &[IpNet], ipv6: Ipv6Mode) -> Addresses {
        let own = match self {
            Addresses::Only(networks) => networks.clone(),
            Addresses::Any => {
                let ipv4 = IpNet::V4(Ipv4Net::default());
                let ipv6 = (ipv6 == Ipv6Mode::Same).then(|| IpNet::V6(Ipv6Net::default()));
                [ipv4].into_iter().chain(ipv6).collect()
            }
        };
        let others = merged(others.to_vec());
        let mut left = Vec::new();
        for network in own {
            cut(network, &others, &mut left);
        }
        Addresses::Only(left)
    }

    /// Adds the addresses of `other`.
    pub fn extend(&mut self, other: &Addresses) {
        match (&mut *self, other) {
            (Addresses::Any, _) => {}
            (Addresses::Only(_), Addresses::Any) => *self = Addresses::Any,
            (Addresses::Only(own), Addresses::Only(others)) => own.extend(others),
        }
    }

    /// Whether it contains this address.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.contains(&Addresses::one(address))
    }
}

/// Adds what others leave of a network. These are in their order and apart from each other, so
/// that one that contains the network is the last before those inside it.
fn cut(network: IpNet, others: &[IpNet], left: &mut Vec<IpNet>) {
    let (before, from) = others.split_at(others.partition_point(|other| *other < network));
    if before.last().is_some_and(|other| other.contains(&network)) || from.first() == Some(&network)
    {
        return;
    }
    let inside = from.partition_point(|other| network.contains(other));
    let inside = from.get(..inside).unwrap_or_default();
    if inside.is_empty() {
        left.push(network);
        return;
    }
    for half in halves(network).into_iter().flatten() {
        cut(half, inside, left);
    }
}

/// The fewest networks with the same addresses, in their order.
pub(crate) fn merged(mut networks: Vec<IpNet>) -> Vec<IpNet> {
    networks.sort_unstable();
    let mut merged: Vec<IpNet> = Vec::with_capacity(networks.len());
    for mut network in networks {
        if merged.last().is_some_and(|last| last.contains(&network)) {
            continue;
        }
        while let Some(last) = merged.last()
            && last.prefix_len() == network.prefix_len()
            && let Some(both) = last.supernet()
            && both.contains(&network)
        {
            merged.pop();
            network = both;
        }
        merged.push(network);
    }
    merged
}

/// The two halves of a network; none of a single address.
fn halves(network: IpNet) -> [Option<IpNet>; 2] {
    let length = network.prefix_len();
    let upper = match network.network() {
        IpAddr::V4(lower) => {
            let half = (1_u32 << 31).checked_shr(length.into()).unwrap_or(0);
            IpAddr::from((u32::from(lower) | half).to_be_bytes())
        }
        IpAddr::V6(lower) => {
            let half = (1_u128 << 127).checked_shr(length.into()).unwrap_or(0);
            IpAddr::from((u128::from(lower) | half).to_be_bytes())
        }
    };
    [network.network(), upper].map(|half| IpNet::new(half, length + 1).ok())
}

/// The addresses that host names last resolved to.
pub type Answers = BTreeMap<HostName, Vec<IpAddr>>;

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(written: &[&str]) -> Result<Vec<IpNet>, ipnet::AddrParseError> {
        written.iter().map(|network| network.parse()).collect()
    }

    fn left(
        own: &Addresses,
        others: &[&str],
        ipv6: Ipv6Mode,
    ) -> Result<Vec<String>, ipnet::AddrParseError> {
        match own.without(&networks(others)?, ipv6) {
            Addresses::Any => Ok(vec!["any".into()]),
            Addresses::Only(networks) => Ok(networks.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn what_is_left_is_the_largest_networks_beside_the_others() -> Result<(), ipnet::AddrParseError>
    {
        let own = Addresses::Only(networks(&[
            "192.168.8.0/29",
            "192.168.9.1/32",
            "fd00::/127",
        ])?);
        assert_eq!(
            left(
                &own,
                &["192.168.8.5/32", "192.168.8.6/31", "10.0.0.0/8"],
                Ipv6Mode::Same
            )?,
            [
                "192.168.8.0/30",
                "192.168.8.4/32",
                "192.168.9.1/32",
                "fd00::/127"
            ]
        );
        assert_eq!(
            left(&own, &["192.168.0.0/16", "fd00::1/128"], Ipv6Mode::Same)?,
            ["fd00::/128"]
        );
        assert_eq!(
            left(&own, &["0.0.0.0/0", "::/0"], Ipv6Mode::Same)?,
            Vec::<String>::new()
        );
        Ok(())
    }

    /// This took time by the product of both.
    #[test]
    fn many_are_taken_away_from_many() -> Result<(), std::net::AddrParseError> {
        let hosts = |step: u32| {
            let all = (0..30_000_u32).map(move |host| (0x0a00_0000 + host * step).to_be_bytes());
            let all = all.map(|host| IpNet::from(IpAddr::from(host)));
            all.collect::<Vec<_>>()
        };
        let own = Addresses::Only(hosts(2));
        let left = own.without(&hosts(4), Ipv6Mode::Drop);
        assert_eq!(left.count(), 15_000);
        assert!(!left.holds("10.0.0.4".parse()?) && left.holds("10.0.0.2".parse()?));
        Ok(())
    }

    #[test]
    fn of_any_address_both_families_are_left_where_both_are_filtered()
    -> Result<(), ipnet::AddrParseError> {
        let others = ["128.0.0.0/2", "224.0.0.0/3"];
        let ipv4 = ["0.0.0.0/1", "192.0.0.0/3"];
        assert_eq!(left(&Addresses::Any, &others, Ipv6Mode::Drop)?, ipv4);
        let both = ["0.0.0.0/1", "192.0.0.0/3", "::/0"];
        assert_eq!(left(&Addresses::Any, &others, Ipv6Mode::Same)?, both);
        Ok(())
    }

    #[test]
    fn networks_within_others_and_halves_of_one_are_merged() -> Result<(), ipnet::AddrParseError> {
        let written = [
            "10.0.0.128/25",
            "10.0.0.0/25",
            "10.0.1.0/24",
            "10.0.1.7/32",
            "192.0.2.1/32",
            "192.0.2.2/32",
            "10.0.0.0/25",
            "fd00::/64",
        ];
        let networks: Result<Vec<IpNet>, _> = written.iter().map(|it| it.parse()).collect();
        let left = merged(networks?);
        let left: Vec<String> = left.iter().map(ToString::to_string).collect();
        assert_eq!(
            left,
            ["10.0.0.0/23", "192.0.2.1/32", "192.0.2.2/32", "fd00::/64"]
        );
        let all: Result<Vec<IpNet>, _> = ["128.0.0.0/1", "0.0.0.0/1"]
            .iter()
            .map(|it| it.parse())
            .collect();
        assert_eq!(merged(all?), ["0.0.0.0/0".parse::<IpNet>()?]);
        Ok(())
    }
}
