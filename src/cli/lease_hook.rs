//! The hook of udhcpc: the client runs this binary with an event as its argument and
//! the lease in the environment.

use std::ffi::OsString;
use std::path::Path;

use super::args::DEFAULT_CONFIG;
use crate::exit_code::ExitCode;
use crate::host::dhcp::HookCall;
use crate::{apply, host};

/// The events of udhcpc's script; none of them is the name of a command.
const EVENTS: [&str; 5] = ["deconfig", "bound", "renew", "leasefail", "nak"];

/// Runs the hook if the first argument is an event. Returns its exit code, else None.
pub(super) fn run(first: Option<&OsString>) -> Option<ExitCode> {
    let event = first?.to_str().filter(|event| EVENTS.contains(event))?;
    let call = HookCall::from_environment()?;
    let link = &call.link;
    let config = call.config.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG));
    host::log::start(false);
    let outcome = apply::take_lease(config, event, &call);
    match outcome.exit_code() {
        ExitCode::Done => log::info!("dhcp on {link}: {event}"),
        _ => log::error!("dhcp on {link}: {event}: {outcome}"),
    }
    Some(outcome.exit_code())
}
