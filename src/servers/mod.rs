//! What other programs on the router have to be told so that they agree with
//! the policy: their configuration lines, from the same file.
//!
//! Text alone. Starts and writes nothing.

mod chrony;
mod dnsmasq;
mod vsftpd;

use thiserror::Error;

pub use chrony::chrony;
pub use dnsmasq::dnsmasq;
pub use vsftpd::vsftpd;

/// Why there is nothing to tell a program.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct NothingToServe(String);
