//! Places in the configuration file, and the one line that refuses it.
//!
//! Owns the text as read and the way from a byte offset to `line:column`.
//! Never reads a file.

use std::fmt;
use std::ops::Range;

/// A configuration file's text under the name it was given.
#[derive(Debug, Clone)]
pub struct Source {
    /// The path as the user wrote it; it begins every refusal.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// A place in a file, both counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// Where a refusal points when it is about the file as a whole.
    pub const START: Place = Place { line: 1, column: 1 };
}

impl Source {
    /// Takes a file's name and text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Source {
        Source {
            name: name.into(),
            text: text.into(),
        }
    }

    /// The place of a byte offset; one past the end is the end.
    pub fn place(&self, offset: usize) -> Place {
        place_in(&self.text, offset)
    }

    /// A refusal at the start of `span`, with what is wrong and what to do.
    pub fn refuse(&self, span: Range<usize>, what: impl fmt::Display) -> Refusal {
        Refusal::new(&self.name, self.place(span.start), what)
    }
}

/// The place of a byte offset in a text.
pub fn place_in(text: &str, offset: usize) -> Place {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

/// Why a configuration is not accepted: one line, `file:line:column: what`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    file: String,
    place: Place,
    what: String,
}

impl Refusal {
    /// Makes a refusal; text of several lines is folded into one.
    pub fn new(file: &str, place: Place, what: impl fmt::Display) -> Refusal {
        Refusal {
            file: one_line(file),
            place,
            what: one_line(&what.to_string()),
        }
    }

    /// The place it points to.
    pub fn place(&self) -> Place {
        self.place
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        write!(f, "{}:{line}:{column}: {}", self.file, self.what)
    }
}

impl std::error::Error for Refusal {}

/// Folds line ends into `; ` and shows other control characters escaped, so
/// that no input can write a second line, or a terminal sequence, into a log.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for part in text.split(['\n', '\r']).map(str::trim_end) {
        if part.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push_str("; ");
        }
        for c in part.chars() {
            if c.is_control() {
                line.extend(c.escape_default());
            } else {
                line.push(c);
            }
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_from_one() {
        let source = Source::new("f", "a\nüb = 1\n");
        assert_eq!(source.place(0), Place { line: 1, column: 1 });
        assert_eq!(source.place(4), Place { line: 2, column: 2 });
        // inside the two bytes of ü, and past the end
        assert_eq!(source.place(3), Place { line: 2, column: 1 });
        assert_eq!(source.place(99), Place { line: 3, column: 1 });
    }

    #[test]
    fn a_refusal_is_one_line() {
        let refusal = Refusal::new("a\nb", Place::START, "x\n y\u{1b}[0m\n");
        assert_eq!(refusal.to_string(), "a; b:1:1: x;  y\\u{1b}[0m");
    }
}
