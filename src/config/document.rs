//! A file of TOML as a tree, from which serde fills the configuration.
//!
//! Owns what a key's type may be filled with, and the place of every mistake. toml's own
//! deserializer would do, and be a tenth of the binary: it offers each type every value that
//! TOML has, in code that is there once for each type. This one offers what the type asks for.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::value::U64Deserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, Expected, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::Spanned;
use super::spanned::PackedSpan;

/// The tree of a file.
pub(super) struct Document<'t> {
    pub(super) root: toml::Spanned<DeTable<'t>>,
}

impl<'t> Document<'t> {
    pub(super) fn parse(text: &'t str) -> Result<Document<'t>, Mistake> {
        match DeTable::parse(text) {
            Ok(root) => Ok(Document { root }),
            Err(error) => Err(Mistake(Box::new(Noticed {
                what: error.message().to_owned(),
                span: error.span(),
            }))),
        }
    }

    /// A whole number at the top of the file.
    pub(super) fn number(&self, key: &str) -> Option<Spanned<i64>> {
        let value = self.root.get_ref().get(key)?;
        match value.get_ref() {
            DeValue::Integer(number) => Some(Spanned::new(value.span(), as_i64(number)?)),
            _ => None,
        }
    }

    /// The first key at the top of the file that is none of these, with its place.
    pub(super) fn other_than(&self, known: &[&str]) -> Option<(&str, Range<usize>)> {
        let keys = self.root.get_ref().keys();
        let others = keys.filter(|key| !known.contains(&key.get_ref().as_ref()));
        let first = others.min_by_key(|key| key.span().start)?;
        Some((first.get_ref(), first.span()))
    }

    /// Moves the tables that both have from a later file into this one, key by key.
    pub(super) fn complete(&mut self, later: &mut Document<'t>) -> Vec<Twice> {
        let mut twice = Vec::new();
        let names = later.root.get_ref().keys();
        let names: Vec<String> = names.map(|name| name.get_ref().to_string()).collect();
        for name in names {
            let both = (
                self.root.get_mut().get_mut(name.as_str()),
                later.root.get_mut().get_mut(name.as_str()),
            );
            if let (Some(first), Some(second)) = both
                && let (DeValue::Table(first), DeValue::Table(second)) =
                    (first.get_mut(), second.get_mut())
            {
                complete(first, std::mem::take(second), &mut twice);
                later.root.get_mut().remove(name.as_str());
            }
        }
        twice
    }

    pub(super) fn fill<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Mistake> {
        T::deserialize(TomlNode {
            value: TomlValue::Table(self.root.get_ref()),
            place: self.root.span().into(),
        })
    }
}

/// A key that two files have in the same table.
pub(super) struct Twice {
    pub(super) key: String,
    pub(super) first: Range<usize>,
    pub(super) second: Range<usize>,
}

fn complete<'t>(first: &mut DeTable<'t>, second: DeTable<'t>, twice: &mut Vec<Twice>) {
    for (key, mut value) in second {
        let Some((known, _)) = first.get_key_value(&key) else {
            first.insert(key, value);
            continue;
        };
        let place = known.span();
        match (
            first.get_mut(&key).map(toml::Spanned::get_mut),
            value.get_mut(),
        ) {
            (Some(DeValue::Table(first)), DeValue::Table(second)) => {
                complete(first, std::mem::take(second), twice);
            }
            _ => twice.push(Twice {
                key: key.get_ref().to_string(),
                first: place,
                second: key.span(),
            }),
        }
    }
}

/// What is wrong with a file, in the words of toml or serde.
#[derive(Debug)]
pub(super) struct Mistake(Box<Noticed>);

#[derive(Debug)]
struct Noticed {
    what: String,
    span: Option<Range<usize>>,
}

impl Mistake {
    pub(super) fn what(&self) -> &str {
        &self.0.what
    }

    pub(super) fn is_of_a_missing_key(&self) -> bool {
        self.0.what.starts_with("missing field ")
    }

    pub(super) fn span(&self) -> Option<Range<usize>> {
        self.0.span.clone()
    }

