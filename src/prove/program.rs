//! A ruleset made ready to be judged: conditions as tests on fields, jumps as
//! places.
//!
//! Owns what each target does with a packet.

use std::collections::{BTreeMap, BTreeSet};

use super::condition::{self, Condition, pattern};
use super::given::Given;
use super::packet::{Field, Space};
use crate::ruleset::{Match, Policy, Rule, Ruleset, TableName, Target};

/// What a rule does with the packets that it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Lets them through, as far as its table goes.
    Accept,
    /// Drops them.
    Drop,
    /// Sends them back to the calling chain, or to the policy.
    Return,
    /// Sends them to a chain of this table.
    Jump(usize),
    /// The same, and from its end to where this chain was called from.
    Goto(usize),
    /// Nothing that decides.
    Continue,
    /// Gives them a mark.
    Mark(u32),
    /// Gives them a mark that cannot be told.
    AnyMark,
    /// Keeps them from conntrack.
    Untrack,
    /// Rewrites the destination: address, port. Where the address is none, to the
    /// router's own on the interface that they came in by.
    Dnat(Option<u128>, Option<u16>),
    /// Rewrites the destination to what cannot be told.
    AnyDnat,
    /// Nobody can tell.
    Unknown,
}

impl Effect {
    /// Whether it changes the packet.
    fn changes(&self) -> bool {
        matches!(
            self,
            Effect::Mark(_)
                | Effect::AnyMark
                | Effect::Untrack
                | Effect::Dnat(..)
                | Effect::AnyDnat
        )
    }
}

/// One rule.
pub struct Step<'a> {
    /// As it stands.
    pub rule: &'a Rule,
    /// What it asks.
    pub condition: Condition,
    /// What it does.
    pub effect: Effect,
}

impl Step<'_> {
    /// What in it is not known, and so is judged both ways.
    pub fn unknown(&self) -> Vec<String> {
        let mut unknown = self.condition.doubts.clone();
        let target = match (&self.effect, &self.rule.target) {
            (Effect::Unknown | Effect::AnyDnat | Effect::AnyMark, Some(target)) => {
                let alone = Rule::new(target.clone());
                Some(crate::ruleset::rule_text(&alone))
            }
            _ => None,
        };
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
    pub given: Given,
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
    /// Whether packets are asked for their mark: else none matters.
    pub marks: bool,
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
        let rules = ruleset.tables().flat_map(|(_, table)| &table.chains);
        let marks = rules.flat_map(|chain| &chain.rules).any(|rule| {
            let mut matches = rule.matches.iter();
            matches.any(|extension| matches!(extension, Match::Mark(_)))
        });
        let tables: Vec<Table<'a>> = ruleset
            .tables()
            .map(|(name, table)| Table::new(name, table, space, (tracks, marks)))
            .collect();
        let steps = || {
            let chains = tables.iter().flat_map(|table| &table.chains);
            chains.flat_map(|chain| &chain.steps)
        };
        let redirects =
            steps().any(|step| matches!(step.effect, Effect::Dnat(..) | Effect::AnyDnat));
        let asks = steps().any(|step| {
            let fields = [Field::Dnat, Field::Snat];
            fields.iter().any(|field| step.condition.asks_for(*field))
        });
        Program {
            tracks,
            untracks: steps().any(|step| step.effect == Effect::Untrack),
            rewrites: nat || asks,
            redirects,
            marks,
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
            (&mut self.marks, &mut other.marks),
            (&mut self.untracks, &mut other.untracks),
        ] {
            *own |= *others;
            *others = *own;
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
        if self.marks {
            noted.push(Field::Mark);
        }
        noted
    }

    /// Every rule.
    pub fn steps(&self) -> impl Iterator<Item = &Step<'a>> {
        let chains = self.tables.iter().flat_map(|table| &table.chains);
        chains.flat_map(|chain| &chain.steps)
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
        Match::Conntrack(_) | Match::ConnectionsPerSource { .. } => true,
        Match::Other(words) => words
            .get(1)
            .is_some_and(|name| name.starts_with("conn") || name == "state" || name == "helper"),
        _ => false,
    }
}

