//! TOML -> the configuration as written, of each file and of all of them.

use serde::Deserialize;
use toml::Spanned;

use super::Config;
use crate::source::{FilePosition, Refusal, Source, SourceFile};

/// The version of the format that this program reads. A file that does not say has this one.
pub const VERSION: i64 = 1;

/// The version alone, of a file that may be of another one.
#[derive(Deserialize)]
struct Versioned {
    version: Option<Spanned<i64>>,
}

impl Config {
    /// Reads the files' texts.
    ///
    /// # Errors
    /// One line with the place of what TOML or the keys above do not take, or
    /// of a name that was defined already.
    pub fn parse(source: &Source) -> Result<Config, Refusal> {
        let mut config = Config::default();
        for file in source.files() {
            config.merge(Config::parse_file(file, source)?, source)?;
        }
        Ok(config)
    }

    fn parse_file(file: &SourceFile, source: &Source) -> Result<Config, Refusal> {
        // Blanks before it make the parser's offsets count through all files.
        let text = " ".repeat(file.start) + &file.text;
        let parsed: Result<Config, _> = toml::from_str(&text);
        // The keys of another version need not be known here: its number is the mistake
        // to name, whatever else was found.
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

/// What to do, where TOML's or serde's message does not say it.
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
