//! Conditions that depend on more than the packet, in two rulesets that are compared: each
//! condition that both rulesets have becomes one bit, so that it has the same value in
//! both.
//!
//! Owns when two such conditions count as the same: if they ask the same question, and the
//! same rules change what they ask about, for the same packets. The outcome of a list of
//! addresses (recent), a count (limit, hashlimit, connlimit), a mark or label of a
//! connection, or a set depends on every rule that writes to it. Names of lists, comments
//! and the order of chains do not matter; a name that other programs define (an ipset's)
//! does.

use std::collections::{BTreeMap, BTreeSet};

use super::condition::{Clause, Test};
use super::given::KnownBits;
use super::packet::Field;
use super::program::{Effect, Program, Step};
use super::space::Space;
use crate::netfilter::{Match, RecentCheck, Rule, TableName, Target, match_text, rule_text};
use camfw_diagrams::Set;

/// The most conditions that become a bit; all further ones stay in doubt. No two share a
/// bit: one may hold where the other does not.
const MOST: usize = 96;

/// Which packets reach a rule: for each table and built-in chain, the packets that get from
/// there to the rule.
type Where = BTreeMap<(TableName, String), Set>;

/// State that rules write and other rules read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Memory {
    /// State that belongs to a single rule.
    Own,
    /// A list, counter or set, by kind and name; the name is empty if there is only one of
    /// its kind.
    Named(&'static str, String),
}

/// The identity of a condition that is in doubt: equal values mean the same condition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct CountedThing {
    asks: String,
    /// The packets that reach the rule, if its state belongs to it alone.
    own: Option<Where>,
    /// The rules that write the state: the text of each, and the packets that reach it.
    kept: BTreeMap<String, Where>,
}

/// For one program, which rules write which state, and where its chains are called from.
struct Keeping {
    called: BTreeMap<(TableName, usize), BTreeMap<String, Set>>,
    writers: BTreeMap<Memory, BTreeMap<String, Where>>,
}

