//! The time since the kernel started, the date, and sleeping.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since the kernel started, whatever becomes of the date; 0 without /proc.
pub fn uptime() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let first = text.split(' ').next().unwrap_or_default();
    first.parse().unwrap_or(0.0)
}

/// Seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

/// Sleeps.
pub fn sleep(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}
