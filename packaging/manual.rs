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
        ("camfw.toml.5".to_owned(), page_of_the_file()),
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
    text + ".BR camfw.toml (5),\n" + &pages.join(",\n") + "\n"
}

/// The reference of the file, which is written for the book.
const REFERENCE: &str = include_str!("../docs/configuration.md");

/// camfw.toml(5): the reference, its tables as lists of keys.
fn page_of_the_file() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!(
        ".TH CAMFW.TOML 5 \"\" \"camfw {version}\"\n.SH NAME\ncamfw.toml \\- \
         the configuration of camfw\n.SH DESCRIPTION\n"
    );
    let (mut in_example, mut in_table, mut is_fenced) = (false, false, false);
    // What is marked may go over the end of a line.
    let mut paragraph = String::new();
    for line in REFERENCE.lines().skip_while(|line| line.starts_with("# ")) {
        if line.starts_with("```") {
            text += &marked_up(&std::mem::take(&mut paragraph));
            is_fenced = !is_fenced;
            text += if is_fenced { ".PP\n.nf\n" } else { ".fi\n" };
            continue;
        }
        if is_fenced {
            let _ = writeln!(text, "{}", escaped(line));
            continue;
        }
        let is_example = line.starts_with("    ") && paragraph.is_empty();
        let is_row = line.starts_with('|');
        let item = line.strip_prefix("- ");
        let is_text = !(is_example || is_row || line.is_empty() || line.starts_with('#'));
        if !is_text || item.is_some() {
            text += &marked_up(&std::mem::take(&mut paragraph));
        }
        if is_example != in_example {
            text += if is_example { ".PP\n.nf\n" } else { ".fi\n" };
            in_example = is_example;
        }
        if let Some(heading) = line.strip_prefix("### ") {
            let _ = writeln!(text, ".SS {}", marked_up(heading));
        } else if let Some(heading) = line.strip_prefix("## ") {
            let _ = writeln!(text, ".SH {}", marked_up(heading));
        } else if is_example {
            let _ = writeln!(text, "{}", escaped(&line[4..]));
        } else if is_row {
            // The first row of a table has the names of its columns.
            if in_table && !line.starts_with("|---") {
                text += &key(line);
            }
        } else if line.is_empty() {
            text += ".PP\n";
        } else {
            if item.is_some() {
                text += ".IP \\(bu 2\n";
            }
            paragraph += item.unwrap_or(line).trim_start();
            paragraph += "\n";
        }
        in_table = is_row;
    }
    text += &marked_up(&paragraph);
    text + ".SH SEE ALSO\n.BR camfw (8)\n"
}

/// A row of the reference: the key, its type and default, what it may be, an example.
fn key(row: &str) -> String {
    let inner = row.trim().trim_start_matches('|').trim_end_matches('|');
    let cells: Vec<&str> = inner.split('|').map(str::trim).collect();
    let [key, kind, default, values, example, ..] = cells.as_slice() else {
        return String::new();
    };
    let default = match *default {
        "" => String::new(),
        "required" => "; required".to_owned(),
        default => format!("; default: {}", marked_up(default)),
    };
    format!(
        ".TP\n{}\n{}{default}\n.br\n{}\n.br\nExample: {}\n",
        marked_up(key),
        marked_up(kind),
        marked_up(values),
        marked_up(example)
    )
}

/// A line of the book as roff: code and what is bold in bold, links as their text.
fn marked_up(line: &str) -> String {
    let (mut text, mut rest) = (String::new(), line);
    while let Some(place) = rest.find(['`', '*', '[']) {
        let (before, marked) = rest.split_at(place);
        text += &escaped(before);
        let ticks = marked.bytes().take_while(|byte| *byte == b'`').count();
        let fence = match ticks {
            0 if marked.starts_with("**") => "**".to_owned(),
            ticks => "`".repeat(ticks),
        };
        let inner = marked.get(fence.len()..).unwrap_or_default();
        if let (false, Some((bold, after))) = (fence.is_empty(), inner.split_once(&fence)) {
            let _ = write!(text, "\\fB{}\\fR", escaped(bold.trim()));
            rest = after;
        } else if let Some((link, after)) = link(marked) {
            text += &marked_up(link);
            rest = after;
        } else {
            text.push_str(&marked[..1]);
            rest = &marked[1..];
        }
    }
    text + &escaped(rest)
}

