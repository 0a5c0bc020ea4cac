//! Uptime, which is independent of changes to the date; the date; and sleeping.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since the kernel started, including time suspended; 0 if /proc is not
/// mounted.
pub fn uptime() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let first = text.split(' ').next().unwrap_or_default();
    first.parse().unwrap_or(0.0)
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Sleeps for `time`.
pub fn sleep(time: Duration) {
    std::thread::sleep(time);
}
