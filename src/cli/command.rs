//! A command, defined once as data, beside its code.

use super::args::Given;
use super::error::CliError;
use super::flag::Flag;
use crate::exit_code::ExitCode;

/// What `camfw` can be told to do.
#[derive(Debug)]
pub struct Command {
    /// Its name, of one word or two.
    pub name: &'static str,
    /// What it is given beside flags, by name; in brackets what may be left out, with
    /// dots what may be several words.
    pub operands: &'static [&'static str],
    /// What it does, in one line; empty for one that only camfw itself calls.
    pub summary: &'static str,
    /// What there is to know beyond that, in lines of at most 80 characters.
    pub about: &'static str,
    /// Its own flags; those in [`super::EVERY_COMMANDS_FLAGS`] come to them.
    pub flags: &'static [Flag],
    /// Its code.
    pub(super) run: Run,
}

type Run = fn(&Given) -> Result<ExitCode, CliError>;

impl Command {
    /// One without operands and flags of its own.
    pub(super) const fn new(name: &'static str, summary: &'static str, run: Run) -> Command {
        Command {
            name,
            operands: &[],
            summary,
            about: "",
            flags: &[],
            run,
        }
    }

    pub(super) const fn operands(self, operands: &'static [&'static str]) -> Command {
        Command { operands, ..self }
    }

    pub(super) const fn about(self, about: &'static str) -> Command {
        Command { about, ..self }
    }

    pub(super) const fn flags(self, flags: &'static [Flag]) -> Command {
        Command { flags, ..self }
    }

    /// `show rules`, `compare OLD NEW`
    pub fn usage(&self) -> String {
        let name = [self.name].into_iter();
        let words: Vec<&str> = name.chain(self.operands.iter().copied()).collect();
        words.join(" ")
    }

    /// Whether it is none for users.
    pub fn is_hidden(&self) -> bool {
        self.summary.is_empty()
    }

    /// Whether so many operands are right.
    pub(super) fn takes(&self, operands: usize) -> bool {
        let needed = self.operands.iter().filter(|it| !it.starts_with('['));
        let several = self.operands.iter().any(|it| it.contains("..."));
        operands >= needed.count() && (several || operands <= self.operands.len())
    }

    /// Whether its name begins with these words.
    pub(super) fn begins_with(&self, words: &[String]) -> bool {
        let mut own = self.name.split(' ');
        words.iter().all(|word| own.next() == Some(word))
    }

    /// Whether these words begin with its name, as those of `compare a b` do.
    pub(super) fn begins(&self, words: &[String]) -> bool {
        let mut words = words.iter();
        let mut own = self.name.split(' ');
        own.all(|own| words.next().is_some_and(|word| word == own))
    }
}
