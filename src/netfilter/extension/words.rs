//! The words of a rule: read one by one, and printed as iptables-save prints them.

use super::Negatable;
use crate::field::PortRange;

/// The words of a rule that are yet to be read.
#[derive(Clone, Copy)]
pub(in crate::netfilter) struct Words<'a>(&'a [String]);

impl<'a> Words<'a> {
    /// All words of a rule.
    pub(in crate::netfilter) fn new(words: &'a [String]) -> Words<'a> {
        Words(words)
    }

    /// The next word, without taking it.
    pub(in crate::netfilter) fn peek(&self) -> Option<&'a str> {
        self.0.first().map(String::as_str)
    }

    /// Takes the next word.
    pub(in crate::netfilter) fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// Takes the next word if it is `wanted`.
    pub(in crate::netfilter) fn next_if_eq(&mut self, wanted: &str) -> Option<&'a str> {
        (self.peek()? == wanted).then(|| self.next())?
    }

    /// How many words are left.
    pub(in crate::netfilter) fn left(&self) -> usize {
        self.0.len()
    }

    /// Skips to the next of these words, to a `!` before it, or to the end.
    pub(in crate::netfilter) fn skip_to(&mut self, starts: &[&str]) {
        while let Some(word) = self.peek() {
            let mut ahead = *self;
            ahead.next_if_eq("!");
            if starts.contains(&word) || ahead.peek().is_some_and(|word| starts.contains(&word)) {
                return;
            }
            self.next();
            if HAVE_TEXT.contains(&word) {
                self.next();
            }
        }
    }

    /// The value of this option, if the option comes next.
    pub(super) fn option(&mut self, name: &str) -> Option<&'a str> {
        self.next_if_eq(name)?;
        self.next()
    }

    /// The option's value as parsed by `read`, and whether a `!` comes before the option.
    /// The inner value is None if another option comes next.
    pub(super) fn negatable<T>(
        &mut self,
        name: &str,
        read: impl Fn(&str, &mut Words<'_>) -> Option<T>,
    ) -> Option<Option<Negatable<T>>> {
        // A `!` belongs to the option after it, so both are examined together.
        let mut ahead = *self;
        let negated = ahead.next_if_eq("!").is_some();
        let Some(text) = ahead.option(name) else {
            return Some(None);
        };
        // Up to iptables 1.4.2 the `!` comes after the option.
        let (negated, text) = match text {
            "!" if !negated => (true, ahead.next()?),
            _ => (negated, text),
        };
        let value = read(text, &mut ahead)?;
        *self = ahead;
        Some(Some(Negatable { negated, value }))
    }

    /// The port or port range of this option.
    pub(super) fn ports(&mut self, name: &str) -> Option<Option<Negatable<PortRange>>> {
        self.negatable(name, |text, _| PortRange::parse_any(text))
    }

    /// The words from here up to a later position.
    pub(in crate::netfilter) fn until(self, later: Words<'_>) -> Vec<String> {
        self.0[..self.0.len() - later.0.len()].to_vec()
    }
}

/// Options whose value can be any text, even one that looks like an option.
const HAVE_TEXT: [&str; 7] = [
    "--string",
    "--hex-string",
    "--comment",
    "--log-prefix",
    "--nflog-prefix",
    "--ulog-prefix",
    "--name",
];

/// The `!` before an option.
pub(super) fn not(negated: bool) -> &'static str {
    if negated { "! " } else { "" }
}

pub(super) fn print_ports(
    sport: Option<Negatable<PortRange>>,
    dport: Option<Negatable<PortRange>>,
) -> String {
    let mut text = String::new();
    for (option, ports) in [("--sport", sport), ("--dport", dport)] {
        if let Some(Negatable { negated, value }) = ports {
            text += &format!(" {}{option} {value}", not(negated));
        }
    }
    text
}

/// A value as xtables_save_string prints it: unquoted if it consists of letters, digits,
/// `_` and `-`; otherwise in double quotes with `"`, `\` and `'` escaped.
pub(super) fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    in_quotes(value)
}

/// A word of a rule that camfw did not write, quoted only if necessary.
pub(super) fn other_word(word: &str) -> String {
    if word.is_empty() || word.contains(|c: char| c.is_whitespace() || "\"\\'".contains(c)) {
        in_quotes(word)
    } else {
        word.to_owned()
    }
}

fn in_quotes(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        if "\"\\'".contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}
