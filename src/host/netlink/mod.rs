//! The kernel's links, addresses, routes, rules and neighbours, accessed over
//! rtnetlink.

mod connection;
mod dhcp;
mod frames;
mod hooks;
mod link;
mod link_settings;
mod read;
mod routers;
mod rules;
mod seen;
mod trial;
mod unmanaged;
mod wait;
mod write;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use netlink_packet_route::route::RouteProtocol;
use thiserror::Error;

use self::connection::NetlinkConnection;
use super::time_limit;
use crate::net::{Current, Lease, NetworkChange, RouterAnswer, SeenOnLinks};
use crate::plan::kernel_options::{LinkKind, MULTIPLE_TABLES};

pub use link_settings::LinkSettings;
pub use wait::wait;

/// The protocol number that marks what camfw created (rtm_protocol, IFA_PROTO,
/// FRA_PROTOCOL, NDA_PROTOCOL): one that include/uapi/linux/rtnetlink.h and iproute2's
/// rt_protos leave unassigned. IFA_PROTO exists since Linux 5.18; in older kernels no
/// address is recognized as ours, and none is removed.
const OURS: u8 = 0xca;

/// The protocol number that marks what a DHCP lease brought, which has a lifecycle of
/// its own.
const LEASED: u8 = 0xcb;

/// The time limit of one read or one set of changes; thousands of routes take a tenth
/// of a second.
const LIMIT: Duration = Duration::from_secs(10);

/// The additional time before a blocked system call is abandoned.
const GRACE: Duration = Duration::from_secs(1);

const OUR_ROUTES: RouteProtocol = RouteProtocol::Other(OURS);

