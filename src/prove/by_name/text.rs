//! A matrix by names as text in 80 columns, and as JSON.

use std::fmt::Write;

use super::naming::BUT;
use super::{MatrixCell, MatrixEnd, NamedMatrix, ReachedService};
use crate::json::{JsonText, ToJson};

/// The width that text is made for.
const WIDTH: usize = 80;

/// The marks of a cell, each with what it says.
const MARKS: [(&str, &str); 6] = [
    ("=", "on one wire: the router does not see it"),
    ("@", "at its hours alone"),
    ("~", "within its limit"),
    ("*", "from or to some addresses alone"),
    ("A>B", "opened to port A, answered or sent on as B"),
    ("(nat)", "leaves with another source address"),
];

/// What the mark of a limit says of rules that are nobody's policy.
const PERHAPS: &str = "perhaps: it depends on more than the packet";

impl ToJson for MatrixEnd {
    fn write_json(&self, json: &mut JsonText) {
        let name = ("name", &self.name as &dyn ToJson);
        match self.cameras.is_empty() {
            true => json.object(&[name]),
            false => json.object(&[("cameras", &self.cameras), name]),
        }
    }
}

impl ToJson for ReachedService {
    fn write_json(&self, json: &mut JsonText) {
        json.object(&[
            ("at-hours", &self.hours),
            ("limited", &self.limited),
            ("name", &self.name),
            ("sent-on-from", &self.sent_on),
            ("some-addresses", &self.partly),
        ]);
    }
}

/// What one row may open to one column.
struct NamedReach<'a> {
    from: &'a str,
    services: &'a [ReachedService],
    source_rewritten: bool,
    to: &'a str,
}

impl ToJson for NamedReach<'_> {
    fn write_json(&self, json: &mut JsonText) {
        json.object(&[
            ("from", &self.from),
            ("services", &self.services),
            ("source-rewritten", &self.source_rewritten),
            ("to", &self.to),
        ]);
    }
}

impl ReachedService {
    /// The name with its marks.
    pub fn marked(&self) -> String {
        let mut text = String::new();
        if let Some(opened) = &self.sent_on {
            let _ = write!(text, "{opened}>");
        }
        // What is left out has no marks.
        let (name, but) = self
            .name
            .split_at(self.name.find(BUT).unwrap_or(self.name.len()));
        text += name;
        for (is, mark) in [(self.hours, '@'), (self.limited, '~'), (self.partly, '*')] {
            if is {
                text.push(mark);
            }
        }
        text + but
    }
}

impl MatrixCell {
    /// What the cell says, word by word; a word is not to be broken.
    pub fn words(&self) -> Vec<String> {
        if self.one_wire {
            return vec!["=".to_owned()];
        }
        if self.services.is_empty() {
            return vec![".".to_owned()];
        }
        let last = self.services.len() - 1;
        let services = self.services.iter().enumerate();
        let mut words: Vec<String> = Vec::new();
        for (at, it) in services {
            let marked = it.marked() + if at == last { "" } else { "," };
            match marked.contains(BUT) {
                true => words.extend(marked.split(' ').map(str::to_owned)),
                false => words.push(marked),
            }
        }
        if self.source_rewritten {
            words.push("(nat)".to_owned());
        }
        words
    }
}

impl NamedMatrix {
    /// The marks that occur, each with what it says.
    pub fn legend(&self) -> Vec<(&'static str, &'static str)> {
        let cells = || self.cells.iter().flatten();
        let services = || cells().flat_map(|cell| &cell.services);
        let occurs = [
            cells().any(|cell| cell.one_wire),
            services().any(|it| it.hours),
            services().any(|it| it.limited),
            services().any(|it| it.partly),
            services().any(|it| it.sent_on.is_some()),
            cells().any(|cell| cell.source_rewritten),
        ];
        let marks = MARKS.into_iter().zip(occurs).filter(|(_, occurs)| *occurs);
        marks
            .map(|((mark, says), _)| match mark {
                "~" if !self.of_policy => (mark, PERHAPS),
                _ => (mark, says),
            })
            .collect()
    }

    /// The rows and columns that stand for several cameras, each once.
    pub fn groups(&self) -> Vec<&MatrixEnd> {
        let mut groups: Vec<&MatrixEnd> = Vec::new();
        let ends = self.rows.iter().chain(&self.columns);
        for end in ends.filter(|end| !end.cameras.is_empty()) {
            if !groups.contains(&end) && end.cameras.join(", ") != end.name {
                groups.push(end);
            }
        }
        groups
    }

