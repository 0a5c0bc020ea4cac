//! `camfw help`: renders the definitions of commands and flags.

use super::args::command_of;
use super::{
    COMMANDS, CliError, Command, EVERY_COMMANDS_FLAGS, ExitCode, Flag, Given, UsageError, print,
};

pub(super) const COMMAND: Command =
    Command::new("help", "how camfw or a command is used", run).operands(&["[COMMAND...]"]);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    Ok(print(&of(given.operands())?))
}

/// The help on all commands, on one, or on those whose names begin with these words.
pub(super) fn of(words: &[String]) -> Result<String, UsageError> {
    let shown = || COMMANDS.iter().filter(|command| !command.is_hidden());
    if words.is_empty() {
        return Ok(of_all(shown()));
    }
    if let Some(command) = command_of(words) {
        return Ok(of_one(command));
    }
    let text: String = shown()
        .filter(|command| command.begins_with(words))
        .map(line)
        .collect();
    match text.is_empty() {
        true => Err(UsageError::UnknownCommand(words.to_vec())),
        false => Ok(text),
    }
}

/// The program's name and version.
pub(super) fn version() -> String {
    concat!("camfw ", env!("CARGO_PKG_VERSION"), "\n").to_owned()
}

fn of_all(commands: impl Iterator<Item = &'static Command>) -> String {
    let mut text = String::from(
        "camfw stands between untrusted cameras and everything else.\n\n\
         usage: camfw [FLAGS] COMMAND\n\n",
    );
    text.extend(commands.map(line));
    text += "\nflags of every command; camfw help COMMAND tells a command's own:\n";
    text.extend(EVERY_COMMANDS_FLAGS.iter().map(flag));
    text += "\nexit codes:\n";
    for code in ExitCode::ALL {
        text += &entry(&(code as u8).to_string(), 2, code.meaning());
    }
    text
}

fn of_one(command: &Command) -> String {
    let mut text = format!("camfw {}: {}\n", command.usage(), command.summary);
    for paragraph in [command.about].iter().filter(|about| !about.is_empty()) {
        text += &format!("\n{paragraph}\n");
    }
    text += "\nflags:\n";
    let flags = command.flags.iter().chain(EVERY_COMMANDS_FLAGS);
    text.extend(flags.map(flag));
    text
}

fn line(command: &Command) -> String {
    entry(&command.usage(), 17, command.summary)
}

fn flag(flag: &Flag) -> String {
    let short = flag.short.map_or(String::new(), |it| format!("-{it}, "));
    entry(&format!("{short}{}", flag.written()), 21, flag.help)
}

/// A name and its description, in two columns.
fn entry(name: &str, width: usize, said: &str) -> String {
    let said = said.replace('\n', &format!("\n{:width$}", "", width = width + 3));
    format!("  {name:<width$} {said}\n")
}
