//! Values that can be written in more than one way, with their positions.
//!
//! The visitors are written by hand because an untagged enum buffers its input and loses
//! the positions.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::{BoundTable, InterfaceTable, ServiceTable};

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

/// One string or a list of them.
#[derive(Debug)]
pub struct Strings(pub Vec<Spanned<String>>);

/// The value of a `[sysctls]` key.
#[derive(Debug)]
pub struct SysctlValue(pub String);

/// A port, or a range written as `"first-last"`.
#[derive(Debug, Clone)]
pub enum Ports {
    /// A number, not yet checked to be a port.
    Number(i64),
    /// A text, not yet checked to be a range.
    Text(String),
}

/// The services of an allow line.
#[derive(Debug)]
pub enum Services {
    /// By name.
    Named(Vec<Spanned<String>>),
    /// Written in place.
    Inline(ServiceTable),
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

impl<'de> Deserialize<'de> for Services {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Services, D::Error> {
        struct ServicesVisitor;
        impl<'de> Visitor<'de> for ServicesVisitor {
            type Value = Services;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a service's name, a list of names, or { tcp = [8080] }")
            }
            fn visit_str<E>(self, name: &str) -> Result<Services, E> {
                // A placeholder: the position is that of the whole value, which the caller
                // has.
                Ok(Services::Named(vec![Spanned::new(0..0, name.to_owned())]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Services, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = seq.next_element()? {
                    names.push(name);
                }
                Ok(Services::Named(names))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Services, A::Error> {
                ServiceTable::deserialize(MapAccessDeserializer::new(map)).map(Services::Inline)
            }
        }
        deserializer.deserialize_any(ServicesVisitor)
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

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strings, D::Error> {
        struct StringsVisitor;
        impl<'de> Visitor<'de> for StringsVisitor {
            type Value = Strings;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }
            fn visit_str<E>(self, text: &str) -> Result<Strings, E> {
                // A placeholder: the position is that of the whole value, which the caller
                // has.
                Ok(Strings(vec![Spanned::new(0..0, text.to_owned())]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Strings, A::Error> {
                let mut strings = Vec::new();
                while let Some(string) = seq.next_element()? {
                    strings.push(string);
                }
                Ok(Strings(strings))
            }
        }
        deserializer.deserialize_any(StringsVisitor)
    }
}

impl<'de> Deserialize<'de> for SysctlValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SysctlValue, D::Error> {
        struct ValueVisitor;
        impl Visitor<'_> for ValueVisitor {
            type Value = SysctlValue;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a string")
            }
            fn visit_i64<E>(self, number: i64) -> Result<SysctlValue, E> {
                Ok(SysctlValue(number.to_string()))
            }
            fn visit_str<E>(self, text: &str) -> Result<SysctlValue, E> {
                Ok(SysctlValue(text.to_owned()))
            }
        }
        deserializer.deserialize_any(ValueVisitor)
    }
}
