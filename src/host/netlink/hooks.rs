//! What in nftables sees a device's frames before the firewall and may forward them:
//! rules with `fwd` or `dup` in tables of the netdev family, the only family that
//! supports them for frames (nft_fwd_netdev.c, nft_dup_netdev.c), and flowtables.

use std::collections::BTreeSet;
use std::io;

use netlink_packet_core::NlasIterator;
use nix::libc;

use crate::host::nf_tables::{CHAIN_HOOK, CHAIN_TABLE, GET_CHAIN, GET_RULE, NFTABLES, RULE_TABLE};
use crate::host::nfnetlink::{Message, Netfilter, Request, attribute};
use crate::net::FrameHook;

/// Messages of nf_tables and their attributes (linux/netfilter/nf_tables.h).
const GET_FLOWTABLE: u8 = 23;
const HOOK_DEVICE: u16 = 3;
const HOOK_DEVICES: u16 = 4;
const RULE_EXPRESSIONS: u16 = 4;
const EXPRESSION_NAME: u16 = 1;
const FLOWTABLE_TABLE: u16 = 1;
const FLOWTABLE_NAME: u16 = 2;
const FLOWTABLE_HOOK: u16 = 3;
const FLOWTABLE_HOOK_DEVICES: u16 = 3;
/// NFTA_DEVICE_PREFIX: all devices whose names begin with it (Linux 6.16).
const DEVICE_PREFIX: u16 = 2;

/// NFPROTO_NETDEV
const NETDEV: u8 = 5;

/// The expressions that send a frame or a copy of it to another device.
const SENDING: [&str; 2] = ["fwd", "dup"];

/// How often a dump is restarted that was inconsistent because the data changed.
const ATTEMPTS: usize = 5;

/// One device, or all whose names begin with a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceName {
    name: String,
    is_prefix: bool,
}

impl DeviceName {
    /// Whether a link matches.
    pub fn is_for(&self, link: &str) -> bool {
        match self.is_prefix {
            true => link.starts_with(&self.name),
            false => link == self.name,
        }
    }
}

/// All hooks, each with its device.
///
/// # Errors
/// Returns an error if the kernel has nftables but does not answer.
pub fn read() -> io::Result<Vec<(DeviceName, FrameHook)>> {
    let sending: BTreeSet<String> = dump(GET_RULE, NETDEV)?
        .iter()
        .filter(|rule| sends(rule))
        .map(|rule| text(rule.attribute(RULE_TABLE)))
        .collect();
    let mut found = Vec::new();
    if !sending.is_empty() {
        for chain in dump(GET_CHAIN, NETDEV)? {
            let table = text(chain.attribute(CHAIN_TABLE));
            if let Some(hook) = chain.attribute(CHAIN_HOOK)
                && sending.contains(&table)
            {
                let table = FrameHook::Table(format!("netdev {table}"));
                let devices = devices(hook).into_iter();
                found.extend(devices.map(|device| (device, table.clone())));
            }
        }
    }
    for flowtable in dump(GET_FLOWTABLE, 0)? {
        let family = match flowtable.family {
            1 => "inet",
            2 => "ip",
            10 => "ip6",
            _ => "netdev",
        };
        let hook = FrameHook::Flowtable {
            table: format!("{family} {}", text(flowtable.attribute(FLOWTABLE_TABLE))),
            name: text(flowtable.attribute(FLOWTABLE_NAME)),
        };
        let devices = flowtable.attribute(FLOWTABLE_HOOK).and_then(|value| {
            let list = attribute(value, FLOWTABLE_HOOK_DEVICES)?;
            Some(names(list))
        });
        let devices = devices.into_iter().flatten();
        found.extend(devices.map(|device| (device, hook.clone())));
    }
    Ok(found)
}

/// Dumps all objects of one kind; the union of what was seen, if the data changed
/// during every attempt.
fn dump(kind: u8, family: u8) -> io::Result<Vec<Message>> {
    let request = Request {
        subsystem: NFTABLES,
        kind,
        family,
        resource: 0,
        attributes: &[],
    };
    let mut netfilter = match Netfilter::open() {
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        netfilter => netfilter?,
    };
    let mut seen = Vec::new();
    for _ in 0..ATTEMPTS {
        let mut messages = Vec::new();
        match netfilter.visit(request, &mut |message| messages.push(message)) {
            Err(error) if is_absent(&error) => return Ok(Vec::new()),
            Ok(true) => return Ok(messages),
            whole => whole?,
        };
        seen.append(&mut messages);
    }
    Ok(seen)
}

/// Whether the error means that the kernel lacks nf_tables or flowtables.
fn is_absent(error: &io::Error) -> bool {
    const ABSENT: [i32; 5] = [
        libc::EINVAL,
        libc::ENOENT,
        libc::EOPNOTSUPP,
        libc::EPROTONOSUPPORT,
        libc::EAFNOSUPPORT,
    ];
    let code = error.raw_os_error();
    code.is_some_and(|code| ABSENT.contains(&code))
}

fn sends(rule: &Message) -> bool {
    let expressions = rule.attribute(RULE_EXPRESSIONS).unwrap_or_default();
    elements(expressions).any(|(_, expression)| {
        let name = text(attribute(&expression, EXPRESSION_NAME));
        SENDING.contains(&name.as_str())
    })
}

fn devices(hook: &[u8]) -> Vec<DeviceName> {
    let one = attribute(hook, HOOK_DEVICE).map(|name| DeviceName {
        name: text(Some(name)),
        is_prefix: false,
    });
    let list = attribute(hook, HOOK_DEVICES).map(names);
    one.into_iter().chain(list.into_iter().flatten()).collect()
}

fn names(list: &[u8]) -> Vec<DeviceName> {
    let devices = elements(list).map(|(kind, name)| DeviceName {
        name: text(Some(&name)),
        is_prefix: kind == DEVICE_PREFIX,
    });
    devices.collect()
}

/// The kinds and values of a list of attributes.
fn elements(list: &[u8]) -> impl Iterator<Item = (u16, Vec<u8>)> {
    NlasIterator::new(list).filter_map(|element| {
        let element = element.ok()?;
        Some((element.kind(), element.value().to_vec()))
    })
}

fn text(value: Option<&[u8]>) -> String {
    let value = value.unwrap_or_default();
    String::from_utf8_lossy(value)
        .trim_end_matches('\0')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::{DefaultNla, Emitable};

    use super::*;

    fn attributes(of: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, value) in of {
            let one = DefaultNla::new(*kind, value.to_vec());
            let begin = bytes.len();
            bytes.resize(begin + one.buffer_len(), 0);
            one.emit(&mut bytes[begin..]);
        }
        bytes
    }

    #[test]
    fn devices_are_one_or_many_or_all_that_begin_so() {
        let many = attributes(&[(1, b"eth1\0"), (DEVICE_PREFIX, b"wlan\0")]);
        let hook = attributes(&[(HOOK_DEVICE, b"eth0\0"), (HOOK_DEVICES, &many)]);
        let found = devices(&hook);
        let is = |link| found.iter().any(|device| device.is_for(link));
        assert!(is("eth0") && is("eth1") && is("wlan3"));
        assert!(!is("eth10") && !is("eth") && !is("wla"));
    }
}
