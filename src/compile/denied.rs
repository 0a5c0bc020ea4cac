//! What `[[deny]]` says of many networks: asked once, before the lines of a flow.
//!
//! A short list is taken away from each line by the resolver. Of a long one that would be ten
//! times as many networks, and as often as there are lines.

use ipnet::IpNet;

use super::Compiler;
use super::tree::{self, Axis, ChainNames};
use crate::name::ChainName;
use crate::netfilter::Table;
use crate::policy::{Addresses, Flow};

impl Compiler<'_> {
    /// Lets what is denied leave a flow's chain; the chain where all other packets go on.
    pub(super) fn denied_first(
        &self,
        table: &mut Table,
        names: &mut ChainNames,
        flow: Flow,
        allowed: &ChainName,
    ) -> ChainName {
        let [mut sources, mut destinations] = [Vec::new(), Vec::new()];
        for denial in self.policy.denied_first(flow) {
            for (all, of) in [
                (&mut sources, &denial.sources),
                (&mut destinations, &denial.destinations),
            ] {
                if let Addresses::Only(networks) = of {
                    all.extend(networks.iter().filter(|it| self.is_ours(it)));
                }
            }
        }
        let mut at = allowed.clone();
        for (axis, denied) in [(Axis::Source, sources), (Axis::Destination, destinations)] {
            if denied.is_empty() {
                continue;
            }
            let others = names.unused(&format!("others-{allowed}"), "others");
            tree::leave(table, names, &at, axis, &merged(denied), &others);
            table.rules_mut(&others);
            at = others;
        }
        at
    }
}

/// The fewest networks with the same addresses, in their order.
fn merged(mut networks: Vec<IpNet>) -> Vec<IpNet> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
