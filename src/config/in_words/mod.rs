//! What the TOML parser and serde say of a file, in words of the configuration: what is
//! wrong there and what to write. Their own texts are of Rust's types and TOML's grammar.
//!
//! Owns the reading of their messages. One of a later version that is not known here is
//! passed on as it is.

mod elsewhere;
mod syntax;
mod wrong_type;

use std::ops::Range;

use crate::nearest::{did_you_mean, instead};
use crate::registry::protocol;

/// What a refusal says, and where.
pub(super) struct InWords {
    pub(super) what: String,
    /// The offset of the mistake, which may be earlier than where the parser noticed it.
    pub(super) at: usize,
}

/// Puts the message about `span` of the text into words.
pub(super) fn in_words(message: &str, span: Range<usize>, text: &str) -> InWords {
    let place = Place { text, span };
    let (what, at) = place.say(message);
    InWords { what, at }
}

struct Place<'a> {
    text: &'a str,
    span: Range<usize>,
}

impl Place<'_> {
    fn say(&self, message: &str) -> (String, usize) {
        let here = self.span.start;
        if let Some(table) = self.table_as_list() {
            return table;
        }
        let (problem, expected) = message.split_once(", expected ").unwrap_or((message, ""));
        if let Some(name) = quoted(problem, "unknown field ") {
            return (self.unknown_key(name, expected), here);
        }
        if let Some(name) = quoted(problem, "unknown variant ") {
            let known = all_quoted(expected);
            return (
                format!(
                    "{name:?} is not one of the words allowed here; {}",
                    instead(name, known)
                ),
                here,
            );
        }
        if let Some(key) = quoted(problem, "missing field ") {
            return (
                format!("the key {key} is missing; add it to this table"),
                here,
            );
        }
        if let Some(got) = problem.strip_prefix("invalid type: ") {
            return (self.wrong_type(got, expected), here);
        }
        if problem == "out of range" {
            let range = match expected {
                "u32" => "from 0 to 4294967295",
                _ => "with fewer digits",
            };
            let what = format!(
                "{} is out of range; write a whole number {range}",
                self.written()
            );
            return (what, here);
        }
        if problem == "duplicate key" {
            return self.twice();
        }
        if message.starts_with("missing comma between array elements") {
            return self.list_not_closed();
        }
        if message == "wanted string or table" {
            return (self.no_word(), here);
        }
        self.not_toml(problem)
    }

    /// `[[zones.camera]]` or `[[router]]`, which serde takes for a table written as a list.
    fn table_as_list(&self) -> Option<(String, usize)> {
        let before = self.text.get(..self.span.end)?;
        let at = match before.rfind("\n[") {
            Some(newline) => newline + 1,
            None => before.len() - before.trim_start().len(),
        };
        let header = line_at(self.text, at).trim();
        let name = header.strip_prefix("[[")?.strip_suffix("]]")?;
        let kind = name.split('.').next().unwrap_or_default();
        match kind {
            "zones" => Some((format!("a zone is one table; write [{name}]"), at)),
            "services" => Some((format!("a service is one table; write [{name}]"), at)),
            _ if ONE_TABLE.contains(&name) => {
                Some((format!("{name} is one table; write [{name}]"), at))
            }
            _ => None,
        }
    }

    /// A key or a table that is there twice.
    fn twice(&self) -> (String, usize) {
        let here = self.span.start;
        let line = self.line();
        let name = line.trim().trim_matches(['[', ']']);
        let is_header = line.trim_start().starts_with('[');
        // Where one of the two is a list of tables and the other is not, the other is wrong.
        let kind = name.split([' ', '=']).next().unwrap_or_default();
        if is_list_of_tables(kind) {
            let plain = |line: &str| line.split('#').next().unwrap_or_default().trim().to_owned();
            let single = format!("[{kind}]");
            let header = self.first_line(|line| plain(line) == single);
            // A key of no table, which is before the first header.
            let value = || {
                let is_it = |line: &str| line.split('=').next().map(str::trim) == Some(kind);
                let first = self.first_line(|line| is_it(line) || plain(line).starts_with('['))?;
                is_it(line_at(self.text, first)).then_some(first)
            };
            if let Some(at) = header.or_else(value) {
                return (format!("{kind} is a list of tables; write [[{kind}]]"), at);
            }
        }
        let own = self.line_start();
        let key = self.text.get(self.span.clone()).unwrap_or_default();
        let first = match is_header {
            true => self.first_line(|other| other.trim().trim_matches(['[', ']']) == name),
            false => self.first_in_table(key),
        };
        let first = first.filter(|first| *first < own);
        let Some(first) = first else {
            return ("this is here already; keep one of the two".into(), here);
        };
        let number = self
            .text
            .get(..first)
            .unwrap_or_default()
            .matches('\n')
            .count()
            + 1;
        let what = match is_header {
            true => format!(
                "[{name}] is already in line {number}; keep one of the two, with the keys of both"
            ),
            false => format!("{key} is already set in line {number}; keep one of the two"),
        };
        (what, here)
    }

    /// The beginning of the first line that is so.
    fn first_line(&self, is: impl Fn(&str) -> bool) -> Option<usize> {
        let mut at = 0;
        for line in self.text.split_inclusive('\n') {
            if is(line) {
                return Some(at + line.len() - line.trim_start().len());
            }
            at += line.len();
        }
        None
    }

    /// The beginning of the first line of this table that gives the key.
    fn first_in_table(&self, key: &str) -> Option<usize> {
        let before = self.text.get(..self.line_start())?;
        let mut at = before.rfind("\n[").map_or(0, |newline| newline + 1);
        for line in before.get(at..)?.split_inclusive('\n') {
            if line.split('=').next().map(str::trim) == Some(key) {
                return Some(at);
            }
            at += line.len();
        }
        None
    }

    fn unknown_key(&self, name: &str, expected: &str) -> String {
        let known = all_quoted(expected);
        let name = if name.is_empty() { "\"\"" } else { name };
        if known.contains(&"zones") {
            return format!("no table is called {name}; {}", self.meant_key(name, known));
        }
        if known.contains(&"service") && ["port", "protocol", "proto", "tcp", "udp"].contains(&name)
        {
            return format!(
                "{name} is not a key here; write ports as service = {{ tcp = [554] }} or service = {{ udp = [123] }}"
            );
        }
        if known.contains(&"source-port") && protocol::number(name).is_some() {
            return format!("{name} is not a key here; write protocol = \"{name}\"");
        }
        if known.contains(&"zone-limit") && name == "rate" {
            return format!("{name} is not a key here; write limit = \"5/second\"");
        }
        let left_out = ["not-source", "not-address", "exclude", "deny"];
        if known.contains(&"except") && left_out.contains(&name) {
            return format!(
                "{name} is not a key here; leave addresses out with except, and sources with [[deny]]"
            );
        }
        if let Some(instead) = ELSEWHERE.iter().find(|it| it.is_about(name, &known)) {
            return format!("{name} is not a key here; {}", instead.write);
        }
        if known.is_empty() {
            return format!("{name} is not a key here; remove it");
        }
        format!("{name} is not a key here; {}", self.meant_key(name, known))
    }

    /// What to write in place of a key that its table does not have: one of this table, or the
    /// same where it belongs.
    fn meant_key(&self, name: &str, known: Vec<&str>) -> String {
        did_you_mean(name, known.iter().copied())
            .or_else(|| elsewhere::belongs(name, &known))
            .unwrap_or_else(|| instead(name, known))
    }

    /// The list that a missing comma or bracket was noticed in.
    fn list_not_closed(&self) -> (String, usize) {
        let here = self.span.start;
        let rest = self.text.get(here..).unwrap_or_default();
        let line = self.line();
        let next_statement =
            rest.starts_with('[') && line.trim_start().starts_with('[') || line.contains('=');
        match self.text.get(..here).and_then(|before| before.rfind('[')) {
            Some(opening) if next_statement && self.text[opening..here].contains('\n') => {
                ("this list is not closed; add ] at its end".into(), opening)
            }
            _ => (
                "a comma is missing before this; separate the list's elements by commas".into(),
                here,
            ),
        }
    }

    /// The line of the place, whole.
    fn line(&self) -> String {
        line_at(self.text, self.line_start()).to_owned()
    }

    /// Where the line of the place begins.
    fn line_start(&self) -> usize {
        let before = self.text.get(..self.span.start).unwrap_or_default();
        before.rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// The key whose value is at the place.
    fn key(&self) -> &str {
        let before = self.text.get(..self.span.start).unwrap_or_default();
        // In a list the key is before what opens it.
        let opens = |(_, value): &(&str, &str)| {
            let value = value.trim_start();
            value.is_empty() || value.starts_with('[')
        };
        let before = before.rsplit_once('=').filter(opens);
        let before = before.map_or("", |(before, _)| before).trim_end();
        let name = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
        before
            .rsplit(|letter| !name(letter))
            .next()
            .unwrap_or_default()
    }

    /// What is written at the place, on one line and not long.
    fn written(&self) -> String {
        let text = self.text.get(self.span.clone()).unwrap_or_default();
        let first = text.lines().next().unwrap_or_default().trim();
        first.chars().take(60).collect()
    }
}