/// Turns each condition in doubt into one bit, in both programs, those of both first. Returns
/// whether what remains in doubt is the same in both.
pub fn share(space: &mut Space, programs: &mut [Program<'_>; 2]) -> bool {
    let keeping = [0, 1].map(|number| Keeping::new(space, &programs[number]));
    let mut things: [BTreeSet<CountedThing>; 2] = Default::default();
    let mut alike: [Vec<CountedThing>; 2] = Default::default();
    for (number, program) in programs.iter().enumerate() {
        for (table, chain, step) in places(program) {
            for extension in in_doubt(step) {
                let thing = keeping[number].condition(space, table, chain, step, extension);
                things[number].insert(thing);
            }
            if let Some(target) = step.target_in_doubt() {
                alike[number].push(keeping[number].target(space, table, chain, step, target));
            }
        }
        alike[number].sort();
    }
    let both = things[0].intersection(&things[1]);
    let either = both.chain(things[0].symmetric_difference(&things[1]));
    let bits: BTreeMap<&CountedThing, usize> = either.zip(0..MOST).collect();
    for (number, program) in programs.iter_mut().enumerate() {
        let mut tests: BTreeMap<(TableName, usize, usize), Vec<(usize, String)>> = BTreeMap::new();
        for (table, chain, step) in places(program) {
            for extension in in_doubt(step) {
                let thing = keeping[number].condition(space, table, chain, step, extension);
                if let Some(bit) = bits.get(&thing) {
                    let of_rule = tests.entry((table, chain, step.place)).or_default();
                    of_rule.push((*bit, words_of(extension).join(" ")));
                }
            }
        }
        for (table, chain, step) in program.steps_mut() {
            for (bit, words) in tests
                .remove(&(table, chain, step.place))
                .unwrap_or_default()
            {
                let bit = 1 << bit;
                let test = Test::Masked(Field::Undecided, bit, bit);
                step.condition.clauses.push(Clause::new(false, vec![test]));
                step.condition.doubts.retain(|doubt| *doubt != words);
            }
        }
    }
    alike[0] == alike[1] && things[0].union(&things[1]).count() <= MOST
}

/// Every rule with its table and the index of its chain.
fn places<'p, 'a>(
    program: &'p Program<'a>,
) -> impl Iterator<Item = (TableName, usize, &'p Step<'a>)> {
    program.tables().iter().flat_map(|table| {
        let chains = table.chains.iter().enumerate();
        chains.flat_map(move |(place, chain)| {
            chain
                .steps
                .iter()
                .map(move |step| (table.name, place, step))
        })
    })
}

/// The matches of a rule that are in doubt.
fn in_doubt<'s>(step: &'s Step<'_>) -> impl Iterator<Item = &'s Match> {
    let matches = step.rule.matches.iter();
    matches.filter(|extension| {
        step.condition
            .doubts
            .contains(&words_of(extension).join(" "))
    })
}

fn words_of(extension: &Match) -> Vec<String> {
    match extension {
        Match::Other(words) => words.clone(),
        typed => vec![match_text(typed)],
    }
}

impl Keeping {
    fn new(space: &mut Space, program: &Program<'_>) -> Keeping {
        let mut keeping = Keeping {
            called: BTreeMap::new(),
            writers: BTreeMap::new(),
        };
        for table in program.tables() {
            keeping.note_calls(space, table);
        }
        for (table, chain, step) in places(program) {
            let mut written: Vec<(Memory, String)> = Vec::new();
            for extension in &step.rule.matches {
                let (memory, writes) = memory_of_match(extension);
                let memory = memory.filter(|it| writes && *it != Memory::Own);
                written.extend(memory.map(|memory| (memory, asked(extension))));
            }
            written.extend(memories_of_target(step.rule.target.as_ref()));
            for (memory, words) in written {
                let here = keeping.place(space, table, chain, step);
                let writers = keeping.writers.entry(memory).or_default();
                let known = writers.entry(words).or_default();
                for (at, set) in here {
                    let known = known.entry(at).or_insert(Set::EMPTY);
                    *known = space.diagrams.or(*known, set);
                }
            }
        }
        keeping
    }

    /// Finds which packets, from which built-in chains, each chain is called with.
    fn note_calls(&mut self, space: &mut Space, table: &super::program::ProgramTable<'_>) {
        let mut open: Vec<(usize, String, Set)> = Vec::new();
        for (place, chain) in table.chains.iter().enumerate() {
            if chain.policy.is_some() || table.name.builtin_chains().contains(&chain.name) {
                open.push((place, chain.name.to_owned(), Set::FULL));
            }
        }
        // Until nothing changes: a chain that is called from two others gets the packets of
        // both, and so do the chains that it calls.
        while let Some((place, hook, set)) = open.pop() {
            let called = self.called.entry((table.name, place)).or_default();
            let known = called.entry(hook.clone()).or_insert(Set::EMPTY);
            let more = space.diagrams.minus(set, *known);
            if more.is_empty() {
                continue;
            }
            *known = space.diagrams.or(*known, set);
            for step in &table.chains[place].steps {
                if let Effect::Jump(to) | Effect::Goto(to) = step.effect {
                    let asked = step.condition.set(space, &KnownBits::default()).may;
                    let sent = space.diagrams.and(more, asked);
                    open.push((to, hook.clone(), sent));
                }
            }
        }
    }

    /// The packets that a rule matches, as far as the packet decides it, by built-in chain.
    fn place(&self, space: &mut Space, table: TableName, chain: usize, step: &Step<'_>) -> Where {
        let asked = step.condition.set(space, &KnownBits::default()).may;
        let called = self.called.get(&(table, chain));
        let hooks = called.into_iter().flatten();
        hooks
            .map(|(hook, set)| ((table, hook.clone()), space.diagrams.and(*set, asked)))
            .filter(|(_, set)| !set.is_empty())
            .collect()
    }

    fn condition(
        &self,
        space: &mut Space,
        table: TableName,
        chain: usize,
        step: &Step<'_>,
        extension: &Match,
    ) -> CountedThing {
        let (memory, _) = memory_of_match(extension);
        let own = (memory == Some(Memory::Own)).then(|| self.place(space, table, chain, step));
        CountedThing {
            asks: asked(extension),
            own,
            kept: self.keepers(memory.as_ref()),
        }
    }

    fn target(
        &self,
        space: &mut Space,
        table: TableName,
        chain: usize,
        step: &Step<'_>,
        target: &Target,
    ) -> CountedThing {
        let words = rule_text(&Rule::new(target.clone()));
        let connmark = words.contains(" CONNMARK ");
        let memory = connmark.then(|| Memory::Named("connmark", String::new()));
        CountedThing {
            asks: words,
            own: Some(self.place(space, table, chain, step)),
            kept: self.keepers(memory.as_ref()),
        }
    }

    fn keepers(&self, memory: Option<&Memory>) -> BTreeMap<String, Where> {
        let writers = memory.and_then(|memory| self.writers.get(memory));
        writers.cloned().unwrap_or_default()
    }
}

/// The text of a match, without the name of a list that only rules write.
fn asked(extension: &Match) -> String {
    let text = match extension {
        Match::Other(words) => words.clone(),
        typed => match_text(typed).split(' ').map(str::to_owned).collect(),
    };
    let named = text.get(1).map_or("", String::as_str);
    if !matches!(named, "recent" | "hashlimit") {
        return text.join(" ");
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut words = text.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--name" | "--hashlimit-name" => {
                words.next();
            }
            word => kept.push(word),
        }
    }
    kept.join(" ")
}

