//! A packet as a line that `camfw trace` takes, and back.
//!
//! Owns the words for a packet's fields.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::packet::{Field, NO_INTERFACE, Packet, Space, State, helper_code};
use super::reach::Way;
use crate::family::IpFamily;
use crate::name::MacAddress;
use crate::netfilter::{CtDirection, TcpFlags};

/// What interfaces are called: by the zone they belong to, if there is one.
#[derive(Debug, Clone, Default)]
pub struct Naming {
    /// Interface and zone.
    pub zones: Vec<(String, String)>,
}

impl Naming {
    fn shown<'n>(&'n self, interface: &'n str) -> &'n str {
        let zone = self.zones.iter().find(|(known, _)| known == interface);
        zone.map_or(interface, |(_, zone)| zone)
    }

    fn interface<'n>(&'n self, shown: &'n str) -> &'n str {
        let zone = self.zones.iter().find(|(_, zone)| zone == shown);
        zone.map_or(shown, |(interface, _)| interface)
    }
}

/// An address of a number.
pub fn address(family: IpFamily, number: u128) -> IpAddr {
    match family {
        IpFamily::V4 => Ipv4Addr::from(number as u32).into(),
        IpFamily::V6 => Ipv6Addr::from(number).into(),
    }
}

/// A hardware address of a number.
pub fn hardware(number: u128) -> MacAddress {
    let bytes = number.to_be_bytes();
    let mut address = [0; 6];
    address.copy_from_slice(&bytes[10..]);
    MacAddress::from(address)
}

/// A protocol that has a name here.
pub fn protocol_name(number: u128) -> Option<&'static str> {
    match number {
        1 => Some("icmp"),
        6 => Some("tcp"),
        17 => Some("udp"),
        58 => Some("icmpv6"),
        _ => None,
    }
}

/// A protocol by its name or its number.
pub fn protocol(text: &str) -> Option<u8> {
    let mut known = [1, 6, 17, 58].into_iter();
    let named = known.find(|number| protocol_name(u128::from(*number)) == Some(text));
    named.or_else(|| text.parse().ok())
}

/// The options of `camfw trace` for what is known of a packet by its connection;
/// of iptables where it has one.
const CONNECTION: [(Field, &str); 7] = [
    (Field::CtDirection, "ctdir"),
    (Field::CtOriginalSource, "ctorigsrc"),
    (Field::CtOriginalDestination, "ctorigdst"),
    (Field::CtReplySource, "ctreplsrc"),
    (Field::CtReplyDestination, "ctrepldst"),
    (Field::CtExpected, "expected"),
    (Field::CtHelper, "helper"),
];

/// `--ctdir` of a number.
pub fn direction_name(number: u128) -> &'static str {
    match number {
        0 => CtDirection::Original.as_str(),
        _ => CtDirection::Reply.as_str(),
    }
}

/// A helper of a code.
pub fn helper_name(code: u128) -> &'static str {
    match code {
        0 => "none",
        1 => "ftp",
        _ => "other",
    }
}

/// The options of `camfw trace` that describe a packet as it came.
pub fn line(space: &Space, naming: &Naming, way: Way, packet: &Packet) -> String {
    written(space, naming, way, &as_it_came(space, way, packet))
}

