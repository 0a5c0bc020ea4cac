//! Allow lines: who may open which connections, from and to which addresses, how often and
//! when.

use std::collections::BTreeSet;
use std::sync::Arc;

use ipnet::IpNet;

use super::{Addresses, Origin, Service, ZoneIndex};
use crate::field::{Rate, TimeWindow};
use crate::name::{CameraName, HostName};

/// One end of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// The router itself.
    Router,
    /// The hosts of a zone.
    Zone(ZoneIndex),
}

/// Where a connection comes from and where it goes. The two ends are the same zone only for
/// what a forward turns back into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// The end that opens the connection.
    pub from: Endpoint,
    /// The end that it is opened to.
    pub to: Endpoint,
}

/// One allow line.
#[derive(Debug, Clone)]
pub struct Allow {
    /// The flows that it allows; several if it says `any`.
    pub flows: Vec<Flow>,
    /// The camera that it is for, if the file names one in `from`.
    pub camera: Option<CameraName>,
    /// The addresses that connections may come from.
    pub sources: Addresses,
    /// The addresses that connections may go to.
    pub destinations: Addresses,
    /// Those of its destinations that are part of a range, or left of a network, and so name
    /// no host by itself.
    pub ranges: BTreeSet<IpNet>,
    /// What its sources are left of, if some are denied.
    pub sources_of: Option<Box<Remainder>>,
    /// What its destinations are left of, if some are left out or denied.
    pub destinations_of: Option<Box<Remainder>>,
    /// The host names among its destinations; their addresses, as far as they are known,
    /// are in `destinations`.
    pub hosts: Vec<HostName>,
    /// The services that it allows. Shared with the lines before it that allow the same.
    pub services: Arc<[Service]>,
    /// Whether it lets in only what came by a forward: a line for the zones of its
    /// `loopback`, beside the line for those outside.
    pub by_forward: bool,
    /// New connections per source address.
    pub limit: Option<Rate>,
    /// Open connections per source address.
    pub connections: Option<u32>,
    /// Blocks a source that tries too often.
    pub block_after: Option<BlockAfter>,
    /// Restricts the line to these times: local ones if the policy has a local time.
    pub when: Option<TimeWindow>,
    /// The position in the file.
    pub origin: Origin,
    /// The name of its lists and tables in the kernel, made from what the line says.
    pub list_name: String,
}

/// What the addresses of a line were before some were taken away. The proof takes them away by
/// itself, from the packets of those that are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remainder {
    /// As the line is written.
    pub written: Addresses,
    /// The addresses that were taken away.
    pub without: Vec<IpNet>,
}

impl Allow {
    /// Whether it is written for any destination, whatever was taken away.
    pub fn is_to_anywhere(&self) -> bool {
        is_any(&self.destinations, &self.destinations_of)
    }

    /// Whether it is written for any source, whatever was taken away.
    pub fn is_from_anywhere(&self) -> bool {
        is_any(&self.sources, &self.sources_of)
    }
}

fn is_any(addresses: &Addresses, of: &Option<Box<Remainder>>) -> bool {
    of.as_ref().map_or(addresses, |of| &of.written) == &Addresses::Any
}

/// Blocks a source that opened this many connections within this many seconds, until it has
/// not tried for that long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockAfter {
    /// The number of connections that are accepted.
    pub attempts: u8,
    /// In seconds.
    pub within: u32,
}
