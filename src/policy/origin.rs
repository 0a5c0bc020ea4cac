//! Positions in the configuration files, as rules and messages show them.

use std::fmt;
use std::sync::Arc;

use super::{RuleLabel, RulePurpose};
use crate::name::Comment;
use crate::source::Source;

/// The line of the file that something comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    file: Arc<str>,
    /// The file's index; the main file is 0.
    pub(super) number: usize,
    /// The line number, from 1.
    pub line: usize,
}

impl Origin {
    /// The line at this offset. The file has its short name, so that it gives the same rules
    /// wherever it is.
    pub fn new(source: &Source, offset: usize) -> Origin {
        let (number, place) = source.locate(offset);
        let file = source.files().get(number);
        Origin {
            file: file.map_or_else(|| "".into(), |file| file.short_name.clone()),
            number,
            line: place.line,
        }
    }

    /// The comment for a rule from this line, without characters that a comment cannot
    /// contain.
    pub fn comment(&self, purpose: RulePurpose) -> Option<Comment> {
        let label = RuleLabel {
            line: self.to_string(),
            purpose,
        };
        Comment::try_from(label.to_string().as_str())
            .or_else(|_| Comment::try_from(label.line.as_str()))
            .ok()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
