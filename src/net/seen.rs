//! What the kernel knows of the hosts on its links, as values: nothing of it was asked for
//! on the wire.

use std::net::IpAddr;

use ipnet::{Ipv4Net, Ipv6Net};

use crate::name::MacAddress;

/// What is seen on every link of the namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeenOnLinks {
    /// The links.
    pub links: Vec<LinkCondition>,
    /// Their hosts, without permanent entries, which say what the file says.
    pub hosts: Vec<SeenHost>,
}

/// The condition of a link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkCondition {
    /// Its name.
    pub name: String,
    /// Whether it is administratively up.
    pub up: bool,
    /// Whether there is a signal at its other end.
    pub carrier: bool,
    /// In Mbit/s; None if its driver does not know.
    pub speed: Option<u32>,
    /// Frames that came damaged.
    pub receive_errors: u64,
    /// Frames that could not be sent.
    pub transmit_errors: u64,
    /// Its first IPv4 address, with the prefix length of its network.
    pub ipv4: Option<Ipv4Net>,
    /// The same for IPv6, without link-local ones and those that it may not use yet.
    pub ipv6: Option<Ipv6Net>,
}

/// A host in the kernel's neighbour cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenHost {
    /// The link.
    pub link: String,
    /// The address.
    pub address: IpAddr,
    /// The hardware address that answers for it.
    pub mac: MacAddress,
    /// It was there at least so recently, in seconds. The kernel begins an entry that a
    /// host's own request made as if it was last confirmed a minute ago (____neigh_create
    /// in net/core/neighbour.c).
    pub seconds: u64,
}