/// The options that describe a packet as it is.
pub fn written(space: &Space, naming: &Naming, way: Way, packet: &Packet) -> String {
    let value = |field| packet.value(field);
    let interface = |field| naming.shown(space.interfaces.name(value(field)));
    let (from, to) = match way {
        Way::Input => (interface(Field::In), "router"),
        Way::Forward => (interface(Field::In), interface(Field::Out)),
        Way::Output => ("router", interface(Field::Out)),
    };
    let mut line = format!(
        "--from {from} --to {to} --src {} --dst {}",
        address(space.family, value(Field::Source)),
        address(space.family, value(Field::Destination)),
    );
    let protocol = value(Field::Protocol);
    match protocol_name(protocol) {
        Some(name) => line += &format!(" --proto {name}"),
        None => line += &format!(" --proto {protocol}"),
    }
    match protocol {
        1 | 58 => {
            let (kind, code) = (value(Field::IcmpType), value(Field::IcmpCode));
            let _ = write!(line, " --icmp-type {kind}/{code}");
        }
        // Other protocols have no ports, or those that have look the same.
        6 | 17 | 33 | 132 | 136 => {
            let (from, to) = (value(Field::SourcePort), value(Field::DestinationPort));
            let _ = write!(line, " --sport {from} --dport {to}");
        }
        _ => {}
    }
    if protocol == 6 {
        let _ = write!(line, " --flags {}", flags(value(Field::Flags)));
    }
    let state = value(Field::State);
    if let Some((_, _, name)) = State::ALL
        .iter()
        .find(|(known, ..)| *known as u128 == state)
    {
        let _ = write!(line, " --state {name}");
    }
    if value(Field::Mac) != 0 {
        let _ = write!(line, " --mac {}", hardware(value(Field::Mac)));
    }
    if value(Field::Hops) != 64 {
        let _ = write!(line, " --ttl {}", value(Field::Hops));
    }
    if value(Field::Fragment) == 1 {
        line.push_str(" --fragment");
    }
    if value(Field::Mark) != 0 {
        let _ = write!(line, " --mark {:#x}", value(Field::Mark));
    }
    let known = space.is_local(value(Field::In), value(Field::Destination));
    if way == Way::Input && value(Field::Local) == 0 && known.is_none() {
        line.push_str(" --elsewhere");
    }
    for (field, option) in [(Field::Dnat, " --dnat"), (Field::Snat, " --snat")] {
        if value(field) == 1 {
            line.push_str(option);
        }
    }
    for (field, option) in CONNECTION {
        let value = value(field);
        if value == 0 {
            continue;
        }
        let _ = match field {
            Field::CtExpected => write!(line, " --{option}"),
            Field::CtDirection => write!(line, " --{option} {}", direction_name(value)),
            Field::CtHelper => write!(line, " --{option} {}", helper_name(value)),
            _ => write!(line, " --{option} {}", address(space.family, value)),
        };
    }
    line
}

/// A packet of a set, as it was before rules changed it.
pub fn as_it_came(space: &Space, way: Way, packet: &Packet) -> Packet {
    let mut came = *packet;
    let state = packet.value(Field::State);
    if packet.value(Field::Dnat) == 1 && state == State::New as u128 {
        came.set(Field::Destination, packet.value(Field::OriginalDestination));
        came.set(Field::DestinationPort, packet.value(Field::OriginalPort));
    }
    // What belongs to a connection is rewritten as that is.
    if state != State::Established as u128 && state != State::Related as u128 {
        for field in [Field::Dnat, Field::Snat] {
            came.set(field, 0);
        }
    }
    if way == Way::Forward && space.forwarding_counts {
        came.set(Field::Hops, packet.value(Field::Hops) + 1);
    }
    if packet.value(Field::In) != NO_INTERFACE {
        came.set(Field::Mark, 0);
    }
    if state == State::Untracked as u128 && packet.value(Field::Protocol) != 58 {
        // It is a rule that keeps it from conntrack.
        came.set(Field::State, State::New as u128);
    }
    came
}

fn flags(flags: u128) -> String {
    TcpFlags::names(flags).unwrap_or_else(|| "NONE".into())
}