/// The text of a link `[text](target)`, and what is after it.
fn link(marked: &str) -> Option<(&str, &str)> {
    let (text, after) = marked.strip_prefix('[')?.split_once("](")?;
    let (_, after) = after.split_once(')')?;
    Some((text, after))
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
    let text = text.chars().fold(String::new(), |mut text, c| {
        match c.is_ascii() {
            true => text.push(c),
            false => text += &format!("\\[u{:04X}]", u32::from(c)),
        }
        text
    });
    let lines = text
        .split('\n')
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
        assert_eq!(files.len(), shown().count() + 3);
        for command in shown() {
            let name = format!("{}.8", page_name(command));
            let page = files.iter().find(|(known, _)| *known == name);
            let page = page.map(|(_, page)| page.as_str()).unwrap_or_default();
            for flag in command.flags.iter().chain(EVERY_COMMANDS_FLAGS) {
                assert!(page.contains(&escaped(&flag.written())), "{name}: {flag:?}");
            }
        }
    }

    #[test]
    fn every_key_of_the_reference_is_in_its_page() {
        let page = page_of_the_file();
        let rows = REFERENCE.lines().filter(|line| line.starts_with("| `"));
        let mut keys = 0;
        for row in rows {
            let key = row.split('`').nth(1).unwrap_or_default();
            let entry = format!(".TP\n\\fB{}\\fR\n", escaped(key));
            assert!(page.contains(&entry), "{key}");
            keys += 1;
        }
        assert!(keys > 70, "{keys}");
        for heading in REFERENCE.lines().filter(|line| line.starts_with("## ")) {
            let heading = marked_up(heading.trim_start_matches("## "));
            assert!(page.contains(&format!(".SH {heading}\n")), "{heading}");
        }
        assert!(!page.contains("]("), "a link is left");
        assert!(!page.contains('`'), "a mark is left");
    }

    #[test]
    fn marks_of_the_book_become_those_of_a_page() {
        for (book, page) in [
            ("a `b-c` d", "a \\fBb\\-c\\fR d"),
            ("**never** `` x`y ``", "\\fBnever\\fR \\fBx`y\\fR"),
            ("see [bounds](#bounds), [x", "see bounds, [x"),
            ("[`[[proxy]]`](#proxy)", "\\fB[[proxy]]\\fR"),
            (".x", "\\&.x"),
        ] {
            assert_eq!(marked_up(book), page);
        }
    }

    /// Bash itself completes by what is written.
    #[test]
    fn bash_completes_commands_and_their_flags() -> Result<(), Box<dyn Error>> {
        for (words, expected) in [
            ("che", vec!["check"]),
            ("show ser", vec!["services"]),
            ("apply --con", vec!["--confirm", "--config"]),
            ("show matrix --dp", vec!["--dport"]),
            ("check --confirm", vec![]),
        ] {
            let typed: Vec<&str> = words.split(' ').collect();
            let script = format!(
                "{}\nCOMP_WORDS=(camfw {words}); COMP_CWORD={}; _camfw; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
                completion(),
                typed.len()
            );
            let run = std::process::Command::new("bash")
                .args(["-c", &script])
                .output()?;
            let said = String::from_utf8(run.stdout)?;
            let said: Vec<&str> = said.lines().filter(|line| !line.is_empty()).collect();
            assert_eq!(
                said,
                expected,
                "{words}: {:?}",
                String::from_utf8(run.stderr)
            );
        }
        Ok(())
    }
}
