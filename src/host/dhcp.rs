//! The DHCP client of the image: started once per link, with this binary as its hook. And
//! what its DHCP server, dnsmasq, has written down.

use std::path::{Path, PathBuf};

use super::process::{self, ProcessError};
use super::text_file;

/// The environment variable with the configuration's path for the hook: the client
/// passes it no arguments of ours.
const CONFIG_VARIABLE: &str = "CAMFW_CONFIG";

/// The environment variable with the link's name (udhcpc's README, dhcpcd-run-hooks(8)).
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

/// What the client passes to its hook, in addition to the event, which is udhcpc's argument.
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

    /// One value of the lease, by udhcpc's name for it.
    pub fn variable(&self, name: &str) -> Option<String> {
        let dhcpcds = match name {
            "ip" => "new_ip_address",
            "mask" => "new_subnet_cidr",
            "router" => "new_routers",
            "dns" => "new_domain_name_servers",
            name => name,
        };
        std::env::var(name).or_else(|_| std::env::var(dhcpcds)).ok()
    }

    /// The event, if the client is dhcpcd, which gives its hook no arguments.
    pub fn reason(&self) -> Option<String> {
        std::env::var("reason").ok()
    }
}

/// A client that hands its leases to a hook and configures nothing itself.
#[derive(Clone, Copy)]
enum Client {
    /// busybox's.
    Udhcpc,
    /// With --noconfigure, since dhcpcd 9.
    Dhcpcd,
}

impl Client {
    /// In the order of preference.
    const ALL: [Client; 2] = [Client::Udhcpc, Client::Dhcpcd];

    fn name(self) -> &'static str {
        match self {
            Client::Udhcpc => "udhcpc",
            Client::Dhcpcd => "dhcpcd",
        }
    }

    fn pid_file(self, link: &str) -> String {
        match self {
            Client::Udhcpc => format!("/run/camfw-udhcpc-{link}.pid"),
            // Its own name for it, with -4.
            Client::Dhcpcd => format!("/run/dhcpcd/{link}-4.pid"),
        }
    }
}

/// Whether there is a client that [`start`] could start.
pub fn is_there() -> bool {
    Client::ALL
        .iter()
        .any(|client| process::find(client.name()).is_some())
}

/// Whether a client asks for the address of this link.
pub fn is_asking(link: &str) -> bool {
    let mut clients = Client::ALL.iter();
    clients.any(|client| is_running(&client.pid_file(link), client.name()))
}

/// Starts a client for a link unless one is already running there. It goes to the
/// background, udhcpc once it has a lease or its first attempts failed, and keeps trying.
/// Returns whether it was started.
///
/// # Errors
/// Returns an error if there is no client, or if it does not start.
pub fn start(link: &str, config: &str) -> Result<bool, ProcessError> {
    if is_asking(link) {
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
    let found = Client::ALL
        .iter()
        .find_map(|client| Some((*client, process::find(client.name())?)));
    let (client, program) = found.unwrap_or((Client::Udhcpc, "udhcpc".into()));
    let program = program.display().to_string();
    let pid_file = client.pid_file(link);
    let variable = format!("{CONFIG_VARIABLE}={config}");
    // -b: go to the background even without a lease, so that a boot continues.
    let args: &[&str] = match client {
        Client::Udhcpc => &[
            "-b", "-S", "-R", "-t", "3", "-T", "1", "-i", link, "-p", &pid_file, "-s", &hook,
        ],
        // It gives its hook no environment but what -e says. Without a file of its own,
        // without ARP and addresses of its own choice, as udhcpc.
        Client::Dhcpcd => &[
            "-4",
            "-b",
            "-q",
            "-A",
            "-L",
            "-f",
            "/dev/null",
            "--noconfigure",
            "--nodev",
            "-e",
            &variable,
            // Asked for by its own file, which is not read.
            "-o",
            "domain_name_servers",
            "-c",
            &hook,
            link,
        ],
    };
    process::start_daemon(&program, args, (CONFIG_VARIABLE, &config))?;
    Ok(true)
}

fn is_running(pid_file: &str, name: &str) -> bool {
    // Reading a pipe would block.
    let text = match text_file::is_regular(pid_file) {
        true => text_file::read(pid_file).unwrap_or_default(),
        false => return false,
    };
    let Ok(pid) = text.trim().parse::<u32>() else {
        return false;
    };
    let command = Path::new("/proc").join(pid.to_string()).join("cmdline");
    std::fs::read(command).is_ok_and(|line| String::from_utf8_lossy(&line).contains(name))
}
