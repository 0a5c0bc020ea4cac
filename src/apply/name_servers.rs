//! The name servers of leases, for the router's own resolver.
//!
//! Writes a file of its own and nothing in /etc: which file the resolver reads is the
//! owner's decision, who links it.

use std::fmt::Write;
use std::path::Path;

use thiserror::Error;

use crate::host::store::{self, PublishError, StoreError, StorePlace};
use crate::net::Lease;
use crate::policy::{Policy, Role};

/// In the format of resolv.conf(5).
const FILE: &str = "/run/camfw-dns/resolv.conf";

/// Why the name servers could not be kept.
#[derive(Debug, Error)]
pub(super) enum NameServersError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Takes the name servers of a link's lease, if an external zone has it: who is in another
/// zone must not tell the router whom to ask.
pub(super) fn keep(policy: &Policy, link: &str, lease: &Lease) -> Result<(), NameServersError> {
    let servers = match lease {
        Lease::Unchanged => return Ok(()),
        Lease::None => [].as_slice(),
        Lease::Held { name_servers, .. } => name_servers,
    };
    let zones = policy.zones.iter();
    let links = zones.filter(|zone| zone.role == Role::External && zone.by_dhcp());
    let links: Vec<&str> = links.map(|zone| zone.interface.as_str()).collect();
    if !links.contains(&link) {
        return Ok(());
    }
    let lines = servers.iter().fold(String::new(), |mut lines, server| {
        let _ = writeln!(lines, "nameserver {server}");
        lines
    });
    store::write_if_changed(StorePlace::Run, &kept_of(link), &lines)?;
    let mut text = "# from the DHCP leases of external zones, written by camfw\n".to_owned();
    for link in links {
        text += &store::read(StorePlace::Run, &kept_of(link))?.unwrap_or_default();
    }
    Ok(store::publish(Path::new(FILE), &text)?)
}

fn kept_of(link: &str) -> String {
    format!("name-servers-{link}")
}