/// A packet of the options of `camfw trace`: name, without dashes, and value.
///
/// # Errors
/// What is wrong with them, and what to do.
pub fn packet(
    space: &Space,
    naming: &Naming,
    options: &[(String, String)],
) -> Result<(Way, Packet), String> {
    let mut packet = Packet::ZERO;
    packet.set(Field::State, State::New as u128);
    packet.set(Field::SourcePort, 40_000);
    packet.set(Field::Hops, 64);
    packet.set(Field::Flags, TcpFlags::OPENING.set.into());
    packet.set(
        Field::IcmpType,
        if space.family == IpFamily::V4 { 8 } else { 128 },
    );
    let (mut from, mut to) = (None, None);
    let mut elsewhere = false;
    for (name, text) in options {
        let wrong = |what: &str| format!("--{name} {text}: {what}");
        let number = |field: Field| {
            let (digits, radix) = match text.strip_prefix("0x") {
                Some(digits) => (digits, 16),
                None => (text.as_str(), 10),
            };
            u128::from_str_radix(digits, radix)
                .ok()
                .filter(|number| *number <= space.highest(field))
                .ok_or_else(|| wrong(&format!("is no number up to {}", space.highest(field))))
        };
        let field = match name.as_str() {
            "from" => {
                from = Some(text.as_str());
                continue;
            }
            "to" => {
                to = Some(text.as_str());
                continue;
            }
            "src" | "dst" | "ctorigsrc" | "ctorigdst" | "ctreplsrc" | "ctrepldst" => {
                let address: IpAddr = text.parse().map_err(|_| wrong("is no address"))?;
                if address.is_ipv4() != (space.family == IpFamily::V4) {
                    return Err(wrong("is of the other family; give both of one"));
                }
                let mut of_connection = CONNECTION.iter();
                let field = match name.as_str() {
                    "src" => Field::Source,
                    "dst" => Field::Destination,
                    _ => of_connection
                        .find(|(_, option)| option == name)
                        .map_or(Field::Destination, |(field, _)| *field),
                };
                packet.set(field, super::condition::address(address));
                continue;
            }
            "proto" => {
                let value = protocol(text).ok_or_else(|| {
                    wrong("is no protocol; use tcp, udp, icmp, icmpv6 or a number")
                })?;
                packet.set(Field::Protocol, value.into());
                continue;
            }
            "icmp-type" => {
                let (kind, code) = text.split_once('/').unwrap_or((text, "0"));
                let byte = |text: &str| {
                    text.parse::<u8>()
                        .map_err(|_| wrong("is no ICMP type; write it as 8 or 3/1"))
                };
                packet.set(Field::IcmpType, byte(kind)?.into());
                packet.set(Field::IcmpCode, byte(code)?.into());
                continue;
            }
            "flags" => {
                let mut flags = 0;
                for name in text.split(',').filter(|name| *name != "NONE") {
                    let bit = TcpFlags::NAMES.iter().position(|known| *known == name);
                    let bit = bit.ok_or_else(|| {
                        wrong("is no list of TCP flags; write it as SYN,ACK, or NONE")
                    })?;
                    flags |= 1 << bit;
                }
                packet.set(Field::Flags, flags);
                continue;
            }
            "state" => {
                let state = State::ALL.iter().find(|(_, _, known)| known == text);
                let (state, ..) = state.ok_or_else(|| {
                    wrong("is no state; use NEW, ESTABLISHED, RELATED, INVALID or UNTRACKED")
                })?;
                packet.set(Field::State, *state as u128);
                continue;
            }
            "mac" => {
                let parts: Option<Vec<u8>> = text
                    .split(':')
                    .map(|part| u8::from_str_radix(part, 16).ok())
                    .collect();
                let parts = parts.filter(|parts| parts.len() == 6);
                let parts = parts.ok_or_else(|| wrong("is no hardware address"))?;
                let mac = parts.iter().fold(0, |mac, b| mac << 8 | u128::from(*b));
                packet.set(Field::Mac, mac);
                continue;
            }
            "elsewhere" => {
                elsewhere = true;
                continue;
            }
            "ctdir" => {
                let direction = match text.as_str() {
                    "ORIGINAL" => CtDirection::Original,
                    "REPLY" => CtDirection::Reply,
                    _ => return Err(wrong("is no direction; use ORIGINAL or REPLY")),
                };
                packet.set(Field::CtDirection, direction as u128);
                continue;
            }
            "helper" => {
                let helper = if text == "none" { "" } else { text };
                packet.set(Field::CtHelper, helper_code(helper));
                continue;
            }
            "fragment" | "dnat" | "snat" | "expected" => {
                let field = match name.as_str() {
                    "fragment" => Field::Fragment,
                    "expected" => Field::CtExpected,
                    "dnat" => Field::Dnat,
                    _ => Field::Snat,
                };
                packet.set(field, 1);
                continue;
            }
            "sport" => Field::SourcePort,
            "dport" => Field::DestinationPort,
            "mark" => Field::Mark,
            "ttl" => Field::Hops,
            _ => return Err(wrong("is no part of a packet")),
        };
        let number = number(field)?;
        packet.set(field, number);
    }
    let mut place = |field: Field, name: Option<&str>| -> Result<bool, String> {
        let Some(name) = name.filter(|name| *name != "router") else {
            return Ok(false);
        };
        let known = space.interfaces.place(naming.interface(name));
        // One that no rule and no zone names is like all such.
        let place = known.or_else(|| space.interfaces.like(name));
        packet.set(
            field,
            place.ok_or_else(|| format!("no interface is called {name:?}"))?,
        );
        Ok(true)
    };
    let way = match (place(Field::In, from)?, place(Field::Out, to)?) {
        (true, false) => Way::Input,
        (true, true) => Way::Forward,
        (false, true) => Way::Output,
        (false, false) => {
            return Err("a packet needs --from or --to with a zone or an interface".into());
        }
    };
    // To the router is to its address there, unless it is known or said otherwise.
    let (inward, to) = (packet.value(Field::In), packet.value(Field::Destination));
    let local = !elsewhere && space.is_local(inward, to) != Some(false);
    packet.set(Field::Local, (way == Way::Input && local).into());
    Ok((way, packet))
}
