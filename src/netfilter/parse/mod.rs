//! Parses the output of iptables-save or `iptables -S` into a ruleset.
//!
//! What camfw's own rules never contain is kept verbatim, so that other people's rules can
//! still be reported, compared and shown.

mod family;
mod hidden;
mod lines;

use std::borrow::Cow;

use ipnet::IpNet;
use thiserror::Error;

use crate::name::{ChainName, InterfaceName};
use crate::netfilter::extension::Words;
use crate::netfilter::render::rule_text;
use crate::netfilter::{
    Chain, ChainPolicy, Interface, Match, Negatable, Protocol, Rule, Ruleset, Table, TableName,
    Target, TextLine,
};

pub use family::family_of_dump;
pub(super) use hidden::{Hidden, hides};
pub(super) use lines::logical_lines;
use lines::words;

/// A line that iptables-save would not print.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {problem}: {text:?}")]
pub struct ParseError {
    line: usize,
    problem: &'static str,
    text: String,
}

impl ParseError {
    /// The longest part of a line that is shown: an unclosed quote extends a line to the
    /// end of the text.
    const SHOWN: usize = 80;

    fn new(line: usize, problem: &'static str, text: &str) -> ParseError {
        ParseError {
            line,
            problem,
            text: text.chars().take(ParseError::SHOWN).collect(),
        }
    }
}

/// Parses a dump: tables as `*name`, chains as `:NAME POLICY`, `-P` or `-N`, rules as `-A`;
/// counters are ignored.
///
/// # Errors
/// The first line that is none of these. Unknown tables, matches and targets are not
/// errors.
pub fn parse(text: &str) -> Result<Ruleset, ParseError> {
    let mut ruleset = scan(text)?;
    for table in ruleset.tables.values_mut() {
        let rules = table.chains.iter_mut().flat_map(|chain| &mut chain.rules);
        rules.for_each(|rule| rule.line = TextLine::default());
    }
    Ok(ruleset)
}

/// Like [`parse`], with the line number of each rule.
fn scan(text: &str) -> Result<Ruleset, ParseError> {
    let mut ruleset = Ruleset::default();
    let mut current: Option<(TableName, Table)> = None;
    let mut near = 0;
    for (number, line) in logical_lines(text) {
        let error = |problem| ParseError::new(number, problem, line);
        let line = line.trim();
        if let Some((name, Hidden::Table)) = hides(line) {
            // Not what it is where nobody touched it.
            ruleset.set(name, Table::default());
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('*') {
            let name = TableName::ALL
                .into_iter()
                .find(|known| known.as_str() == name)
                .ok_or_else(|| error("no table that iptables has"))?;
            current = Some((name, Table::default()));
            continue;
        }
        let Some((_, table)) = &mut current else {
            return Err(error(
                "not in a table; iptables-save's text begins with one, as in *filter",
            ));
        };
        if line == "COMMIT" {
            if let Some((name, table)) = current.take() {
                if !are_distinct(&table) {
                    return Err(error("the table has a chain twice"));
                }
                ruleset.set(name, table);
            }
            continue;
        }
        let words = words(line).ok_or_else(|| error("a quote is not closed"))?;
        let chain = |name: Option<&str>| {
            name.and_then(|name| ChainName::try_from(name).ok())
                .ok_or_else(|| error("no chain's name"))
        };
        let word = |at: usize| words.get(at).map(Cow::as_ref);
        match word(0) {
            Some("-A") => {
                let name = chain(word(1))?;
                let mut rule = rule(&words[2..], line);
                rule.line = TextLine(number);
                rules_near(table, &name, &mut near).push(rule);
            }
            Some("-P" | "-N") => {
                let name = chain(word(1))?;
                table.chains.push(new_chain(name, word(2)));
            }
            Some(first) if first.starts_with(':') => {
                let name = chain(Some(&first[1..]))?;
                table.chains.push(new_chain(name, word(1)));
            }
            // With -c, counters come before the rule.
            Some(first) if first.starts_with('[') && word(1) == Some("-A") => {
                let name = chain(word(2))?;
                let mut rule = rule(&words[3..], line);
                rule.line = TextLine(number);
                rules_near(table, &name, &mut near).push(rule);
            }
            _ => {
                return Err(error(
                    "neither a chain nor a rule; give what iptables-save prints, not commands",
                ));
            }
        }
    }
    match current {
        None => Ok(ruleset),
        Some(_) => Err(ParseError::new(
            text.lines().count(),
            "the table is not committed; the text is cut off",
            "",
        )),
    }
}

/// The rules of a chain, which is created if necessary. Looks for it from where the last one was
/// found: a dump has the rules of its chains in their order, and may have ten thousands of these.
fn rules_near<'t>(table: &'t mut Table, name: &ChainName, near: &mut usize) -> &'t mut Vec<Rule> {
    let count = table.chains.len();
    let mut places = (0..count).map(|step| (*near + step) % count);
    match places.find(|place| table.chains[*place].name == *name) {
        Some(place) => {
            *near = place;
            &mut table.chains[place].rules
        }
        None => table.rules_mut(name),
    }
}

