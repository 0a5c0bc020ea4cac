//! Other programs that configure an interface of a zone, by what their own files say.
//!
//! Such a program takes away what camfw sets: systemd-networkd removes addresses and
//! routes that are not its own. What cannot be decided from the files (a match by driver
//! or hardware address) counts as not configured.

use thiserror::Error;

/// A program that configures interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkProgram {
    /// ifup, by /etc/network/interfaces.
    Ifupdown,
    /// systemd-networkd.
    Networkd,
    /// NetworkManager, which takes every interface that it is not told to leave.
    NetworkManager,
    /// dhcpcd as a service, which does so too.
    Dhcpcd,
}

/// A program that is installed and started at boot.
#[derive(Debug, Clone)]
pub struct ActiveProgram {
    /// Which one.
    pub program: NetworkProgram,
    /// Its files, path and text, in the order in which it reads them, each line whole and
    /// without comments.
    files: Vec<(String, String)>,
}

impl ActiveProgram {
    /// A program, by its files as they are, in the order in which it reads them.
    pub fn new(program: NetworkProgram, files: Vec<(String, String)>) -> ActiveProgram {
        let files = files.into_iter();
        let files = files.map(|(path, text)| (path, whole_lines(&text)));
        ActiveProgram {
            program,
            files: files.collect(),
        }
    }
}

/// Files that an `interfaces` file has read too.
#[derive(Debug, PartialEq, Eq)]
pub struct Sourced {
    /// A path with wildcards, which may begin in the folder of the file that names it.
    pub pattern: String,
    /// Whether it is of folders, whose files are read.
    pub of_folders: bool,
}

/// What an `interfaces` file has read, by its text.
pub fn sourced(text: &str) -> Vec<Sourced> {
    let text = whole_lines(text);
    let named = text.lines().filter_map(|line| {
        let (word, pattern) = line.split_once(char::is_whitespace)?;
        let of_folders = match word {
            "source" => false,
            "source-directory" | "source-dir" => true,
            _ => return None,
        };
        Some(Sourced {
            pattern: pattern.trim().to_owned(),
            of_folders,
        })
    });
    named.collect()
}

/// Whether `source-directory` reads a file with this name: no editor's backup.
pub fn is_in_source_directory(name: &str) -> bool {
    let known = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    !name.is_empty() && name.chars().all(known)
}

/// The lines without comments and the spaces around them, those that a backslash splits as
/// one. A comment ends with its line.
fn whole_lines(text: &str) -> String {
    let mut whole = String::new();
    let mut goes_on = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with(['#', ';']) && !goes_on {
            continue;
        }
        let (line, split) = match line.strip_suffix('\\') {
            Some(begun) => (begun, true),
            None => (line, false),
        };
        whole += line;
        whole.push(if split { ' ' } else { '\n' });
        goes_on = split;
    }
    whole
}

/// Interfaces of zones that another program configures too.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", self.told())]
pub struct OtherProgram {
    links: Vec<String>,
    program: NetworkProgram,
    /// The file that says so; nothing if it takes what it is not told to leave.
    by: String,
}

impl OtherProgram {
    fn told(&self) -> String {
        let links = &self.links;
        let mend = match self.program {
            NetworkProgram::Ifupdown => "remove its auto and iface lines there".to_owned(),
            NetworkProgram::Networkd => "write Unmanaged=yes under [Link] there".to_owned(),
            NetworkProgram::NetworkManager => format!(
                "write unmanaged-devices+=interface-name:{} under [keyfile] in /etc/NetworkManager/conf.d/camfw.conf, and reload it",
                links.join(";interface-name:")
            ),
            NetworkProgram::Dhcpcd => format!(
                "write denyinterfaces {} in /etc/dhcpcd.conf, and restart it",
                links.join(" ")
            ),
        };
        let program = match self.program {
            NetworkProgram::Ifupdown => "ifupdown",
            NetworkProgram::Networkd => "systemd-networkd",
            NetworkProgram::NetworkManager => "NetworkManager",
            NetworkProgram::Dhcpcd => "dhcpcd",
        };
        let what = match self.links.as_slice() {
            [link] => format!("interface {link} is"),
            links => format!("interfaces {} are", links.join(", ")),
        };
        let by = file_in_words(&self.by);
        format!("{what} also configured by {program}{by}; {mend}")
    }
}

