//! A ruleset prepared for proofs: conditions as tests on fields, jumps as indices of
//! chains.
//!
//! Owns the tables, chains and rules in this form, and what holds for the whole ruleset.

mod effect;

use std::collections::{BTreeMap, BTreeSet};

use super::condition::{Condition, pattern};
use super::given::KnownBits;
use super::packet::Field;
use super::space::Space;
use crate::netfilter::{ChainPolicy, Match, Rule, Ruleset, TableName, Target};
pub use effect::Effect;
use effect::effect;

/// Which packet properties the rules match on; others need not be modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldsUsed {
    /// The firewall mark.
    pub marks: bool,
    /// The time to live or hop limit.
    pub hops: bool,
    /// Whether the destination is the router's own address on the incoming interface.
    pub local: bool,
    /// Whether it is one on any interface.
    pub any_local: bool,
}

/// One rule.
pub struct Step<'a> {
    /// Its index in the chain, from 0.
    pub place: usize,
    /// The rule itself.
    pub rule: &'a Rule,
    /// Which packets it matches.
    pub condition: Condition,
    /// What it does with them.
    pub effect: Effect,
}

impl Step<'_> {
    /// The target, if the rule alone does not tell what it does.
    pub fn target_in_doubt(&self) -> Option<&Target> {
        let target = self.rule.target.as_ref();
        target.filter(|_| self.effect.is_in_doubt())
    }

    /// Whether it rewrites the source of connections.
    pub fn rewrites_source(&self) -> bool {
        match &self.rule.target {
            Some(Target::Masquerade | Target::Snat(_)) => true,
            Some(Target::Other(words)) => {
                let name = words.get(1).map_or("", String::as_str);
                matches!(name, "SNAT" | "MASQUERADE" | "SAME")
            }
            _ => false,
        }
    }

    /// The parts of the rule that are unknown; both outcomes are considered.
    pub fn unknown(&self) -> Vec<String> {
        let mut unknown = self.condition.doubts.clone();
        let target = self.target_in_doubt();
        let target = target.map(|it| crate::netfilter::rule_text(&Rule::new(it.clone())));
        // A rule without an effect cannot matter.
        if self.effect == Effect::Continue {
            unknown.clear();
        }
        unknown.extend(target);
        unknown
    }
}

/// One chain.
pub struct ProgramChain<'a> {
    /// The name.
    pub name: &'a str,
    /// The policy of a built-in chain; None for others.
    pub policy: Option<ChainPolicy>,
    /// The rules, in order.
    pub steps: Vec<Step<'a>>,
    /// Whether it, or a chain that it jumps to, changes packets.
    pub changes: bool,
    /// What is known of all packets in this chain.
    pub given: KnownBits,
}

/// One table.
pub struct ProgramTable<'a> {
    /// The name.
    pub name: TableName,
    /// The chains.
    pub chains: Vec<ProgramChain<'a>>,
}

/// The tables of one family.
pub struct Program<'a> {
    tables: Vec<ProgramTable<'a>>,
    /// Whether conntrack is active, which reassembles fragments before any rule sees them.
    pub tracks: bool,
    /// Whether rules rewrite addresses, or match on whether they were rewritten.
    pub rewrites: bool,
    /// Whether rules may rewrite the destination of new connections.
    pub redirects: bool,
    /// Whether rules may exempt packets from conntrack.
    pub untracks: bool,
    /// Which packet properties the rules match on.
    pub asked: FieldsUsed,
    /// Whether rules may copy packets elsewhere.
    pub copies: bool,
    /// Whether no rule and no policy can drop a copy, which leaves like one of the router's
    /// own packets.
    pub copies_leave: bool,
}

/// The interface names and wildcards in a ruleset.
pub fn interface_patterns(ruleset: &Ruleset) -> BTreeSet<String> {
    let chains = ruleset.tables().flat_map(|(_, table)| &table.chains);
    let rules = chains.flat_map(|chain| &chain.rules);
    let named = rules.flat_map(|rule| [&rule.in_interface, &rule.out_interface]);
    named.flatten().map(|it| pattern(&it.value)).collect()
}

