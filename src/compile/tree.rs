//! Arranges rules for many addresses as a tree of chains by prefix: a packet then meets a
//! few comparisons for every two bits in which the addresses differ, and not all addresses
//! one after another.
//!
//! All rules placed here accept or return, so their order does not matter.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::Compiler;
use crate::family::IpFamily;
use crate::name::ChainName;
use crate::netfilter::{Chain, Negatable, Rule, Ruleset, Table, Target};
use crate::policy::Policy;

/// Up to this many prefixes are compared one after another.
pub(super) const FEW: usize = 4;

/// How many bits one level of the tree looks at, unless that makes too many levels; and at
/// most, which is all of them.
const BITS: u8 = 2;
const MOST_BITS: u8 = 128;

/// The same of networks that packets leave by, where each level looks at a bit more: each chain
/// is read by a request of its own (nft_rule_list_update in iptables/nft-cache.c).
const FEW_LEFT: usize = 16;

/// The most jumps within each other that nf_tables takes, gotos included: a chain at level 16
/// is refused (NFT_JUMP_STACK_SIZE, nft_chain_validate in net/netfilter/nf_tables_api.c).
const MOST_JUMPS: usize = 15;

/// A rule and the source and destination prefixes that it is for; None means any.
#[derive(Clone)]
pub struct Placed {
    pub source: Option<IpNet>,
    pub destination: Option<IpNet>,
    pub rule: Rule,
}

/// The names of the tree chains in one table, each of which is unique; and how many bits a
/// level looks at.
pub struct ChainNames {
    taken: BTreeSet<String>,
    bits: u8,
}

impl Default for ChainNames {
    fn default() -> ChainNames {
        ChainNames::new(BITS)
    }
}

impl ChainNames {
    pub(super) fn new(bits: u8) -> ChainNames {
        let taken = BTreeSet::new();
        ChainNames { taken, bits }
    }

    pub(super) fn of_another_table(&self) -> ChainNames {
        ChainNames::new(self.bits)
    }

    /// A new name that says which packets the chain is for.
    fn next(&mut self, axis: Axis, prefix: IpNet) -> ChainName {
        let word = match axis {
            Axis::Source => "from",
            Axis::Destination => "to",
        };
        let base = format!("{word}-{}-{}", prefix.network(), prefix.prefix_len());
        // An IPv6 prefix may be longer than a chain's name.
        self.unused(&base, word)
    }

    /// A name for the chain that all sources of an allow line share, on one of its flows.
    pub fn of_line(&mut self, label: &str) -> ChainName {
        self.unused(&format!("to-{label}"), "to")
    }

    /// The base if it is free and valid as a chain name, or the base with the first free
    /// number; otherwise the same with the word.
    pub(super) fn unused(&mut self, base: &str, word: &str) -> ChainName {
        let numbered = (2..).map(|number| format!("{base}.{number}"));
        let counted = (1..).map(|number| format!("{word}-{number}"));
        let names = std::iter::once(base.to_owned()).chain(numbered.take(9_998));
        for name in names.chain(counted) {
            if let (false, Ok(chain)) = (
                self.taken.contains(&name),
                ChainName::try_from(name.as_str()),
            ) {
                self.taken.insert(name);
                return chain;
            }
        }
        unreachable!("there are more numbers than chains")
    }
}

/// The end of a packet that is looked at.
#[derive(Clone, Copy)]
pub(super) enum Axis {
    Source,
    Destination,
}

impl Axis {
    fn of(self, placed: &mut Placed) -> &mut Option<IpNet> {
        match self {
            Axis::Source => &mut placed.source,
            Axis::Destination => &mut placed.destination,
        }
    }

    fn put(self, rule: &mut Rule, prefix: IpNet) {
        let prefix = Some(Negatable::is(prefix));
        match self {
            Axis::Source => rule.source = prefix,
            Axis::Destination => rule.destination = prefix,
        }
    }
}

/// Appends rules to a chain, those for any address first.
pub fn place(table: &mut Table, names: &mut ChainNames, chain: &ChainName, rules: Vec<Placed>) {
    let place = table.place_of(chain);
    along(table, names, place, rules, Axis::Source);
}

/// Appends to the chain at this place of the table.
fn along(table: &mut Table, names: &mut ChainNames, chain: usize, rules: Vec<Placed>, axis: Axis) {
    let mut any = Vec::new();
    let mut groups: Groups = BTreeMap::new();
    for mut placed in rules {
        match axis.of(&mut placed).take() {
            Some(prefix) if prefix.prefix_len() > 0 => {
                groups.entry(prefix).or_default().push(placed);
            }
            _ => any.push(placed),
        }
    }
    match axis {
        Axis::Source => along(table, names, chain, any, Axis::Destination),
        Axis::Destination => {
            let rules = any.into_iter().map(|placed| placed.rule);
            table.chains[chain].rules.extend(rules);
        }
    }
    dispatch(table, names, chain, groups, axis);
}

/// Rules, grouped by the prefix that they are for.
type Groups = BTreeMap<IpNet, Vec<Placed>>;

fn dispatch(table: &mut Table, names: &mut ChainNames, chain: usize, groups: Groups, axis: Axis) {
    if groups.len() <= FEW {
        for (prefix, rules) in groups {
            leaf(table, names, chain, prefix, rules, axis);
        }
        return;
    }
    let length = common_length(groups.keys()).saturating_add(names.bits);
    let mut children: BTreeMap<IpNet, Groups> = BTreeMap::new();
    for (prefix, rules) in groups {
        match shortened(prefix, length) {
            Some(child) => {
                children.entry(child).or_default().insert(prefix, rules);
            }
            // Wider than the prefixes by which the children differ.
            None => leaf(table, names, chain, prefix, rules, axis),
        }
    }
    for (child, groups) in children {
        if groups.len() == 1 {
            for (prefix, rules) in groups {
                leaf(table, names, chain, prefix, rules, axis);
            }
            continue;
        }
        let to = names.next(axis, child);
        let mut jump = Rule::new(Target::Jump(to.clone()));
        axis.put(&mut jump, child);
        table.chains[chain].rules.push(jump);
        let below = table.place_of(&to);
        dispatch(table, names, below, groups, axis);
    }
}

