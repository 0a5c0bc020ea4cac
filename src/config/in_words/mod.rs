//! What the TOML parser and serde say of a file, in words of the configuration: what is
//! wrong there and what to write. Their own texts are of Rust's types and TOML's grammar.
//!
//! Owns the reading of their messages. One of a later version that is not known here is
//! passed on as it is.

mod syntax;

use std::ops::Range;

use crate::nearest::instead;
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

    /// What to write where one of a few words belongs.
    fn no_word(&self) -> String {
        let written = self.written();
        let got = match written.as_str() {
            "true" | "false" => format!("{written} is a switch and not a word"),
            _ if written.starts_with('[') => "this is a list and not one word".into(),
            _ => format!("{written} is not a word"),
        };
        let words = WORDS.iter().find(|(key, _)| *key == self.key());
        match words {
            Some((_, words)) => format!("{got}; write one of {words}"),
            None => format!("{got}; write one in double quotes"),
        }
    }

    fn unknown_key(&self, name: &str, expected: &str) -> String {
        let known = all_quoted(expected);
        let name = if name.is_empty() { "\"\"" } else { name };
        if known.contains(&"zones") {
            return format!("no table is called {name}; {}", instead(name, known));
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
        format!("{name} is not a key here; {}", instead(name, known))
    }

    fn wrong_type(&self, got: &str, expected: &str) -> String {
        let written = self.written();
        let got = match got.split_once(' ').map_or(got, |(kind, _)| kind) {
            "string" => format!("{written} is text"),
            "integer" | "floating" => format!("{written} is a number"),
            "boolean" => format!("{written} is a switch"),
            "sequence" => "this is a list".into(),
            // TOML has times and dates without quotes, which come as tables.
            "map" if written.starts_with(|c: char| c.is_ascii_digit()) => {
                format!("{written} is a date or time")
            }
            "map" => "this is a table".into(),
            _ => format!("this is {got}"),
        };
        let bare = written.trim_matches(['"', '\'']);
        let line = self.line();
        let header = line
            .trim()
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'));
        match (expected, header) {
            ("a sequence", Some(name)) if !name.starts_with('[') => {
                format!("{name} is a list of tables; write [[{name}]]")
            }
            ("a sequence", _) => {
                format!("{got} and not a list; write it in square brackets: [{written}]")
            }
            ("a boolean", _) => {
                format!("{got} and not a switch; write true or false, without quotes")
            }
            ("a string" | "a string or a list of strings", _) if got.ends_with(" or time") => {
                format!("{written} has no quotes; write it in double quotes: \"{written}\"")
            }
            ("a string", _) if got.ends_with("table") || got.ends_with("list") => {
                format!("{got} and not text; write one value in double quotes")
            }
            ("a string", _) if self.key() == "limit" => {
                format!("{got} and not a rate; write it with its time: \"{bare}/minute\"")
            }
            ("a string", _) if ["within", "silent-after", "keep"].contains(&self.key()) => {
                let time = match bare.parse::<u64>() {
                    Ok(_) => format!("{bare}s"),
                    Err(_) => "10 minutes".into(),
                };
                format!("{got} and not a time; write it with its unit: \"{time}\"")
            }
            ("a string", _) if self.is_hour(bare) => {
                format!("{got} and not a time of day; write it as \"{bare:0>2}:00\"")
            }
            ("a string", _) => format!("{got} and not text; write it in double quotes: \"{bare}\""),
            ("i64" | "u64" | "u32" | "u16", _) if bare.parse::<i64>().is_ok() => {
                format!("{got} and not a number; write it without quotes: {bare}")
            }
            ("i64" | "u64" | "u32" | "u16", _) if got.ends_with("a number") => {
                format!("{written} is not a whole number; write one")
            }
            ("i64" | "u64" | "u32" | "u16", _) => {
                format!("{got} and not a number; write a whole number")
            }
            (expected, _)
                if expected.starts_with("a service's name") && bare.parse::<u16>().is_ok() =>
            {
                format!("{got} and not a service; write the port as {{ tcp = {bare} }}")
            }
            (expected, _) if expected == "a map" || expected.starts_with("struct ") => {
                let example = TABLES.iter().find(|(key, _)| *key == self.key());
                let example = example.map_or("{ … }", |(_, example)| *example);
                format!("{got} and not a table; write its keys in braces: {example}")
            }
            _ => format!("{got}; write {expected}"),
        }
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
        let before = before.trim_end().trim_end_matches('=').trim_end();
        let name = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
        before
            .rsplit(|letter| !name(letter))
            .next()
            .unwrap_or_default()
    }

    /// Whether this number at the place is an hour of a `when`.
    fn is_hour(&self, number: &str) -> bool {
        ["from", "to"].contains(&self.key())
            && self.line().contains("when")
            && number.parse::<u8>().is_ok_and(|hour| hour < 24)
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

/// The keys whose values are words, and the words.
const WORDS: &[(&str, &str)] = &[
    ("role", "\"external\", \"camera\", \"private\""),
    ("on-deny", "\"drop\", \"reject\""),
    ("egress", "\"open\", \"listed\""),
    ("mode", "\"drop\", \"same\""),
    ("on-drift", "\"log\", \"restore\""),
];

/// The keys whose values are tables, each with one.
const TABLES: &[(&str, &str)] = &[
    ("block-after", "{ attempts = 3, within = \"10 minutes\" }"),
    (
        "when",
        "{ from = \"08:00\", to = \"18:00\", days = \"mon-fri\" }",
    ),
    ("never", "{ from = \"camera\", to = \"external\" }"),
    (
        "always",
        "{ from = \"home\", to = \"router\", service = \"ssh\" }",
    ),
];

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
