//! The image's DHCP client: started for a link, once, with this binary as its hook.

use std::path::{Path, PathBuf};

use super::process::{self, ProcessError};
use super::text_file;

/// The variable that tells the hook the configuration's path: the client calls
/// it with no argument of ours.
const CONFIG_VARIABLE: &str = "CAMFW_CONFIG";

/// The variable that names the link (udhcpc's README).
const LINK_VARIABLE: &str = "interface";

/// What the client's hook is told beside the event, which is its argument.
#[derive(Debug)]
pub struct HookCall {
    /// The link.
    pub link: String,
    /// The configuration's path, if it is told.
    pub config: Option<PathBuf>,
}

impl HookCall {
    /// The client's call of this process; None if it was not called by it.
    pub fn from_environment() -> Option<HookCall> {
        Some(HookCall {
            link: std::env::var(LINK_VARIABLE).ok()?,
            config: std::env::var_os(CONFIG_VARIABLE).map(PathBuf::from),
        })
    }

    /// A part of the lease.
    pub fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// Starts udhcpc for a link unless one is at work there. It goes to the
/// background when it has a lease or after its first attempts, and tries on.
/// Whether it was started.
///
/// # Errors
/// There is none, or it does not start.
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
    // The client works in /, so a relative path would lead elsewhere.
    let config =
        std::path::absolute(config).map_or(config.into(), |path| path.display().to_string());
    let client = process::find("udhcpc").map_or("udhcpc".into(), |path| path.display().to_string());
    // -b: to the background even without a lease, so that a boot goes on.
    let args = [
        "-b", "-S", "-R", "-t", "3", "-T", "1", "-i", link, "-p", &pid_file, "-s", &hook,
    ];
    process::start_daemon(&client, &args, (CONFIG_VARIABLE, &config))?;
    Ok(true)
}

fn is_running(pid_file: &str) -> bool {
    // A pipe would be waited for.
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
