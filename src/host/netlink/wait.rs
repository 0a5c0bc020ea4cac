//! Waits until links, addresses and routes appear or change, using kernel
//! notifications.

use std::time::{Duration, Instant};

use rtnetlink::MulticastGroup;

use super::connection::Notifications;
use super::{NetlinkError, read};
use crate::net::Current;

/// The notification groups to subscribe to.
const GROUPS: [MulticastGroup; 8] = [
    MulticastGroup::Link,
    MulticastGroup::Tc,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv6Rule,
];

/// Reads the network, now and after each notification, until `enough` returns true or
/// the time is up. Returns whether `enough` did.
///
/// # Errors
/// Returns an error if netlink cannot be opened, or if a dump fails.
pub fn wait(patience: Duration, enough: impl Fn(&Current) -> bool) -> Result<bool, NetlinkError> {
    let end = Instant::now() + patience;
    // Subscribe before the first read, so that no change in between is missed.
    let notifications = Notifications::open(&GROUPS).map_err(NetlinkError::Open)?;
    loop {
        // `read` uses a connection of its own, which is abandoned if the kernel blocks it.
        if enough(&read()?) {
            return Ok(true);
        }
        if !notifications.wait(end).map_err(NetlinkError::Open)? {
            return Ok(false);
        }
    }
}
