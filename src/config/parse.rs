//! Parses TOML files into the configuration.

use super::Config;
use super::document::{Document, Mistake, Twice};
use super::in_words::in_words;
use crate::nearest::did_you_mean;
use crate::source::{FilePosition, Refusal, Refused, Source, SourceFile};

/// The version of the configuration format that this program reads, and of a file that has
/// no `version`.
pub const VERSION: i64 = 1;

/// The keys of a file of guarantees.
const OF_GUARANTEES: &[&str] = &["version", "guarantees", "services"];

/// The most mistakes of one file that are looked for before what it says is looked at.
const MOST_MISTAKES: usize = 50;

/// More than any key has, and fewer than the parser takes.
const MOST_DOTS: usize = 70;

impl Config {
    /// Parses the files, each of which completes the tables of those before it, and merges them.
    ///
    /// # Errors
    /// The first syntax error of each file, each unknown key, wrong type and missing key, and each
    /// key that is in two files, with its position.
    pub fn parse(source: &Source) -> Result<Config, Refusal> {
        let mut refused = Refused::default();
        let texts = source.files();
        let texts = texts.iter().map(|file| (file, padded(file)));
        let texts: Vec<(&SourceFile, String)> = texts.collect();
        let mut documents: Vec<Document<'_>> = Vec::new();
        for (file, text) in &texts {
            let read = Config::read(file, text, source);
            let Some(mut document) = refused.note(read) else {
                continue;
            };
            for earlier in &mut documents {
                for Twice { key, first, second } in earlier.complete(&mut document) {
                    let first = source.pointer(first.start);
                    refused.note::<()>(Err(source.refuse(
                        second,
                        format_args!("{key} is already set at {first}; keep one of the two"),
                    )));
                }
            }
            documents.push(document);
        }
        let is_whole = documents.len() == texts.len();
        let mut config = Config::default();
        for document in &mut documents {
            let refusal = |mistake: &Mistake| {
                let of = mistake.span().and_then(|span| {
                    let mut after = texts.iter().rev();
                    after.find(|(file, _)| file.start <= span.start)
                });
                match of.or(texts.first()) {
                    Some((file, text)) => refusal(mistake, file, text, source),
                    None => Refusal::consequence(),
                }
            };
            if let Some(more) = filled(document, is_whole, refusal, &mut refused) {
                config.merge(more);
            }
        }
        refused.or(config)
    }

    /// Parses files of guarantees alone, and of the services that they name.
    ///
    /// # Errors
    /// What [`Config::parse`] refuses, a table that says nothing about other people's
    /// rules, and that there is no guarantee.
    pub fn parse_guarantees(source: &Source) -> Result<Config, Refusal> {
        for file in source.files() {
            let text = padded(file);
            let document = Document::parse(&text).ok();
            let other = document
                .as_ref()
                .and_then(|it| it.other_than(OF_GUARANTEES));
            if let Some((key, span)) = other {
                let known = OF_GUARANTEES.iter().copied();
                let instead = did_you_mean(key, known).unwrap_or_else(|| {
                    "leave [[guarantees]] and [services.NAME] alone in this file".into()
                });
                return Err(source.refuse(
                    span,
                    format_args!("{key} says nothing about other people's rules; {instead}"),
                ));
            }
        }
        let config = Config::parse(source)?;
        if config.guarantees.is_empty() {
            let what = "there is no guarantee; write one, as in: [[guarantees]] never = { from = \"eth1\", to = \"eth0\" }";
            return Err(Refusal::new(source.name(), FilePosition::START, what));
        }
        Ok(config)
    }

    fn read<'t>(
        file: &SourceFile,
        text: &'t str,
        source: &Source,
    ) -> Result<Document<'t>, Refusal> {
        let document =
            Document::parse(text).map_err(|mistake| refusal(&mistake, file, text, source))?;
        // A file of another version may have unknown keys, so the version is reported
        // first, whatever other errors were found.
        let version = document.number("version");
        match version.filter(|version| *version.get_ref() != VERSION) {
            None => Ok(document),
            Some(other) => Err(source.refuse(
                other.span(),
                format_args!(
                    "version {} of the configuration is not known to this camfw, which reads version {VERSION}; \
                     install the camfw that this file was written for, or write the file as version {VERSION}",
                    other.get_ref()
                ),
            )),
        }
    }
}

/// The configuration of a file; if something is wrong in it, notes what, each time without what
/// was wrong before.
fn filled(
    document: &mut Document<'_>,
    is_whole: bool,
    refusal: impl Fn(&Mistake) -> Refusal,
    refused: &mut Refused,
) -> Option<Config> {
    let mut pruned = Vec::new();
    loop {
        let mistake = match document.fill() {
            Ok(config) => return pruned.is_empty().then_some(config),
            Err(mistake) => mistake,
        };
        let place = mistake.span();
        // What is missing may be in a file that is no TOML, or what was wrong there before.
        let is_elsewhere = !is_whole || place.as_ref().is_some_and(|it| pruned.contains(it));
        refused.note::<()>(Err(match mistake.is_of_a_missing_key() && is_elsewhere {
            true => Refusal::consequence(),
            false => refusal(&mistake),
        }));
        match place.and_then(|place| document.take_out(&place)) {
            Some(table) if pruned.len() < MOST_MISTAKES => pruned.push(table),
            _ => return None,
        }
    }
}

fn refusal(mistake: &Mistake, file: &SourceFile, text: &str, source: &Source) -> Refusal {
    match mistake.span() {
        Some(span) => {
            let said = in_words(mistake.what(), span, text);
            let at = said.at.max(file.start);
            source.refuse(at..at, said.what)
        }
        // It has no place where a key has too many dots.
        None => {
            let line = |line: &str| line.matches('.').count() > MOST_DOTS;
            let before = file.text.split_inclusive('\n').take_while(|it| !line(it));
            let at = file.start + before.map(str::len).sum::<usize>();
            source.refuse(at..at, in_words(mistake.what(), at..at, text).what)
        }
    }
}

/// The text after so many spaces that the parser's offsets count through all files. The
/// parser would take a byte order mark at the beginning alone.
fn padded(file: &SourceFile) -> String {
    let body = file.text.strip_prefix('\u{feff}').unwrap_or(&file.text);
    " ".repeat(file.start + file.text.len() - body.len()) + body
}
