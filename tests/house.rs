//! The house: only src/host touches the world, and no room leans on one that leans
//! on it. Read from the source, so that a break names its file and line.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

type Done = Result<(), Box<dyn Error>>;

/// What touches the world: modules of std, and crates.
const EFFECTS: &[&str] = &[
    "std::env",
    "std::fs",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
    "std::os::unix::net",
    "netlink_packet_core",
    "netlink_packet_route",
    "netlink_sys",
    "nix",
    "rtnetlink",
    "syslog",
    "tokio",
];

/// Crates that have the names of rooms of ours, so that an import alone tells.
const EFFECTS_BY_IMPORT: &[&str] = &["iptables", "sysctl"];

/// What is of an effect's module and has none.
const VALUES: &[&str] = &["std::process::ExitCode"];

/// The rooms of src from the bottom up, as ARCHITECTURE.md has them: each may name
/// those before it.
const ORDER: &[&str] = &[
    "error",
    "exit_code",
    "source",
    "look_alike",
    "nearest",
    "markup",
    "json",
    "name",
    "field",
    "zone_data",
    "local_time",
    "family",
    "netfilter",
    "registry",
    "config",
    "net",
    "policy",
    "resolved_hosts",
    "snapshot",
    "compile",
    "plan",
    "resolve",
    "observe",
    "servers",
    "prove",
    "page",
    "host",
    "apply",
    "cli",
];

/// What a room must not name although it is below: the proof would take over the
/// compiler's faults, and host would decide.
const NEVER: &[(&str, &[&str])] = &[
    ("prove", &["compile", "plan", "resolve", "config"]),
    (
        "host",
        &[
            "prove", "compile", "resolve", "config", "policy", "observe", "servers", "page",
        ],
    ),
];

/// A path as a file names it.
#[derive(Debug, Clone)]
struct Named {
    file: String,
    line: usize,
    path: String,
    /// Whether a `use` names it.
    is_import: bool,
}

#[test]
fn only_host_has_effects() -> Done {
    let mut found = Vec::new();
    for named in all()? {
        let is_any = |paths: &[&str]| {
            paths.iter().any(|path| {
                let rest = named.path.strip_prefix(*path);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            })
        };
        let is_effect = is_any(EFFECTS) || (named.is_import && is_any(EFFECTS_BY_IMPORT));
        let is_host = ["src/host/", "import/src/host/", "mail/src/host/"]
            .iter()
            .any(|host| named.file.starts_with(host));
        if is_effect && !is_any(VALUES) && !is_host {
            found.push(format!("{}:{}: {}", named.file, named.line, named.path));
        }
    }
    assert!(
        found.is_empty(),
        "only src/host touches the world; give it a function for this:\n{}",
        found.join("\n")
    );
    Ok(())
}

#[test]
fn no_room_names_one_above_it() -> Done {
    let place = |room: &str| ORDER.iter().position(|known| *known == room);
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (room, other, at) in rooms()? {
        let below = match (place(&room), place(&other)) {
            (Some(room), Some(other)) => other < room,
            _ => return Err(format!("{at}: {room} or {other} has no place in ORDER").into()),
        };
        let mut never = NEVER.iter();
        let never = never.any(|(of, those)| *of == room && those.contains(&other.as_str()));
        if !below || never {
            found.push(format!("{at}: {room} names {other}"));
        }
        seen.insert(room);
    }
    assert!(
        found.is_empty(),
        "ARCHITECTURE.md says who may name whom; move what both need below them:\n{}",
        found.join("\n")
    );
    assert!(seen.len() > 15, "{seen:?}");
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for room in ORDER {
        let path = src.join(room);
        assert!(
            path.is_dir() || path.with_extension("rs").is_file(),
            "there is no room {room}"
        );
    }
    Ok(())
}

/// In the binary for the board a derived `Debug` prints a name alone (qemu/build), so
/// nothing that goes into rules, labels or settings may go by it.
#[test]
fn rules_and_labels_are_not_made_of_debug() -> Done {
    let mut found = Vec::new();
    let mut lines = 0;
    for (name, text) in texts()? {
        let is_of_rules = [
            "src/compile/",
            "src/netfilter/",
            "src/plan/",
            "src/net/",
            "src/resolve/kernel_list_name",
            "src/field",
        ];
        if !is_of_rules.iter().any(|of| name.starts_with(of)) {
            continue;
        }
        let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        for (number, line) in text.lines().enumerate() {
            lines += 1;
            let words = line.trim_start();
            if words.contains(":?}") && !words.starts_with("#[error(") && !words.starts_with("//") {
                found.push(format!("{name}:{}: {words}", number + 1));
            }
        }
    }
    assert!(
        found.is_empty(),
        "write it with Display:\n{}",
        found.join("\n")
    );
    assert!(lines > 3000, "{lines} lines");
    Ok(())
}

