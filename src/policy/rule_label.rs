//! The purpose of a rule, as it is written in the rule's comment and read back.
//!
//! Owns that text, `FILE:LINE PURPOSE`: the compiler writes no other comment for a line of
//! the file, and counters are read by this text alone.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// The line of the file that a rule comes from, and the rule's purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleLabel {
    /// `FILE:LINE`
    pub line: String,
    /// The purpose.
    pub purpose: RulePurpose,
}

/// The purpose of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RulePurpose {
    /// Accepts packets from a listed camera, by its name.
    Camera(String),
    /// Jumps to the chain of a zone, by its name.
    Zone(String),
    /// Blocks a source that tried too often; with the camera's name if it is a camera's
    /// line.
    TriedTooOften(Option<String>),
    /// Accepts a source that did not; with the camera's name if it is a camera's line.
    NotTooOften(Option<String>),
    /// Accepts what belongs to a connection that is open, which no limit counts again; with
    /// the camera's name if it is a camera's line.
    OpenAlready(Option<String>),
    /// Implements a part of the line: a service, or a rewritten address. Starts with the
    /// camera's name if it is a camera's line.
    Part(String),
}

const CAMERA: &str = "camera ";
const ZONE: &str = "zone ";
const TRIED_TOO_OFTEN: &str = "tried too often";
const NOT_TOO_OFTEN: &str = "not too often";
const OPEN_ALREADY: &str = "open already";

impl fmt::Display for RuleLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.line, self.purpose)
    }
}

impl FromStr for RuleLabel {
    type Err = NotALabel;

    fn from_str(comment: &str) -> Result<RuleLabel, NotALabel> {
        // The file's name may contain spaces and colons.
        let end = comment.match_indices(':').find_map(|(place, _)| {
            let digits = comment[place + 1..].bytes();
            let digits = digits.take_while(u8::is_ascii_digit).count();
            let end = place + 1 + digits;
            (digits > 0 && comment[end..].starts_with(' ')).then_some(end)
        });
        let end = end.ok_or(NotALabel)?;
        let Ok(purpose) = comment[end + 1..].parse();
        Ok(RuleLabel {
            line: comment[..end].to_owned(),
            purpose,
        })
    }
}

/// A comment that does not name a line of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotALabel;

impl fmt::Display for RulePurpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |camera: &Option<String>| match camera {
            Some(camera) => format!("{camera} "),
            None => String::new(),
        };
        match self {
            RulePurpose::Camera(name) => write!(f, "{CAMERA}{name}"),
            RulePurpose::Zone(name) => write!(f, "{ZONE}{name}"),
            RulePurpose::TriedTooOften(camera) => write!(f, "{}{TRIED_TOO_OFTEN}", of(camera)),
            RulePurpose::NotTooOften(camera) => write!(f, "{}{NOT_TOO_OFTEN}", of(camera)),
            RulePurpose::OpenAlready(camera) => write!(f, "{}{OPEN_ALREADY}", of(camera)),
            RulePurpose::Part(what) => f.write_str(what),
        }
    }
}

impl FromStr for RulePurpose {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<RulePurpose, Infallible> {
        let of = |end: &str| {
            let camera = text.strip_suffix(end)?;
            match camera.strip_suffix(' ') {
                Some(camera) => Some(Some(camera.to_owned())),
                None => camera.is_empty().then_some(None),
            }
        };
        if let Some(camera) = of(TRIED_TOO_OFTEN) {
            return Ok(RulePurpose::TriedTooOften(camera));
        }
        if let Some(camera) = of(NOT_TOO_OFTEN) {
            return Ok(RulePurpose::NotTooOften(camera));
        }
        if let Some(camera) = of(OPEN_ALREADY) {
            return Ok(RulePurpose::OpenAlready(camera));
        }
        if let Some(name) = text.strip_prefix(CAMERA) {
            return Ok(RulePurpose::Camera(name.to_owned()));
        }
        if let Some(name) = text.strip_prefix(ZONE) {
            return Ok(RulePurpose::Zone(name.to_owned()));
        }
        Ok(RulePurpose::Part(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_read_back_as_it_was_written() {
        let name = || "porch".to_owned();
        for purpose in [
            RulePurpose::Camera(name()),
            RulePurpose::Zone(name()),
            RulePurpose::TriedTooOften(None),
            RulePurpose::TriedTooOften(Some(name())),
            RulePurpose::NotTooOften(None),
            RulePurpose::NotTooOften(Some(name())),
            RulePurpose::OpenAlready(None),
            RulePurpose::OpenAlready(Some(name())),
            RulePurpose::Part("tcp 80,81".into()),
        ] {
            let label = RuleLabel {
                line: "my c:1.toml:30".into(),
                purpose,
            };
            assert_eq!(label.to_string().parse(), Ok(label));
        }
        for comment in ["established", "spoofed source", "c.toml:", "c.toml:12"] {
            assert_eq!(comment.parse::<RuleLabel>(), Err(NotALabel), "{comment}");
        }
    }
}