fn file_in_words(file: &str) -> String {
    match file {
        "" => String::new(),
        file => format!(" ({file})"),
    }
}

/// Finds the programs that configure some of the links, each once for each of its files.
pub fn other_programs<'l>(
    active: &[ActiveProgram],
    links: impl Iterator<Item = &'l str>,
) -> Vec<OtherProgram> {
    let mut found: Vec<OtherProgram> = Vec::new();
    for link in links {
        for ActiveProgram { program, files } in active {
            let file = match program {
                NetworkProgram::Ifupdown => by_ifupdown(files, link),
                NetworkProgram::Networkd => by_networkd(files, link),
                NetworkProgram::NetworkManager => by_network_manager(files, link).then_some(""),
                NetworkProgram::Dhcpcd => by_dhcpcd(files, link).then_some(""),
            };
            let Some(by) = file else { continue };
            let mut known = found.iter_mut();
            match known.find(|known| known.program == *program && known.by == by) {
                Some(known) if known.links.iter().any(|it| it == link) => {}
                Some(known) => known.links.push(link.to_owned()),
                None => found.push(OtherProgram {
                    links: vec![link.to_owned()],
                    program: *program,
                    by: by.to_owned(),
                }),
            }
        }
    }
    found
}

/// Whether systemd-networkd, if it is one of them, leaves routes alone that are not its own, and,
/// where it matters, rules for marked packets: not unless its settings say so (networkd.conf(5)).
pub fn keeps_others_routes(active: &[ActiveProgram], with_rules: bool) -> bool {
    let mut active = active.iter();
    let Some(networkd) = active.find(|it| it.program == NetworkProgram::Networkd) else {
        return true;
    };
    // What the files of the folders say counts more than networkd.conf.
    let (main, more): (Vec<_>, Vec<_>) = networkd
        .files
        .iter()
        .filter(|(path, _)| path.ends_with(".conf"))
        .partition(|(path, _)| path.ends_with("/networkd.conf"));
    let is_off = |wanted: &str| {
        let (mut section, mut is_off) = ("", false);
        let lines = main.iter().chain(&more).flat_map(|(_, text)| text.lines());
        for line in lines {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            match key.trim() {
                key if key.starts_with('[') => section = key,
                key if section == "[Network]" && key == wanted => {
                    is_off = ["no", "false", "off", "0"].contains(&value.trim());
                }
                _ => {}
            }
        }
        is_off
    };
    is_off("ManageForeignRoutes") && (!with_rules || is_off("ManageForeignRoutingPolicyRules"))
}

/// The lines of all files with their file.
fn lines(files: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    files
        .iter()
        .flat_map(|(path, text)| text.lines().map(|line| (path.as_str(), line)))
}

/// The file with an `iface` stanza for a link that ifup starts by itself.
fn by_ifupdown<'f>(files: &'f [(String, String)], link: &str) -> Option<&'f str> {
    let starts = lines(files).any(|(_, line)| {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        let is_start = first == "auto" || first.starts_with("allow-");
        is_start && words.any(|word| word == link)
    });
    let mut lines = lines(files).filter(|(_, line)| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words.as_slice(), ["iface", name, _, method, ..] if *name == link && *method != "manual")
    });
    lines.next().filter(|_| starts).map(|(path, _)| path)
}

