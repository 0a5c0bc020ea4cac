//! All side effects: processes, the kernel, files, the log.
//!
//! Each file handles one interface to the system. It takes finished values, applies
//! them or reads them back, and makes no decisions.

pub(crate) mod clock;
pub(crate) mod config_file;
pub(crate) mod conntrack;
pub(crate) mod dhcp;
pub(crate) mod iptables;
pub(crate) mod lock;
pub(crate) mod log;
pub(crate) mod names;
pub(crate) mod netlink;
pub(crate) mod netlink_message;
pub(crate) mod network_programs;
mod nf_tables;
pub(crate) mod nfnetlink;
pub(crate) mod others;
pub(crate) mod output;
pub mod packet_log;
pub(crate) mod page_file;
pub(crate) mod post;
pub mod process;
pub(crate) mod relay;
pub(crate) mod store;
pub(crate) mod sysctl;
pub(crate) mod text_file;
pub(crate) mod time_limit;
pub(crate) mod trusted_path;
pub mod zone_data;

/// Whether this process runs as root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether the kernel has IPv6.
pub fn has_ipv6() -> bool {
    std::path::Path::new("/proc/sys/net/ipv6").exists()
}

/// The release of the kernel, such as `6.1.0-18-arm64`; empty if it cannot be read.
pub fn kernel_release() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    release.unwrap_or_default().trim().to_owned()
}

/// The peak resident memory of this process in KiB: VmHWM, which unlike getrusage(2)
/// does not include the process that called exec.
pub fn peak_memory_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}