impl<'a> Table<'a> {
    fn new(
        name: TableName,
        table: &'a crate::ruleset::Table,
        space: &Space,
        (tracks, marks): (bool, bool),
    ) -> Table<'a> {
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for (place, chain) in table.chains.iter().enumerate() {
            places.entry(chain.name.as_str()).or_insert(place);
        }
        let steps = |rules: &'a [Rule]| -> Vec<Step<'a>> {
            rules
                .iter()
                .map(|rule| Step {
                    rule,
                    condition: Condition::of(rule, name, space, tracks),
                    effect: effect(rule.target.as_ref(), &places),
                })
                .collect()
        };
        let mut chains: Vec<Chain<'a>> = table
            .chains
            .iter()
            .map(|chain| Chain {
                name: chain.name.as_str(),
                policy: chain.policy,
                steps: steps(&chain.rules),
                changes: false,
                given: Given::default(),
            })
            .collect();
        // Until nothing is new: a chain changes packets if one that it calls does.
        loop {
            let changing: Vec<bool> = chains
                .iter()
                .map(|chain| {
                    chain.steps.iter().any(|step| match step.effect {
                        Effect::Jump(to) | Effect::Goto(to) => chains[to].changes,
                        Effect::Mark(_) | Effect::AnyMark => marks,
                        _ => step.effect.changes(),
                    })
                })
                .collect();
            let mut new = false;
            for (chain, changes) in chains.iter_mut().zip(changing) {
                new |= changes && !chain.changes;
                chain.changes |= changes;
            }
            if !new {
                break;
            }
        }
        let mut table = Table { name, chains };
        table.give(None);
        table
    }

    /// Finds what is given in each chain: what every jump to it asks for, and what
    /// is given where that stands. Nothing is in those that the kernel calls, nor
    /// in one that packets are held against alone.
    fn give(&mut self, entered: Option<usize>) {
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
        let begin: Vec<Option<Given>> = begin
            .map(|chain| is_called(chain).then(Given::default))
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

fn effect(target: Option<&Target>, places: &BTreeMap<&str, usize>) -> Effect {
    match target {
        None => Effect::Continue,
        Some(Target::Accept | Target::Masquerade | Target::Snat(_)) => Effect::Accept,
        Some(Target::Drop) => Effect::Drop,
        Some(Target::Return) => Effect::Return,
        Some(Target::Jump(chain)) => places
            .get(chain.as_str())
            .map_or(Effect::Unknown, |place| Effect::Jump(*place)),
        Some(Target::Goto(chain)) => places
            .get(chain.as_str())
            .map_or(Effect::Unknown, |place| Effect::Goto(*place)),
        Some(Target::Log(_) | Target::Helper(_)) => Effect::Continue,
        Some(Target::Dnat(to, port)) => Effect::Dnat(Some(condition::address(*to)), *port),
        Some(Target::Redirect(port)) => Effect::Dnat(None, Some(*port)),
        Some(Target::SetMark(mark)) => Effect::Mark(*mark),
        Some(Target::Other(words)) => other_effect(words, places),
    }
}

/// The targets of other people's rules. One that is not here may do anything.
fn other_effect(words: &[String], places: &BTreeMap<&str, usize>) -> Effect {
    let name = words.get(1).map_or("", String::as_str);
    if let Some(place) = places.get(name) {
        return match words[0].as_str() {
            "-g" => Effect::Goto(*place),
            _ => Effect::Jump(*place),
        };
    }
    match name {
        "REJECT" | "TARPIT" => Effect::Drop,
        "SNAT" | "MASQUERADE" | "SAME" => Effect::Accept,
        "DNAT" | "REDIRECT" | "NETMAP" => Effect::AnyDnat,
        "NOTRACK" => Effect::Untrack,
        "CT" if words.iter().any(|word| word == "--notrack") => Effect::Untrack,
        "CT" | "LOG" | "ULOG" | "NFLOG" | "TRACE" | "CLASSIFY" | "TOS" | "DSCP" | "ECN"
        | "TCPMSS" | "TCPOPTSTRIP" | "TTL" | "HL" | "CHECKSUM" | "SECMARK" | "CONNSECMARK"
        | "RATEEST" | "AUDIT" | "SET" | "IDLETIMER" | "LED" | "TEE" | "ACCOUNT" | "CONTINUE" => {
            Effect::Continue
        }
        "MARK" | "HMARK" => Effect::AnyMark,
        // It may bring a connection's mark to the packet.
        "CONNMARK" if words.iter().any(|word| word == "--restore-mark") => Effect::AnyMark,
        "CONNMARK" => Effect::Continue,
        _ => Effect::Unknown,
    }
}
