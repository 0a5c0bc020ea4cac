//! Waits for links to come or change, by the kernel's own events.

use std::time::Duration;

use futures_util::StreamExt;
use rtnetlink::MulticastGroup;
use tokio::time::{Instant, timeout, timeout_at};

use super::{LIMIT, NetlinkError, read, runtime};
use crate::network::Current;

/// Looks at the network, and again after each event of a link, until `enough`
/// says so or the time is over; whether it said so.
///
/// # Errors
/// Netlink cannot be opened or a dump fails.
pub fn wait(patience: Duration, enough: impl Fn(&Current) -> bool) -> Result<bool, NetlinkError> {
    runtime()?.block_on(async {
        let end = Instant::now() + patience;
        // Listening before looking: what comes in between is not missed.
        let (connection, handle, mut events) =
            rtnetlink::new_multicast_connection(&[MulticastGroup::Link])
                .map_err(NetlinkError::Open)?;
        let connection = tokio::spawn(connection);
        let answer = loop {
            let looked = timeout(LIMIT, read::all(&handle)).await;
            if enough(&looked.unwrap_or(Err(NetlinkError::Late))?) {
                break true;
            }
            match timeout_at(end, events.next()).await {
                Ok(Some(_)) => while events.try_recv().is_ok() {},
                Ok(None) | Err(_) => break false,
            }
        };
        connection.abort();
        Ok(answer)
    })
}
