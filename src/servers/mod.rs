//! Configuration for other programs on the router, derived from the same file so that
//! they agree with the policy.
//!
//! Renders text only. Starts no program and writes no file.

mod chrony;
mod dns;
mod dnsmasq;
mod httpd;
mod lease_range;
mod relay;
mod vsftpd;

use thiserror::Error;

pub use chrony::chrony;
pub use dnsmasq::dnsmasq;
pub use httpd::httpd;
pub use relay::{msmtp, relay};
pub use vsftpd::vsftpd;

/// Why a server has nothing to serve under this policy, or cannot serve as it says.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct NothingToServe(String);
