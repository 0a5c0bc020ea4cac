//! Parses command-line arguments into a command, its operands and its flags.
//!
//! Owns that a flag may come before, between or after the words of its command.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lexopt::Arg;

use super::command::Command;
use super::error::UsageError;
use super::flag::Flag;
use super::{COMMANDS, help};
use crate::field::duration;

/// The default path of the configuration.
pub(super) const DEFAULT_CONFIG: &str = "/etc/camfw/camfw.toml";

const CONFIG: Flag = Flag::valued(
    "config",
    "FILE",
    "the configuration; /etc/camfw/camfw.toml unless given",
)
.short('c');
const VERBOSE: Flag = Flag::switch("verbose", "log more").short('v');
const HELP: Flag = Flag::switch("help", "print help, of the command if one is named").short('h');
const VERSION: Flag = Flag::switch("version", "print the version").short('V');

/// The flags that every command accepts.
pub const EVERY_COMMANDS_FLAGS: &[Flag] = &[CONFIG, VERBOSE, HELP, VERSION];

/// The parsed arguments.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// The words that are neither flags nor their values; once the command is found,
    /// those after its name.
    words: Vec<String>,
    /// The flags with their values, in the given order.
    flags: Vec<(&'static str, OsString)>,
}

impl Given {
    /// Parses the arguments after the program's name.
    pub(super) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Given, UsageError> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        if let Some(flag) = arguments.iter().find_map(|it| one_dash(it)) {
            return Err(UsageError::OneDash(flag));
        }
        let mut parser = lexopt::Parser::from_args(arguments);
        let mut given = Given::default();
        while let Some(argument) = parser.next()? {
            let flag = match argument {
                Arg::Value(word) => {
                    given.words.push(word.to_string_lossy().into_owned());
                    continue;
                }
                Arg::Long(name) => every_flag().find(|flag| flag.name == name),
                Arg::Short(letter) => every_flag().find(|flag| flag.short == Some(letter)),
            };
            let Some(flag) = flag else {
                let flag = match argument {
                    Arg::Long(name) => format!("--{name}"),
                    Arg::Short(letter) => format!("-{letter}"),
                    Arg::Value(_) => String::new(),
                };
                let command = command_of(&given.words);
                return Err(UsageError::UnknownFlag { flag, command });
            };
            let value = match flag.value {
                Some(_) => parser.value().map_err(|_| UsageError::NoValue(flag))?,
                None => OsString::new(),
            };
            given.flags.push((flag.name, value));
        }
        Ok(given)
    }

    /// The text for `--help` or `--version`, if one of them is given.
    pub(super) fn wants_text(&self) -> Result<Option<String>, UsageError> {
        if self.has(&HELP) {
            return help::of(&self.words).map(Some);
        }
        Ok(self.has(&VERSION).then(help::version))
    }

    /// Looks the command up; the remaining words are its operands.
    pub(super) fn command(mut self) -> Result<(&'static Command, Given), UsageError> {
        if self.words.is_empty() {
            return Err(UsageError::NoCommand);
        }
        let Some(command) = command_of(&self.words) else {
            return Err(UsageError::UnknownCommand(self.words));
        };
        self.words.drain(..command.name.split(' ').count());
        if !command.takes(self.words.len()) {
            // `--confirm 5 minutes`, of which the shell makes two words.
            let split = self.flags.iter().find_map(|(name, value)| {
                let time = format!("{} {}", value.to_string_lossy(), self.words.first()?);
                duration(&time)?;
                Some(UsageError::Unquoted(name, time))
            });
            return Err(split.unwrap_or(UsageError::Operands(command)));
        }
        let knows = |name: &str| {
            let mut flags = command.flags.iter().chain(EVERY_COMMANDS_FLAGS);
            flags.any(|flag| flag.name == name)
        };
        match self.flags.iter().find(|(name, _)| !knows(name)) {
            Some((name, _)) => Err(UsageError::UnknownFlag {
                flag: format!("--{name}"),
                command: Some(command),
            }),
            None => Ok((command, self)),
        }
    }

    /// The path of the configuration.
    pub(super) fn config(&self) -> PathBuf {
        self.last(&CONFIG)
            .map_or_else(|| DEFAULT_CONFIG.into(), PathBuf::from)
    }

    /// Whether debug lines are logged.
    pub(super) fn verbose(&self) -> bool {
        self.has(&VERBOSE)
    }

    /// Whether the configuration is the one that a boot uses.
    pub(super) fn is_default_config(&self) -> bool {
        self.config() == Path::new(DEFAULT_CONFIG)
    }

    /// Whether a flag is given.
    pub(super) fn has(&self, flag: &Flag) -> bool {
        self.last(flag).is_some()
    }

    /// The value of a flag; the last one if it is given several times.
    pub(super) fn value<T: FromStr<Err: Display>>(
        &self,
        flag: &Flag,
    ) -> Result<Option<T>, UsageError> {
        self.last(flag)
            .map(|value| read(&format!("--{}", flag.name), &value.to_string_lossy()))
            .transpose()
    }

    /// All values of a flag.
    pub(super) fn every<T: FromStr<Err: Display>>(
        &self,
        flag: &Flag,
    ) -> Result<Vec<T>, UsageError> {
        let flags = self.flags.iter().filter(|(name, _)| *name == flag.name);
        flags
            .map(|(name, value)| read(&format!("--{name}"), &value.to_string_lossy()))
            .collect()
    }

    /// A flag of any text: a file (or `-` for standard input), or a name.
    pub(super) fn file(&self, flag: &Flag) -> Option<String> {
        self.last(flag)
            .map(|value| value.to_string_lossy().into_owned())
    }

    /// The words after the command's name.
    pub(super) fn operands(&self) -> &[String] {
        &self.words
    }

    fn last(&self, flag: &Flag) -> Option<&OsStr> {
        let mut flags = self.flags.iter().rev();
        let (_, value) = flags.find(|(name, _)| *name == flag.name)?;
        Some(value)
    }
}

