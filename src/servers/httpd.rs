//! busybox httpd: where it shows the page.

use std::fmt::Write;

use super::NothingToServe;
use crate::policy::Policy;
use crate::registry::port;

/// The addresses that it listens at, one a line, as its option -p takes them.
///
/// # Errors
/// Returns an error if the file has no `[page]`.
pub fn httpd(policy: &Policy) -> Result<String, NothingToServe> {
    let mut addresses = String::new();
    if policy.page.is_some() {
        for (index, zone) in policy.indexed_zones() {
            if !policy.offers_tcp(index, port::HTTP) {
                continue;
            }
            for own in zone.own().map(|own| own.addr()) {
                let _ = match own.is_ipv6() {
                    true => writeln!(addresses, "[{own}]:{}", port::HTTP),
                    false => writeln!(addresses, "{own}:{}", port::HTTP),
                };
            }
        }
    }
    match addresses.is_empty() {
        true => Err(NothingToServe(
            "the file has no [page], or no zone with an address of its own reaches the router's http; nothing is shown".into(),
        )),
        false => Ok(addresses),
    }
}
