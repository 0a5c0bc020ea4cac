//! Where a key belongs that is none of the table it stands in.
//!
//! Owns no list of keys: each table of the configuration is asked for a key that it does not
//! have, and its own type says which it has.

use super::super::Config;
use super::super::document::Document;
use super::{all_quoted, quoted};

/// No table has a key of this name.
const NOBODYS: &str = "?";

/// More tables than these have so common a key that they tell nothing.
const MOST: usize = 3;

/// A table as it is written, `[router]`, and its keys; none of one that takes any.
pub(super) struct KnownTable {
    pub(super) header: String,
    pub(super) keys: Vec<String>,
}

/// The table that has this name at the top of the file.
pub(super) fn table(name: &str) -> Option<KnownTable> {
    let headers = [
        format!("[{name}]"),
        format!("[[{name}]]"),
        format!("[{name}.NAME]"),
    ];
    headers.into_iter().find_map(|header| {
        let keys = keys_of(&format!("{header}\n\"{NOBODYS}\" = 0\n"))?;
        Some(KnownTable { header, keys })
    })
}

/// Says where a key belongs; None if it is of no table or of many. `known` are the keys of the
/// table where it stands.
pub(super) fn belongs(name: &str, known: &[&str]) -> Option<String> {
    let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !is_plain {
        return None;
    }
    if let Some(table) = table(name) {
        let header = table.header;
        return Some(format!("it is a table of its own: write {header}"));
    }
    let names = keys_of(&format!("\"{NOBODYS}\" = 0\n"))?;
    let tables: Vec<KnownTable> = names.iter().filter_map(|name| table(name)).collect();
    if let Some(here) = tables.iter().find(|it| it.keys == known)
        && let Some(within) = here.within(name)
    {
        return Some(format!("it belongs in {within}"));
    }
    let own = tables.iter().filter(|it| it.has(name));
    let mut places: Vec<String> = own.map(|it| format!("under {}", it.header)).collect();
    if places.is_empty() {
        let within = tables.iter();
        let within =
            within.filter_map(|it| Some(format!("in {} of {}", it.within(name)?, it.header)));
        places = within.collect();
    }
    let few = (1..=MOST).contains(&places.len());
    few.then(|| format!("it belongs {}", places.join(" or ")))
}

impl KnownTable {
    fn has(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key == name)
    }

    /// The key of this table whose own table has this one, as the two are written.
    fn within(&self, name: &str) -> Option<String> {
        self.keys.iter().find_map(|key| {
            let forms = [("{", "}"), ("[{", "}]")];
            forms.into_iter().find_map(|(open, close)| {
                let header = &self.header;
                let text = format!("{header}\n{key} = {open} \"{NOBODYS}\" = 0 {close}\n");
                let keys = keys_of(&text)?;
                let has = keys.iter().any(|key| key == name);
                has.then(|| format!("{key} = {open} {name} = … {close}"))
            })
        })
    }
}

/// The keys of the one table in a text that has a key of nobody's; None if there is no such
/// table. One that takes any key has none to tell.
fn keys_of(text: &str) -> Option<Vec<String>> {
    let document = Document::parse(text).ok()?;
    let Err(mistake) = document.fill::<Config>() else {
        return Some(Vec::new());
    };
    let message = mistake.what();
    let (problem, expected) = message.split_once(", expected ")?;
    let keys = all_quoted(expected).into_iter().map(str::to_owned);
    (quoted(problem, "unknown field ") == Some(NOBODYS)).then(|| keys.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_says_how_it_is_written_and_which_keys_it_has() {
        for (name, header, key) in [
            ("router", "[router]", "timezone"),
            ("cameras", "[[cameras]]", "mac"),
            ("zones", "[zones.NAME]", "role"),
            ("services", "[services.NAME]", "source-port"),
        ] {
            let table = table(name);
            let told = table.as_ref().map(|it| it.header.as_str());
            assert_eq!(told, Some(header));
            assert!(table.is_some_and(|it| it.has(key)), "{name}");
        }
        let mail = table("mail").map(|it| (it.header, it.keys.len()));
        assert_eq!(mail, Some(("[mail]".into(), 0)));
        for name in ["version", "timezone", "?"] {
            assert!(table(name).is_none(), "{name}");
        }
    }

    #[test]
    fn every_key_of_the_file_is_told_its_place_or_is_of_many_tables() {
        let told = |name: &str, known: &[&str]| belongs(name, known).unwrap_or_default();
        assert_eq!(told("timezone", &[]), "it belongs under [router]");
        assert_eq!(told("at", &["interface"]), "it belongs under [[forwards]]");
        assert_eq!(told("ipv6", &[]), "it is a table of its own: write [ipv6]");
        assert_eq!(
            told("vlan", &[]),
            "it belongs in interface = { vlan = … } of [zones.NAME]"
        );
        for name in ["from", "address", "version", "nobodys"] {
            assert_eq!(belongs(name, &[]), None, "{name}");
        }
    }

    #[test]
    fn a_key_of_a_table_within_this_one_is_sent_there() {
        let keys = table("allow").map(|it| it.keys).unwrap_or_default();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let told = belongs("days", &keys);
        assert_eq!(told.as_deref(), Some("it belongs in when = { days = … }"));
    }
}
