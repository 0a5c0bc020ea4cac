//! The hook of udhcpc, which runs this binary with an event as its argument and
//! the lease in the environment.

use std::ffi::OsString;
use std::path::Path;

use super::args::DEFAULT_CONFIG;
use crate::{apply, host};

/// The events of udhcpc's script; none is the name of a command.
const EVENTS: [&str; 5] = ["deconfig", "bound", "renew", "leasefail", "nak"];

/// Does it if the first argument is an event; the exit code.
pub fn run(first: Option<&OsString>) -> Option<u8> {
    let event = first?.to_str().filter(|event| EVENTS.contains(event))?;
    let link = std::env::var("interface").ok()?;
    let config =
        std::env::var_os(host::dhcp::CONFIG_VARIABLE).unwrap_or_else(|| DEFAULT_CONFIG.into());
    host::log::start(false);
    let outcome = apply::take_lease(Path::new(&config), &link, event);
    match outcome.exit_code() {
        0 => log::info!("dhcp on {link}: {event}"),
        _ => log::error!("dhcp on {link}: {event}: {outcome}"),
    }
    Some(outcome.exit_code())
}
