//! An allow line: who may open what, from where, to where, how often and when.

use super::{Addresses, Origin, Service, ZoneIndex};
use crate::field::{Rate, TimeWindow};
use crate::name::{CameraName, HostName};

/// One end of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// The router itself.
    Router,
    /// A host in a zone.
    Zone(ZoneIndex),
}

/// Who opens a connection, and to whom. Never from one zone to the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Who opens it.
    pub from: Endpoint,
    /// To whom.
    pub to: Endpoint,
}

/// One allow line.
#[derive(Debug, Clone)]
pub struct Allow {
    /// The flows it allows; several where it says `any`.
    pub flows: Vec<Flow>,
    /// The camera that it is for, where the file names one in `from`.
    pub camera: Option<CameraName>,
    /// From which of the zone's addresses.
    pub sources: Addresses,
    /// To which addresses there.
    pub destinations: Addresses,
    /// The names among its destinations; their addresses, as far as they are
    /// known, are in `destinations`.
    pub hosts: Vec<HostName>,
    /// What they carry.
    pub services: Vec<Service>,
    /// New connections per source address.
    pub limit: Option<Rate>,
    /// Connections that one source address may have open.
    pub connections: Option<u32>,
    /// Turns away a source that tries too often.
    pub block_after: Option<BlockAfter>,
    /// Only then.
    pub when: Option<TimeWindow>,
    /// Where the file says so.
    pub origin: Origin,
    /// The name of what the kernel counts for it, made of what the line says.
    pub label: String,
}

/// A source that opened so many connections in so many seconds is turned away,
/// until it has not tried for as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockAfter {
    /// How many are let through.
    pub attempts: u8,
    /// Seconds.
    pub within: u32,
}
