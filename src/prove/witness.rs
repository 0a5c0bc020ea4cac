//! Writes a packet as the options that `camfw trace` takes.
//!
//! Owns the names of packet fields and values in that form.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::hook_path::HookPath;
use super::packet::{Field, NO_INTERFACE, Packet, State};
use super::space::Space;
use crate::family::IpFamily;
use crate::name::MacAddress;
use crate::netfilter::{CtDirection, TcpFlags};

/// The names of interfaces: of the zone they belong to, if any.
#[derive(Debug, Clone, Default)]
pub struct Naming {
    /// Interface and zone.
    pub zones: Vec<(String, String)>,
    /// The addresses of cameras whose hardware addresses are known.
    pub cameras: Vec<u128>,
}

impl Naming {
    fn shown<'n>(&'n self, interface: &'n str) -> &'n str {
        let zone = self.zones.iter().find(|(known, _)| known == interface);
        zone.map_or(interface, |(_, zone)| zone)
    }

    /// The interface that this name stands for.
    pub fn interface<'n>(&'n self, shown: &'n str) -> &'n str {
        let zone = self.zones.iter().find(|(_, zone)| zone == shown);
        zone.map_or(shown, |(interface, _)| interface)
    }
}

/// An address from its number.
pub fn address(family: IpFamily, number: u128) -> IpAddr {
    match family {
        IpFamily::V4 => Ipv4Addr::from(number as u32).into(),
        IpFamily::V6 => Ipv6Addr::from(number).into(),
    }
}

/// A hardware address from its number.
pub fn hardware(number: u128) -> MacAddress {
    let bytes = number.to_be_bytes();
    let mut address = [0; 6];
    address.copy_from_slice(&bytes[10..]);
    MacAddress::from(address)
}

/// The name of a protocol, if `camfw trace` knows one.
pub fn protocol_name(number: u128) -> Option<&'static str> {
    match number {
        1 => Some("icmp"),
        6 => Some("tcp"),
        17 => Some("udp"),
        58 => Some("icmpv6"),
        _ => None,
    }
}

/// The options of `camfw trace` for the fields of a packet's connection; those of iptables,
/// where it has one.
const CONNECTION: [(Field, &str); 9] = [
    (Field::CtDirection, "ctdir"),
    (Field::CtOriginalSource, "ctorigsrc"),
    (Field::CtOriginalDestination, "ctorigdst"),
    (Field::CtReplySource, "ctreplsrc"),
    (Field::CtReplyDestination, "ctrepldst"),
    (Field::CtOriginalSourcePort, "ctorigsrcport"),
    (Field::CtReplySourcePort, "ctreplsrcport"),
    (Field::CtExpected, "expected"),
    (Field::CtHelper, "helper"),
];

/// The `--ctdir` value of a direction's number.
pub fn direction_name(number: u128) -> &'static str {
    match number {
        0 => CtDirection::Original.as_str(),
        _ => CtDirection::Reply.as_str(),
    }
}

/// The name of a helper's code.
pub fn helper_name(code: u128) -> &'static str {
    match code {
        0 => "none",
        1 => "ftp",
        _ => "other",
    }
}

/// The options of `camfw trace` that describe a packet as it arrived.
pub fn line(space: &Space, naming: &Naming, way: HookPath, packet: &Packet) -> String {
    written(space, naming, way, &as_it_came(space, way, packet))
}

/// The options that describe a packet as it is.
pub fn written(space: &Space, naming: &Naming, way: HookPath, packet: &Packet) -> String {
    let value = |field| packet.value(field);
    let interface = |field| naming.shown(space.interfaces.name(value(field)));
    let (from, to) = match way {
        HookPath::Input => (interface(Field::In), "router"),
        HookPath::Forward => (interface(Field::In), interface(Field::Out)),
        HookPath::Output => ("router", interface(Field::Out)),
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
        // Other protocols have no ports; these protocols have them in the same place.
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
    // Without it trace takes a packet with a camera's address for the camera's.
    if value(Field::Mac) != 0 || naming.cameras.contains(&value(Field::Source)) {
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
    if way == HookPath::Input && value(Field::Local) == 0 && known.is_none() {
        line.push_str(match value(Field::AnyLocal) {
            0 => " --elsewhere",
            _ => " --own",
        });
    }
    let known = space.is_any_local(value(Field::Destination));
    if way != HookPath::Input && value(Field::AnyLocal) == 1 && known.is_none() {
        line.push_str(" --own");
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
            Field::CtOriginalSourcePort | Field::CtReplySourcePort => {
                write!(line, " --{option} {value}")
            }
            _ => write!(line, " --{option} {}", address(space.family, value)),
        };
    }
    line
}

/// A packet of a set as it was before rules changed it.
pub fn as_it_came(space: &Space, way: HookPath, packet: &Packet) -> Packet {
    let mut came = *packet;
    let state = packet.value(Field::State);
    if packet.value(Field::Dnat) == 1 && state == State::New as u128 {
        came.set(Field::Destination, packet.value(Field::OriginalDestination));
        came.set(Field::DestinationPort, packet.value(Field::OriginalPort));
    }
    // A packet of a connection is rewritten as the connection is.
    if state != State::Established as u128 && state != State::Related as u128 {
        for field in [Field::Dnat, Field::Snat] {
            came.set(field, 0);
        }
    }
    if way == HookPath::Forward && space.forwarding_counts {
        came.set(Field::Hops, packet.value(Field::Hops) + 1);
    }
    if packet.value(Field::In) != NO_INTERFACE {
        came.set(Field::Mark, 0);
    }
    if state == State::Untracked as u128 && packet.value(Field::Protocol) != 58 {
        // It is a rule that exempts it from conntrack.
        came.set(Field::State, State::New as u128);
    }
    came
}

fn flags(flags: u128) -> String {
    TcpFlags::names(flags).unwrap_or_else(|| "NONE".into())
}