impl<'a> Program<'a> {
    /// Prepares a ruleset.
    pub fn new(ruleset: &'a Ruleset, space: &mut Space) -> Program<'a> {
        let nat = ruleset
            .tables()
            .filter(|(name, _)| *name == TableName::Nat)
            .flat_map(|(_, table)| &table.chains)
            .any(|chain| !chain.rules.is_empty());
        let rules = ruleset.tables().flat_map(|(_, table)| &table.chains);
        let tracks = nat
            || rules
                .flat_map(|chain| &chain.rules)
                .any(|rule| rule.matches.iter().any(needs_conntrack));
        let mut tables: Vec<ProgramTable<'a>> = ruleset
            .tables()
            .map(|(name, table)| ProgramTable::new(name, table, space, tracks))
            .collect();
        // The policy of nat falls on what conntrack found to be the first packet of a connection (nf_nat_inet_fn in
        // net/netfilter/nf_nat_core.c).
        let nat_policy = tables.iter().any(|table| {
            let drops = |chain: &ProgramChain<'_>| chain.policy == Some(ChainPolicy::Drop);
            table.name == TableName::Nat && table.chains.iter().any(drops)
        });
        let steps = || tables.iter().flat_map(ProgramTable::steps);
        if steps().any(|step| step.condition.looks_at_mac_bits()) {
            // Of an address that no set has told apart so far, it is in doubt which bits it has.
            for address in steps().flat_map(|step| step.condition.hardware_addresses()) {
                space.name_hardware(address);
            }
        }
        let asks_for = |tables: &[ProgramTable<'a>], field| {
            let mut steps = tables.iter().flat_map(ProgramTable::steps);
            steps.any(|step| step.condition.asks_for(field))
        };
        let asked = FieldsUsed {
            marks: asks_for(&tables, Field::Mark),
            hops: asks_for(&tables, Field::Hops),
            local: asks_for(&tables, Field::Local),
            any_local: asks_for(&tables, Field::AnyLocal),
        };
        for table in &mut tables {
            table.note_changes(asked);
        }
        let steps = || tables.iter().flat_map(ProgramTable::steps);
        let redirects =
            steps().any(|step| matches!(step.effect, Effect::Dnat(..) | Effect::AnyDnat(..)));
        let asks = steps().any(|step| {
            let fields = [Field::Dnat, Field::Snat];
            fields.iter().any(|field| step.condition.asks_for(*field))
        });
        let untracks = steps().any(|step| step.effect == Effect::Untrack);
        let copies = steps().any(|step| step.effect == Effect::Copy);
        let copies_leave = tables.iter().flat_map(|table| &table.chains).all(|chain| {
            let passes = chain.policy != Some(ChainPolicy::Drop) && chain.steps.is_empty();
            passes || !matches!(chain.name, "OUTPUT" | "POSTROUTING")
        });
        Program {
            tracks,
            copies,
            copies_leave,
            untracks,
            rewrites: nat || asks || (nat_policy && tracks),
            redirects,
            asked,
            tables,
        }
    }

    /// Makes packets enter at this chain, which need not be a built-in one, so that nothing
    /// is known of them there.
    pub fn enter(&mut self, table: TableName, chain: &str) {
        let place = self.chain(table, chain).map(|(_, place)| place);
        if let Some(table) = self.tables.iter_mut().find(|known| known.name == table) {
            table.give(place);
        }
    }

    /// Makes two programs start from the same packets, so that they can be compared.
    pub fn agree(&mut self, other: &mut Program<'_>) {
        for (own, others) in [
            (&mut self.tracks, &mut other.tracks),
            (&mut self.rewrites, &mut other.rewrites),
            (&mut self.redirects, &mut other.redirects),
            (&mut self.asked.marks, &mut other.asked.marks),
            (&mut self.asked.hops, &mut other.asked.hops),
            (&mut self.asked.local, &mut other.asked.local),
            (&mut self.asked.any_local, &mut other.asked.any_local),
            (&mut self.untracks, &mut other.untracks),
        ] {
            *own |= *others;
            *others = *own;
        }
        for table in &mut self.tables {
            table.note_changes(self.asked);
        }
        for table in &mut other.tables {
            table.note_changes(other.asked);
        }
    }

    /// The fields that record how a packet was changed on its way.
    pub fn noted(&self) -> Vec<Field> {
        let mut noted = Vec::new();
        if self.rewrites {
            noted.extend([Field::Dnat, Field::Snat]);
        }
        if self.redirects {
            noted.extend([Field::OriginalDestination, Field::OriginalPort]);
        }
        if self.asked.marks {
            noted.extend([Field::Mark, Field::OriginalMark]);
        }
        noted
    }

    /// Every rule.
    pub fn steps(&self) -> impl Iterator<Item = &Step<'a>> {
        let chains = self.tables.iter().flat_map(|table| &table.chains);
        chains.flat_map(|chain| &chain.steps)
    }

    /// Every rule, with its table and the index of its chain.
    pub fn steps_mut(&mut self) -> impl Iterator<Item = (TableName, usize, &mut Step<'a>)> {
        self.tables.iter_mut().flat_map(|table| {
            let name = table.name;
            let chains = table.chains.iter_mut().enumerate();
            chains.flat_map(move |(place, chain)| {
                let steps = chain.steps.iter_mut();
                steps.map(move |step| (name, place, step))
            })
        })
    }