/// Parses a dump that may not be camfw's, and interprets its rules.
///
/// # Errors
/// Those of [`parse`]; and if a table occurs twice, or the text says that the kernel has
/// tables which it leaves out.
pub fn read(text: &str) -> Result<Ruleset, ParseError> {
    let mut seen = Vec::new();
    for (number, line) in logical_lines(text) {
        let line = line.trim();
        let error = |problem| Err(ParseError::new(number, problem, line));
        if line.starts_with('*') {
            if seen.contains(&line) {
                return error(
                    "the table stands twice; give one dump at a time, of IPv4 or of IPv6",
                );
            }
            seen.push(line);
        }
        if let Some(why) = hidden::refused(line) {
            return error(why);
        }
    }
    scan(text).map(interpret)
}

/// The same rules with every part typed that camfw knows, even if iptables would print it
/// differently; other parts remain as [`Match::Other`] or [`Target::Other`].
pub fn interpret(mut ruleset: Ruleset) -> Ruleset {
    let chains = ruleset
        .tables
        .values_mut()
        .flat_map(|table| &mut table.chains);
    for rule in chains.flat_map(|chain| &mut chain.rules) {
        if let (None, [Match::Other(words)]) = (&rule.target, rule.matches.as_slice()) {
            let line = rule.line;
            *rule = interpret_words(words);
            rule.line = line;
        }
    }
    ruleset
}

fn are_distinct(table: &Table) -> bool {
    let mut names: Vec<&ChainName> = table.chains.iter().map(|chain| &chain.name).collect();
    names.sort_unstable();
    names.windows(2).all(|pair| pair[0] != pair[1])
}

fn new_chain(name: ChainName, policy: Option<&str>) -> Chain {
    Chain {
        name,
        policy: match policy {
            Some("ACCEPT") => Some(ChainPolicy::Accept),
            Some("DROP") => Some(ChainPolicy::Drop),
            _ => None,
        },
        rules: Vec::new(),
    }
}

