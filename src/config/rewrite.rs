//! The tables of address translation as they are written.

use serde::Deserialize;

use super::{PortList, Services, Spanned, Strings};

/// `[[masquerade]]`: rewrites source addresses to that of the outgoing interface.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MasqueradeEntry {
    /// The zone whose source addresses are rewritten.
    pub from: Spanned<Strings>,
    /// The zone that the connections go to.
    pub to: Spanned<Strings>,
    /// `false` disables the entry.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// `[[snat]]`: rewrites source addresses to a fixed one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnatEntry {
    /// The zone whose source addresses are rewritten.
    pub from: Spanned<Strings>,
    /// The zone that the connections go to.
    pub to: Spanned<String>,
    /// The new source address.
    pub address: Spanned<String>,
}

/// `[[forwards]]`: a port forward.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ForwardEntry {
    /// The zone whose connections to the router's own address are redirected.
    pub from: Spanned<String>,
    /// Only those to this one of its addresses there.
    pub at: Option<Spanned<String>>,
    /// These TCP ports
    pub tcp: Option<Spanned<PortList>>,
    /// or these UDP ports of the router; without both, all of the address in `at`.
    pub udp: Option<Spanned<PortList>>,
    /// The camera, or the zone of the host, to redirect to.
    pub to: Spanned<String>,
    /// The address of the host in that zone.
    pub address: Option<Spanned<String>>,
    /// The port on that host; the same port if absent.
    pub to_port: Option<Spanned<i64>>,
    /// Whether the host's port can also be reached directly.
    #[serde(default)]
    pub direct: bool,
    /// The zones inside whose connections to the same address are redirected, too.
    pub loopback: Option<Spanned<Strings>>,
}

/// `[[proxy]]`: a transparent proxy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyEntry {
    /// The zone whose connections are redirected to the proxy.
    pub from: Spanned<String>,
    /// Only connections to this zone.
    pub to: Spanned<String>,
    /// Only connections to this service's TCP ports.
    pub service: Spanned<Services>,
    /// The proxy's port on the router itself.
    pub port: Option<Spanned<i64>>,
    /// The proxy's address in another zone.
    pub via: Option<Spanned<String>>,
    /// The mark and the routing table that lead packets to the proxy.
    pub table: Option<Spanned<i64>>,
    /// Whether the proxy's port on the router can also be reached directly.
    pub direct: Option<Spanned<bool>>,
}

/// `[[redirects]]`: connections that the router answers itself, wherever they go.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedirectEntry {
    /// The zone whose connections are redirected.
    pub from: Spanned<Strings>,
    /// The router.
    pub to: Spanned<String>,
    /// Connections to these ports.
    pub service: Spanned<Services>,
}

fn yes() -> bool {
    true
}
