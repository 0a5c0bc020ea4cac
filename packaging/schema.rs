//! Writes the JSON Schema of the configuration, for editors, from the types that read it:
//!
//!     cargo run --example schema >docs/camfw.schema.json
//!
//! The configuration is filled from made-up values, again and again: what each key asks for is
//! noted, and where a key takes several types each is tried. A test holds the file in docs/
//! against it. Not a part of the program.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use camfw::config::Config;
use serde::de::value::{StrDeserializer, U64Deserializer};
use serde::de::{
    DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::{Map, Value, json};

/// The type of a value in TOML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Switch,
    Number,
    Text,
    List,
    Table,
}

impl Kind {
    const ALL: [Kind; 5] = [
        Kind::Switch,
        Kind::Number,
        Kind::Text,
        Kind::List,
        Kind::Table,
    ];
}

/// What is known of the value at one place.
#[derive(Debug, Default)]
struct Shape {
    takes: BTreeSet<Kind>,
    refuses: BTreeSet<Kind>,
    /// The only words that it may be.
    words: Option<Vec<String>>,
    /// The keys of a table; None where any key may stand.
    keys: Option<Vec<String>>,
    required: BTreeSet<String>,
}

/// What is found so far, and what the next run is to try.
#[derive(Debug, Default)]
struct Search {
    shapes: BTreeMap<String, Shape>,
    /// The table and key that this run leaves out.
    without: Option<(String, String)>,
    left_out: bool,
    /// Whether the type that a value refused was found in this run.
    blamed: bool,
    news: bool,
    chance: u64,
}

impl Search {
    fn at(&mut self, place: &str) -> &mut Shape {
        self.shapes.entry(place.to_owned()).or_default()
    }

    fn takes(&mut self, place: &str, kind: Kind) {
        self.news |= self.at(place).takes.insert(kind);
    }

    /// The type to try at a place that may take several.
    fn choice(&mut self, place: &str) -> Kind {
        self.chance = self
            .chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let chance = (self.chance >> 33) as usize;
        let shape = self.at(place);
        let tried = |kind: &Kind| shape.takes.contains(kind) || shape.refuses.contains(kind);
        if let Some(untried) = Kind::ALL.into_iter().find(|kind| !tried(kind)) {
            return untried;
        }
        let taken: Vec<Kind> = shape.takes.iter().copied().collect();
        taken[chance % taken.len()]
    }
}

#[derive(Debug)]
struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl Error for Refused {
    fn custom<T: fmt::Display>(what: T) -> Refused {
        Refused(what.to_string())
    }
}

/// A value that becomes what it is asked for.
#[derive(Clone)]
struct MadeUp<'s> {
    search: &'s RefCell<Search>,
    place: String,
}

impl<'s> MadeUp<'s> {
    fn within(&self, part: &str) -> MadeUp<'s> {
        MadeUp {
            search: self.search,
            place: format!("{}/{part}", self.place),
        }
    }

    fn takes(&self, kind: Kind) {
        self.search.borrow_mut().takes(&self.place, kind);
    }

    /// A table with these keys, but for the one that the run leaves out.
    fn table(&self, keys: &[String]) -> Entries<'s> {
        let mut search = self.search.borrow_mut();
        let without = search.without.clone();
        let without = without.filter(|(place, _)| *place == self.place);
        search.left_out |= without.is_some();
        let without = without.map(|(_, key)| key);
        let keys = keys.iter().filter(|key| Some(*key) != without.as_ref());
        Entries {
            table: self.clone(),
            keys: keys.cloned().collect::<Vec<_>>().into_iter(),
            key: None,
        }
    }
}