/// A key that people look for where it is not, and what there is.
struct Elsewhere {
    names: &'static [&'static str],
    /// A key of the table that it is looked for in.
    beside: &'static str,
    write: &'static str,
}

impl Elsewhere {
    fn is_about(&self, name: &str, known: &[&str]) -> bool {
        self.names.contains(&name) && known.contains(&self.beside)
    }
}

const ELSEWHERE: &[Elsewhere] = &[
    Elsewhere {
        names: &["port", "ports", "protocol", "proto", "service"],
        beside: "to-port",
        write: "a forward is of ports, tcp = 443 or udp = 5004",
    },
    Elsewhere {
        names: &["failover", "priority", "preference", "weight", "backup"],
        beside: "known-only",
        write: "metric orders the ways out, the lowest first: metric = 100",
    },
    Elsewhere {
        names: &["isolated"],
        beside: "not-isolated",
        write: "all ports are isolated but those of not-isolated = [\"eth3\"]; list what reaches the others",
    },
    Elsewhere {
        names: &["action", "target", "policy", "reject"],
        beside: "address",
        write: "a line says who, and the zone how they are told: on-deny = \"reject\" or \"drop\" under [zones.NAME]",
    },
    Elsewhere {
        names: &["zone", "timezone", "tz", "utc"],
        beside: "days",
        write: "the times of all lines are those of timezone = \"Europe/Berlin\" under [router]",
    },
];

/// The tables that a file has any number of.
const LISTS_OF_TABLES: &[&str] = &[
    "allow",
    "deny",
    "exceptions",
    "guarantees",
    "masquerade",
    "snat",
    "forwards",
    "proxy",
    "redirects",
    "cameras",
    "routes",
    "marks",
];

/// The tables that a file has once.
const ONE_TABLE: &[&str] = &["router", "ipv6", "log", "page", "watch", "names", "sysctls"];

fn is_list_of_tables(name: &str) -> bool {
    LISTS_OF_TABLES.contains(&name)
}

/// The line that begins at an offset.
fn line_at(text: &str, start: usize) -> &str {
    let rest = text.get(start..).unwrap_or_default();
    rest.lines().next().unwrap_or_default()
}

/// The name in backticks after a message's beginning.
fn quoted<'m>(message: &'m str, beginning: &str) -> Option<&'m str> {
    message
        .strip_prefix(beginning)?
        .strip_prefix('`')?
        .split('`')
        .next()
}

/// All names in backticks.
fn all_quoted(expected: &str) -> Vec<&str> {
    expected.split('`').skip(1).step_by(2).collect()
}
