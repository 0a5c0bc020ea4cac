//! Positions in the configuration files, and the one-line refusal of a file.
//!
//! Owns the texts as read and the mapping from a byte offset to `file:line:column`.
//! Reads no file itself.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The configuration: the main file and its drop-ins, in reading order, and the lists of
/// addresses that they name. Byte offsets run through all of them, so that one number
/// identifies one position.
#[derive(Debug, Clone)]
pub struct Source {
    files: Vec<SourceFile>,
    /// How many of the files are lists, which are the last.
    lists: usize,
}

/// One file of the configuration, or one list.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// The path as the user gave it; every refusal begins with it.
    pub name: String,
    /// The last component of that path, in characters that a rule's comment can have. Shared,
    /// since thousands of entries remember which file they are from.
    pub short_name: Arc<str>,
    /// The whole text.
    pub text: String,
    /// The offset of the file's first byte within the whole configuration.
    pub start: usize,
    /// The byte offset of each line start, within this file.
    lines: Vec<usize>,
}

/// A position in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FilePosition {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl FilePosition {
    /// The position of a refusal that concerns the whole file.
    pub const START: FilePosition = FilePosition { line: 1, column: 1 };
}

impl Source {
    /// Creates a configuration from the main file's name and text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Source {
        let (files, lists) = (Vec::new(), 0);
        Source { files, lists }.with(name, text)
    }

    /// Appends a list of addresses, under the path by which it is named. No drop-in may follow.
    pub fn with_list(self, path: impl Into<String>, text: impl Into<String>) -> Source {
        let lists = self.lists + 1;
        let files = self.with(path, text).files;
        Source { files, lists }
    }

    /// Appends a drop-in file.
    pub fn with(mut self, name: impl Into<String>, text: impl Into<String>) -> Source {
        let text = text.into();
        let starts = text.match_indices('\n').map(|(newline, _)| newline + 1);
        let name = name.into();
        self.files.push(SourceFile {
            short_name: short_name(&name),
            name,
            start: self.files.last().map_or(0, |last| last.end() + 1),
            lines: std::iter::once(0).chain(starts).collect(),
            text,
        });
        self
    }

    /// The files of the configuration; the first is the main one.
    pub fn files(&self) -> &[SourceFile] {
        self.split().0
    }

    /// The lists that these name, in the order in which they were added.
    pub fn lists(&self) -> &[SourceFile] {
        self.split().1
    }

    /// The files of the configuration, and the lists after them.
    fn split(&self) -> (&[SourceFile], &[SourceFile]) {
        self.files.split_at(self.files.len() - self.lists)
    }

    /// The name of the main file.
    pub fn name(&self) -> &str {
        self.files.first().map_or("", |file| &file.name)
    }

    /// Finds the file that contains an offset, and the position within it. An offset
    /// past the end gives the end. Returns the file's index.
    pub fn locate(&self, offset: usize) -> (usize, FilePosition) {
        let number = self
            .files
            .partition_point(|file| file.start <= offset)
            .saturating_sub(1);
        match self.files.get(number) {
            Some(file) => (number, file.place(offset - file.start)),
            None => (0, FilePosition::START),
        }
    }

    /// Creates a refusal at the start of `span`; `what` says what is wrong and what to
    /// do.
    pub fn refuse(&self, span: Range<usize>, what: impl fmt::Display) -> Refusal {
        let (file, place) = self.locate(span.start);
        let name = self.files.get(file).map_or("", |file| &file.name);
        let Refusal(mut places) = Refusal::new(name, place, what);
        for place in &mut places {
            place.offset = span.start;
        }
        Refusal(places)
    }

    /// `file:line` of an offset, to refer to it from another message.
    pub fn pointer(&self, offset: usize) -> String {
        let (file, place) = self.locate(offset);
        let name = self.files.get(file).map_or("", |file| &file.name);
        format!("{name}:{}", place.line)
    }
}

fn short_name(path: &str) -> Arc<str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let safe = |c: char| match c.is_ascii_alphanumeric() || "._-".contains(c) {
        true => c,
        false => '_',
    };
    let name: String = name.chars().map(safe).take(64).collect();
    name.into()
}

impl SourceFile {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// The position of a byte offset of this file.
    fn place(&self, offset: usize) -> FilePosition {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let line = self.lines.partition_point(|start| *start <= end);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        FilePosition {
            line,
            column: self.text[start..end].chars().count() + 1,
        }
    }
}

/// Why a configuration is refused: a line for each mistake, `file:line:column: what`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(Vec<RefusedPlace>);

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RefusedPlace {
    file: String,
    place: FilePosition,
    /// Whether it concerns a file that could not be read, in which there is no place.
    is_unread: bool,
    what: String,
    /// The offset within the whole configuration, by which refusals are sorted.
    offset: usize,
}

impl Refusal {
    /// Creates a refusal; a text of several lines is folded into one.
    pub fn new(file: &str, place: FilePosition, what: impl fmt::Display) -> Refusal {
        Refusal(vec![RefusedPlace {
            file: one_line(file),
            place,
            is_unread: false,
            what: one_line(&what.to_string()),
            offset: 0,
        }])
    }

    /// The same of a file that could not be read: its line names no position.
    pub fn unread(file: &str, what: impl fmt::Display) -> Refusal {
        let Refusal(mut places) = Refusal::new(file, FilePosition::START, what);
        for place in &mut places {
            place.is_unread = true;
        }
        Refusal(places)
    }

    /// The same, with more about it.
    #[must_use]
    pub fn with(mut self, more: &str) -> Refusal {
        for place in &mut self.0 {
            place.what = format!("{} ({more})", place.what);
        }
        self
    }

