//! A value of another type than its key's, in words: what it is, and what to write.

use super::{Place, elsewhere, is_list_of_tables};

/// The keys whose values are words, and the words.
const WORDS: &[(&str, &str)] = &[
    ("role", "\"external\", \"camera\", \"private\""),
    ("on-deny", "\"drop\", \"reject\""),
    ("egress", "\"open\", \"listed\""),
    ("mode", "\"drop\", \"same\""),
    ("on-drift", "\"log\", \"restore\""),
];

/// The keys whose values are texts that no number is, what they say, and one of each.
const NO_NUMBERS: &[(&[&str], &str, &str)] = &[
    (&["servers"], "an address", "9.9.9.9"),
    (
        &["address", "source", "except", "gateway", "at", "via"],
        "an address",
        "192.168.8.11",
    ),
    (&["mac"], "a hardware address", "00:11:22:33:44:55"),
    (&["timezone"], "a time zone", "Europe/Berlin"),
];

/// The keys whose values are tables, each with one.
const TABLES: &[(&str, &str)] = &[
    ("block-after", "{ attempts = 3, within = \"10 minutes\" }"),
    (
        "when",
        "{ from = \"08:00\", to = \"18:00\", days = \"mon-fri\" }",
    ),
    ("never", "{ from = \"camera\", to = \"external\" }"),
    (
        "always",
        "{ from = \"home\", to = \"router\", service = \"ssh\" }",
    ),
];