    /// Every table.
    pub fn tables(&self) -> &[ProgramTable<'a>] {
        &self.tables
    }

    /// The table of this name, if present.
    pub fn table(&self, name: TableName) -> Option<&ProgramTable<'a>> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// The chain of a table, if both are present.
    pub fn chain(&self, table: TableName, chain: &str) -> Option<(&ProgramTable<'a>, usize)> {
        let table = self.table(table)?;
        let place = table.chains.iter().position(|known| known.name == chain)?;
        Some((table, place))
    }
}

fn needs_conntrack(extension: &Match) -> bool {
    match extension {
        Match::Conntrack(_)
        | Match::Connection(_)
        | Match::ExpectedBy(_)
        | Match::OpenConnections { .. } => true,
        Match::Other(words) => words
            .get(1)
            .is_some_and(|name| name.starts_with("conn") || name == "state" || name == "helper"),
        _ => false,
    }
}

impl<'a> ProgramTable<'a> {
    fn new(
        name: TableName,
        table: &'a crate::netfilter::Table,
        space: &Space,
        tracks: bool,
    ) -> ProgramTable<'a> {
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for (place, chain) in table.chains.iter().enumerate() {
            places.entry(chain.name.as_str()).or_insert(place);
        }
        let steps = |rules: &'a [Rule]| -> Vec<Step<'a>> {
            rules
                .iter()
                .enumerate()
                .map(|(place, rule)| Step {
                    place,
                    rule,
                    condition: Condition::of(rule, name, space, tracks),
                    effect: match rule.matches.iter().any(sets_mark) {
                        true => Effect::Unknown,
                        false => effect(rule.target.as_ref(), &places),
                    },
                })
                .collect()
        };
        let chains = table
            .chains
            .iter()
            .map(|chain| ProgramChain {
                name: chain.name.as_str(),
                policy: chain.policy,
                steps: steps(&chain.rules),
                changes: false,
                given: KnownBits::default(),
            })
            .collect();
        let mut table = ProgramTable { name, chains };
        table.give(None);
        table
    }

    fn steps(&self) -> impl Iterator<Item = &Step<'a>> {
        self.chains.iter().flat_map(|chain| &chain.steps)
    }

    fn note_changes(&mut self, asked: FieldsUsed) {
        // Until nothing changes: a chain changes packets if a chain that it calls does.
        loop {
            let changing: Vec<bool> = self
                .chains
                .iter()
                .map(|chain| {
                    chain.steps.iter().any(|step| match step.effect {
                        Effect::Jump(to) | Effect::Goto(to) => self.chains[to].changes,
                        _ => step.effect.changes(asked),
                    })
                })
                .collect();
            let mut new = false;
            for (chain, changes) in self.chains.iter_mut().zip(changing) {
                new |= changes && !chain.changes;
                chain.changes |= changes;
            }
            if !new {
                return;
            }
        }
    }

    /// Finds what is known of packets in each chain: what every jump to it tests, and what
    /// is known where the jump stands. Nothing is known in built-in chains, nor in a chain
    /// that packets enter directly.
    fn give(&mut self, entered: Option<usize>) {
        // If rules rewrite addresses, nothing known of them stays true.
        if self
            .steps()
            .any(|it| matches!(it.effect, Effect::Rewrite(_)))
        {
            return;
        }
        let jumps: Vec<(usize, usize, &Condition)> = self
            .chains
            .iter()
            .enumerate()
            .flat_map(|(from, chain)| chain.steps.iter().map(move |step| (from, step)))
            .filter_map(|(from, step)| match step.effect {
                Effect::Jump(to) | Effect::Goto(to) => Some((from, to, &step.condition)),
                _ => None,
            })
            .collect();
        let is_called = |(place, chain): (usize, &ProgramChain<'_>)| {
            chain.policy.is_some() || Some(place) == entered
        };
        let begin = self.chains.iter().enumerate();
        let begin: Vec<Option<KnownBits>> = begin
            .map(|chain| is_called(chain).then(KnownBits::default))
            .collect();
        // Each round knows less, until nothing changes. None: no packet gets there.
        let mut given = begin.clone();
        loop {
            let mut next = begin.clone();
            for (from, to, condition) in &jumps {
                if let Some(known) = given[*from] {
                    let known = known.and(condition);
                    next[*to] = Some(next[*to].map_or(known, |other| other.or(known)));
                }
            }
            if next == given {
                break;
            }
            given = next;
        }
        for (chain, given) in self.chains.iter_mut().zip(given) {
            chain.given = given.unwrap_or_default();
        }
    }
}

/// Whether a match also sets the packet's mark (xt_socket.c).
fn sets_mark(extension: &Match) -> bool {
    matches!(extension, Match::Other(words) if words.iter().any(|word| word == "--restore-skmark"))
}