/// A rule from its words after `-A CHAIN`. It is typed if rendering it again gives the same
/// text; otherwise its words are kept verbatim.
fn rule(words: &[Cow<'_, str>], line: &str) -> Rule {
    let mut as_found: Vec<String> = words.iter().map(|word| word.as_ref().to_owned()).collect();
    without_date_stop(&mut as_found);
    with_protocol_number(&mut as_found);
    let rule = interpret_words(&as_found);
    if says(&rule, &as_found, line) {
        rule
    } else {
        Rule::untargeted().matching(Match::Other(as_found))
    }
}

/// Removes an option that some versions of the time extension print although no rule has it
/// (date_stop in extensions/libxt_time.c, 1.8.9).
fn without_date_stop(words: &mut Vec<String>) {
    let end = ["--datestop", "2038-01-19T03:14:07"];
    if let Some(place) = words.windows(2).position(|pair| pair == end) {
        words.drain(place..place + 2);
    }
}

/// Puts a protocol's number in place of the name that the box's /etc/protocols may have for it.
fn with_protocol_number(words: &mut [String]) {
    let mut protocol = words.iter_mut().skip_while(|word| *word != "-p").skip(1);
    if let Some(word) = protocol.next()
        && let Some((_, number)) = PROTOCOLS.iter().find(|(name, _)| *name == word.as_str())
    {
        *word = number.to_string();
    }
}

fn says(rule: &Rule, as_found: &[String], line: &str) -> bool {
    let text = rule_text(rule);
    // `-A` and the chain, and possibly counters before them.
    let before = if line.starts_with('[') { 3 } else { 2 };
    let ends_so = line
        .strip_suffix(text.as_str())
        .is_some_and(|start| start.ends_with(' ') && start.split_whitespace().count() == before);
    ends_so || words(&text).is_some_and(|words| words == as_found)
}

/// The most words in a rule: MAX_ARGC in iptables/xshared.h.
const WORDS_MAX: usize = 255;

/// Words that start a condition or a target, and thus end the previous one.
const STARTS: [&str; 9] = ["-s", "-d", "-i", "-o", "-p", "-f", "-m", "-j", "-g"];

/// A rule from its words, as far as they are known; unknown ones are kept where they are.
fn interpret_words(as_found: &[String]) -> Rule {
    let mut rule = Rule::untargeted();
    if as_found.len() > WORDS_MAX {
        rule.matches.push(Match::Other(as_found.to_vec()));
        return rule;
    }
    let mut words = Words::new(as_found);
    while words.peek().is_some() {
        let before = words;
        if condition(&mut rule, &mut words).is_some() {
            continue;
        }
        // Unknown: keep its words, up to the next condition.
        words = before;
        words.next_if_eq("!");
        words.next();
        words.skip_to(&STARTS);
        let unknown = before.until(words);
        match unknown.first().map(String::as_str) {
            Some("-j" | "-g") if rule.target.is_none() => {
                rule.target = Some(Target::Other(unknown));
            }
            _ => rule.matches.push(Match::Other(unknown)),
        }
    }
    rule
}

/// Parses the next condition or the target into a rule; None if it is unknown.
fn condition(rule: &mut Rule, words: &mut Words<'_>) -> Option<()> {
    let start = *words;
    let negated = words.next_if_eq("!").is_some();
    let option = words.next()?;
    // Up to iptables 1.4.2 the `!` comes after the option.
    let old = matches!(option, "-s" | "-d" | "-i" | "-o" | "-p") && words.next_if_eq("!").is_some();
    let negated = negated || old;
    match option {
        "-s" if rule.source.is_none() => rule.source = Some(network(words.next()?, negated)?),
        "-d" if rule.destination.is_none() => {
            rule.destination = Some(network(words.next()?, negated)?);
        }
        "-i" if rule.in_interface.is_none() => {
            rule.in_interface = Some(interface(words.next()?, negated)?.into());
        }
        "-o" if rule.out_interface.is_none() => {
            rule.out_interface = Some(interface(words.next()?, negated)?.into());
        }
        "-p" if rule.protocol.is_none() => match protocol(words.next()?)? {
            Some(value) => rule.protocol = Some(Negatable { negated, value }),
            None if negated => return None,
            None => {}
        },
        "-f" => rule
            .matches
            .push(Match::Fragment(Negatable { negated, value: () })),
        "-m" if !negated => {
            let found = Match::read(words.next()?, words)?;
            rule.matches.push(found);
        }
        "-j" if rule.target.is_none() && !negated => {
            let found = Target::read(words)?;
            let rest = *words;
            words.skip_to(&STARTS);
            rest.until(*words)
                .is_empty()
                .then(|| rule.target = Some(found))?;
        }
        "-g" if rule.target.is_none() && !negated => {
            let chain = ChainName::try_from(words.next()?).ok()?;
            rule.target = Some(Target::Goto(chain));
        }
        // People write a protocol's options without -m.
        _ if option.starts_with("--") => {
            let protocol = rule.protocol.filter(|protocol| !protocol.negated)?;
            let name = match protocol.value {
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
                Protocol::Icmp => "icmp",
                Protocol::Icmpv6 => "icmp6",
                Protocol::Number(_) => return None,
            };
            *words = start;
            let found = Match::read(name, words)?;
            (words.left() < start.left()).then(|| rule.matches.push(found))?;
        }
        _ => return None,
    }
    Some(())
}

/// A protocol by name or number; the inner value is None for "all".
fn protocol(text: &str) -> Option<Option<Protocol>> {
    Some(Some(match text {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "icmp" => Protocol::Icmp,
        "ipv6-icmp" | "icmpv6" => Protocol::Icmpv6,
        "all" | "0" => return Some(None),
        text => match number_of_protocol(text)? {
            1 => Protocol::Icmp,
            6 => Protocol::Tcp,
            17 => Protocol::Udp,
            58 => Protocol::Icmpv6,
            other => Protocol::Number(other),
        },
    }))
}

/// Names in the /etc/protocols of common systems.
const PROTOCOLS: [(&str, u8); 38] = [
    ("igmp", 2),
    ("ggp", 3),
    ("ipencap", 4),
    ("st", 5),
    ("egp", 8),
    ("igp", 9),
    ("pup", 12),
    ("hmp", 20),
    ("xns-idp", 22),
    ("rdp", 27),
    ("iso-tp4", 29),
    ("dccp", 33),
    ("xtp", 36),
    ("ddp", 37),
    ("idpr-cmtp", 38),
    ("ipv6", 41),
    ("ipv6-route", 43),
    ("ipv6-frag", 44),
    ("idrp", 45),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ipv6-crypt", 50),
    ("ah", 51),
    ("ipv6-auth", 51),
    ("skip", 57),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("eigrp", 88),
    ("ospf", 89),
    ("ipip", 94),
    ("etherip", 97),
    ("pim", 103),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("l2tp", 115),
    ("sctp", 132),
    ("udplite", 136),
];

fn number_of_protocol(text: &str) -> Option<u8> {
    let named = PROTOCOLS.iter().find(|(name, _)| *name == text);
    named.map_or_else(|| text.parse().ok(), |(_, number)| Some(*number))
}

/// A network with a prefix length or a mask, or a single address.
fn network(text: &str, negated: bool) -> Option<Negatable<IpNet>> {
    let (address, mask) = match text.split_once('/') {
        Some((address, mask)) => (address.parse().ok()?, Some(mask)),
        None => (text.parse().ok()?, None),
    };
    let value = match mask.map(|mask| (mask, mask.parse::<u8>())) {
        None => IpNet::from(address),
        Some((_, Ok(length))) => IpNet::new(address, length).ok()?,
        Some((mask, Err(_))) => IpNet::with_netmask(address, mask.parse().ok()?).ok()?,
    };
    Some(Negatable { negated, value })
}

fn interface(text: &str, negated: bool) -> Option<Negatable<Interface>> {
    let name = |text: &str| InterfaceName::try_from(text).ok();
    let value = match text.strip_suffix('+') {
        Some(start) => Interface::Wildcard(name(start)?),
        None if text == "lo" => Interface::Loopback,
        None => Interface::Named(name(text)?),
    };
    Some(Negatable { negated, value })
}

#[cfg(test)]
mod tests;
