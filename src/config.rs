//! The configuration file as it is written: shapes and places, no meaning.
//!
//! Owns the keys and their TOML types; an unknown key is refused. Decides
//! nothing about what they say: that is `policy::resolve`.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::source::{Place, Refusal, Source};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[zones.NAME]`
    #[serde(default)]
    pub zones: BTreeMap<Spanned<String>, Zone>,
    /// `[services.NAME]`
    #[serde(default)]
    pub services: BTreeMap<Spanned<String>, Spanned<Service>>,
    /// `[[allow]]`
    #[serde(default)]
    pub allow: Vec<Spanned<Allow>>,
    /// `[[exceptions]]`: what is lifted of a role's guarantee
    #[serde(default)]
    pub exceptions: Vec<Exception>,
    /// `[[masquerade]]`
    #[serde(default)]
    pub masquerade: Vec<Spanned<Masquerade>>,
    /// `[[cameras]]`
    #[serde(default)]
    pub cameras: Vec<Camera>,
    /// `[[routes]]`
    #[serde(default)]
    pub routes: Vec<Spanned<Route>>,
    /// `[[marks]]`
    #[serde(default)]
    pub marks: Vec<Mark>,
    /// `[sysctls]`: kernel settings in place of camfw's own values
    #[serde(default)]
    pub sysctls: BTreeMap<Spanned<String>, Spanned<SysctlValue>>,
    /// `[router]`
    #[serde(default)]
    pub router: Router,
    /// `[ipv6]`
    #[serde(default)]
    pub ipv6: Ipv6,
    /// `[log]`
    #[serde(default)]
    pub log: Log,
}

/// `[zones.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    /// The network interface.
    pub interface: Spanned<Interface>,
    /// The router's own address and the network's prefix, `192.168.8.1/24`, or
    /// several; IPv6 ones beside it.
    pub address: Spanned<Strings>,
    /// Bytes.
    pub mtu: Option<Spanned<i64>>,
    /// The next router, on an external zone; one of each family at most.
    pub gateway: Option<Spanned<Strings>>,
    /// What the zone is.
    pub role: Role,
}

/// A network interface: by its name, or described.
#[derive(Debug)]
pub enum Interface {
    /// `"eth0"`
    Named(String),
    /// `{ mac = "…", name = "cam0" }` and its like
    Described(Box<Description>),
}

/// How an interface is found or made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The name it is given.
    pub name: Option<Spanned<String>>,
    /// Found by its hardware address.
    pub mac: Option<Spanned<String>>,
    /// Found by its device's path below /sys/devices.
    pub path: Option<Spanned<String>>,
    /// Made: a VLAN with this id.
    pub vlan: Option<Spanned<i64>>,
    /// The interface that the VLAN is on.
    pub on: Option<Spanned<String>>,
    /// Made: a bridge of these interfaces.
    pub bridge: Option<Spanned<Vec<Spanned<String>>>>,
}

/// One string or several.
#[derive(Debug)]
pub struct Strings(pub Vec<Spanned<String>>);

/// `[[cameras]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    /// Its name.
    pub name: Spanned<String>,
    /// Its address, in a zone's network.
    pub address: Spanned<String>,
    /// Its hardware address; with it nobody else on its wire takes its address.
    pub mac: Option<Spanned<String>>,
}

/// `[[routes]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Where to, `10.1.0.0/16` or `fd00:1::/48`.
    pub to: Spanned<String>,
    /// By which router, in a zone's network.
    pub via: Option<Spanned<String>>,
    /// To nowhere.
    #[serde(default)]
    pub blackhole: bool,
    /// Lower is taken first.
    #[serde(default)]
    pub metric: u32,
    /// In which table, the main one unless said.
    pub table: Option<Spanned<i64>>,
}

/// `[[marks]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Packets with this mark
    pub fwmark: Spanned<i64>,
    /// look at this table.
    pub table: Spanned<i64>,
}

/// The value of a `[sysctls]` key.
#[derive(Debug)]
pub struct SysctlValue(pub String);

/// What a zone is, and so which guarantees it brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The way out; the default route is here.
    External,
    /// Untrusted cameras: they never open a connection to external or private.
    Camera,
    /// The owner's own network.
    Private,
}

