//! Arranges rules for many hardware addresses as a tree of chains by their last bits: a packet
//! then meets a few comparisons for every two bits in which the addresses differ, and not all
//! addresses one after another.
//!
//! Bits only choose the chain, in which whole addresses are compared: what has no hardware
//! address, or another one, matches nothing there.

use std::collections::BTreeMap;

use super::chain;
use crate::name::{ChainName, MacAddress};
use crate::netfilter::{MacBits, Match, Negatable, Rule, Table, Target};

/// Up to this many addresses are compared one after another, which needs no kernel with
/// `-m bpf`. Less would be faster by nothing that can be measured, and have more chains.
const FEW: usize = 16;

/// The most levels, far below what nf_tables takes of gotos within each other
/// (NFT_JUMP_STACK_SIZE): enough for 65,000 addresses that differ in all of these bits.
const LEVELS: usize = 6;

/// A hardware address and the rules for packets that have it. They end with one that matches
/// all of these.
pub(super) type OfAddress = (MacAddress, Vec<Rule>);

/// Makes a chain anew: these rules first, then those of each address, and then those for all
/// other packets. Chains that this needs besides are named after it.
pub(super) fn place(
    table: &mut Table,
    root: &ChainName,
    first: Vec<Rule>,
    of: Vec<OfAddress>,
    others: &[Rule],
) {
    *table.rules_mut(root) = first;
    let mut tree = Tree {
        table,
        root,
        others,
        chains: 0,
    };
    tree.place(root, of, LEVELS);
}

/// Adds the rules of each address to a chain that has more rules after them: all other packets,
/// and those that the rules return, go on there.
pub(super) fn place_within(
    table: &mut Table,
    at: &ChainName,
    root: &ChainName,
    of: Vec<OfAddress>,
) {
    if of.len() <= FEW {
        table.rules_mut(at).extend(compared(of));
        return;
    }
    let jump = Rule::new(Target::Jump(root.clone()));
    table.rules_mut(at).push(jump);
    place(table, root, Vec::new(), of, &[]);
}

struct Tree<'a> {
    table: &'a mut Table,
    root: &'a ChainName,
    others: &'a [Rule],
    chains: usize,
}

impl Tree<'_> {
    fn place(&mut self, at: &ChainName, of: Vec<OfAddress>, levels: usize) {
        let split = match levels.checked_sub(1) {
            Some(left) if of.len() > FEW => differing(&of).map(|bits| (bits, left)),
            _ => None,
        };
        let Some((bits, left)) = split else {
            let rules = compared(of).chain(self.others.iter().cloned());
            self.table.rules_mut(at).extend(rules);
            return;
        };
        let mut groups: BTreeMap<u8, Vec<OfAddress>> = BTreeMap::new();
        for (mac, rules) in of {
            let value = mac.bytes()[usize::from(bits.byte)] & bits.mask;
            groups.entry(value).or_default().push((mac, rules));
        }
        let last = groups.keys().next_back().copied();
        for (value, group) in groups {
            self.chains += 1;
            let to = chain(format_args!("{}.{}", self.root, self.chains));
            let mut rule = Rule::new(Target::Goto(to.clone()));
            // All others go with the last: in its chain they match nothing.
            if Some(value) != last {
                rule = rule.matching(Match::MacBits(MacBits { value, ..bits }));
            }
            self.table.rules_mut(at).push(rule);
            self.table.rules_mut(&to).clear();
            self.place(&to, group, left);
        }
    }
}

fn compared(of: Vec<OfAddress>) -> impl Iterator<Item = Rule> {
    of.into_iter().flat_map(|(mac, rules)| {
        let of_it = Match::Mac(Negatable::is(mac));
        rules.into_iter().map(move |mut rule| {
            rule.matches.insert(0, of_it.clone());
            rule
        })
    })
}