/// The state that a match reads, and whether matching also writes it.
fn memory_of_match(extension: &Match) -> (Option<Memory>, bool) {
    let named = |kind, name: &str| Some(Memory::Named(kind, name.to_owned()));
    match extension {
        Match::Recent { check, name } => {
            let writes = matches!(check, RecentCheck::Set(_) | RecentCheck::Update { .. });
            (named("recent", name.as_str()), writes)
        }
        Match::HashlimitPerSource { name, .. } => (named("hashlimit", name.as_str()), true),
        Match::Limit(_) | Match::OpenConnections { .. } => (Some(Memory::Own), true),
        Match::Other(words) => {
            let after = |option: &str| {
                let place = words.iter().position(|word| word == option)?;
                words.get(place + 1).map(String::as_str)
            };
            let has = |wanted: &str| words.iter().any(|word| word == wanted);
            match words.get(1).map_or("", String::as_str) {
                "recent" => (
                    named("recent", after("--name").unwrap_or("DEFAULT")),
                    !has("--rcheck"),
                ),
                "hashlimit" => (
                    named("hashlimit", after("--hashlimit-name").unwrap_or_default()),
                    true,
                ),
                "limit" | "connlimit" | "quota" | "statistic" | "nfacct" | "connbytes" => {
                    (Some(Memory::Own), true)
                }
                "quota2" => (named("quota2", after("--name").unwrap_or_default()), true),
                "connmark" => (named("connmark", ""), false),
                "connlabel" => (named("connlabel", ""), has("--set")),
                "helper" => (named("helper", ""), false),
                "set" => (
                    named("set", after("--match-set").unwrap_or_default()),
                    false,
                ),
                "rateest" => (
                    named(
                        "rateest",
                        after("--rateest")
                            .or_else(|| after("--rateest1"))
                            .unwrap_or_default(),
                    ),
                    false,
                ),
                "dscp" | "tos" | "ecn" => (named("tos", ""), false),
                "tcpmss" => (named("tcpmss", ""), false),
                _ => (None, false),
            }
        }
        _ => (None, false),
    }
}

/// The state that a target writes and other rules may read, each with the rule's text.
fn memories_of_target(target: Option<&Target>) -> Vec<(Memory, String)> {
    let Some(target) = target else {
        return Vec::new();
    };
    let text = rule_text(&Rule::new(target.clone()));
    let one = |kind, name: &str| vec![(Memory::Named(kind, name.to_owned()), text.clone())];
    let Target::Other(words) = target else {
        return match target {
            Target::Conntrack {
                helper: Some(_), ..
            } => one("helper", ""),
            _ => Vec::new(),
        };
    };
    let after = |options: &[&str]| {
        let place = words
            .iter()
            .position(|word| options.contains(&word.as_str()))?;
        words.get(place + 1).map(String::as_str)
    };
    match words.get(1).map_or("", String::as_str) {
        "SET" => one(
            "set",
            after(&["--add-set", "--del-set", "--map-set"]).unwrap_or_default(),
        ),
        "CONNMARK" => one("connmark", ""),
        "CT" => one("helper", ""),
        "RATEEST" => one("rateest", after(&["--rateest-name"]).unwrap_or_default()),
        "DSCP" | "TOS" | "ECN" => one("tos", ""),
        "TCPMSS" => one("tcpmss", ""),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_asked_for_by_its_name_and_a_list_is_not() {
        let words = |text: &str| Match::Other(text.split(' ').map(str::to_owned).collect());
        assert_eq!(
            asked(&words("-m recent --rcheck --seconds 5 --name a --rsource")),
            asked(&words("-m recent --rcheck --seconds 5 --name b --rsource"))
        );
        assert_ne!(
            asked(&words("-m set --match-set a src")),
            asked(&words("-m set --match-set b src"))
        );
    }
}