    /// The matrix as text.
    pub fn text(&self) -> String {
        let mut text = format!("{}: what the row may open to the column\n", self.title);
        let words: Vec<Vec<Vec<String>>> = self
            .cells
            .iter()
            .map(|row| row.iter().map(MatrixCell::words).collect())
            .collect();
        let rows = self.rows.iter().map(|row| row.name.len());
        let left = rows.max().unwrap_or_default();
        let mut from = 0;
        while from < self.columns.len() {
            let (to, widths) = self.block(&words, from, WIDTH.saturating_sub(left));
            let header: Vec<Vec<String>> = self.columns[from..to]
                .iter()
                .map(|column| vec![column.name.clone()])
                .collect();
            text.push('\n');
            push_row(&mut text, ("", left), &header, &widths);
            for (row, words) in self.rows.iter().zip(&words) {
                push_row(&mut text, (&row.name, left), &words[from..to], &widths);
            }
            from = to;
        }
        let groups = self.groups();
        let legend = self.legend();
        if !groups.is_empty() || !legend.is_empty() {
            text.push('\n');
        }
        for group in groups {
            push_wrapped(&mut text, &format!("{}: ", group.name), &group.cameras);
        }
        for (mark, says) in legend {
            let _ = writeln!(text, "{mark:<5} {says}");
        }
        text
    }

    /// The columns from this one on that fit beside each other, at least one, with their
    /// widths.
    fn block(&self, words: &[Vec<Vec<String>>], from: usize, room: usize) -> (usize, Vec<usize>) {
        let widths = |column: usize, of: fn(&[String]) -> usize| {
            let cells = words.iter().map(|row| of(&row[column]));
            cells
                .max()
                .unwrap_or_default()
                .max(self.columns[column].name.len())
        };
        let narrow = |words: &[String]| words.iter().map(String::len).max().unwrap_or_default();
        let wide = |words: &[String]| words.iter().map(|word| word.len() + 1).sum::<usize>() - 1;
        let mut block: Vec<usize> = Vec::new();
        let mut taken = 0;
        for column in from..self.columns.len() {
            let width = widths(column, narrow) + 2;
            if !block.is_empty() && taken + width > room {
                break;
            }
            taken += width;
            block.push(width - 2);
        }
        // What is left goes to those that would be broken, one character after the other.
        let mut spare = room.saturating_sub(taken);
        while spare > 0 {
            let wanting = block.iter().enumerate().filter_map(|(at, width)| {
                let wanted = widths(from + at, wide);
                (wanted > *width).then_some((*width, at))
            });
            let Some((_, at)) = wanting.min() else {
                break;
            };
            block[at] += 1;
            spare -= 1;
        }
        (from + block.len(), block)
    }

    /// The matrix as JSON, with the one by IPv6 in it if there is one beside it.
    pub fn json(&self, ipv6: Option<&NamedMatrix>) -> String {
        let mut json = JsonText::default();
        self.write(ipv6, &mut json);
        json.line()
    }

    fn write(&self, ipv6: Option<&NamedMatrix>, json: &mut JsonText) {
        let mut reaches = Vec::new();
        for (row, cells) in self.rows.iter().zip(&self.cells) {
            for (column, cell) in self.columns.iter().zip(cells) {
                if !cell.services.is_empty() {
                    reaches.push(NamedReach {
                        from: &row.name,
                        services: &cell.services,
                        source_rewritten: cell.source_rewritten,
                        to: &column.name,
                    });
                }
            }
        }
        let mut members: Vec<(&str, &dyn ToJson)> = vec![
            ("connections", &self.title),
            ("from", &self.rows),
            ("reaches", &reaches),
            ("to", &self.columns),
        ];
        if let Some(ipv6) = &ipv6 {
            members.push(("ipv6", *ipv6));
        }
        json.object(&members);
    }
}

impl ToJson for NamedMatrix {
    fn write_json(&self, json: &mut JsonText) {
        self.write(None, json);
    }
}

/// One row of a table, each cell in as many lines as it takes.
fn push_row(
    text: &mut String,
    (name, left): (&str, usize),
    cells: &[Vec<String>],
    widths: &[usize],
) {
    let lines: Vec<Vec<String>> = cells
        .iter()
        .zip(widths)
        .map(|(words, width)| wrapped(words, *width))
        .collect();
    let height = lines.iter().map(Vec::len).max().unwrap_or_default();
    for at in 0..height {
        let name = if at == 0 { name } else { "" };
        let mut line = format!("{name:left$}");
        for (lines, width) in lines.iter().zip(widths) {
            let part = lines.get(at).map_or("", String::as_str);
            let _ = write!(line, "  {part:width$}");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// Words in lines of at most this width; a word that is longer has a line to itself.
pub fn wrapped(words: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.clone()),
        }
    }
    lines
}

/// A list after its title, in lines of the whole width.
fn push_wrapped(text: &mut String, title: &str, list: &[String]) {
    let last = list.len().saturating_sub(1);
    let words = list.iter().enumerate().map(|(at, word)| match at == last {
        true => word.clone(),
        false => format!("{word},"),
    });
    let words: Vec<String> = words.collect();
    for (at, line) in wrapped(&words, WIDTH - title.len().min(40))
        .iter()
        .enumerate()
    {
        let title = if at == 0 { title } else { "" };
        let _ = writeln!(text, "{title:width$}{line}", width = title.len().max(2));
    }
}
