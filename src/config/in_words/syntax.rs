//! What is no TOML, in words: the parser says where it noticed something and what its
//! grammar expects there, and the mistake is often elsewhere.

use super::Place;
use crate::look_alike::look_alike;

/// What is nested without end.
const NESTED: &str =
    "this is nested too deep; no key of the configuration has more than three levels";

/// A refusal, and the offset of the mistake.
type Said = (String, usize);

impl Place<'_> {
    /// What is wrong with a text that is no TOML.
    pub(super) fn not_toml(&self, problem: &str) -> Said {
        let here = self.span.start;
        self.of_another_format()
            .or_else(|| self.under_a_value(problem))
            .or_else(|| self.nested(problem))
            .or_else(|| self.left_by_a_merge())
            .or_else(|| self.character())
            .or_else(|| self.comment())
            .or_else(|| self.header(problem))
            .or_else(|| self.sign())
            .or_else(|| self.in_braces(problem))
            .or_else(|| self.value(problem))
            .or_else(|| self.without_value(problem))
            .or_else(|| self.after_the_value(problem))
            .unwrap_or_else(|| {
                let what = format!(
                    "this is not TOML ({problem}); write KEY = VALUE on a line of its own, text in double quotes"
                );
                (what, here)
            })
    }

    /// Where this file begins: the files before it are spaces here.
    fn file_start(&self) -> usize {
        self.text.len() - self.text.trim_start().len()
    }

    /// A file in another format.
    fn of_another_format(&self) -> Option<Said> {
        let start = self.file_start();
        let mut lines = self.text.get(start..)?.lines().map(str::trim);
        let first = lines.find(|line| !line.is_empty() && !line.starts_with('#'))?;
        let is_list = |text: &str| {
            let inner = text.trim_start_matches('[').trim_start();
            text.starts_with('[') && (inner.starts_with('{') || inner.is_empty())
        };
        let format = if first.starts_with('{') || is_list(first) {
            "JSON"
        } else if first == "---" || first.starts_with("- ") || is_yaml_key(first) {
            "YAML"
        } else if first.starts_with('<') && !first.starts_with("<<<") {
            "HTML or XML"
        } else {
            return None;
        };
        let what = format!(
            "this is {format}, and the configuration is TOML; write tables as [zones.camera], and KEY = VALUE lines below"
        );
        Some((what, start))
    }

    /// A table, or a key with dots, under a key that has a value.
    fn under_a_value(&self, problem: &str) -> Option<Said> {
        if !problem.starts_with("cannot extend value") {
            return None;
        }
        let line = self.line();
        let name = line.trim_start().trim_start_matches('[');
        let name = name.split(['.', ' ', '=', ']']).next()?;
        let what =
            format!("{name} has a value above; remove that line, and write its tables alone");
        Some((what, self.span.start))
    }

    fn nested(&self, problem: &str) -> Option<Said> {
        let told = || (NESTED.to_owned(), self.span.start);
        problem.contains("recurs").then(told)
    }

    fn left_by_a_merge(&self) -> Option<Said> {
        let line = self.line();
        let marks = ["<<<<<<<", "=======", ">>>>>>>", "|||||||"];
        let left = marks.iter().any(|mark| line.trim().starts_with(mark));
        let what = "a merge left this behind; keep one side and remove the marks";
        left.then(|| (what.to_owned(), self.span.start))
    }

    /// A character outside texts and comments that looks like another.
    fn character(&self) -> Option<Said> {
        let line = self.line();
        let mut quote = None;
        let start = self.line_start();
        for (place, c) in line.char_indices() {
            match (quote, c) {
                (None, '#') => break,
                (None, '"' | '\'') => quote = Some(c),
                (Some(open), c) if c == open => quote = None,
                (None, c) if !c.is_ascii() => {
                    let at = start + place;
                    if let Some(told) = look_alike(c.encode_utf8(&mut [0; 4])) {
                        return Some((told, at));
                    }
                    if !"“”„‟‘’‚«»".contains(c) && place < line.find('=').unwrap_or(line.len())
                    {
                        let what =
                            format!("{c} belongs to no key; keys are of a to z, 0 to 9 and -");
                        return Some((what, at));
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// A comment of another language.
    fn comment(&self) -> Option<Said> {
        let is_comment = |text: &str| {
            let text = text.trim_start();
            [";", "//", "--", "/*"]
                .iter()
                .any(|mark| text.starts_with(mark))
        };
        let after = self.text.get(self.span.start..).unwrap_or_default();
        let comments = is_comment(&self.line()) || is_comment(after) && self.ends_a_value();
        let what = "this is not a comment; begin a comment with #";
        comments.then(|| (what.to_owned(), self.span.start))
    }

    /// Whether the place is after a whole value outside of lists and inline tables.
    fn ends_a_value(&self) -> bool {
        let line = self.line();
        let before = line
            .get(..self.span.start - self.line_start())
            .unwrap_or_default();
        before.contains('=') && !before.trim_end().ends_with(['=', '{', '[', ','])
    }

    /// A table's header that is not closed, or closed otherwise than it was opened.
    fn header(&self, problem: &str) -> Option<Said> {
        let line = self.line();
        let line = line.split('#').next().unwrap_or_default().trim();
        let about = problem.contains("table") && problem.starts_with("unclosed");
        if !line.starts_with('[')
            || line.contains('=')
            || !(about || problem.starts_with("unexpected key"))
        {
            return None;
        }
        let name = line.trim_matches(['[', ']', ' ']).replace(' ', ".");
        let written = match super::is_list_of_tables(&name) {
            true => format!("[[{name}]]"),
            false => format!("[{name}]"),
        };
        let what =
            format!("the header of this table is not closed as it is opened; write {written}");
        Some((what, self.line_start()))
    }

    /// `==`, `=>`, `:=` and `:` where `=` belongs.
    fn sign(&self) -> Option<Said> {
        let line = self.line();
        let (key, rest) = line.split_once(['=', ':'])?;
        let key = key.trim();
        let is_key = !key.is_empty()
            && key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.\"".contains(c));
        if !is_key {
            return None;
        }
        let at = self.line_start() + line.find(['=', ':'])?;
        if line[at - self.line_start()..].starts_with(':') {
            let what = format!("write {key} = VALUE, with = in place of the colon");
            return Some((what, at));
        }
        let sign = if rest.starts_with('=') {
            "=="
        } else if rest.starts_with('>') {
            "=>"
        } else {
            return None;
        };
        Some((
            format!("write {key} = VALUE, with = in place of {sign}"),
            at,
        ))
    }

    /// A mistake in an inline table or a list.
    fn in_braces(&self, problem: &str) -> Option<Said> {
        let here = self.span.start;
        let before = self.text.get(self.line_start()..here).unwrap_or_default();
        let opening = before.rfind(['{', ',']).map_or(0, |place| place + 1);
        let part = self.text.get(self.line_start() + opening..);
        let part = part.and_then(|part| part.split([',', '}', '\n']).next());
        if let Some((key, _)) = part.and_then(|part| part.split_once(':'))
            && problem.starts_with("missing assignment")
        {
            let at = self.line_start() + opening + key.len();
            let what = format!("write {} = VALUE, with = in place of the colon", key.trim());
            return Some((what, at));
        }
        if problem.starts_with("extra assignment") {
            let at = self.line_start() + before.rfind(';').unwrap_or(before.len());
            return Some(("separate the keys of this table by commas".into(), at));
        }
        if problem.starts_with("extra comma") {
            return Some(("there is a comma too many; remove it".into(), here));
        }
        if problem.contains("inline table") {
            let opening = self.text.get(..here)?.rfind('{')?;
            return Some(("this table is not closed; add } at its end".into(), opening));
        }
        None
    }

    /// A value without quotes, or with others than TOML's.
    fn value(&self, problem: &str) -> Option<Said> {
        if problem.starts_with("missing escaped value") {
            let what = "a backslash begins an escape in double quotes; write the text in single quotes, or two backslashes";
            return Some((what.into(), self.span.start));
        }
        if problem == "invalid basic string" || problem == "invalid literal string" {
            let what = "the text is not closed; add the quote at its end";
            return Some((what.into(), self.span.start));
        }
        let about = problem == "string values must be quoted"
            || problem == "missing opening quote"
            || ["invalid ", "unexpected leading"]
                .iter()
                .any(|it| problem.starts_with(it))
                && !problem.contains("key");
        if !about {
            return None;
        }
        let (value, at) = self.bare_value();
        let bare = value.trim_matches(['“', '”', '„', '‟', '‘', '’', '‚', '«', '»', '\'']);
        let what = if bare.is_empty() {
            return None;
        } else if ["yes", "no", "on", "off", "true", "false"]
            .contains(&bare.to_ascii_lowercase().as_str())
        {
            format!("{bare} is not a switch; write true or false")
        } else if ["null", "none", "nil", "undefined"].contains(&bare.to_ascii_lowercase().as_str())
        {
            format!("{bare} is not a value in TOML; remove the key, or give it a value")
        } else if bare.bytes().all(|b| b.is_ascii_digit()) {
            format!(
                "a number begins with no 0; write {}",
                bare.trim_start_matches('0')
            )
        } else if bare.len() < value.len() {
            format!("these are not TOML's quotes; write it in plain double quotes: \"{bare}\"")
        } else {
            format!("{bare} has no quotes; write it in double quotes: \"{bare}\"")
        };
        Some((what, at))
    }

    /// The value that the place is in, from its beginning, and its offset.
    fn bare_value(&self) -> (&str, usize) {
        let before = self
            .text
            .get(self.line_start()..self.span.start)
            .unwrap_or_default();
        let opening = before
            .rfind(['=', '[', '{', ','])
            .map_or(0, |place| place + 1);
        let skipped = before[opening..].len() - before[opening..].trim_start().len();
        let at = self.line_start() + opening + skipped;
        let value = self.text.get(at..).unwrap_or_default();
        let value = value
            .split(['\n', ',', '#', ']', '}'])
            .next()
            .unwrap_or_default()
            .trim();
        (value, at)
    }

    /// A key without a value, or a line that is none.
    fn without_value(&self, problem: &str) -> Option<Said> {
        if problem != "key with no value" && !problem.starts_with("string values") {
            return None;
        }
        let line = self.line();
        let line = line.trim();
        let word = line.split(['=', ':', ' ']).next().unwrap_or_default();
        if line.ends_with('"') && line.matches('"').count() % 2 == 1 {
            // The end of a text that began on the line before.
            let before = self.text.get(..self.line_start())?.trim_end();
            let opening = before.rfind('"')?;
            let what = "the text is not closed on its line; add the quote at its end";
            return Some((what.into(), opening));
        }
        Some((
            format!("{word} has no value; write {word} = VALUE"),
            self.span.start,
        ))
    }

    /// The list that values with commas between them would be; None if `rest`, what stands
    /// after the first, holds no more of them.
    fn meant_list(&self, rest: &str) -> Option<String> {
        let before = self.text.get(self.line_start()..self.span.start)?;
        let first = before.split_once('=')?.1.trim();
        let mut values = vec![first];
        let rest = rest.strip_prefix(',')?.split('#').next()?;
        for part in rest.split(',').map(str::trim) {
            values.extend((!part.is_empty()).then_some(part));
        }
        let is_one = |value: &&str| {
            let inner = value.trim_matches('"');
            !inner.is_empty() && !inner.contains(['"', '\'', '=', '[', ']', '{', '}'])
        };
        let is_list = values.len() > 1 && values.iter().all(is_one);
        is_list.then(|| format!("[{}]", values.join(", ")))
    }

    /// More on the line after a value.
    fn after_the_value(&self, problem: &str) -> Option<Said> {
        if !problem.starts_with("unexpected key or value") {
            return None;
        }
        let here = self.span.start;
        let rest = self.text.get(here..).unwrap_or_default();
        let rest = rest.lines().next().unwrap_or_default().trim();
        let word = rest.split(['=', ' ']).next().unwrap_or_default();
        let what = if let Some(list) = self.meant_list(rest) {
            format!("write a list: {list}")
        } else if rest.starts_with(',') {
            "a comma belongs between the elements of a list; remove it".into()
        } else if rest.contains('=') && !word.is_empty() {
            format!("write {word} = VALUE on a line of its own")
        } else if rest.starts_with(['"', '\'']) {
            "this is a second value; write a list: [\"…\", \"…\"]".into()
        } else {
            let (value, at) = self.bare_value();
            if value.starts_with(['"', '\'', '[', '{']) {
                "there is more after the value; remove it, or begin a comment with #".into()
            } else {
                let what = match value.starts_with('$') {
                    true => "variables are not replaced; write the value itself, in double quotes"
                        .into(),
                    false => {
                        format!("{value} has no quotes; write it in double quotes: \"{value}\"")
                    }
                };
                return Some((what, at));
            }
        };
        Some((what, here))
    }
}

/// `zones:`, with nothing after it.
fn is_yaml_key(line: &str) -> bool {
    let key = line.strip_suffix(':');
    key.is_some_and(|key| {
        !key.is_empty()
            && key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    })
}
