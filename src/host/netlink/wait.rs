//! Waits until links, addresses and routes appear or change, using kernel
//! notifications.

use std::time::Duration;

use futures_util::StreamExt;
use rtnetlink::MulticastGroup;
use tokio::time::{Instant, timeout_at};

use super::{NetlinkError, read, runtime};
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
    runtime()?.block_on(async {
        let end = Instant::now() + patience;
        // Subscribe before the first read, so that no change in between is missed.
        let (connection, _handle, mut events) =
            rtnetlink::new_multicast_connection(&GROUPS).map_err(NetlinkError::Open)?;
        let connection = tokio::spawn(connection);
        let answer = loop {
            // `read` uses a connection of its own, which is abandoned if the kernel
            // blocks it.
            if enough(&read()?) {
                break true;
            }
            // timeout_at returns a pending event before it checks the time, and a
            // flapping link may always have one pending.
            match timeout_at(end, events.next()).await {
                Ok(Some(_)) if Instant::now() >= end => break false,
                Ok(Some(_)) => while events.try_recv().is_ok() {},
                Ok(None) | Err(_) => break false,
            }
        };
        connection.abort();
        Ok(answer)
    })
}