/// Adds the rules of one prefix: directly if there are few, otherwise in a chain of their
/// own.
fn leaf(
    table: &mut Table,
    names: &mut ChainNames,
    chain: usize,
    prefix: IpNet,
    rules: Vec<Placed>,
    axis: Axis,
) {
    if rules.len() > FEW {
        let to = names.next(axis, prefix);
        let mut jump = Rule::new(Target::Jump(to.clone()));
        axis.put(&mut jump, prefix);
        table.chains[chain].rules.push(jump);
        let below = table.place_of(&to);
        match axis {
            Axis::Source => along(table, names, below, rules, Axis::Destination),
            Axis::Destination => {
                let rules = rules.into_iter().map(|placed| placed.rule);
                table.chains[below].rules.extend(rules);
            }
        }
        return;
    }
    for Placed {
        destination,
        mut rule,
        ..
    } in rules
    {
        if let Some(destination) = destination {
            Axis::Destination.put(&mut rule, destination);
        }
        axis.put(&mut rule, prefix);
        table.chains[chain].rules.push(rule);
    }
}

/// Fills a chain, and chains below it, so that packets from or to these networks return to the
/// chain's caller and all others go to another chain. The networks are sorted and have no
/// address in common.
///
/// Every way on is a goto, so that one return is enough wherever it stands.
pub(super) fn leave(
    table: &mut Table,
    names: &mut ChainNames,
    chain: &ChainName,
    axis: Axis,
    networks: &[IpNet],
    others: &ChainName,
) {
    let rule = |prefix: IpNet, target| {
        let mut rule = Rule::new(target);
        if prefix.prefix_len() > 0 {
            axis.put(&mut rule, prefix);
        }
        rule
    };
    let length = common_length(networks.iter()).saturating_add(names.bits + 1);
    let below = |network: &IpNet| match networks.len() <= FEW_LEFT {
        true => None,
        false => shortened(*network, length),
    };
    // Its place is before that of the chains below it.
    table.rules_mut(chain);
    let mut rules = Vec::new();
    for near in networks.chunk_by(|a, b| below(a).is_some_and(|it| Some(it) == below(b))) {
        match (near, near.first().and_then(below)) {
            ([_, _, _, ..], Some(prefix)) => {
                let to = names.next(axis, prefix);
                rules.push(rule(prefix, Target::Goto(to.clone())));
                leave(table, names, &to, axis, near, others);
            }
            _ => rules.extend(near.iter().map(|it| rule(*it, Target::Return))),
        }
    }
    rules.push(Rule::new(Target::Goto(others.clone())));
    *table.rules_mut(chain) = rules;
}

/// The rules with the smallest trees that the kernel takes. What is left of a network without
/// one address is a network for each of its bits, and each level of a tree is a jump.
pub(super) fn shallow(policy: &Policy, family: IpFamily) -> Ruleset {
    let mut bits = BITS;
    loop {
        let ruleset = Compiler::new(policy, family, bits).ruleset();
        if bits >= MOST_BITS || jumps(&ruleset) <= MOST_JUMPS {
            return ruleset;
        }
        bits *= 2;
    }
}

/// The most jumps within each other in any table.
fn jumps(ruleset: &Ruleset) -> usize {
    let tables = ruleset.tables().map(|(_, table)| {
        let chains = table.by_name();
        let mut known = BTreeMap::new();
        let below = chains.keys().map(|name| below(name, &chains, &mut known));
        below.max().unwrap_or_default()
    });
    tables.max().unwrap_or_default()
}

/// The most jumps within each other from a chain on. The compiler makes no loops.
fn below<'t>(
    name: &'t str,
    chains: &BTreeMap<&'t str, &'t Chain>,
    known: &mut BTreeMap<&'t str, usize>,
) -> usize {
    if let Some(known) = known.get(name) {
        return *known;
    }
    let rules = chains.get(name).into_iter().flat_map(|chain| &chain.rules);
    let next = rules.filter_map(|rule| match &rule.target {
        Some(Target::Jump(to) | Target::Goto(to)) => Some(1 + below(to.as_str(), chains, known)),
        _ => None,
    });
    let most = next.max().unwrap_or_default();
    known.insert(name, most);
    most
}

/// The number of leading bits that all prefixes share.
fn common_length<'n>(mut prefixes: impl Iterator<Item = &'n IpNet>) -> u8 {
    let bits = |network: &IpNet| match network {
        IpNet::V4(network) => u128::from(u32::from(network.network())) << 96,
        IpNet::V6(network) => u128::from(network.network()),
    };
    let Some(first) = prefixes.next() else {
        return 0;
    };
    let mut length = first.prefix_len();
    for prefix in prefixes {
        let differing = (bits(first) ^ bits(prefix)).leading_zeros();
        let shared = u8::try_from(differing).unwrap_or(u8::MAX);
        length = length.min(shared).min(prefix.prefix_len());
    }
    length
}

/// The prefix cut to this length; None if it is shorter.
fn shortened(prefix: IpNet, length: u8) -> Option<IpNet> {
    let length = length.min(prefix.max_prefix_len());
    if prefix.prefix_len() < length {
        return None;
    }
    IpNet::new(prefix.network(), length)
        .ok()
        .map(|cut| cut.trunc())
}
