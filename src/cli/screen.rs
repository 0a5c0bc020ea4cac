//! Text for people: on a terminal in 80 columns and in colours, else a line for each line,
//! for `grep`.

use crate::host::output;

const COLUMNS: usize = 80;

const GREEN: &str = "\x1b[1;32m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

/// Lines for standard output.
pub(super) struct Screen {
    /// What is to be printed.
    pub(super) text: String,
    /// Whether it is printed to a terminal.
    pub(super) is_terminal: bool,
    has_colour: bool,
}

impl Screen {
    pub(super) fn new() -> Screen {
        let is_terminal = output::is_terminal();
        Screen {
            text: String::new(),
            is_terminal,
            has_colour: is_terminal && !output::is_without_colour(),
        }
    }

    /// Adds a line.
    pub(super) fn line(&mut self, line: &str) {
        self.add(line, "", None);
    }

    /// Adds a line that somebody should look at.
    pub(super) fn wrong(&mut self, line: &str) {
        self.add(line, RED, None);
    }

    /// Adds the line of the state, whose word so long is green or red.
    pub(super) fn state(&mut self, line: &str, word: usize, is_good: bool) {
        self.add(line, if is_good { GREEN } else { RED }, Some(word));
    }

    /// Adds a line, whose first `word` bytes are in a colour, or all of it.
    fn add(&mut self, line: &str, colour: &str, word: Option<usize>) {
        let columns = match self.is_terminal {
            true => COLUMNS,
            false => usize::MAX,
        };
        for (place, part) in wrapped(line, columns).iter().enumerate() {
            let length = match (self.has_colour && !colour.is_empty(), word) {
                (false, _) => 0,
                (true, None) => part.len(),
                (true, Some(word)) => [word, 0][place.min(1)].min(part.len()),
            };
            let (head, tail) = part.split_at(length);
            match head.is_empty() {
                true => self.text.extend([tail, "\n"]),
                false => self.text.extend([colour, head, PLAIN, tail, "\n"]),
            }
        }
    }
}

/// The line in parts that are no wider, cut at spaces; those after the first are indented.
fn wrapped(line: &str, columns: usize) -> Vec<String> {
    const INDENT: &str = "    ";
    let mut parts = Vec::new();
    let mut rest = line.to_owned();
    while rest.chars().count() > columns {
        let limit = rest
            .char_indices()
            .nth(columns)
            .map_or(rest.len(), |(at, _)| at);
        let indent = rest.len() - rest.trim_start().len();
        let space = rest.get(..=limit).and_then(|it| it.rfind(' '));
        let at = space.filter(|at| *at > indent).unwrap_or(limit);
        let next = format!("{INDENT}{}", rest[at..].trim_start());
        rest.truncate(at);
        parts.push(std::mem::replace(&mut rest, next));
    }
    parts.push(rest);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(is_terminal: bool, has_colour: bool) -> Screen {
        Screen {
            text: String::new(),
            is_terminal,
            has_colour,
        }
    }

    #[test]
    fn a_terminal_has_80_columns_and_a_pipe_lines() {
        let long = format!("  {}", "word ".repeat(60));
        let mut pipe = screen(false, false);
        pipe.wrong(&long);
        assert_eq!(pipe.text, format!("{long}\n"));
        let mut terminal = screen(true, false);
        terminal.wrong(&long);
        terminal.line(&"é".repeat(200));
        assert!(
            terminal
                .text
                .lines()
                .all(|line| line.chars().count() <= COLUMNS)
        );
        let words = terminal.text.split_whitespace();
        assert_eq!(words.filter(|word| *word == "word").count(), 60);
        assert!(!terminal.text.contains('\x1b'));
    }

    #[test]
    fn the_state_alone_is_coloured() {
        let mut terminal = screen(true, true);
        terminal.state("APPLIED for 3 s", 7, true);
        assert_eq!(terminal.text, format!("{GREEN}APPLIED{PLAIN} for 3 s\n"));
    }
}
