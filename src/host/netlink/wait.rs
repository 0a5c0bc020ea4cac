//! Waits for links, addresses and routes to come or change, by the kernel's own events.

use std::time::Duration;

use futures_util::StreamExt;
use rtnetlink::MulticastGroup;
use tokio::time::{Instant, timeout_at};

use super::{NetlinkError, read, runtime};
use crate::net::Current;

/// What is listened to.
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

/// Looks at the network, and again after each event of it, until `enough`
/// says so or the time is over; whether it said so.
///
/// # Errors
/// Netlink cannot be opened or a dump fails.
pub fn wait(patience: Duration, enough: impl Fn(&Current) -> bool) -> Result<bool, NetlinkError> {
    runtime()?.block_on(async {
        let end = Instant::now() + patience;
        // Listening before looking: what comes in between is not missed.
        let (connection, _handle, mut events) =
            rtnetlink::new_multicast_connection(&GROUPS).map_err(NetlinkError::Open)?;
        let connection = tokio::spawn(connection);
        let answer = loop {
            // By a connection of its own, which is given up when the kernel holds it up.
            if enough(&read()?) {
                break true;
            }
            // What is ready is taken before the time is looked at, and there may always be
            // an event where a link flaps.
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