impl<'de> Deserializer<'de> for MadeUp<'_> {
    type Error = Refused;

    /// Asked for by what may be of several types.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        let kind = self.search.borrow_mut().choice(&self.place);
        let result = match kind {
            Kind::Switch => visitor.visit_bool(true),
            Kind::Number => visitor.visit_i64(1),
            Kind::Text => visitor.visit_str("x"),
            Kind::List => visitor.visit_seq(OneElement(Some(self.within("[]")))),
            Kind::Table => {
                let keys = self.search.borrow_mut().at(&self.place).keys.clone();
                visitor.visit_map(self.table(&keys.unwrap_or_else(|| vec!["?".to_owned()])))
            }
        };
        let mut search = self.search.borrow_mut();
        match &result {
            Ok(_) => search.takes(&self.place, kind),
            Err(_) if search.blamed || search.left_out => {}
            Err(Refused(why)) => {
                search.blamed = true;
                search.news = true;
                let shape = search.at(&self.place);
                match why.split_once("unknown field `?`, expected ") {
                    // The names of its keys are what it says.
                    Some((_, keys)) if shape.keys.is_none() => {
                        let keys = keys.split('`').skip(1).step_by(2);
                        shape.keys = Some(keys.map(str::to_owned).collect());
                    }
                    _ => {
                        shape.refuses.insert(kind);
                    }
                }
            }
        }
        drop(search);
        result
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.takes(Kind::Switch);
        visitor.visit_bool(true)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.takes(Kind::Number);
        visitor.visit_i64(1)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.takes(Kind::Text);
        visitor.visit_str("x")
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_str(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.takes(Kind::List);
        visitor.visit_seq(OneElement(Some(self.within("[]"))))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.takes(Kind::Table);
        visitor.visit_map(self.table(&["*".to_owned()]))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.takes(Kind::Table);
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let entries = self.table(&keys);
        self.search.borrow_mut().at(&self.place).keys = Some(keys);
        visitor.visit_map(entries)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.takes(Kind::Text);
        let mut search = self.search.borrow_mut();
        let all = words.iter().map(|word| (*word).to_owned());
        search.at(&self.place).words = Some(all.collect());
        drop(search);
        let word: StrDeserializer<'_, Refused> = words[0].into_deserializer();
        visitor.visit_enum(word)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_some(self)
    }

    /// Asked for by a value with its place: see src/config/spanned.rs.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_map(WithPlace(self))
    }

    forward_to_deserialize_any! {
        i8 i16 i32 u8 u16 u64 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
        identifier ignored_any
    }
}

struct OneElement<'s>(Option<MadeUp<'s>>);

impl<'de> SeqAccess<'de> for OneElement<'_> {
    type Error = Refused;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Refused> {
        self.0.take().map(|one| seed.deserialize(one)).transpose()
    }
}

struct Entries<'s> {
    table: MadeUp<'s>,
    keys: std::vec::IntoIter<String>,
    key: Option<String>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Refused> {
        self.key = self.keys.next();
        let Some(key) = &self.key else {
            return Ok(None);
        };
        seed.deserialize(KeyWithPlace(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refused> {
        let key = self.key.take().unwrap_or_default();
        seed.deserialize(self.table.within(&key))
    }
}

/// A key, which may be asked for with its place.
struct KeyWithPlace<'k>(&'k str);

impl<'de> Deserializer<'de> for KeyWithPlace<'_> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_str(self.0)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_map(WithPlace(self))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct WithPlace<D>(D);

impl<'de, D: Deserializer<'de, Error = Refused> + Taken> MapAccess<'de> for WithPlace<D> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Refused> {
        seed.deserialize(U64Deserializer::new(0)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refused> {
        seed.deserialize(self.0.taken())
    }
}

/// What a value is read from once its place is.
trait Taken {
    fn taken(&self) -> Self;
}

impl Taken for MadeUp<'_> {
    fn taken(&self) -> Self {
        self.clone()
    }
}

impl Taken for KeyWithPlace<'_> {
    fn taken(&self) -> Self {
        KeyWithPlace(self.0)
    }
}

/// What every key of the configuration asks for.
fn search() -> Search {
    /// Runs in a row that find nothing new; there are far fewer types to choose from.
    const ENOUGH: usize = 2000;
    let search = RefCell::new(Search::default());
    let run = || {
        let mut before = search.borrow_mut();
        (before.blamed, before.left_out, before.news) = (false, false, false);
        drop(before);
        let root = MadeUp {
            search: &search,
            place: String::new(),
        };
        Config::deserialize(root)
    };
    let mut quiet = 0;
    while quiet < ENOUGH {
        let result = run();
        let state = search.borrow();
        quiet = if state.news { 0 } else { quiet + 1 };
        if let (Err(Refused(why)), false) = (result, state.blamed) {
            panic!("a value that is asked for is refused: {why}");
        }
    }
    let tables: Vec<(String, Vec<String>)> = search
        .borrow()
        .shapes
        .iter()
        .filter_map(|(place, shape)| Some((place.clone(), shape.keys.clone()?)))
        .collect();
    for (place, keys) in tables {
        for key in keys {
            search.borrow_mut().without = Some((place.clone(), key.clone()));
            let result = std::iter::repeat_with(&run)
                .take(ENOUGH)
                .find(|_| search.borrow().left_out);
            let is_missing = |why: &Refused| why.0.contains(&format!("missing field `{key}`"));
            if result.is_some_and(|result| result.is_err_and(|why| is_missing(&why))) {
                search.borrow_mut().at(&place).required.insert(key);
            }
        }
    }
    search.into_inner()
}