/// Why the network could not be read or changed.
#[derive(Debug, Error)]
pub enum NetlinkError {
    /// No netlink socket could be opened.
    #[error("cannot open netlink")]
    Open(#[source] io::Error),
    /// The kernel did not answer in time.
    #[error("netlink: no answer after {} s", LIMIT.as_secs())]
    Late,
    /// A dump failed.
    #[error("cannot read {what} over netlink")]
    Read {
        /// The object: links, addresses, routes, rules or neighbours
        what: &'static str,
        /// The kernel's error.
        #[source]
        error: io::Error,
    },
    /// nftables could not be read.
    #[error("cannot read what nftables has on devices")]
    Nftables(#[source] io::Error),
    /// A change failed.
    #[error("{change}")]
    NetworkChange {
        /// The change that failed.
        change: Box<NetworkChange>,
        /// The kernel's error.
        #[source]
        error: io::Error,
    },
    /// A link could not be set down.
    #[error("cannot set interface {link} down")]
    Down {
        /// The link.
        link: Box<str>,
        /// The kernel's error.
        #[source]
        error: io::Error,
    },
    /// The address or route of a lease was refused.
    #[error("cannot set the lease of {link}")]
    Lease {
        /// The link.
        link: String,
        /// The kernel's error.
        #[source]
        error: io::Error,
    },
    /// A link disappeared before a change.
    #[error("{change}: there is no interface {name}")]
    NoLink {
        /// The change.
        change: Box<NetworkChange>,
        /// The missing link.
        name: String,
    },
}

/// Reads the current state from the kernel.
///
/// # Errors
/// Returns an error if netlink cannot be opened, or if a dump fails.
pub fn read() -> Result<Current, NetlinkError> {
    with_hooks(read_without_hooks()?)
}

/// Adds the nftables hooks of devices to what was read without them.
///
/// # Errors
/// Returns an error if nftables cannot be read.
pub fn with_hooks(mut current: Current) -> Result<Current, NetlinkError> {
    for (name, hook) in hooks::read().map_err(NetlinkError::Nftables)? {
        let links = current.links.iter_mut();
        for link in links.filter(|link| name.is_for(&link.name)) {
            if !link.hooks.contains(&hook) {
                link.hooks.push(hook.clone());
            }
        }
    }
    Ok(current)
}

/// The same as [`read`], without the nftables hooks of devices. Those are read from
/// another kernel subsystem, which closing the box must not wait for.
///
/// # Errors
/// Returns an error if netlink cannot be opened, or if a dump fails.
pub fn read_without_hooks() -> Result<Current, NetlinkError> {
    with_connection(read::all)
}

/// The settings of IPv4 and IPv6 of all links.
///
/// # Errors
/// Returns an error if netlink cannot be opened, or if the dump fails.
pub fn link_settings() -> Result<LinkSettings, NetlinkError> {
    with_connection(|connection| {
        let settings = link_settings::all(connection);
        settings.map_err(|error| NetlinkError::Read {
            what: "links",
            error,
        })
    })
}

/// The hosts that the kernel knows, and the condition of the links.
///
/// # Errors
/// Returns an error if netlink cannot be opened, or if a dump fails.
pub fn seen() -> Result<SeenOnLinks, NetlinkError> {
    with_connection(|connection| {
        let seen = seen::all(connection);
        seen.map_err(|(what, error)| NetlinkError::Read { what, error })
    })
}

/// The router's own addresses, with the prefix lengths of their networks.
///
/// # Errors
/// Returns an error if netlink cannot be opened, or if the dump fails.
pub fn own() -> Result<Vec<IpNet>, NetlinkError> {
    with_connection(|connection| {
        let messages = read::addresses(connection).map_err(|error| NetlinkError::Read {
            what: "addresses",
            error,
        })?;
        let own = messages.iter().filter_map(|message| {
            let own = read::own_address(message)?;
            IpNet::new(own, message.header.prefix_len).ok()
        });
        Ok(own.collect())
    })
}

/// The kernel options that are missing for these kinds of link and, if requested, for
/// routing by marks. Changes nothing.
///
/// # Errors
/// Returns an error if netlink cannot be opened, or if a dump fails.
pub fn missing_options(kinds: &[LinkKind], marks: bool) -> Result<Vec<&'static str>, NetlinkError> {
    if kinds.is_empty() && !marks {
        return Ok(Vec::new());
    }
    let kinds = kinds.to_vec();
    with_connection(move |connection| {
        let mut lacking = Vec::new();
        for kind in kinds {
            if !trial::knows(connection, kind) {
                lacking.push(kind.option());
            }
        }
        if marks && !rules::has_rules(connection)? {
            lacking.push(MULTIPLE_TABLES);
        }
        Ok(lacking)
    })
}

/// Applies the changes in order.
///
/// # Errors
/// Returns the first change that the kernel refuses; those before it have been applied.
pub fn carry_out(changes: &[NetworkChange]) -> Result<(), NetlinkError> {
    if changes.is_empty() {
        return Ok(());
    }
    let changes = changes.to_vec();
    with_connection(move |connection| write::all(connection, &changes))
}

/// Sets links down, whatever is on them. Links that do not exist count as success.
///
/// # Errors
/// Returns an error if netlink cannot be opened, or if the kernel refuses.
pub fn set_down(links: &[String]) -> Result<(), NetlinkError> {
    if links.is_empty() {
        return Ok(());
    }
    let links = links.to_vec();
    with_connection(move |connection| write::set_down(connection, &links))
}

/// Sets the address and default route of a lease on a link, replacing those of an
/// earlier lease, with an unreachable route of this metric behind its network. Changes
/// no other addresses or routes. The default route has a metric of its own.
///
/// # Errors
/// Returns an error if netlink cannot be opened, the link does not exist, or the kernel
/// refuses.
pub fn set_lease(
    link: &str,
    lease: &Lease,
    metric: u32,
    default_metric: u32,
) -> Result<(), NetlinkError> {
    let (link, lease) = (link.to_owned(), lease.clone());
    with_connection(move |connection| dhcp::set(connection, &link, &lease, metric, default_metric))
}

/// Has the kernel ask routers whether they are there, and says what it knew of each before.
///
/// # Errors
/// Returns an error if netlink cannot be opened, or if a dump fails.
pub fn ask_routers(routers: &[(String, IpAddr)]) -> Result<Vec<RouterAnswer>, NetlinkError> {
    let routers = routers.to_vec();
    with_connection(move |connection| routers::ask(connection, &routers))
}

/// Runs `work` with a connection, in a thread of its own: the kernel carries out a
/// request before the send call returns, under the lock of all network devices
/// (rtnetlink_rcv_msg in net/core/rtnetlink.c), which a driver may hold indefinitely.
fn with_connection<T: Send + 'static>(
    work: impl FnOnce(&mut NetlinkConnection) -> Result<T, NetlinkError> + Send + 'static,
) -> Result<T, NetlinkError> {
    let worked = time_limit::run(LIMIT + GRACE, move || {
        let mut connection = NetlinkConnection::open(LIMIT).map_err(NetlinkError::Open)?;
        match work(&mut connection) {
            Err(_) if connection.is_late() => Err(NetlinkError::Late),
            result => result,
        }
    });
    worked.unwrap_or(Err(NetlinkError::Late))
}