/// The last two bits of a pair's place in which the addresses differ.
fn differing(of: &[OfAddress]) -> Option<MacBits> {
    let places = (0..6).rev().flat_map(|byte| {
        let masks = [0b11, 0b1100, 0b11_0000, 0b1100_0000];
        masks.map(|mask| MacBits {
            byte,
            mask,
            value: 0,
        })
    });
    let differ = |bits: &MacBits| {
        let mut values = of
            .iter()
            .map(|(mac, _)| mac.bytes()[usize::from(bits.byte)] & bits.mask);
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    places.into_iter().find(differ)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::netfilter::TableName;

    fn addresses(of: impl IntoIterator<Item = u32>) -> Vec<OfAddress> {
        let of = of.into_iter().map(|number| {
            let [_, a, b, c] = number.to_be_bytes();
            let mac = MacAddress::from([2, 0, 0, a, b, c]);
            (mac, vec![Rule::new(Target::Drop)])
        });
        of.collect()
    }

    fn placed(of: Vec<OfAddress>) -> (Table, ChainName) {
        let mut table = Table::untouched(TableName::Filter);
        let root = chain("root");
        let others = [Rule::new(Target::Return)];
        place(&mut table, &root, Vec::new(), of, &others);
        (table, root)
    }

    /// What becomes of a packet, and how many rules it meets.
    fn met(table: &Table, chain: &ChainName, mac: MacAddress) -> (Option<Target>, usize) {
        let found = table.chains.iter().find(|it| it.name == *chain);
        let rules = found.map_or(&[][..], |it| &it.rules);
        for (place, rule) in rules.iter().enumerate() {
            let holds = rule.matches.iter().all(|it| match it {
                Match::Mac(Negatable { value, .. }) => *value == mac,
                Match::MacBits(bits) => bits.are_in(mac.number()),
                _ => false,
            });
            match &rule.target {
                Some(Target::Goto(to)) if holds => {
                    let (target, more) = met(table, to, mac);
                    return (target, place + 1 + more);
                }
                target if holds => return (target.clone(), place + 1),
                _ => {}
            }
        }
        (None, rules.len())
    }

    fn assert_finds(of: Vec<OfAddress>, most: usize) {
        let macs: Vec<MacAddress> = of.iter().map(|(mac, _)| *mac).collect();
        let known: BTreeSet<[u8; 6]> = macs.iter().map(|mac| *mac.bytes()).collect();
        let (table, root) = placed(of);
        for mac in macs {
            let (target, rules) = met(&table, &root, mac);
            assert_eq!(target, Some(Target::Drop), "{mac}");
            assert!(rules <= most, "{mac} meets {rules} rules");
            for bit in 0..48 {
                let mut other = *mac.bytes();
                other[bit / 8] ^= 1 << (bit % 8);
                if !known.contains(&other) {
                    let (target, rules) = met(&table, &root, MacAddress::from(other));
                    assert_eq!(target, Some(Target::Return), "{other:?}");
                    assert!(rules <= most, "{other:?} meets {rules} rules");
                }
            }
        }
    }

    #[test]
    fn each_address_meets_its_rules_and_every_other_those_of_others() {
        assert_finds(addresses([]), 0);
        assert_finds(addresses(0..16), 17);
        assert_finds(addresses(0..17), 21);
        assert_finds(addresses(0..1000), 29);
        // Nothing but the bits in which they differ is looked at.
        assert_finds(addresses((0..1000).map(|number| number << 12 | 0xabc)), 29);
        assert_finds(addresses((0..100).map(|number| number * 4)), 25);
    }

    #[test]
    fn a_few_are_compared_where_more_rules_follow() {
        let mut table = Table::untouched(TableName::Filter);
        let (at, root) = (chain("at"), chain("root"));
        place_within(&mut table, &at, &root, addresses(0..16));
        assert_eq!(table.rules_mut(&at).len(), 16);
        table.rules_mut(&at).clear();
        place_within(&mut table, &at, &root, addresses(0..17));
        assert_eq!(*table.rules_mut(&at), [Rule::new(Target::Jump(root))]);
    }
}