    /// The same, of this place if none within it is known.
    #[cold]
    #[inline(never)]
    fn at(mut self, place: PackedSpan) -> Mistake {
        self.0.span.get_or_insert_with(|| place.span());
        self
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())
    }
}

impl std::error::Error for Mistake {}

impl Error for Mistake {
    #[inline(never)]
    fn custom<T: fmt::Display>(what: T) -> Mistake {
        Mistake(Box::new(Noticed {
            what: what.to_string(),
            span: None,
        }))
    }

    // Not by the text of `Unexpected`, which takes the printing of floats along.
    #[inline(never)]
    fn invalid_type(got: Unexpected<'_>, expected: &dyn Expected) -> Mistake {
        let got = match got {
            Unexpected::Bool(_) => "boolean",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) => "integer",
            Unexpected::Float(_) => "floating",
            Unexpected::Str(_) => "string",
            Unexpected::Seq => "sequence",
            Unexpected::Map => "map",
            _ => "value",
        };
        Error::custom(format_args!("invalid type: {got}, expected {expected}"))
    }

    #[inline(never)]
    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Mistake {
        Error::custom(format_args!("out of range, expected {expected}"))
    }
}

/// A key, or a value with its place.
#[derive(Clone, Copy)]
struct TomlNode<'t> {
    value: TomlValue<'t>,
    place: PackedSpan,
}

#[derive(Clone, Copy)]
enum TomlValue<'t> {
    Text(&'t str),
    Whole(&'t DeInteger<'t>),
    Float,
    Switch(bool),
    Time,
    List(&'t DeArray<'t>),
    Table(&'t DeTable<'t>),
}

impl<'t> TomlNode<'t> {
    fn new(written: &'t toml::Spanned<DeValue<'t>>) -> TomlNode<'t> {
        let value = match written.get_ref() {
            DeValue::String(text) => TomlValue::Text(text),
            DeValue::Integer(number) => TomlValue::Whole(number),
            DeValue::Float(_) => TomlValue::Float,
            DeValue::Boolean(on) => TomlValue::Switch(*on),
            DeValue::Datetime(_) => TomlValue::Time,
            DeValue::Array(list) => TomlValue::List(list),
            DeValue::Table(table) => TomlValue::Table(table),
        };
        TomlNode {
            value,
            place: written.span().into(),
        }
    }

    /// Another type of value belongs here.
    #[cold]
    #[inline(never)]
    fn is_not(self, expected: &dyn Expected) -> Mistake {
        let got = match self.value {
            TomlValue::Text(text) => Unexpected::Str(text),
            TomlValue::Whole(_) => Unexpected::Signed(0),
            TomlValue::Float => Unexpected::Float(0.0),
            TomlValue::Switch(on) => Unexpected::Bool(on),
            TomlValue::List(_) => Unexpected::Seq,
            // serde has no times: toml's own deserializer makes a table of one.
            TomlValue::Time | TomlValue::Table(_) => Unexpected::Map,
        };
        Mistake::invalid_type(got, expected).at(self.place)
    }

    /// The number, for a type that expects one.
    #[inline(never)]
    fn number(self, expected: &dyn Expected) -> Result<i64, Mistake> {
        let TomlValue::Whole(number) = self.value else {
            return Err(self.is_not(expected));
        };
        as_i64(number).ok_or_else(|| {
            Mistake::invalid_value(Unexpected::Other("number"), expected).at(self.place)
        })
    }
}

