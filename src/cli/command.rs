//! The definition of a command, as data beside its code.

use super::args::Given;
use super::error::CliError;
use super::flag::Flag;
use crate::exit_code::ExitCode;

/// A command of `camfw`.
#[derive(Debug)]
pub struct Command {
    /// The name: one word or two.
    pub name: &'static str,
    /// The names of the operands; those in brackets are optional, and dots mean that
    /// several words are accepted.
    pub operands: &'static [&'static str],
    /// A one-line summary; empty for commands that only camfw itself calls.
    pub summary: &'static str,
    /// Further explanation, in lines of at most 80 characters.
    pub about: &'static str,
    /// The command's own flags; those in [`super::EVERY_COMMANDS_FLAGS`] are added.
    pub flags: &'static [Flag],
    /// The code that runs the command.
    pub(super) run: Run,
}

type Run = fn(&Given) -> Result<ExitCode, CliError>;

impl Command {
    /// Creates a command without operands and without flags of its own.
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

    /// The usage, such as `show rules` or `compare OLD NEW`.
    pub fn usage(&self) -> String {
        let name = [self.name].into_iter();
        let words: Vec<&str> = name.chain(self.operands.iter().copied()).collect();
        words.join(" ")
    }

    /// Whether the command is hidden from users.
    pub fn is_hidden(&self) -> bool {
        self.summary.is_empty()
    }

    /// Whether the command accepts this number of operands.
    pub(super) fn takes(&self, operands: usize) -> bool {
        let needed = self.operands.iter().filter(|it| !it.starts_with('['));
        let several = self.operands.iter().any(|it| it.contains("..."));
        operands >= needed.count() && (several || operands <= self.operands.len())
    }

    /// Whether the command's name begins with these words.
    pub(super) fn begins_with(&self, words: &[String]) -> bool {
        let mut own = self.name.split(' ');
        words.iter().all(|word| own.next() == Some(word))
    }

    /// Whether these words begin with the command's name, as in `compare a b`.
    pub(super) fn begins(&self, words: &[String]) -> bool {
        let mut words = words.iter();
        let mut own = self.name.split(' ');
        own.all(|own| words.next().is_some_and(|word| word == own))
    }
}
