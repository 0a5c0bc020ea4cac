//! The kernel's links, addresses, routes, rules and neighbours, over rtnetlink.

mod dhcp;
mod frames;
mod hooks;
mod read;
mod trial;
mod unmanaged;
mod wait;
mod write;

use std::future::Future;
use std::io;
use std::time::Duration;

use netlink_packet_route::route::RouteProtocol;
use rtnetlink::Handle;
use thiserror::Error;
use tokio::time::timeout;

use super::time_limit;
use crate::net::{Current, Lease, NetworkChange};
use crate::plan::kernel_options::{LinkKind, MULTIPLE_TABLES};

pub use wait::wait;

/// The protocol number that marks what camfw made (rtm_protocol, IFA_PROTO,
/// FRA_PROTOCOL, NDA_PROTOCOL): one that include/uapi/linux/rtnetlink.h and
/// iproute2's rt_protos leave free. IFA_PROTO is Linux 5.18's; before it no
/// address is known as ours, and none is removed.
const OURS: u8 = 0xca;

/// The same for what a DHCP lease brought, which comes and goes by itself.
const LEASED: u8 = 0xcb;

/// How long everything that is read or changed at a time may take; thousands of
/// routes take a tenth of a second.
const LIMIT: Duration = Duration::from_secs(10);

/// How much longer before a call that does not return is given up.
const GRACE: Duration = Duration::from_secs(1);

const OUR_ROUTES: RouteProtocol = RouteProtocol::Other(OURS);

/// Why the network could not be read or changed.
#[derive(Debug, Error)]
pub enum NetlinkError {
    /// No netlink at all.
    #[error("cannot open netlink")]
    Open(#[source] io::Error),
    /// The kernel did not answer.
    #[error("netlink: no answer after {} s", LIMIT.as_secs())]
    Late,
    /// A dump failed.
    #[error("cannot read {what} over netlink")]
    Read {
        /// links, addresses, routes, rules or neighbours
        what: &'static str,
        /// What the kernel said.
        #[source]
        error: rtnetlink::Error,
    },
    /// nftables could not be read.
    #[error("cannot read what nftables has on devices")]
    Nftables(#[source] io::Error),
    /// A change failed.
    #[error("{change}")]
    NetworkChange {
        /// Which.
        change: Box<NetworkChange>,
        /// What the kernel said.
        #[source]
        error: rtnetlink::Error,
    },
    /// A link could not be set down.
    #[error("cannot set interface {link} down")]
    Down {
        /// Which.
        link: Box<str>,
        /// What the kernel said.
        #[source]
        error: rtnetlink::Error,
    },
    /// What a lease brings was refused.
    #[error("cannot set the lease of {link}")]
    Lease {
        /// Which link.
        link: String,
        /// What the kernel said.
        #[source]
        error: rtnetlink::Error,
    },
    /// A link went away in the meantime.
    #[error("{change}: there is no interface {name}")]
    NoLink {
        /// Which change.
        change: Box<NetworkChange>,
        /// Which link.
        name: String,
    },
}

/// What the kernel has.
///
/// # Errors
/// Netlink cannot be opened or a dump fails.
pub fn read() -> Result<Current, NetlinkError> {
    let mut current = read_without_hooks()?;
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

/// The same without what nftables has on devices, which another part of the kernel
/// is asked for: who closes the box does not wait for it.
///
/// # Errors
/// Netlink cannot be opened or a dump fails.
pub fn read_without_hooks() -> Result<Current, NetlinkError> {
    with_handle(|handle| async move { read::all(&handle).await })
}

/// The options of the kernel without which it cannot make these kinds of link,
/// and routing by marks if it is asked for. Nothing is changed.
///
/// # Errors
/// Netlink cannot be opened, or a dump fails.
pub fn lacks(kinds: &[LinkKind], marks: bool) -> Result<Vec<&'static str>, NetlinkError> {
    if kinds.is_empty() && !marks {
        return Ok(Vec::new());
    }
    let kinds = kinds.to_vec();
    with_handle(move |handle| async move {
        let mut lacking = Vec::new();
        for kind in kinds {
            if !trial::knows(&handle, kind).await {
                lacking.push(kind.option());
            }
        }
        if marks && !read::has_rules(&handle).await? {
            lacking.push(MULTIPLE_TABLES);
        }
        Ok(lacking)
    })
}

/// Makes the changes, in order.
///
/// # Errors
/// The first that the kernel refuses; those before it are made.
pub fn carry_out(changes: &[NetworkChange]) -> Result<(), NetlinkError> {
    if changes.is_empty() {
        return Ok(());
    }
    let changes = changes.to_vec();
    with_handle(move |handle| async move { write::all(&handle, &changes).await })
}

/// Sets links down, whatever is on them; those that are gone are as well.
///
/// # Errors
/// Netlink cannot be opened, or the kernel refuses.
pub fn set_down(links: &[String]) -> Result<(), NetlinkError> {
    if links.is_empty() {
        return Ok(());
    }
    let links = links.to_vec();
    with_handle(move |handle| async move { write::set_down(&handle, &links).await })
}

/// Gives a link the address and default route of a lease in place of those of
/// an earlier one, with an unreachable route of this metric behind its network,
/// and touches no others.
///
/// # Errors
/// Netlink cannot be opened, there is no such link, or the kernel refuses.
pub fn set_lease(link: &str, lease: &Lease, metric: u32) -> Result<(), NetlinkError> {
    let (link, lease) = (link.to_owned(), lease.clone());
    with_handle(move |handle| async move { dhcp::set(&handle, &link, &lease, metric).await })
}

/// Runs `work` with a connection, in a thread of its own: the kernel carries a
/// request out before it returns from the call that sends it, under the lock of all
/// network devices (rtnetlink_rcv_msg in net/core/rtnetlink.c), which a driver may
/// hold for ever.
fn with_handle<T: Send + 'static, F: Future<Output = Result<T, NetlinkError>>>(
    work: impl FnOnce(Handle) -> F + Send + 'static,
) -> Result<T, NetlinkError> {
    time_limit::run(LIMIT + GRACE, move || with_handle_here(work))
        .unwrap_or(Err(NetlinkError::Late))
}

fn with_handle_here<T, F: Future<Output = Result<T, NetlinkError>>>(
    work: impl FnOnce(Handle) -> F,
) -> Result<T, NetlinkError> {
    runtime()?.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(NetlinkError::Open)?;
        let connection = tokio::spawn(connection);
        let result = timeout(LIMIT, work(handle)).await;
        connection.abort();
        result.unwrap_or(Err(NetlinkError::Late))
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, NetlinkError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(NetlinkError::Open)
}
