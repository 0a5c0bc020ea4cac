//! A ruleset made ready to be judged: conditions as tests on fields, jumps as
//! places.
//!
//! Owns what each target does with a packet.

mod effect;

use std::collections::{BTreeMap, BTreeSet};

use super::condition::{Condition, pattern};
use super::given::KnownBits;
use super::packet::Field;
use super::space::Space;
use crate::netfilter::{Match, Policy, Rule, Ruleset, TableName, Target};
pub use effect::Effect;
use effect::effect;

/// What the rules of a program ask packets for: what they do not ask for need not
/// be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldsUsed {
    /// Their mark.
    pub marks: bool,
    /// How many more routers they may pass.
    pub hops: bool,
    /// Whether their destination is the router's own on the interface they came by.
    pub local: bool,
}

/// One rule.
pub struct Step<'a> {
    /// Its place in its chain, from 0.
    pub place: usize,
    /// As it stands.
    pub rule: &'a Rule,
    /// What it asks.
    pub condition: Condition,
    /// What it does.
    pub effect: Effect,
}

impl Step<'_> {
    /// The target, if what it does cannot be told from the rule.
    pub fn target_in_doubt(&self) -> Option<&Target> {
        let target = self.rule.target.as_ref();
        target.filter(|_| self.effect.is_in_doubt())
    }

    /// Whether it says what a connection's source becomes.
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

    /// What in it is not known, and so is judged both ways.
    pub fn unknown(&self) -> Vec<String> {
        let mut unknown = self.condition.doubts.clone();
        let target = self.target_in_doubt();
        let target = target.map(|it| crate::netfilter::rule_text(&Rule::new(it.clone())));
        // A rule that decides nothing is in nobody's way.
        if self.effect == Effect::Continue {
            unknown.clear();
        }
        unknown.extend(target);
        unknown
    }
}

/// One chain.
pub struct Chain<'a> {
    /// Its name.
    pub name: &'a str,
    /// For a built-in chain.
    pub policy: Option<Policy>,
    /// In order.
    pub steps: Vec<Step<'a>>,
    /// Whether it, or a chain that it sends packets to, changes them.
    pub changes: bool,
    /// What all packets that get here have.
    pub given: KnownBits,
}

/// One table.
pub struct Table<'a> {
    /// Its name.
    pub name: TableName,
    /// Its chains.
    pub chains: Vec<Chain<'a>>,
}

/// The tables of one family.
pub struct Program<'a> {
    tables: Vec<Table<'a>>,
    /// Whether conntrack is at work, which puts fragments together before any
    /// rule sees them.
    pub tracks: bool,
    /// Whether addresses may be rewritten, or rules ask for it.
    pub rewrites: bool,
    /// Whether the destinations of new connections may be.
    pub redirects: bool,
    /// Whether packets may be kept from conntrack.
    pub untracks: bool,
    /// What packets are asked for.
    pub asked: FieldsUsed,
    /// Whether packets may be copied to somewhere else.
    pub copies: bool,
    /// Whether no rule and no policy can drop a copy, which leaves like a packet
    /// of the router's own.
    pub copies_leave: bool,
}

/// The interfaces that a ruleset names.
pub fn interface_patterns(ruleset: &Ruleset) -> BTreeSet<String> {
    let chains = ruleset.tables().flat_map(|(_, table)| &table.chains);
    let rules = chains.flat_map(|chain| &chain.rules);
    let named = rules.flat_map(|rule| [&rule.in_interface, &rule.out_interface]);
    named.flatten().map(|it| pattern(&it.value)).collect()
}

