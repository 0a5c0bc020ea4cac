//! What `[[deny]]` says of many networks: asked once, before the lines of a flow.
//!
//! A short list is taken away from each line by the resolver. Of a long one that would be ten
//! times as many networks, and as often as there are lines.

use super::Compiler;
use super::tree::{self, Axis, ChainNames};
use crate::name::ChainName;
use crate::netfilter::Table;
use crate::policy::{Addresses, Flow, merged};

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
