//! The DHCP client of the image: started once per link, with this binary as its hook. And
//! what its DHCP server, dnsmasq, has written down.

use std::path::{Path, PathBuf};

use super::process::{self, ProcessError};
use super::text_file;

/// The environment variable with the configuration's path for the hook: the client
/// passes it no arguments of ours.
const CONFIG_VARIABLE: &str = "CAMFW_CONFIG";

/// The environment variable with the link's name (udhcpc's README).
const LINK_VARIABLE: &str = "interface";

/// dnsmasq's leases, where Debian and OpenEmbedded have them (LEASEFILE in its
/// src/config.h).
const LEASES: &str = "/var/lib/misc/dnsmasq.leases";

/// The text of dnsmasq's leases; empty if there are none.
pub fn leases() -> String {
    match text_file::is_regular(LEASES) {
        true => text_file::read(LEASES).unwrap_or_default(),
        false => String::new(),
    }
}

/// What the client passes to its hook, in addition to the event, which is its argument.
#[derive(Debug)]
pub struct HookCall {
    /// The link.
    pub link: String,
    /// The configuration's path, if set.
    pub config: Option<PathBuf>,
}

impl HookCall {
    /// The call by which the client started this process; None if it was started
    /// otherwise.
    pub fn from_environment() -> Option<HookCall> {
        Some(HookCall {
            link: std::env::var(LINK_VARIABLE).ok()?,
            config: std::env::var_os(CONFIG_VARIABLE).map(PathBuf::from),
        })
    }

    /// One value of the lease.
    pub fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// Starts udhcpc for a link unless it is already running there. It goes to the
/// background once it has a lease or its first attempts failed, and keeps trying.
/// Returns whether it was started.
///
/// # Errors
/// Returns an error if there is no client, or if it does not start.
pub fn start(link: &str, config: &str) -> Result<bool, ProcessError> {
    let pid_file = format!("/run/camfw-udhcpc-{link}.pid");
    if is_running(&pid_file) {
        return Ok(false);
    }
    let hook = std::env::current_exe().map_err(|error| ProcessError::Start {
        program: "camfw".into(),
        error,
    })?;
    let hook = hook.display().to_string();
    // The client's working directory is /, so a relative path would be wrong there.
    let config =
        std::path::absolute(config).map_or(config.into(), |path| path.display().to_string());
    let client = process::find("udhcpc").map_or("udhcpc".into(), |path| path.display().to_string());
    // -b: go to the background even without a lease, so that a boot continues.
    let args = [
        "-b", "-S", "-R", "-t", "3", "-T", "1", "-i", link, "-p", &pid_file, "-s", &hook,
    ];
    process::start_daemon(&client, &args, (CONFIG_VARIABLE, &config))?;
    Ok(true)
}

fn is_running(pid_file: &str) -> bool {
    // Reading a pipe would block.
    let text = match text_file::is_regular(pid_file) {
        true => text_file::read(pid_file).unwrap_or_default(),
        false => return false,
    };
    let Ok(pid) = text.trim().parse::<u32>() else {
        return false;
    };
    let command = Path::new("/proc").join(pid.to_string()).join("cmdline");
    std::fs::read(command).is_ok_and(|line| String::from_utf8_lossy(&line).contains("udhcpc"))
}