impl Place<'_> {
    /// What to write where one of a few words belongs.
    pub(super) fn no_word(&self) -> String {
        let written = self.written();
        let got = match written.as_str() {
            "true" | "false" => format!("{written} is a switch and not a word"),
            _ if written.starts_with('[') => "this is a list and not one word".into(),
            _ => format!("{written} is not a word"),
        };
        let words = WORDS.iter().find(|(key, _)| *key == self.key());
        match words {
            Some((_, words)) => format!("{got}; write one of {words}"),
            None => format!("{got}; write one in double quotes"),
        }
    }

    /// What is wrong with a value of this type where another is expected.
    pub(super) fn wrong_type(&self, got: &str, expected: &str) -> String {
        let written = self.written();
        let got = match got.split_once(' ').map_or(got, |(kind, _)| kind) {
            "string" => format!("{written} is text"),
            "integer" | "floating" => format!("{written} is a number"),
            "boolean" => format!("{written} is a switch"),
            "sequence" => "this is a list".into(),
            // TOML has times and dates without quotes, which come as tables.
            "map" if written.starts_with(|c: char| c.is_ascii_digit()) => {
                format!("{written} is a date or time")
            }
            "map" => "this is a table".into(),
            _ => format!("this is {got}"),
        };
        let bare = written.trim_matches(['"', '\'']);
        let line = self.line();
        let header = line
            .trim()
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'));
        match (expected, header) {
            ("a sequence", Some(name)) if !name.starts_with('[') => {
                format!("{name} is a list of tables; write [[{name}]]")
            }
            ("a sequence", _) if !written.starts_with(['"', '\'']) => {
                format!("{got} and not a list; {}", self.meant_list_of())
            }
            ("a sequence", _) => {
                format!("{got} and not a list; write it in square brackets: [{written}]")
            }
            ("a boolean", _) => {
                format!("{got} and not a switch; write true or false, without quotes")
            }
            ("a string" | "a string or a list of strings", _) if got.ends_with(" or time") => {
                format!("{written} has no quotes; write it in double quotes: \"{written}\"")
            }
            ("a string", _) if got.ends_with("table") || got.ends_with("list") => {
                format!("{got} and not text; write one value in double quotes")
            }
            ("a string", _) if self.key() == "limit" => {
                format!("{got} and not a rate; write it with its time: \"{bare}/minute\"")
            }
            ("a string", _) if ["within", "silent-after", "keep"].contains(&self.key()) => {
                let time = match bare.parse::<u64>() {
                    Ok(_) => format!("{bare}s"),
                    Err(_) => "10 minutes".into(),
                };
                format!("{got} and not a time; write it with its unit: \"{time}\"")
            }
            ("a string", _) if self.value_of_text().is_some() && got.ends_with("a number") => {
                let (what, example) = self.value_of_text().unwrap_or_default();
                format!("{got} and not {what}; write it in double quotes, as in \"{example}\"")
            }
            ("a string", _) if self.is_hour(bare) => {
                format!("{got} and not a time of day; write it as \"{bare:0>2}:00\"")
            }
            ("a string", _) => format!("{got} and not text; write it in double quotes: \"{bare}\""),
            ("i64" | "u64" | "u32" | "u16", _) if bare.parse::<i64>().is_ok() => {
                format!("{got} and not a number; write it without quotes: {bare}")
            }
            ("i64" | "u64" | "u32" | "u16", _) if got.ends_with("a number") => {
                format!("{written} is not a whole number; write one")
            }
            ("i64" | "u64" | "u32" | "u16", _) => {
                format!("{got} and not a number; write a whole number")
            }
            (expected, _)
                if expected.starts_with("a service's name") && bare.parse::<u16>().is_ok() =>
            {
                format!("{got} and not a service; write the port as {{ tcp = {bare} }}")
            }
            (expected, _) if expected == "a map" || expected.starts_with("struct ") => {
                format!("{got} and not a table; {}", self.meant_table())
            }
            (expected, _)
                if expected.starts_with("an interface's name") && got.ends_with("list") =>
            {
                let ports = match written.ends_with(']') {
                    true => &written,
                    false => "[\"eth2\", \"eth6\"]",
                };
                format!(
                    "{got}; for several write {{ bridge = {ports}, name = \"br0\" }}, for one its name alone"
                )
            }
            _ => format!("{got}; write {expected}"),
        }
    }

    /// What to write in place of what is no list, nor one value of it.
    fn meant_list_of(&self) -> String {
        match self.key() {
            key @ ("bridge" | "not-isolated") => {
                format!("name the ports: {key} = [\"eth2\", \"eth6\"]")
            }
            "allow" => {
                "write [[allow]], or of a camera allow = [{ to = \"router\", service = \"ntp\" }]"
                    .into()
            }
            key if is_list_of_tables(key) => format!("write [[{key}]]"),
            _ => format!("write it in square brackets: [{}]", self.written()),
        }
    }

    /// What to write in place of what is no table: its header, or the table in braces.
    fn meant_table(&self) -> String {
        let key = self.key();
        if let Some(table) = elsewhere::table(key) {
            let header = table.header;
            let words = |key: &String| {
                let words = WORDS.iter().find(|(of, _)| of == key);
                words.map_or(key.clone(), |(_, words)| format!("{key} ({words})"))
            };
            let keys: Vec<String> = table.keys.iter().map(words).collect();
            return match keys.len() {
                1..=4 => format!("write {header}, and its keys below it: {}", keys.join(", ")),
                _ => format!("write {header}, and its keys below it"),
            };
        }
        let example = TABLES.iter().find(|(of, _)| *of == key);
        let example = example.map_or("{ … }", |(_, example)| *example);
        format!("write its keys in braces: {example}")
    }

    /// What the text of this key says, with an example; None if a number in quotes might do.
    fn value_of_text(&self) -> Option<(&'static str, &'static str)> {
        let known = NO_NUMBERS
            .iter()
            .find(|(keys, ..)| keys.contains(&self.key()))?;
        Some((known.1, known.2))
    }

    /// Whether this number at the place is an hour of a `when`.
    fn is_hour(&self, number: &str) -> bool {
        ["from", "to"].contains(&self.key())
            && self.line().contains("when")
            && number.parse::<u8>().is_ok_and(|hour| hour < 24)
    }
}
