//! Parses TOML files into the configuration.

use serde::Deserialize;
use toml::Spanned;

use super::Config;
use crate::source::{FilePosition, Refusal, Source, SourceFile};

/// The version of the configuration format that this program reads, and of a file that has
/// no `version`.
pub const VERSION: i64 = 1;

/// Only the `version` key, of a file that may have another format.
#[derive(Deserialize)]
struct Versioned {
    version: Option<Spanned<i64>>,
}

impl Config {
    /// Parses and merges the files.
    ///
    /// # Errors
    /// The first syntax error, unknown key, wrong type or duplicate name, with its
    /// position.
    pub fn parse(source: &Source) -> Result<Config, Refusal> {
        let mut config = Config::default();
        for file in source.files() {
            config.merge(Config::parse_file(file, source)?, source)?;
        }
        Ok(config)
    }

    fn parse_file(file: &SourceFile, source: &Source) -> Result<Config, Refusal> {
        // Padded so that the parser's offsets count through all files.
        let text = " ".repeat(file.start) + &file.text;
        let parsed: Result<Config, _> = toml::from_str(&text);
        // A file of another version may have unknown keys, so the version is reported
        // first, whatever other errors were found.
        let version = match &parsed {
            Ok(config) => config.version.clone(),
            Err(_) => toml::from_str(&text)
                .ok()
                .and_then(|Versioned { version }| version),
        };
        if let Some(other) = version.filter(|version| *version.get_ref() != VERSION) {
            return Err(source.refuse(
                other.span(),
                format_args!(
                    "version {} of the configuration is not known to this camfw, which reads version {VERSION}; \
                     install the camfw that this file was written for, or write the file as version {VERSION}",
                    other.get_ref()
                ),
            ));
        }
        parsed.map_err(|error| {
            let message = error.message();
            let what = format!("{message}{}", remedy(message));
            match error.span() {
                Some(span) => source.refuse(span.start.max(file.start)..span.end, what),
                None => Refusal::new(&file.name, FilePosition::START, what),
            }
        })
    }
}

/// What to do, if TOML's or serde's message does not say it.
fn remedy(message: &str) -> &'static str {
    if message.starts_with("missing field") {
        "; add it to this table"
    } else if message.starts_with("duplicate key") {
        "; keep one of the two"
    } else if message.contains("expected") {
        ""
    } else {
        "; write it as TOML 1.0 has it"
    }
}
