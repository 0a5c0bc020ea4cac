//! What the TOML parser and serde say of a file, in words of the configuration: what is
//! wrong there and what to write. Their own texts are of Rust's types and TOML's grammar.
//!
//! Owns the reading of their messages. One of a later version that is not known here is
//! passed on as it is.

use std::ops::Range;

use crate::nearest::instead;

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
                    "{name:?} is none of the words here; {}",
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
        if problem == "duplicate key" {
            return ("this is here already; keep one of the two".into(), here);
        }
        if message.starts_with("missing comma between array elements") {
            return self.list_not_closed();
        }
        if message == "wanted string or table" {
            return (
                "this is not one word; write one in double quotes".into(),
                here,
            );
        }
        (self.not_toml(problem, message), here)
    }

    /// `[[zones.camera]]`, which serde takes for a table written as a list.
    fn table_as_list(&self) -> Option<(String, usize)> {
        let before = self.text.get(..self.span.end)?;
        let at = before.rfind("\n[").map_or(0, |newline| newline + 1);
        let header = before.get(at..)?.lines().next()?.trim_end();
        let name = header.strip_prefix("[[zones.")?.strip_suffix("]]")?;
        Some((format!("a zone is one table; write [zones.{name}]"), at))
    }

    fn unknown_key(&self, name: &str, expected: &str) -> String {
        let known = all_quoted(expected);
        if known.contains(&"zones") {
            return format!("no table is called {name}; {}", instead(name, known));
        }
        if known.contains(&"service") && ["port", "protocol", "proto", "tcp", "udp"].contains(&name)
        {
            return format!(
                "no key {name} belongs here; write ports as service = {{ tcp = [554] }} or service = {{ udp = [123] }}"
            );
        }
        if known.is_empty() {
            return format!("no key {name} belongs here; remove it");
        }
        format!("no key {name} belongs here; {}", instead(name, known))
    }

    fn wrong_type(&self, got: &str, expected: &str) -> String {
        let written = self.written();
        let got = match got.split_once(' ').map_or(got, |(kind, _)| kind) {
            "string" => format!("{written} is text"),
            "integer" | "floating" => format!("{written} is a number"),
            "boolean" => format!("{written} is true or false"),
            "sequence" => "this is a list".into(),
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
            ("a string", _) if got.ends_with("table") || got.ends_with("list") => {
                format!("{got} and not text; write one value in double quotes")
            }
            ("a string", _) if self.key() == "limit" => {
                format!("{got} and not a rate; write it with its time: \"{bare}/minute\"")
            }
            ("a string", _) if self.key() == "within" => {
                format!("{got} and not a time; write it with its unit: \"{bare}s\"")
            }
            ("a string", _) => format!("{got} and not text; write it in double quotes: \"{bare}\""),
            ("i64" | "u64" | "u32" | "u16", _) if bare.parse::<i64>().is_ok() => {
                format!("{got} and not a number; write it without quotes: {bare}")
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
                format!("{got} and not a table; write KEY = VALUE pairs in braces: {{ … }}")
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

    fn not_toml(&self, problem: &str, message: &str) -> String {
        let line = self.line();
        let line = line.trim();
        let word = line.split(['=', ':', ' ']).next().unwrap_or_default();
        let value = self.text.get(self.span.start..).unwrap_or_default();
        let value = value
            .split(['\n', ',', '#', ']', '}'])
            .next()
            .unwrap_or_default()
            .trim();
        if ["<<<<<<<", "=======", ">>>>>>>", "|||||||"]
            .iter()
            .any(|mark| line.starts_with(mark))
        {
            return "a merge left this behind; keep one side and remove the marks".into();
        }
        if line.starts_with(';') || line.starts_with("//") {
            return "this is no comment; begin a comment with #".into();
        }
        match problem {
            "string values must be quoted" | "invalid boolean" => {
                let bare = value.trim_matches(['“', '”', '„', '‘', '’', '\'']);
                if ["yes", "no", "on", "off", "true", "false"]
                    .contains(&bare.to_ascii_lowercase().as_str())
                {
                    return format!("{bare} is no switch; write true or false");
                }
                if bare.len() == value.len() {
                    return format!("{bare} has no quotes; write it in double quotes: \"{bare}\"");
                }
                format!("these are no quotes of TOML; write it in plain double quotes: \"{bare}\"")
            }
            "invalid basic string" | "invalid literal string" => {
                "the text is not closed; add the quote at its end".into()
            }
            "key with no value" if line.contains(':') => {
                format!("write {word} = VALUE, with = in place of the colon")
            }
            "key with no value" => format!("{word} has no value; write {word} = VALUE"),
            _ if message.contains("expected") => message.to_owned(),
            _ => format!("{message}; write it as TOML 1.0 has it"),
        }
    }

    /// The line of the place, whole.
    fn line(&self) -> String {
        let start = self
            .text
            .get(..self.span.start)
            .and_then(|before| before.rfind('\n'));
        let rest = self
            .text
            .get(start.map_or(0, |newline| newline + 1)..)
            .unwrap_or_default();
        rest.lines().next().unwrap_or_default().to_owned()
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

    /// What is written at the place, on one line and not long.
    fn written(&self) -> String {
        let text = self.text.get(self.span.clone()).unwrap_or_default();
        let first = text.lines().next().unwrap_or_default().trim();
        first.chars().take(60).collect()
    }
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
