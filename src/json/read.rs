//! Reads JSON that camfw wrote, which may be torn, edited or another version's.

use std::net::IpAddr;

use thiserror::Error;

/// How deep lists and objects may lie in each other: deeper than those of any file that
/// camfw writes.
const DEEPEST: usize = 16;

/// Why a text cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum JsonError {
    /// It is not JSON.
    #[error("it is torn or not JSON at byte {0}")]
    Syntax(usize),
    /// A value is not what it has to be, or not there.
    #[error("it has no {0} that can be used")]
    Value(&'static str),
    /// A member that nobody reads.
    #[error("it has {0:?}, which this version does not know")]
    Unknown(String),
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    /// `null`, `true` or `false`.
    Word(&'static str),
    /// A number as written.
    Number(String),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// An object, in its order.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a text.
    ///
    /// # Errors
    /// Returns an error if it is not JSON, or if something follows it.
    pub(crate) fn parse(text: &str) -> Result<Json, JsonError> {
        let mut reader = JsonReader {
            text,
            at: 0,
            depth: 0,
        };
        let value = reader.value();
        reader.skip_space();
        match value {
            Some(value) if reader.rest().is_empty() => Ok(value),
            _ => Err(JsonError::Syntax(reader.at)),
        }
    }
}

struct JsonReader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> JsonReader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        let space = [' ', '\n', '\r', '\t'];
        self.at += rest.len() - rest.trim_start_matches(space).len();
    }

    /// Whether this comes next; if so, it is passed.
    fn takes(&mut self, what: &str) -> bool {
        let is_next = self.rest().starts_with(what);
        if is_next {
            self.at += what.len();
        }
        is_next
    }

    /// The same after white space.
    fn takes_sign(&mut self, sign: &str) -> bool {
        self.skip_space();
        self.takes(sign)
    }

    fn value(&mut self) -> Option<Json> {
        self.skip_space();
        if let Some(word) = ["null", "true", "false"]
            .into_iter()
            .find(|word| self.takes(word))
        {
            return Some(Json::Word(word));
        }
        match self.rest().chars().next()? {
            '"' => Some(Json::Text(self.string()?)),
            '[' => Some(Json::List(self.entries("[", "]", JsonReader::value)?)),
            '{' => Some(Json::Object(self.entries("{", "}", JsonReader::member)?)),
            _ => self.number(),
        }
    }

    /// What stands between two brackets.
    fn entries<T>(
        &mut self,
        open: &str,
        close: &str,
        entry: fn(&mut JsonReader<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut entries = Vec::new();
        self.depth += 1;
        if self.depth > DEEPEST || !self.takes(open) {
            return None;
        }
        if !self.takes_sign(close) {
            loop {
                entries.push(entry(self)?);
                if self.takes_sign(close) {
                    break;
                }
                if !self.takes(",") {
                    return None;
                }
            }
        }
        self.depth -= 1;
        Some(entries)
    }

    fn member(&mut self) -> Option<(String, Json)> {
        self.skip_space();
        let name = self.string()?;
        match self.takes_sign(":") {
            true => Some((name, self.value()?)),
            false => None,
        }
    }

    fn string(&mut self) -> Option<String> {
        if !self.takes("\"") {
            return None;
        }
        let mut text = String::new();
        loop {
            let letter = self.letter()?;
            text.push(match letter {
                '"' => return Some(text),
                '\\' => self.escaped()?,
                '\0'..' ' => return None,
                letter => letter,
            });
        }
    }

    fn letter(&mut self) -> Option<char> {
        let letter = self.rest().chars().next()?;
        self.at += letter.len_utf8();
        Some(letter)
    }

    fn escaped(&mut self) -> Option<char> {
        Some(match self.letter()? {
            letter @ ('"' | '\\' | '/') => letter,
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => {
                // Of two that stand for one letter no part is a letter: camfw writes none.
                let digits = self.rest().get(..4)?;
                self.at += digits.len();
                char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
            }
            _ => return None,
        })
    }

    fn number(&mut self) -> Option<Json> {
        let rest = self.rest();
        let is_of_it = |letter: char| letter.is_ascii_digit() || "+-.eE".contains(letter);
        let number = &rest[..rest.find(|letter| !is_of_it(letter)).unwrap_or(rest.len())];
        if number.starts_with('+') || !number.parse().is_ok_and(f64::is_finite) {
            return None;
        }
        self.at += number.len();
        Some(Json::Number(number.to_owned()))
    }
}

/// A value that can be read.
pub(crate) trait FromJson: Sized {
    /// The value, if it is of this type.
    fn from_json(value: Json) -> Option<Self>;
}

/// The members of an object, of which each is read once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JsonMembers(Vec<(String, Json)>);

impl JsonMembers {
    /// Reads a text that is an object.
    ///
    /// # Errors
    /// Returns an error if it is not.
    pub(crate) fn parse(text: &str) -> Result<JsonMembers, JsonError> {
        match Json::parse(text)? {
            Json::Object(members) => Ok(JsonMembers(members)),
            _ => Err(JsonError::Syntax(0)),
        }
    }

    /// Reads a member that is there.
    ///
    /// # Errors
    /// Returns an error if it is not, or if it has another type.
    pub(crate) fn needed<T: FromJson>(&mut self, name: &'static str) -> Result<T, JsonError> {
        self.given(name)?.ok_or(JsonError::Value(name))
    }

    /// Reads a member that may be null or not there.
    ///
    /// # Errors
    /// Returns an error if it has another type.
    pub(crate) fn given<T: FromJson>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, JsonError> {
        match self.take(name) {
            None | Some(Json::Word("null")) => Ok(None),
            Some(value) => T::from_json(value).map(Some).ok_or(JsonError::Value(name)),
        }
    }

    fn take(&mut self, name: &str) -> Option<Json> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Returns an error if a member was not read, or is there twice.
    pub(crate) fn end(mut self) -> Result<(), JsonError> {
        match self.0.pop() {
            None => Ok(()),
            Some((name, _)) => Err(JsonError::Unknown(name)),
        }
    }
}

impl IntoIterator for JsonMembers {
    type Item = (String, Json);
    type IntoIter = std::vec::IntoIter<(String, Json)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromJson for JsonMembers {
    fn from_json(value: Json) -> Option<JsonMembers> {
        match value {
            Json::Object(members) => Some(JsonMembers(members)),
            _ => None,
        }
    }
}

impl FromJson for String {
    fn from_json(value: Json) -> Option<String> {
        match value {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl FromJson for u64 {
    fn from_json(value: Json) -> Option<u64> {
        match value {
            Json::Number(number) => number.parse().ok(),
            _ => None,
        }
    }
}

impl FromJson for f64 {
    fn from_json(value: Json) -> Option<f64> {
        match value {
            Json::Number(number) => number.parse().ok(),
            _ => None,
        }
    }
}

impl FromJson for IpAddr {
    fn from_json(value: Json) -> Option<IpAddr> {
        String::from_json(value)?.parse().ok()
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(value: Json) -> Option<Vec<T>> {
        match value {
            Json::List(values) => values.into_iter().map(T::from_json).collect(),
            _ => None,
        }
    }
}
