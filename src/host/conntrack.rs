//! The kernel's connection table: reads entries, and deletes single ones.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::libc;

use super::nfnetlink::{Message, Netfilter, Request, attribute};
use crate::netfilter::TrackedConnection;

/// One entry of the connection table.
#[derive(Debug)]
pub struct Entry {
    /// The endpoints of the connection.
    pub flow: TrackedConnection,
    /// The connection that this one belongs to, as FTP data to its control connection,
    /// by source, destination and ports; its translated destination is not known.
    pub master: Option<TrackedConnection>,
    /// Where the replies go: the opener, or the address that its own was translated to.
    pub answers_to: IpAddr,
    /// The source port of the replies, if there was one.
    pub answered_from: Option<u16>,
    /// Whether TCP has closed it, by a reset or from both ends.
    pub is_closed: bool,
    /// The conntrack zone of the entry.
    pub zone: u16,
    /// The number that the kernel gives the entry.
    pub id: Option<u32>,
    family: u8,
    /// The attributes that identify it, in wire format.
    key: Vec<u8>,
}

/// NFNL_SUBSYS_CTNETLINK and its messages (linux/netfilter/nfnetlink_conntrack.h).
const CONNTRACK: u8 = 1;
const GET: u8 = 1;
const DELETE: u8 = 2;

/// CTA_*
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const STATUS: u16 = 3;
const PROTOCOL_STATE: u16 = 4;
const ID: u16 = 12;
const MASTER: u16 = 14;
const ZONE: u16 = 18;

/// CTA_PROTOINFO_TCP and CTA_PROTOINFO_TCP_STATE
const OF_TCP: u16 = 1;
const TCP_STATE: u16 = 1;

/// TCP_CONNTRACK_TIME_WAIT and TCP_CONNTRACK_CLOSE (linux/netfilter/nf_conntrack_tcp.h).
const CLOSED: [u8; 2] = [7, 8];

/// IPS_SEEN_REPLY (linux/netfilter/nf_conntrack_common.h).
const SEEN_REPLY: u32 = 1 << 1;

/// CTA_TUPLE_*, CTA_IP_* and CTA_PROTO_*
const ADDRESSES: u16 = 1;
const PROTOCOL: u16 = 2;
const V4_SOURCE: u16 = 1;
const V4_DESTINATION: u16 = 2;
const V6_SOURCE: u16 = 3;
const V6_DESTINATION: u16 = 4;
const NUMBER: u16 = 1;
const SOURCE_PORT: u16 = 2;
const DESTINATION_PORT: u16 = 3;
const ICMP_TYPE: u16 = 5;
const ICMP_CODE: u16 = 6;
const ICMPV6_TYPE: u16 = 8;
const ICMPV6_CODE: u16 = 9;

/// Calls `each` for every connection of this network namespace.
///
/// # Errors
/// Returns an error if the kernel lacks CONFIG_NF_CT_NETLINK or does not answer.
pub fn visit(each: &mut dyn FnMut(Entry)) -> io::Result<()> {
    let request = Request {
        subsystem: CONNTRACK,
        kind: GET,
        family: 0,
        resource: 0,
        attributes: &[],
    };
    let mut netfilter = Netfilter::open()?;
    netfilter.visit(request, &mut |message| {
        if let Some(entry) = entry(&message) {
            each(entry);
        }
    })?;
    Ok(())
}

/// Deletes connections. Those that have already ended count as success. Returns how
/// many were deleted.
///
/// # Errors
/// Returns the kernel's error for the first one that could not be deleted.
pub fn delete(entries: &[Entry]) -> io::Result<usize> {
    let mut netfilter = Netfilter::open()?;
    let mut deleted = 0;
    for entry in entries {
        let request = Request {
            subsystem: CONNTRACK,
            kind: DELETE,
            family: entry.family,
            resource: 0,
            attributes: &entry.key,
        };
        match netfilter.change(request) {
            Ok(()) => deleted += 1,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(deleted)
}

fn entry(message: &Message) -> Option<Entry> {
    let original = tuple(message.attribute(ORIGINAL)?)?;
    let reply = tuple(message.attribute(REPLY)?)?;
    let status = message.attribute(STATUS).unwrap_or_default().try_into();
    let status = status.map_or(0, u32::from_be_bytes);
    let zone = message.attribute(ZONE).unwrap_or_default().try_into();
    let id = message.attribute(ID).and_then(|id| id.try_into().ok());
    let state = message.attribute(PROTOCOL_STATE);
    let state = state.and_then(|state| attribute(attribute(state, OF_TCP)?, TCP_STATE));
    let is_closed = state.is_some_and(|state| state.iter().any(|state| CLOSED.contains(state)));
    // The id distinguishes the entry from a later one with the same tuple.
    let key = [ORIGINAL, ID, ZONE].map(|kind| message.raw(kind)).concat();
    Some(Entry {
        flow: TrackedConnection {
            reaches: reply.source,
            reaches_port: match original.protocol {
                1 | 58 => original.to,
                _ => reply.from,
            },
            ..original
        },
        answers_to: reply.destination,
        master: message.attribute(MASTER).and_then(tuple),
        is_closed,
        zone: zone.map_or(0, u16::from_be_bytes),
        id: id.map(u32::from_be_bytes),
        answered_from: (status & SEEN_REPLY != 0).then_some(reply.from),
        family: message.family,
        key,
    })
}

/// A tuple has no translated destination, so the original one is used.
fn tuple(tuple: &[u8]) -> Option<TrackedConnection> {
    let addresses = attribute(tuple, ADDRESSES)?;
    let protocol = attribute(tuple, PROTOCOL)?;
    let address = |v4, v6| -> Option<IpAddr> {
        match attribute(addresses, v4) {
            Some(bytes) => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
            None => {
                let bytes = attribute(addresses, v6)?;
                Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into())
            }
        }
    };
    let port = |kind| {
        let bytes = attribute(protocol, kind)?;
        Some(u16::from_be_bytes(<[u8; 2]>::try_from(bytes).ok()?))
    };
    let byte = |kind| attribute(protocol, kind)?.first().copied();
    let number = byte(NUMBER)?;
    let (from, to) = match number {
        1 => (
            byte(ICMP_TYPE).map(u16::from),
            byte(ICMP_CODE).map(u16::from),
        ),
        58 => (
            byte(ICMPV6_TYPE).map(u16::from),
            byte(ICMPV6_CODE).map(u16::from),
        ),
        _ => (port(SOURCE_PORT), port(DESTINATION_PORT)),
    };
    let destination = address(V4_DESTINATION, V6_DESTINATION)?;
    Some(TrackedConnection {
        source: address(V4_SOURCE, V6_SOURCE)?,
        destination,
        protocol: number,
        from: from.unwrap_or_default(),
        to: to.unwrap_or_default(),
        reaches: destination,
        reaches_port: to.unwrap_or_default(),
    })
}
