//! The hook of the DHCP client, which runs this binary with the lease in the environment:
//! udhcpc with an event as its argument, dhcpcd with one in the environment.

use std::ffi::OsString;
use std::path::Path;

use super::args::DEFAULT_CONFIG;
use crate::exit_code::ExitCode;
use crate::host::dhcp::HookCall;
use crate::{apply, host};

/// The events of udhcpc's script; none of them is the name of a command.
const EVENTS: [&str; 5] = ["deconfig", "bound", "renew", "leasefail", "nak"];

/// The reasons of dhcpcd (dhcpcd-run-hooks(8)) by udhcpc's names; the others change nothing.
const REASONS: [(&str, &str); 10] = [
    ("PREINIT", "deconfig"),
    ("BOUND", "bound"),
    ("REBOOT", "bound"),
    ("RENEW", "renew"),
    ("REBIND", "renew"),
    ("EXPIRE", "deconfig"),
    ("NAK", "deconfig"),
    ("RELEASE", "deconfig"),
    ("STOP", "deconfig"),
    ("FAIL", "leasefail"),
];

/// Runs the hook if a DHCP client started this process. Returns its exit code, else None.
pub(super) fn run(first: Option<&OsString>) -> Option<ExitCode> {
    let call = match first {
        Some(first) if !EVENTS.iter().any(|event| first == event) => return None,
        _ => HookCall::from_environment()?,
    };
    let event = match first {
        Some(first) => first.to_str()?.to_owned(),
        None => {
            let reason = call.reason()?;
            let known = REASONS.iter().find(|(dhcpcds, _)| *dhcpcds == reason);
            known.map_or(reason, |(_, event)| (*event).to_owned())
        }
    };
    let event = event.as_str();
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
