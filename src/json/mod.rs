//! JSON on one line: outputs for programs, and what is kept in files.
//!
//! Owns the format. What has members is a table of names and values, so that the code that
//! writes it is there once; serde's derives are code for each member of each type.

mod read;
#[cfg(test)]
mod tests;

use std::fmt::{Display, Write};
use std::net::{IpAddr, Ipv4Addr};

pub(crate) use read::{FromJson, Json, JsonError, JsonMembers};

/// A value that is written as JSON.
pub(crate) trait ToJson {
    /// Adds the value to the text.
    fn write_json(&self, json: &mut JsonText);
}

/// A member of an object: its name and value.
pub(crate) type JsonMember<'a> = (&'a str, &'a dyn ToJson);

/// A value as JSON.
pub(crate) fn to_json(value: &dyn ToJson) -> String {
    let mut json = JsonText::default();
    value.write_json(&mut json);
    json.0
}

/// JSON that is being written.
#[derive(Debug, Default)]
pub(crate) struct JsonText(String);

impl JsonText {
    /// Adds an object.
    pub(crate) fn object(&mut self, members: &[JsonMember<'_>]) {
        let mut open = '{';
        for (name, value) in members {
            self.0.push(open);
            self.string(name);
            self.0.push(':');
            value.write_json(self);
            open = ',';
        }
        self.0.push_str(if open == '{' { "{}" } else { "}" });
    }

    /// Adds a list.
    pub(crate) fn list(&mut self, values: &mut dyn Iterator<Item = &dyn ToJson>) {
        let mut open = '[';
        for value in values {
            self.0.push(open);
            value.write_json(self);
            open = ',';
        }
        self.0.push_str(if open == '[' { "[]" } else { "]" });
    }

    /// Adds a string, escaped.
    pub(crate) fn string(&mut self, text: &str) {
        self.0.push('"');
        for letter in text.chars() {
            match letter {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                '\r' => self.0.push_str("\\r"),
                '\t' => self.0.push_str("\\t"),
                '\u{8}' => self.0.push_str("\\b"),
                '\u{c}' => self.0.push_str("\\f"),
                '\0'..' ' => {
                    let _ = write!(self.0, "\\u{:04x}", u32::from(letter));
                }
                letter => self.0.push(letter),
            }
        }
        self.0.push('"');
    }

    /// The text as a line.
    pub(crate) fn line(self) -> String {
        self.0 + "\n"
    }

    /// Adds what JSON writes like Rust: a number, or true or false.
    fn literal(&mut self, value: &dyn Display) {
        let _ = write!(self.0, "{value}");
    }
}

/// Writes a type as an object of its fields, under their names. Each field is named:
/// those to leave out after `without`.
macro_rules! json_object {
    ($type:ty { $($field:ident),* $(,)? } $(without { $($left_out:ident),* })?) => {
        impl $crate::json::ToJson for $type {
            fn write_json(&self, json: &mut $crate::json::JsonText) {
                let Self { $($field,)* $($($left_out: _,)*)? } = self;
                json.object(&[$((stringify!($field), $field)),*]);
            }
        }
    };
}
pub(crate) use json_object;

macro_rules! json_literal {
    ($($type:ty)*) => {
        $(impl ToJson for $type {
            fn write_json(&self, json: &mut JsonText) {
                json.literal(self);
            }
        })*
    };
}
json_literal!(bool u8 u16 u32 u64 usize);

impl ToJson for f64 {
    /// Always with a fraction: a program may take a number without one for a whole one.
    fn write_json(&self, json: &mut JsonText) {
        if !self.is_finite() {
            return json.literal(&"null");
        }
        json.literal(self);
        if self.fract() == 0.0 {
            json.0.push_str(".0");
        }
    }
}

impl ToJson for str {
    fn write_json(&self, json: &mut JsonText) {
        json.string(self);
    }
}

impl ToJson for String {
    fn write_json(&self, json: &mut JsonText) {
        json.string(self);
    }
}

impl ToJson for IpAddr {
    fn write_json(&self, json: &mut JsonText) {
        json.string(&self.to_string());
    }
}

impl ToJson for Ipv4Addr {
    fn write_json(&self, json: &mut JsonText) {
        IpAddr::V4(*self).write_json(json);
    }
}

impl<T: ToJson + ?Sized> ToJson for &T {
    fn write_json(&self, json: &mut JsonText) {
        (**self).write_json(json);
    }
}

impl<T: ToJson> ToJson for Option<T> {
    fn write_json(&self, json: &mut JsonText) {
        match self {
            Some(value) => value.write_json(json),
            None => json.literal(&"null"),
        }
    }
}

impl<T: ToJson> ToJson for [T] {
    fn write_json(&self, json: &mut JsonText) {
        json.list(&mut self.iter().map(|value| value as &dyn ToJson));
    }
}

impl<T: ToJson> ToJson for Vec<T> {
    fn write_json(&self, json: &mut JsonText) {
        self.as_slice().write_json(json);
    }
}
