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

/// The program's name and version, and the commit where the build knows one: by the
/// environment, or since the source is an archive of git's.
pub(super) fn version() -> String {
    version_of(
        option_env!("CAMFW_COMMIT").unwrap_or_default(),
        include_str!("../commit").trim(),
    )
}

fn version_of(given: &str, archived: &str) -> String {
    let commit = match (given, archived) {
        ("", archived) if archived.starts_with('$') => "",
        ("", archived) => archived.get(..12).unwrap_or(archived),
        (given, _) => given,
    };
    let version = concat!("camfw ", env!("CARGO_PKG_VERSION"));
    match commit {
        "" => format!("{version}\n"),
        commit => format!("{version} ({commit})\n"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commit_stands_beside_the_version_where_it_is_known() {
        let version = concat!("camfw ", env!("CARGO_PKG_VERSION"));
        let archived = "266a55f0cf887347582302343776e1af7396a0f0";
        for (given, archived, told) in [
            ("", "$Format:%H$", String::new()),
            ("", archived, " (266a55f0cf88)".to_owned()),
            ("4f121aa-dirty", archived, " (4f121aa-dirty)".to_owned()),
        ] {
            assert_eq!(version_of(given, archived), format!("{version}{told}\n"));
        }
    }
}