/// The .network file that systemd-networkd uses for a link: the first that matches.
fn by_networkd<'f>(files: &'f [(String, String)], link: &str) -> Option<&'f str> {
    files
        .iter()
        .find_map(|file| {
            let (mut section, mut names, mut is_ethernet) = ("", Vec::new(), false);
            let mut is_unmanaged = false;
            for (_, line) in lines(std::slice::from_ref(file)) {
                let (key, value) = line.split_once('=').unwrap_or((line, ""));
                match (section, key.trim()) {
                    (_, key) if key.starts_with('[') => section = key,
                    ("[Match]", "Name") => names.extend(value.split_whitespace()),
                    ("[Match]", "Type") => {
                        is_ethernet |= value.split_whitespace().any(|kind| kind == "ether");
                    }
                    ("[Link]", "Unmanaged") => {
                        is_unmanaged = ["yes", "true", "on", "1"].contains(&value.trim());
                    }
                    _ => {}
                }
            }
            let matches = match names.first() {
                None => is_ethernet,
                Some(first) => {
                    let is_inverted = first.starts_with('!');
                    let named = names
                        .iter()
                        .any(|name| matches_glob(name.trim_start_matches('!'), link));
                    named != is_inverted
                }
            };
            matches.then_some((file.0.as_str(), is_unmanaged))
        })
        .filter(|(_, is_unmanaged)| !is_unmanaged)
        .map(|(path, _)| path)
}

/// Whether NetworkManager is not told to leave a link alone.
fn by_network_manager(files: &[(String, String)], link: &str) -> bool {
    let mut is_left = false;
    for (_, line) in lines(files) {
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let adds = match key.trim() {
            "unmanaged-devices" => false,
            "unmanaged-devices+" => true,
            _ => continue,
        };
        let names = |spec: &str| match spec.strip_prefix("interface-name:") {
            Some(name) => matches_glob(name.trim_start_matches('='), link),
            None => spec == "*",
        };
        let specs = || value.split([';', ',']).map(str::trim);
        let is_excepted = specs().any(|spec| spec.strip_prefix("except:").is_some_and(names));
        let is_named = specs().any(names) && !is_excepted;
        is_left = is_named || (adds && is_left && !is_excepted);
    }
    !is_left
}

/// Whether dhcpcd is not told to leave a link alone.
fn by_dhcpcd(files: &[(String, String)], link: &str) -> bool {
    let (mut is_allowed, mut is_denied) = (None, false);
    for (_, line) in lines(files) {
        let mut words = line.split_whitespace();
        let first = words.next();
        let is_named = words.any(|pattern| matches_glob(pattern, link));
        match first {
            Some("allowinterfaces") => {
                is_allowed = Some(is_named || is_allowed.unwrap_or_default());
            }
            Some("denyinterfaces") => is_denied |= is_named,
            _ => {}
        }
    }
    is_allowed.unwrap_or(true) && !is_denied
}

/// Whether a name is matched by a pattern with `*`, `?` and `[...]`, as fnmatch(3) does it.
pub fn matches_glob(pattern: &str, name: &str) -> bool {
    if let Some((class, rest)) = pattern.strip_prefix('[').and_then(|it| it.split_once(']')) {
        let mut characters = name.chars();
        let next = characters.next();
        return next.is_some_and(|next| is_in_class(class, next))
            && matches_glob(rest, characters.as_str());
    }
    let mut characters = pattern.chars();
    match characters.next() {
        None => name.is_empty(),
        Some('*') => name
            .char_indices()
            .map(|(place, _)| &name[place..])
            .chain([""])
            .any(|rest| matches_glob(characters.as_str(), rest)),
        Some(character) => {
            let mut rest = name.chars();
            let next = rest.next();
            next.is_some_and(|next| character == '?' || character == next)
                && matches_glob(characters.as_str(), rest.as_str())
        }
    }
}

/// Whether a character is in `a-z_`, or not in `!a-z_`.
fn is_in_class(class: &str, character: char) -> bool {
    let inner = class.trim_start_matches(['!', '^']);
    let letters: Vec<char> = inner.chars().collect();
    let is_range = |three: &[char]| three[1] == '-' && (three[0]..=three[2]).contains(&character);
    let is_in = letters.contains(&character) || letters.windows(3).any(is_range);
    is_in == (inner == class)
}

#[cfg(test)]
mod tests;
