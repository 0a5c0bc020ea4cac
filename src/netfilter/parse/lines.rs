//! The lines of a dump, and the words of a line.

use std::borrow::Cow;

/// The lines with their numbers, from 1. A comment may contain newlines, which
/// iptables-save prints as they are, so a line continues until its quotes are closed.
pub(in crate::netfilter) fn logical_lines(text: &str) -> Vec<(usize, &str)> {
    let mut lines = Vec::new();
    let (mut start, mut place, mut first) = (0, 0, 1);
    let (mut in_quotes, mut escaped) = (false, false);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        place += line.len();
        let is_remark = || line.trim_start().starts_with('#');
        // Nearly no line has a quote.
        if in_quotes || line.contains('"') && !is_remark() {
            for c in line.chars() {
                match c {
                    _ if escaped => escaped = false,
                    '\\' => escaped = in_quotes,
                    '"' => in_quotes = !in_quotes,
                    _ => {}
                }
            }
        }
        if !in_quotes || place == text.len() {
            let whole = &text[start..place];
            let ended = whole.strip_suffix('\n').filter(|_| !in_quotes);
            lines.push((first, ended.unwrap_or(whole)));
            (start, first) = (place, number + 2);
        }
    }
    lines
}

/// Splits a line as iptables-restore does, by white space, double quotes and backslashes.
pub(super) fn words(line: &str) -> Option<Vec<Cow<'_, str>>> {
    if !line.contains('"') {
        return Some(line.split_whitespace().map(Cow::Borrowed).collect());
    }
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut in_quotes = false;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                in_quotes = !in_quotes;
                word.get_or_insert_default();
            }
            '\\' if in_quotes => word.get_or_insert_default().push(chars.next()?),
            c if c.is_whitespace() && !in_quotes => words.extend(word.take().map(Cow::Owned)),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word.map(Cow::Owned));
    if in_quotes { None } else { Some(words) }
}
