//! Writes the manual pages and the completion for bash into a folder, from the
//! definitions of the commands and flags that the program itself reads:
//!
//!     cargo run --example manual -- DIR
//!
//! Not a part of the program, whose binary has a limit.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use camfw::cli::{COMMANDS, Command, EVERY_COMMANDS_FLAGS, Flag};
use camfw::exit_code::ExitCode;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or("usage: cargo run --example manual -- DIR")?;
    let folder = Path::new(&folder);
    fs::create_dir_all(folder)?;
    for (name, text) in files() {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}

/// Each file with its name.
fn files() -> Vec<(String, String)> {
    let mut files = vec![
        ("camfw.8".to_owned(), page_of_all()),
        ("camfw.bash".to_owned(), completion()),
    ];
    files.extend(shown().map(|command| (format!("{}.8", page_name(command)), page(command))));
    files
}

fn shown() -> impl Iterator<Item = &'static Command> {
    COMMANDS.iter().filter(|command| !command.is_hidden())
}

/// `camfw-show-rules`
fn page_name(command: &Command) -> String {
    format!("camfw-{}", command.name.replace(' ', "-"))
}

fn page_of_all() -> String {
    let mut text = head(
        "camfw",
        "a firewall between untrusted cameras and everything else",
    );
    text += ".SH SYNOPSIS\n.B camfw\n[FLAGS] COMMAND\n.SH COMMANDS\n";
    for command in shown() {
        let (usage, summary) = (escaped(&command.usage()), escaped(command.summary));
        let _ = write!(text, ".TP\n.B {usage}\n{summary}\n");
    }
    text += ".SH FLAGS\n";
    text.extend(EVERY_COMMANDS_FLAGS.iter().map(flag));
    text += ".SH EXIT STATUS\n";
    for code in ExitCode::ALL {
        let _ = write!(
            text,
            ".TP\n.B {}\n{}\n",
            code as u8,
            escaped(code.meaning())
        );
    }
    text += ".SH FILES\n.TP\n.I /etc/camfw/camfw.toml\nthe configuration\n.TP\n\
             .I /etc/camfw/camfw.d/*.toml\nwhat comes to it\n.TP\n.I /run/camfw\nwhat is in force\n.TP\n\
             .I /var/lib/camfw\nthe last good policy\n.SH SEE ALSO\n";
    let pages: Vec<String> = shown()
        .map(|command| format!(".BR {} (8)", escaped(&page_name(command))))
        .collect();
    text + &pages.join(",\n") + "\n"
}

fn page(command: &Command) -> String {
    let mut text = head(&page_name(command), command.summary);
    let _ = write!(
        text,
        ".SH SYNOPSIS\n.B camfw {}\n{}\n",
        escaped(command.name),
        escaped(&[&["[FLAGS]"], command.operands].concat().join(" "))
    );
    if !command.about.is_empty() {
        let _ = write!(text, ".SH DESCRIPTION\n{}\n", escaped(command.about));
    }
    text += ".SH FLAGS\n";
    text.extend(command.flags.iter().chain(EVERY_COMMANDS_FLAGS).map(flag));
    text + ".SH SEE ALSO\n.BR camfw (8)\n"
}

fn head(name: &str, summary: &str) -> String {
    let (title, name) = (name.to_uppercase(), escaped(name));
    let version = env!("CARGO_PKG_VERSION");
    format!(
        ".TH {title} 8 \"\" \"camfw {version}\"\n.SH NAME\n{name} \\- {}\n",
        escaped(summary)
    )
}

fn flag(flag: &Flag) -> String {
    let short = flag
        .short
        .map_or(String::new(), |short| format!("-{short}, "));
    let written = escaped(&format!("{short}{}", flag.written()));
    format!(".TP\n.B {written}\n{}\n", escaped(flag.help))
}

/// Text as roff prints it: no hyphen is broken at, and no line begins a request.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let lines = text
        .lines()
        .map(|line| match line.starts_with(['.', '\'']) {
            true => format!("\\&{line}"),
            false => line.to_owned(),
        });
    lines.collect::<Vec<_>>().join("\n")
}

/// Completion for bash: commands by their words, then their flags; else files.
fn completion() -> String {
    let mut text = String::from(
        "# Completion of camfw for bash; made from its definitions of commands and flags.\n\
         _camfw() {\n    local word=${COMP_WORDS[COMP_CWORD]} words=() flags='' next='' given\n    \
         for given in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n        \
         [[ $given == -* ]] || words+=(\"$given\")\n    done\n    case \"${words[*]}\" in\n",
    );
    let firsts = first_words();
    let _ = writeln!(text, "        '') next='{}' ;;", firsts.join(" "));
    for first in &firsts {
        let seconds: Vec<&str> = shown()
            .filter_map(|command| command.name.strip_prefix(first.as_str())?.strip_prefix(' '))
            .collect();
        if !seconds.is_empty() {
            let _ = writeln!(text, "        '{first}') next='{}' ;;", seconds.join(" "));
        }
    }
    for command in shown() {
        let flags = command.flags.iter().chain(EVERY_COMMANDS_FLAGS);
        let flags: Vec<String> = flags.map(|flag| format!("--{}", flag.name)).collect();
        let (name, flags) = (command.name, flags.join(" "));
        let _ = writeln!(text, "        '{name}' | '{name} '*) flags='{flags}' ;;");
    }
    text + "    esac\n    case $word in\n        -*) mapfile -t COMPREPLY < <(compgen -W \"$flags\" -- \"$word\") ;;\n        \
            *) mapfile -t COMPREPLY < <(compgen -W \"$next\" -- \"$word\") ;;\n    esac\n}\n\
            complete -o default -F _camfw camfw\n"
}

/// The first word of each command, once.
fn first_words() -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for command in shown() {
        let first = command.name.split(' ').next().unwrap_or_default();
        if !words.iter().any(|word| word == first) {
            words.push(first.to_owned());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_flags() {
        let files = files();
        assert_eq!(files.len(), shown().count() + 2);
        for command in shown() {
            let name = format!("{}.8", page_name(command));
            let page = files.iter().find(|(known, _)| *known == name);
            let page = page.map(|(_, page)| page.as_str()).unwrap_or_default();
            for flag in command.flags.iter().chain(EVERY_COMMANDS_FLAGS) {
                assert!(page.contains(&escaped(&flag.written())), "{name}: {flag:?}");
            }
        }
    }
}