fn as_i64(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

impl<'de> Deserializer<'de> for TomlNode<'de> {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let filled = match self.value {
            TomlValue::Text(text) => visitor.visit_str(text),
            TomlValue::Whole(_) => {
                let number = self.number(&visitor)?;
                visitor.visit_i64(number)
            }
            TomlValue::Switch(on) => visitor.visit_bool(on),
            TomlValue::List(list) => visitor.visit_seq(Elements(list.iter())),
            TomlValue::Table(table) => visitor.visit_map(Entries::of(table)),
            TomlValue::Float | TomlValue::Time => Err(self.is_not(&visitor)),
        };
        filled.map_err(|mistake| mistake.at(self.place))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.value {
            TomlValue::Text(text) => visitor.visit_str(text),
            _ => Err(self.is_not(&visitor)),
        }
        .map_err(|mistake: Mistake| mistake.at(self.place))
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let number = self.number(&visitor)?;
        visitor
            .visit_i64(number)
            .map_err(|mistake: Mistake| mistake.at(self.place))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.value {
            TomlValue::Switch(on) => visitor.visit_bool(on),
            _ => Err(self.is_not(&visitor)),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.value {
            TomlValue::List(list) => visitor.visit_seq(Elements(list.iter())),
            _ => Err(self.is_not(&visitor)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.value {
            TomlValue::Table(table) => visitor.visit_map(Entries::of(table)),
            _ => Err(self.is_not(&visitor)),
        }
        .map_err(|mistake: Mistake| mistake.at(self.place))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        match self.value {
            TomlValue::Text(_) => visitor.visit_enum(self),
            _ => Err(not_a_word()),
        }
        .map_err(|mistake: Mistake| mistake.at(self.place))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        match name {
            Spanned::<()>::REQUEST => visitor.visit_map(WithPlace(self)),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_str(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_i64(visitor)
    }

    // No key has a type of these.
    serde::forward_to_deserialize_any! {
        i8 i16 i32 u8 u16 u64 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
        ignored_any
    }
}

/// The place of a value, and then the value.
struct WithPlace<'t>(TomlNode<'t>);

impl<'t> MapAccess<'t> for WithPlace<'t> {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'t>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Mistake> {
        seed.deserialize(U64Deserializer::new(self.0.place.0))
            .map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<S::Value, Mistake> {
        seed.deserialize(self.0)
    }
}

struct Elements<'t>(std::slice::Iter<'t, toml::Spanned<DeValue<'t>>>);

impl<'t> SeqAccess<'t> for Elements<'t> {
    type Error = Mistake;

    fn next_element_seed<S: DeserializeSeed<'t>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Mistake> {
        match self.0.next() {
            Some(element) => seed.deserialize(TomlNode::new(element)).map(Some),
            None => Ok(None),
        }
    }
}

/// The keys of a table, and the value of the one that was last given.
struct Entries<'t> {
    keys: <&'t DeTable<'t> as IntoIterator>::IntoIter,
    value: Option<TomlNode<'t>>,
}

impl<'t> Entries<'t> {
    #[inline(never)]
    fn of(table: &'t DeTable<'t>) -> Entries<'t> {
        Entries {
            keys: table.into_iter(),
            value: None,
        }
    }

    #[inline(never)]
    fn next(&mut self) -> Option<TomlNode<'t>> {
        let (key, value) = self.keys.next()?;
        self.value = Some(TomlNode::new(value));
        Some(TomlNode {
            value: TomlValue::Text(key.get_ref()),
            place: key.span().into(),
        })
    }

    fn value(&mut self) -> Result<TomlNode<'t>, Mistake> {
        let value = self.value.take();
        value.ok_or_else(|| Mistake::custom("a value was asked for without its key"))
    }
}

impl<'t> MapAccess<'t> for Entries<'t> {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'t>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Mistake> {
        match self.next() {
            Some(key) => seed.deserialize(key).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<S::Value, Mistake> {
        seed.deserialize(self.value()?)
    }
}

impl<'t> EnumAccess<'t> for TomlNode<'t> {
    type Error = Mistake;
    type Variant = WordAlone;

    fn variant_seed<S: DeserializeSeed<'t>>(
        self,
        seed: S,
    ) -> Result<(S::Value, WordAlone), Mistake> {
        Ok((seed.deserialize(self)?, WordAlone))
    }
}

/// A word of a list has nothing with it.
struct WordAlone;

impl<'t> VariantAccess<'t> for WordAlone {
    type Error = Mistake;

    fn unit_variant(self) -> Result<(), Mistake> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'t>>(self, _: S) -> Result<S::Value, Mistake> {
        Err(not_a_word())
    }

    fn tuple_variant<V: Visitor<'t>>(self, _: usize, _: V) -> Result<V::Value, Mistake> {
        Err(not_a_word())
    }

    fn struct_variant<V: Visitor<'t>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Mistake> {
        Err(not_a_word())
    }
}

fn not_a_word() -> Mistake {
    Mistake::custom("wanted string or table")
}
