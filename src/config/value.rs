//! Values that can be written in more than one way, with their positions.
//!
//! The visitors are written by hand because an untagged enum buffers its input and loses
//! the positions.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{BoundTable, InterfaceTable, ServiceTable, Spanned};

/// A network interface, by name or by description.
#[derive(Debug)]
pub enum InterfaceValue {
    /// `"eth0"`
    Named(String),
    /// `{ mac = "…", name = "cam0" }` and similar
    Described(Box<InterfaceTable>),
}

/// Whether, and by which numbers, the connections that a zone opens are limited.
#[derive(Debug)]
pub enum BoundValue {
    /// `true` or `false`
    Switch(bool),
    /// `{ connections = 256 }` and similar
    Table(Box<BoundTable>),
}

/// A number or a string, as text.
#[derive(Debug)]
pub struct Scalar(pub String);

/// A port, or a range written as `"first-last"`.
#[derive(Debug, Clone)]
pub enum Ports {
    /// A number, not yet checked to be a port.
    Number(i64),
    /// A text, not yet checked to be a range.
    Text(String),
}

/// A service of an allow line.
#[derive(Debug)]
pub enum ServiceValue {
    /// By name.
    Named(String),
    /// Written in place.
    Inline(Box<ServiceTable>),
}

/// One value or a list of them. One without a list has no position of its own: that is the
/// whole value's, which the caller has.
#[derive(Debug)]
pub struct OneOrMore<T>(pub Vec<Spanned<T>>);

/// One string or a list of them.
pub type Strings = OneOrMore<String>;

/// One port or range, or a list of them.
pub type PortList = OneOrMore<Ports>;

/// One number or string, or a list of them.
pub type Scalars = OneOrMore<Scalar>;

/// One service or a list of them.
pub type Services = OneOrMore<ServiceValue>;

/// What may stand in a list, or alone without one.
pub trait InAList: Sized {
    /// What a refusal asks for.
    const EXPECTED: &'static str;
}

impl InAList for String {
    const EXPECTED: &'static str = "a string or a list of strings";
}

impl InAList for Scalar {
    const EXPECTED: &'static str = "a number, a string or a list of strings";
}

impl InAList for Ports {
    const EXPECTED: &'static str =
        "a port such as 21, a range such as \"50000-50100\" or a list of them";
}

impl InAList for ServiceValue {
    const EXPECTED: &'static str = "a service's name, { tcp = [8080] } or a list of them";
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ports, D::Error> {
        struct PortsVisitor;
        impl Visitor<'_> for PortsVisitor {
            type Value = Ports;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port such as 21 or a range such as \"50000-50100\"")
            }
            fn visit_i64<E>(self, number: i64) -> Result<Ports, E> {
                Ok(Ports::Number(number))
            }
            fn visit_str<E>(self, text: &str) -> Result<Ports, E> {
                Ok(Ports::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_any(PortsVisitor)
    }
}

impl<'de> Deserialize<'de> for ServiceValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ServiceValue, D::Error> {
        struct ServiceVisitor;
        impl<'de> Visitor<'de> for ServiceVisitor {
            type Value = ServiceValue;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a service's name or { tcp = [8080] }")
            }
            fn visit_str<E>(self, name: &str) -> Result<ServiceValue, E> {
                Ok(ServiceValue::Named(name.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ServiceValue, A::Error> {
                ServiceTable::deserialize(MapAccessDeserializer::new(map))
                    .map(|table| ServiceValue::Inline(Box::new(table)))
            }
        }
        deserializer.deserialize_any(ServiceVisitor)
    }
}

impl<'de, T: InAList + Deserialize<'de>> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OneOrMore<T>, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);
        fn alone<'de, T, D>(value: D) -> Result<OneOrMore<T>, D::Error>
        where
            T: Deserialize<'de>,
            D: Deserializer<'de>,
        {
            Ok(OneOrMore(vec![Spanned::new(0..0, T::deserialize(value)?)]))
        }
        impl<'de, T: InAList + Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = OneOrMore<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::EXPECTED)
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<OneOrMore<T>, E> {
                alone(number.into_deserializer())
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<OneOrMore<T>, E> {
                alone(text.into_deserializer())
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OneOrMore<T>, A::Error> {
                alone(MapAccessDeserializer::new(map))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OneOrMore<T>, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = seq.next_element()? {
                    all.push(one);
                }
                Ok(OneOrMore(all))
            }
        }
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for InterfaceValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<InterfaceValue, D::Error> {
        struct InterfaceVisitor;
        impl<'de> Visitor<'de> for InterfaceVisitor {
            type Value = InterfaceValue;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "an interface's name or a description such as { vlan = 20, on = \"eth1\" }",
                )
            }
            fn visit_str<E>(self, name: &str) -> Result<InterfaceValue, E> {
                Ok(InterfaceValue::Named(name.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<InterfaceValue, A::Error> {
                InterfaceTable::deserialize(MapAccessDeserializer::new(map))
                    .map(|description| InterfaceValue::Described(Box::new(description)))
            }
        }
        deserializer.deserialize_any(InterfaceVisitor)
    }
}

impl<'de> Deserialize<'de> for BoundValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<BoundValue, D::Error> {
        struct BoundVisitor;
        impl<'de> Visitor<'de> for BoundVisitor {
            type Value = BoundValue;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or { connections = 256, limit = \"20/second\" }")
            }
            fn visit_bool<E>(self, bounded: bool) -> Result<BoundValue, E> {
                Ok(BoundValue::Switch(bounded))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BoundValue, A::Error> {
                BoundTable::deserialize(MapAccessDeserializer::new(map))
                    .map(|table| BoundValue::Table(Box::new(table)))
            }
        }
        deserializer.deserialize_any(BoundVisitor)
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scalar, D::Error> {
        struct ValueVisitor;
        impl Visitor<'_> for ValueVisitor {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a string")
            }
            fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.to_owned()))
            }
        }
        deserializer.deserialize_any(ValueVisitor)
    }
}

/// `[page]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageTable {
    /// Whether the policy's own lines are on the page; true if absent.
    pub policy: Option<bool>,
}