/// The reader itself: groups over lines, `super` and comments.
/// The most lines of a file, tests of its own included.
const MOST_LINES: usize = 500;

/// A file that holds two things is two files. One that needs more lines says why.
#[test]
fn no_file_is_long_without_a_reason() -> Done {
    let long = texts()?.into_iter().filter(|(_, text)| {
        let first = text.lines().next().unwrap_or_default();
        text.lines().count() > MOST_LINES && !first.contains("Long: ")
    });
    let long: Vec<String> = long.map(|(file, _)| file).collect();
    assert!(
        long.is_empty(),
        "more than {MOST_LINES} lines; split it, or begin its first line with `//! Long: ` and the reason:\n{}",
        long.join("\n")
    );
    Ok(())
}

/// One word for one thing: a reader who meets a type need not ask which it is.
#[test]
fn no_type_name_stands_twice() -> Done {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, text) in texts()? {
        // Those of an implementation, as `Err`, are its trait's.
        let of_a_file = |(_, line): &(usize, &str)| !line.starts_with(' ');
        for (number, line) in text.lines().enumerate().filter(of_a_file) {
            let declared = line.strip_prefix("pub").map_or(line, |rest| {
                let rest = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
                rest.map_or(&line[3..], |(_, rest)| rest)
            });
            let mut words = declared.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let is_type = |word: &str| ["struct", "enum", "trait", "type"].contains(&word);
            let Some(keyword) = words.find(|word| !word.is_empty()) else {
                continue;
            };
            if let Some(name) = words.next().filter(|_| is_type(keyword)) {
                let place = format!("{file}:{}", number + 1);
                places.entry(name.to_owned()).or_default().push(place);
            }
        }
    }
    assert!(places.len() > 200, "{} types", places.len());
    let twice = places.iter().filter(|(_, places)| places.len() > 1);
    let twice: Vec<String> = twice
        .map(|(name, places)| format!("{name}: {}", places.join(", ")))
        .collect();
    assert!(
        twice.is_empty(),
        "give each type a name of its own:\n{}",
        twice.join("\n")
    );
    Ok(())
}

#[test]
fn paths_are_read_with_their_lines() {
    let text = "//! std::fs\nuse std::{\n    io,\n    fs::{self, File as F},\n};\n\
                use super::host;\nfn f() { crate::net::g(\"std::env\", 'x'); std::env::var(\"a\") }\n\
                fn g<'a>() { let b = '\"'; std::thread::yield_now() }\n\
                #[cfg(test)]\nmod tests { use std::process; }\n";
    let mut found = Vec::new();
    paths("src/net/mod.rs", text, &mut found);
    let found: Vec<String> = found
        .iter()
        .map(|it| format!("{} {}", it.line, it.path))
        .collect();
    assert_eq!(
        found,
        [
            "3 std::io",
            "4 std::fs",
            "4 std::fs::File",
            "6 crate::host",
            "7 crate::net::g",
            "7 std::env::var",
            "8 std::thread::yield_now"
        ]
    );
}

/// A room, another that it names, and where.
type Leaning = (String, String, String);

/// Which room names which other.
fn rooms() -> Result<Vec<Leaning>, Box<dyn Error>> {
    let mut rooms = Vec::new();
    for Named {
        file, line, path, ..
    } in all()?
    {
        if !file.starts_with("src/") {
            continue;
        }
        let room = file.trim_start_matches("src/").split(['/', '.']).next();
        let (Some(room), Some(other)) = (room, path.strip_prefix("crate::")) else {
            continue;
        };
        let other = other.split("::").next().unwrap_or_default();
        let is_room = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src")
            .join(other);
        if room != other
            && !["lib", "main"].contains(&room)
            && (is_room.is_dir() || is_room.with_extension("rs").is_file())
        {
            rooms.push((room.to_owned(), other.to_owned(), format!("{file}:{line}")));
        }
    }
    Ok(rooms)
}

/// Every path in the source of both programs, tests left out.
fn all() -> Result<Vec<Named>, Box<dyn Error>> {
    let mut found = Vec::new();
    for (name, text) in texts()? {
        paths(&name, &text, &mut found);
    }
    assert!(found.len() > 500, "{} paths", found.len());
    Ok(found)
}

/// The source of both programs, files of tests left out.
fn texts() -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders = vec![
        root.join("src"),
        root.join("diagrams/src"),
        root.join("import/src"),
        root.join("mail/src"),
    ];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort();
    let texts: Vec<(PathBuf, String)> = files
        .into_iter()
        .map(|file| fs::read_to_string(&file).map(|text| (file, text)))
        .collect::<Result<_, _>>()?;
    let tests: BTreeSet<PathBuf> = texts
        .iter()
        .flat_map(|(file, text)| test_files(file, text))
        .collect();
    let own = texts.into_iter().filter(|(file, _)| !tests.contains(file));
    own.map(|(file, text)| Ok((file.strip_prefix(root)?.display().to_string(), text)))
        .collect()
}