    /// A refusal of what is only a consequence of another one, such as the use of a name
    /// whose own table is refused. It is not told.
    pub fn consequence() -> Refusal {
        Refusal(Vec::new())
    }

    /// The position that it points to.
    pub fn place(&self) -> FilePosition {
        let first = self.0.first();
        first.map_or(FilePosition::START, |first| first.place)
    }

    /// Everything that is wrong, in the order of the files: file, position and what.
    pub fn places(&self) -> impl Iterator<Item = (&str, FilePosition, &str)> {
        let places = self.0.iter();
        places.map(|it| (it.file.as_str(), it.place, it.what.as_str()))
    }

    /// The line of everything that is wrong, in the order of the files.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }
}

impl fmt::Display for RefusedPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FilePosition { line, column } = self.place;
        match self.is_unread {
            true => write!(f, "{}: {}", self.file, self.what),
            false => write!(f, "{}:{line}:{column}: {}", self.file, self.what),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("it follows from what else is refused"),
            [one] => write!(f, "{one}"),
            [first, more @ ..] => {
                let more = more.len();
                write!(f, "{first} (and {more} more; camfw check shows all)")
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// What is refused so far, while the rest is looked at.
#[derive(Debug, Default)]
pub struct Refused {
    all: Vec<RefusedPlace>,
    /// Whether anything was refused, told or not.
    any: bool,
}

impl Refused {
    /// The value, or None after its refusal is noted.
    pub fn note<T>(&mut self, result: Result<T, Refusal>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(Refusal(places)) => {
                self.any = true;
                for place in places {
                    if !self.all.contains(&place) {
                        self.all.push(place);
                    }
                }
                None
            }
        }
    }

    /// The values of all items, or what is refused of all of them.
    ///
    /// # Errors
    /// Returns every refusal.
    pub fn each<I, T>(
        items: impl IntoIterator<Item = I>,
        mut read: impl FnMut(I) -> Result<T, Refusal>,
    ) -> Result<Vec<T>, Refusal> {
        let mut refused = Refused::default();
        let items = items.into_iter();
        let values = items.filter_map(|item| refused.note(read(item))).collect();
        refused.or(values)
    }

    /// Whether anything was refused so far.
    pub fn any(&self) -> bool {
        self.any
    }

    /// The value, if nothing was refused.
    ///
    /// # Errors
    /// Returns every refusal, in the order of the files.
    pub fn or<T>(mut self, value: T) -> Result<T, Refusal> {
        if !self.any {
            return Ok(value);
        }
        self.all.sort_by_key(|place| place.offset);
        Err(Refusal(self.all))
    }
}

/// Folds line ends into `; ` and escapes other control characters, so that no input can
/// write a second line, or a terminal escape sequence, into a log.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let text = crate::error::without_number(text.to_owned());
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
        let at = |offset| source.locate(offset).1;
        assert_eq!(at(0), FilePosition { line: 1, column: 1 });
        assert_eq!(at(4), FilePosition { line: 2, column: 2 });
        // inside the two bytes of ü, and past the end
        assert_eq!(at(3), FilePosition { line: 2, column: 1 });
        assert_eq!(at(99), FilePosition { line: 3, column: 1 });
    }

    #[test]
    fn one_offset_is_one_place_in_one_file() {
        let source = Source::new("a", "x\ny").with("b", "").with("c", "z\nw\n");
        assert_eq!(source.pointer(2), "a:2");
        assert_eq!(source.pointer(4), "b:1");
        assert_eq!(source.pointer(5), "c:1");
        assert_eq!(source.pointer(7), "c:2");
    }

    #[test]
    fn lists_are_no_files_of_the_configuration_and_have_places() {
        let source = Source::new("a", "x\ny")
            .with("b", "")
            .with_list("/l", "1\n2\n");
        let names = |files: &[SourceFile]| -> Vec<String> {
            files.iter().map(|file| file.name.clone()).collect()
        };
        assert_eq!(names(source.files()), ["a", "b"]);
        assert_eq!(names(source.lists()), ["/l"]);
        assert_eq!(source.pointer(source.lists()[0].start + 2), "/l:2");
    }

    #[test]
    fn all_refusals_come_in_the_order_of_the_files() -> Result<(), Refusal> {
        let source = Source::new("a", "x\ny\n").with("b", "z\n");
        let at = |offset: usize| source.refuse(offset..offset, format_args!("no {offset}"));
        let read = |offset: usize| match offset {
            9 => Ok(offset),
            8 => Err(Refusal::consequence()),
            _ => Err(at(offset)),
        };
        let refused = Refused::each([5, 9, 2, 8, 0, 2], read);
        let Err(refusal) = refused else {
            panic!("{refused:?}");
        };
        let lines: Vec<String> = refusal.lines().collect();
        assert_eq!(lines, ["a:1:1: no 0", "a:2:1: no 2", "b:1:1: no 5"]);
        assert_eq!(
            refusal.to_string(),
            "a:1:1: no 0 (and 2 more; camfw check shows all)"
        );
        assert_eq!(Refused::each([9, 9], read)?, [9, 9]);
        assert!(Refused::each([8], read).is_err());
        Ok(())
    }

    #[test]
    fn a_refusal_is_one_line() {
        let refusal = Refusal::new("a\nb", FilePosition::START, "x\n y\u{1b}[0m\n");
        assert_eq!(refusal.to_string(), "a; b:1:1: x;  y\\u{1b}[0m");
        let refusal = Refusal::unread("a", "x\ny");
        assert_eq!(refusal.to_string(), "a: x; y");
    }
}