impl<'a> Program<'a> {
    /// Makes a ruleset ready.
    pub fn new(ruleset: &'a Ruleset, space: &Space) -> Program<'a> {
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
        let mut tables: Vec<Table<'a>> = ruleset
            .tables()
            .map(|(name, table)| Table::new(name, table, space, tracks))
            .collect();
        let asks_for = |tables: &[Table<'a>], field| {
            let mut steps = tables.iter().flat_map(Table::steps);
            steps.any(|step| step.condition.asks_for(field))
        };
        let asked = FieldsUsed {
            marks: asks_for(&tables, Field::Mark),
            hops: asks_for(&tables, Field::Hops),
            local: asks_for(&tables, Field::Local),
        };
        for table in &mut tables {
            table.note_changes(asked);
        }
        let steps = || tables.iter().flat_map(Table::steps);
        let redirects =
            steps().any(|step| matches!(step.effect, Effect::Dnat(..) | Effect::AnyDnat(..)));
        let asks = steps().any(|step| {
            let fields = [Field::Dnat, Field::Snat];
            fields.iter().any(|field| step.condition.asks_for(*field))
        });
        let untracks = steps().any(|step| step.effect == Effect::Untrack);
        let copies = steps().any(|step| step.effect == Effect::Copy);
        let copies_leave = tables.iter().flat_map(|table| &table.chains).all(|chain| {
            let passes = chain.policy != Some(Policy::Drop) && chain.steps.is_empty();
            passes || !matches!(chain.name, "OUTPUT" | "POSTROUTING")
        });
        Program {
            tracks,
            copies,
            copies_leave,
            untracks,
            rewrites: nat || asks,
            redirects,
            asked,
            tables,
        }
    }

    /// Has packets enter one chain that may be no built-in one, so that nothing is
    /// given there.
    pub fn enter(&mut self, table: TableName, chain: &str) {
        let place = self.chain(table, chain).map(|(_, place)| place);
        if let Some(table) = self.tables.iter_mut().find(|known| known.name == table) {
            table.give(place);
        }
    }

    /// Makes both start from the same packets, so that they can be compared.
    pub fn agree(&mut self, other: &mut Program<'_>) {
        for (own, others) in [
            (&mut self.tracks, &mut other.tracks),
            (&mut self.rewrites, &mut other.rewrites),
            (&mut self.redirects, &mut other.redirects),
            (&mut self.asked.marks, &mut other.asked.marks),
            (&mut self.asked.hops, &mut other.asked.hops),
            (&mut self.asked.local, &mut other.asked.local),
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

    /// The fields that say what became of a packet on its way.
    pub fn noted(&self) -> Vec<Field> {
        let mut noted = Vec::new();
        if self.rewrites {
            noted.extend([Field::Dnat, Field::Snat]);
        }
        if self.redirects {
            noted.extend([Field::OriginalDestination, Field::OriginalPort]);
        }
        if self.asked.marks {
            noted.push(Field::Mark);
        }
        noted
    }

    /// Every rule.
    pub fn steps(&self) -> impl Iterator<Item = &Step<'a>> {
        let chains = self.tables.iter().flat_map(|table| &table.chains);
        chains.flat_map(|chain| &chain.steps)
    }

    /// Every rule, with its table and the place of its chain there.
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
    pub fn tables(&self) -> &[Table<'a>] {
        &self.tables
    }

    /// A table, if it is there.
    pub fn table(&self, name: TableName) -> Option<&Table<'a>> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// A chain of a table, if both are there.
    pub fn chain(&self, table: TableName, chain: &str) -> Option<(&Table<'a>, usize)> {
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

impl<'a> Table<'a> {
    fn new(
        name: TableName,
        table: &'a crate::netfilter::Table,
        space: &Space,
        tracks: bool,
    ) -> Table<'a> {
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
            .map(|chain| Chain {
                name: chain.name.as_str(),
                policy: chain.policy,
                steps: steps(&chain.rules),
                changes: false,
                given: KnownBits::default(),
            })
            .collect();
        let mut table = Table { name, chains };
        table.give(None);
        table
    }

    fn steps(&self) -> impl Iterator<Item = &Step<'a>> {
        self.chains.iter().flat_map(|chain| &chain.steps)
    }

    fn note_changes(&mut self, asked: FieldsUsed) {
        // Until nothing is new: a chain changes packets if one that it calls does.
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

    /// Finds what is given in each chain: what every jump to it asks for, and what
    /// is given where that stands. Nothing is in those that the kernel calls, nor
    /// in one that packets are held against alone.
    fn give(&mut self, entered: Option<usize>) {
        // Where a packet's addresses change on its way nothing is given for good.
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
        let is_called =
            |(place, chain): (usize, &Chain<'_>)| chain.policy.is_some() || Some(place) == entered;
        let begin = self.chains.iter().enumerate();
        let begin: Vec<Option<KnownBits>> = begin
            .map(|chain| is_called(chain).then(KnownBits::default))
            .collect();
        // Less is given each time, until nothing changes. None: nothing gets there.
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

/// Whether a match gives the packet a mark (xt_socket.c).
fn sets_mark(extension: &Match) -> bool {
    matches!(extension, Match::Other(words) if words.iter().any(|word| word == "--restore-skmark"))
}