/// The files that `#[cfg(test)] mod NAME;` brings in.
fn test_files(file: &Path, text: &str) -> Vec<PathBuf> {
    let folder = match file.file_stem().and_then(|stem| stem.to_str()) {
        Some("mod" | "lib" | "main") => file.with_file_name(""),
        _ => file.with_extension(""),
    };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let pairs = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]");
    let names = pairs.filter_map(|pair| pair[1].strip_prefix("mod ")?.strip_suffix(';'));
    names
        .flat_map(|name| {
            [
                folder.join(format!("{name}.rs")),
                folder.join(name).join("mod.rs"),
            ]
        })
        .collect()
}

/// The paths of a file that begin with a crate or with `crate`, up to its tests.
fn paths(file: &str, text: &str, found: &mut Vec<Named>) {
    let tokens = tokens(text);
    let mut at = 0;
    while at < tokens.len() {
        let (_, word) = &tokens[at];
        if word == "#"
            && follows(
                &tokens,
                at,
                &["#", "[", "cfg", "(", "test", ")", "]", "mod"],
            )
        {
            return;
        }
        if word == "use" || is_start(&tokens, at) {
            let is_import = word == "use";
            let first = found.len();
            at = tree(file, &tokens, at + usize::from(is_import), &[], found).max(at + 1);
            found[first..]
                .iter_mut()
                .for_each(|it| it.is_import = is_import);
        } else {
            at += 1;
        }
    }
}

/// Whether a path of more than one part begins here.
fn is_start(tokens: &[(usize, String)], at: usize) -> bool {
    let before = at.checked_sub(1).map(|at| tokens[at].1.as_str());
    is_word(&tokens[at].1) && before != Some("::") && follows(tokens, at + 1, &["::"])
}

fn follows(tokens: &[(usize, String)], at: usize, words: &[&str]) -> bool {
    let mut there = tokens[at.min(tokens.len())..].iter();
    words
        .iter()
        .all(|word| there.next().is_some_and(|(_, it)| it == word))
}

/// Reads a path, or a tree of them; where it ends.
fn tree(
    file: &str,
    tokens: &[(usize, String)],
    mut at: usize,
    before: &[String],
    found: &mut Vec<Named>,
) -> usize {
    let mut path = before.to_vec();
    let mut line = tokens.get(at).map_or(0, |(line, _)| *line);
    while let Some((here, word)) = tokens.get(at) {
        match word.as_str() {
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|(_, word)| word != "}") {
                    at = match tokens[at].1.as_str() {
                        "," => at + 1,
                        _ => tree(file, tokens, at, &path, found).max(at + 1),
                    };
                }
                return at + 1;
            }
            "::" => at += 1,
            "self" if !path.is_empty() => at += 1,
            word if is_word(word) && (path.len() == before.len() || tokens[at - 1].1 == "::") => {
                line = *here;
                path.push(word.to_owned());
                at += 1;
            }
            _ => break,
        }
    }
    if follows(tokens, at, &["as"]) {
        at += 2;
    }
    let path = path.join("::");
    // In the file that a room begins with, `super` is the crate.
    let parts = file.matches('/').count();
    let begins_room = parts == 1 || (parts == 2 && file.ends_with("/mod.rs"));
    let path = match path.strip_prefix("super::") {
        Some(rest) if begins_room => format!("crate::{rest}"),
        _ => path,
    };
    if !path.is_empty() {
        found.push(Named {
            file: file.to_owned(),
            line,
            path,
            is_import: false,
        });
    }
    at
}

fn is_word(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The words and signs of a text with their lines; no comments, strings or characters.
fn tokens(text: &str) -> Vec<(usize, String)> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("r\"") || rest.starts_with("r#\"") {
            let end = if rest.starts_with("r#") { "\"#" } else { "\"" };
            let start = rest.find('"').map_or(0, |at| at + 1);
            rest[start..]
                .find(end)
                .map_or(rest.len(), |at| start + at + end.len())
        } else if first == '"' {
            let mut escaped = false;
            let end = rest.char_indices().skip(1).find(|(_, c)| {
                let ends = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                ends
            });
            end.map_or(rest.len(), |(at, _)| at + 1)
        } else if first == '\'' {
            let second = rest.chars().nth(1).unwrap_or(' ');
            match second {
                '\\' => rest[3..].find('\'').map_or(rest.len(), |at| at + 4),
                _ if rest[1 + second.len_utf8()..].starts_with('\'') => second.len_utf8() + 2,
                // A lifetime.
                _ => 1,
            }
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            let word = &rest[..end.unwrap_or(rest.len())];
            tokens.push((line, word.to_owned()));
            word.len()
        } else if rest.starts_with("::") {
            tokens.push((line, "::".to_owned()));
            2
        } else {
            if !first.is_whitespace() {
                tokens.push((line, first.to_string()));
            }
            first.len_utf8()
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}