/// `[services.NAME]`, or a service written inside an `[[allow]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// TCP destination ports.
    #[serde(default)]
    pub tcp: Vec<Spanned<Ports>>,
    /// UDP destination ports.
    #[serde(default)]
    pub udp: Vec<Spanned<Ports>>,
    /// ICMP types by name.
    #[serde(default)]
    pub icmp: Vec<Spanned<String>>,
    /// The TCP ports of passive data connections.
    pub passive: Option<Spanned<Ports>>,
}

/// A port, or a range written as `"first-last"`.
#[derive(Debug, Clone)]
pub enum Ports {
    /// A whole number, not yet known to be a port.
    Number(i64),
    /// Text, not yet known to be a range.
    Text(String),
}

/// `[[allow]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Who opens the connection: a zone, `router` or `any`.
    pub from: Spanned<String>,
    /// To whom: a zone or `router`.
    pub to: Spanned<String>,
    /// What.
    pub service: Spanned<Services>,
    /// New connections per source address, `"6/minute"`.
    pub limit: Option<Spanned<String>>,
}

/// What an allow line allows.
#[derive(Debug)]
pub enum Services {
    /// By name.
    Named(Vec<Spanned<String>>),
    /// Written in place.
    Inline(Service),
}

/// `[[exceptions]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// A zone whose role brings the guarantee.
    pub from: Spanned<String>,
    /// The zone that it may reach after all.
    pub to: Spanned<String>,
    /// The services it may reach there, by name.
    pub service: Spanned<Services>,
}

/// `[[masquerade]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Masquerade {
    /// Whose source addresses are rewritten.
    pub from: Spanned<String>,
    /// On the way to which zone.
    pub to: Spanned<String>,
    /// `false` keeps the line and turns it off.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

/// `[router]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Router {
    /// What the router itself may send.
    #[serde(default)]
    pub egress: Egress,
    /// Seconds that `boot` waits for interfaces that are not there yet.
    pub wait: Option<Spanned<i64>>,
}

/// What the router itself may send.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Egress {
    /// Anything.
    #[default]
    Open,
    /// What an `allow` from the router lists, and answers.
    Listed,
}

/// `[ipv6]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ipv6 {
    /// How IPv6 is filtered.
    #[serde(default)]
    pub mode: Ipv6Mode,
}

/// How IPv6 is filtered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ipv6Mode {
    /// Everything is dropped but the loopback.
    #[default]
    Drop,
    /// By the policy of IPv4.
    Same,
}

/// `[log]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The most lines per LOG rule, `"10/minute"`.
    pub rate: Option<Spanned<String>>,
    /// What each line begins with.
    pub prefix: Option<Spanned<String>>,
    /// Also log what no allow line lets through.
    #[serde(default)]
    pub dropped: bool,
}

impl Config {
    /// Reads the file's text.
    ///
    /// # Errors
    /// One line with the place of what TOML or the keys above do not take.
    pub fn parse(source: &Source) -> Result<Config, Refusal> {
        toml::from_str(&source.text).map_err(|error| {
            let place = error
                .span()
                .map_or(Place::START, |span| source.place(span.start));
            let message = error.message();
            Refusal::new(
                &source.name,
                place,
                format_args!("{message}{}", remedy(message)),
            )
        })
    }
}

/// What to do, where TOML's or serde's message does not say it.
fn remedy(message: &str) -> &'static str {
    if message.starts_with("missing field") {
        "; add it to this table"
    } else if message.starts_with("duplicate key") {
        "; keep one of the two"
    } else if message.contains("expected") {
        ""
    } else {
        "; write it as TOML 1.0 has it"
    }
}

// Written by hand: an untagged enum buffers its input and loses the places.

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
                // The place is that of the whole value, which the caller has.
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
                Service::deserialize(MapAccessDeserializer::new(map)).map(Services::Inline)
            }
        }
        deserializer.deserialize_any(ServicesVisitor)
    }
}

impl<'de> Deserialize<'de> for Interface {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Interface, D::Error> {
        struct InterfaceVisitor;
        impl<'de> Visitor<'de> for InterfaceVisitor {
            type Value = Interface;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "an interface's name or a description such as { vlan = 20, on = \"eth1\" }",
                )
            }
            fn visit_str<E>(self, name: &str) -> Result<Interface, E> {
                Ok(Interface::Named(name.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Interface, A::Error> {
                Description::deserialize(MapAccessDeserializer::new(map))
                    .map(|description| Interface::Described(Box::new(description)))
            }
        }
        deserializer.deserialize_any(InterfaceVisitor)
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
                // The place is that of the whole value, which the caller has.
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