/// The flag whose name stands after one dash, which lexopt reads as several short flags.
fn one_dash(argument: &OsStr) -> Option<&'static Flag> {
    let name = argument.to_str()?.strip_prefix('-')?;
    let name = name.split('=').next()?;
    every_flag().find(|flag| flag.name == name)
}

/// Parses the value of a flag or an operand.
pub(super) fn read<T: FromStr<Err: Display>>(of: &str, text: &str) -> Result<T, UsageError> {
    text.parse().map_err(|error: T::Err| UsageError::Value {
        given: format!("{of} {text}"),
        problem: error.to_string(),
    })
}

/// The command whose name the first words are.
pub(super) fn command_of(words: &[String]) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.begins(words))
}

/// Every flag of every command. Whether a flag takes a value depends only on its name,
/// so that a flag may come before the command.
fn every_flag() -> impl Iterator<Item = &'static Flag> {
    let own = COMMANDS.iter().flat_map(|command| command.flags);
    own.chain(EVERY_COMMANDS_FLAGS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Result<(&'static str, Given), UsageError> {
        let words = line.split_whitespace().map(OsString::from);
        let (command, given) = Given::read(words)?.command()?;
        Ok((command.name, given))
    }

    #[test]
    fn flags_stand_on_either_side() -> Result<(), UsageError> {
        for line in [
            "--config f show rules --ipv4",
            "show --ipv4 rules --config=f",
            "-c f -4 show rules",
        ] {
            let (name, given) = command(line)?;
            assert_eq!(name, "show rules", "{line}");
            assert_eq!(given.config(), PathBuf::from("f"), "{line}");
            assert!(
                given.flags.iter().any(|(name, _)| *name == "ipv4"),
                "{line}"
            );
        }
        assert_eq!(command("apply")?.1.config(), PathBuf::from(DEFAULT_CONFIG));
        Ok(())
    }

    #[test]
    fn bad_usage_is_an_error() {
        for line in [
            "",
            "apply now",
            "show",
            "show x",
            "check --ipv4",
            "show rules --nft",
            "apply --confirm",
            "seal --confirm 60",
            "boot --replace",
            "check --toml",
            "compare one",
            "compare one two three",
            "--config",
            "-x check",
        ] {
            assert!(command(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn what_is_mistyped_is_told_with_what_to_write() {
        for (line, told) in [
            ("apply -confirm 60", "write --confirm, with two dashes"),
            ("check -config=f", "write --config, with two dashes"),
            (
                "apply --confirm",
                "--confirm needs a TIME after it, such as 90, 5m or \"5 minutes\"",
            ),
            (
                "apply --confirm 5 minutes",
                "write --confirm \"5 minutes\", in quotes",
            ),
            ("check --config", "--config needs a FILE after it"),
            ("chek", "no command is called \"chek\"; did you mean check?"),
            (
                "aply --confirm 5m",
                "no command is called \"aply\"; did you mean apply?",
            ),
            (
                "show rule",
                "no command is called \"show rule\"; did you mean show rules?",
            ),
            (
                "apply --confrim 60",
                "apply does not take --confrim; did you mean --confirm?",
            ),
            (
                "apply --jsn",
                "apply does not take --jsn; did you mean --json?",
            ),
        ] {
            let error = command(line).err().map(|error| error.to_string());
            let error = error.unwrap_or_default();
            assert!(error.starts_with(told), "{line}: {error}");
        }
        assert!(
            command("apply --confirm -5").is_ok(),
            "the value is read later"
        );
    }

    #[test]
    fn a_flag_of_several_commands_takes_a_value_with_all_or_none() {
        for flag in every_flag() {
            let mut same = every_flag().filter(|other| other.name == flag.name);
            assert!(
                same.all(|other| other.value.is_some() == flag.value.is_some()
                    && other.short == flag.short),
                "--{}",
                flag.name
            );
        }
    }
}
