//! What a rule of ours is for, as its comment says and as it is read back.
//!
//! Owns the text: the compiler writes no other comment of a line of the file, and
//! counters are read by this alone. `FILE:LINE PURPOSE`.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// Where in the file a rule comes from, and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleLabel {
    /// `FILE:LINE`
    pub line: String,
    /// What it is for.
    pub purpose: RulePurpose,
}

/// What a rule is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RulePurpose {
    /// Lets through what a listed camera sends, by its name.
    Camera(String),
    /// Leads to the chain of a zone, by its name.
    Zone(String),
    /// Turns away who tried too often; the camera's name where the line is a camera's.
    TriedTooOften(Option<String>),
    /// Lets in who did not.
    NotTooOften(Option<String>),
    /// Carries out a part of the line: a service, or a rewriting. With the camera's
    /// name before it where the line is a camera's.
    Part(String),
}

const CAMERA: &str = "camera ";
const ZONE: &str = "zone ";
const TRIED_TOO_OFTEN: &str = "tried too often";
const NOT_TOO_OFTEN: &str = "not too often";

impl fmt::Display for RuleLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.line, self.purpose)
    }
}

impl FromStr for RuleLabel {
    type Err = NotALabel;

    fn from_str(comment: &str) -> Result<RuleLabel, NotALabel> {
        // The file may have spaces and colons in its name.
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

/// A comment that names no line of a file.
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
