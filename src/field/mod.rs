//! Values that packet fields are compared with, and rates.
//!
//! Owns their text forms, in the configuration and in iptables-save output.

mod icmp_type;
mod port;
mod port_set;
mod rate;
mod time_window;
mod utc;

pub use icmp_type::IcmpType;
pub use port::PortRange;
pub use port_set::PortSet;
pub use rate::{Rate, Unit, duration};
pub use time_window::{LAST_DATE, TimeWindow, Weekdays, is_time_of_day};
pub(crate) use utc::{DAY, date, minute, utc};

/// What a noun has at its end behind a number.
pub(crate) fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}
