//! A value and where it is written.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A value, and the bytes that it takes in the configuration. Two are the same if their
/// values are, wherever they are written.
#[derive(Debug, Clone)]
pub struct Spanned<T> {
    span: Range<usize>,
    value: T,
}

impl<T> Spanned<T> {
    /// How a deserializer is asked for a value with its place: for a map with one entry,
    /// of the place to the value.
    pub(super) const REQUEST: &'static str = "a value and its place";

    /// A value that is written there.
    pub fn new(span: Range<usize>, value: T) -> Spanned<T> {
        Spanned { span, value }
    }

    /// The bytes of the configuration that it takes.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The value.
    pub fn get_ref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Spanned<T> {}

impl<T: PartialOrd> PartialOrd for Spanned<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl<T: Ord> Ord for Spanned<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.cmp(&other.value)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Spanned<T>, D::Error> {
        struct SpannedVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for SpannedVisitor<T> {
            type Value = Spanned<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value in a file")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Spanned<T>, A::Error> {
                let Some(place) = map.next_key::<PackedSpan>()? else {
                    return Err(A::Error::custom("this value has no place"));
                };
                Ok(Spanned::new(place.span(), map.next_value()?))
            }
        }
        deserializer.deserialize_newtype_struct(Self::REQUEST, SpannedVisitor(PhantomData))
    }
}

/// The place of a value, as a deserializer hands it over: both ends in one number, since
/// no file is longer than 4 GiB.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackedSpan(pub(super) u64);

impl From<Range<usize>> for PackedSpan {
    fn from(span: Range<usize>) -> PackedSpan {
        PackedSpan(((span.start as u64) << 32) | span.end as u64)
    }
}

impl PackedSpan {
    pub(super) fn span(self) -> Range<usize> {
        let end = self.0 & u64::from(u32::MAX);
        (self.0 >> 32) as usize..end as usize
    }
}

impl<'de> Deserialize<'de> for PackedSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PackedSpan, D::Error> {
        u64::deserialize(deserializer).map(PackedSpan)
    }
}