/// The schema of the value at a place.
fn schema(search: &Search, place: &str) -> Value {
    let shape = &search.shapes[place];
    if let Some(words) = &shape.words {
        return json!({ "enum": words });
    }
    let mut kinds = shape.takes.iter().map(|kind| match kind {
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Number => json!({ "type": "integer" }),
        Kind::Text => json!({ "type": "string" }),
        Kind::List => {
            let items = schema(search, &format!("{place}/[]"));
            json!({ "type": "array", "items": items })
        }
        Kind::Table => table(search, place, shape),
    });
    match (shape.takes.len(), kinds.next()) {
        (1, Some(one)) => one,
        (_, first) => json!({ "anyOf": first.into_iter().chain(kinds).collect::<Vec<_>>() }),
    }
}

fn table(search: &Search, place: &str, shape: &Shape) -> Value {
    let Some(keys) = &shape.keys else {
        let each = schema(search, &format!("{place}/*"));
        return json!({ "type": "object", "additionalProperties": each });
    };
    let mut properties = Map::new();
    for key in keys {
        properties.insert(key.clone(), schema(search, &format!("{place}/{key}")));
    }
    let mut table = json!({
        "type": "object", "properties": properties, "additionalProperties": false
    });
    // A table that is in no list may have the rest of its keys in a drop-in.
    if !shape.required.is_empty() && place.contains("/[]") {
        table["required"] = json!(shape.required);
    }
    table
}

fn text() -> String {
    let mut whole = schema(&search(), "");
    // The draft that taplo reads.
    whole["$schema"] = json!("http://json-schema.org/draft-04/schema#");
    whole["title"] = json!("camfw.toml");
    serde_json::to_string_pretty(&whole).unwrap_or_default() + "\n"
}

fn main() {
    print!("{}", text());
}

#[cfg(test)]
#[path = "../tests/support/schema.rs"]
mod json_schema;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;
    use camfw::source::Source;
    use toml::de::{DeTable, DeValue};

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn the_file_is_what_is_written() {
        let path = root().join("docs/camfw.schema.json");
        if std::env::var_os("UPDATE").is_some() {
            assert!(fs::write(&path, text()).is_ok());
        }
        let file = fs::read_to_string(path).unwrap_or_default();
        assert!(
            file == text(),
            "cargo run --example schema >docs/camfw.schema.json"
        );
    }

    fn json_of(value: &DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => json!(text),
            DeValue::Integer(number) => {
                json!(i64::from_str_radix(number.as_str(), number.radix()).unwrap_or_default())
            }
            DeValue::Boolean(on) => json!(on),
            DeValue::Array(all) => all.iter().map(|one| json_of(one.get_ref())).collect(),
            DeValue::Table(table) => json_of_table(table),
            DeValue::Float(_) | DeValue::Datetime(_) => json!(0.5),
        }
    }

    fn json_of_table(table: &DeTable<'_>) -> Value {
        let entries = table.iter();
        let entries =
            entries.map(|(key, value)| (key.get_ref().to_string(), json_of(value.get_ref())));
        Value::Object(entries.collect())
    }

    /// What the schema says against a file; None if it is no TOML.
    fn against(schema: &Value, text: &str) -> Option<Vec<String>> {
        let table = DeTable::parse(text).ok()?;
        Some(json_schema::differences(
            &json_of_table(table.get_ref()),
            schema,
        ))
    }

    /// The files of these folders of tests/, with what is beside them.
    fn files(folders: &[&str], ending: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut left: Vec<PathBuf> = folders.iter().map(|it| root().join(it)).collect();
        while let Some(folder) = left.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                match path.is_dir() {
                    true => left.push(path),
                    false if path.to_string_lossy().ends_with(ending) => found.push(path),
                    false => {}
                }
            }
        }
        found
    }

    #[test]
    fn every_good_file_is_as_the_schema_says() {
        let schema: Value = serde_json::from_str(&text()).unwrap_or_default();
        let good = files(&["examples", "tests/golden", "tests/warn"], ".toml");
        assert!(good.len() > 60, "{}", good.len());
        for path in good {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let found = against(&schema, &text);
            assert_eq!(found, Some(Vec::new()), "{}", path.display());
        }
    }

    /// What the types refuse the schema refuses, but for what no schema of one file can say:
    /// another version, and a key that neither the file nor a drop-in has.
    #[test]
    fn what_is_of_another_shape_is_not() {
        let schema: Value = serde_json::from_str(&text()).unwrap_or_default();
        let (mut refused, mut taken) = (0, Vec::new());
        for path in files(&["tests/refuse"], "config.toml") {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let Some(found) = against(&schema, &text) else {
                continue;
            };
            match Config::parse(&Source::new("config.toml", text)) {
                Ok(_) => {}
                Err(_) if !found.is_empty() => refused += 1,
                Err(error) if error.to_string().contains(" is missing;") => {}
                Err(error) => taken.push(format!("{}: {error}", path.display())),
            }
        }
        assert!(refused > 30, "{refused}");
        assert!(
            taken.len() * 10 <= refused,
            "{refused} refused, not {taken:#?}"
        );
    }
}
