//! The configuration as it is written: keys and types with their positions in the file,
//! before any interpretation.
//!
//! Owns the keys and their TOML types, and refuses unknown keys. `resolve` checks what the
//! values mean.

mod document;
mod in_words;
mod list;
mod merge;
mod parse;
mod pruned;
mod rewrite;
mod spanned;
mod value;

use std::collections::BTreeMap;

use serde::Deserialize;

pub(crate) use list::list_path;
pub use parse::VERSION;
pub use rewrite::{ForwardEntry, MasqueradeEntry, ProxyEntry, RedirectEntry, SnatEntry};
pub use spanned::Spanned;
pub use value::{
    BoundValue, InterfaceValue, OneOrMore, PageTable, PortList, Ports, Scalar, Scalars,
    ServiceValue, Services, Strings,
};

/// The contents of the configuration, from one file or several.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `version` of the configuration format; 1 if absent.
    pub version: Option<Spanned<i64>>,
    /// `[zones.NAME]`
    #[serde(default)]
    pub zones: BTreeMap<Spanned<String>, ZoneTable>,
    /// `[services.NAME]`
    #[serde(default)]
    pub services: BTreeMap<Spanned<String>, Spanned<ServiceTable>>,
    /// `[[allow]]`
    #[serde(default)]
    pub allow: Vec<Spanned<AllowEntry>>,
    /// `[[deny]]`
    #[serde(default)]
    pub deny: Vec<Spanned<DenyEntry>>,
    /// `[[exceptions]]` to the guarantees of roles
    #[serde(default)]
    pub exceptions: Vec<ExceptionEntry>,
    /// `[[guarantees]]`, which are proven before every apply
    #[serde(default)]
    pub guarantees: Vec<Spanned<GuaranteeEntry>>,
    /// `[[masquerade]]`
    #[serde(default)]
    pub masquerade: Vec<Spanned<MasqueradeEntry>>,
    /// `[[snat]]`
    #[serde(default)]
    pub snat: Vec<Spanned<SnatEntry>>,
    /// `[[forwards]]`
    #[serde(default)]
    pub forwards: Vec<Spanned<ForwardEntry>>,
    /// `[[proxy]]`
    #[serde(default)]
    pub proxy: Vec<Spanned<ProxyEntry>>,
    /// `[[redirects]]`
    #[serde(default)]
    pub redirects: Vec<Spanned<RedirectEntry>>,
    /// `[[cameras]]`
    #[serde(default)]
    pub cameras: Vec<CameraEntry>,
    /// `[[routes]]`
    #[serde(default)]
    pub routes: Vec<Spanned<RouteEntry>>,
    /// `[[marks]]`
    #[serde(default)]
    pub marks: Vec<MarkEntry>,
    /// `[sysctls]`: kernel settings that override camfw's own values
    #[serde(default)]
    pub sysctls: BTreeMap<Spanned<String>, Spanned<Scalar>>,
    /// `[router]`
    pub router: Option<Spanned<RouterTable>>,
    /// `[ipv6]`
    pub ipv6: Option<Spanned<Ipv6Table>>,
    /// `[log]`
    pub log: Option<Spanned<LogTable>>,
    /// `[page]`
    pub page: Option<Spanned<PageTable>>,
    /// `[watch]`
    pub watch: Option<Spanned<WatchTable>>,
    /// `[names]`
    pub names: Option<Spanned<NamesTable>>,
    /// `[mail]`: any keys, since a mistake in them must not keep a boot from loading the rest
    pub mail: Option<Spanned<MailTable>>,
}

/// The keys of `[mail]`, which `resolve` checks.
pub type MailTable = BTreeMap<Spanned<String>, Spanned<Scalars>>;

/// `[zones.NAME]`: a network on one interface.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ZoneTable {
    /// The network interface.
    pub interface: Spanned<InterfaceValue>,
    /// The router's own address with the network's prefix length, `192.168.8.1/24`, or a
    /// list of them; IPv6 addresses may be in the list. `"dhcp"`, `"given"` or `"none"` stand
    /// for those that are not the file's, and `"auto"` for IPv6 by router advertisement.
    pub address: Spanned<Strings>,
    /// In bytes.
    pub mtu: Option<Spanned<i64>>,
    /// The largest TCP segment of connections across the zone: `"clamp"`, `"off"` or bytes.
    pub mss: Option<Spanned<Scalar>>,
    /// The next router, for an external zone; at most one per family. `"device"` is the other
    /// end of the interface, and `"given"` what another program says.
    pub gateway: Option<Spanned<Strings>>,
    /// Of the IPv4 default route, where there are several ways out: the lowest is preferred.
    pub metric: Option<Spanned<i64>>,
    /// The role, which determines the zone's guarantees.
    pub role: Role,
    /// Whether only listed cameras may send from this zone.
    pub known_only: Option<Spanned<bool>>,
    /// Whether what its hosts try and may not is recorded.
    pub record: Option<bool>,
    /// Whether its interface may be absent.
    #[serde(default)]
    pub optional: bool,
    /// The part of the kernel's connection table that connections opened by this zone may
    /// use.
    pub bound: Option<Spanned<BoundValue>>,
    /// What becomes of packets that no line allows.
    pub on_deny: Option<Spanned<OnDeny>>,
    /// Networks that the external zone accepts as sources although no host on the internet
    /// can have them.
    pub accept_bogons: Option<Spanned<Strings>>,
}

/// The numbers of `bound`; each has a default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BoundTable {
    /// Open connections per source address.
    pub connections: Option<Spanned<i64>>,
    /// New connections per source address, `"20/second"`.
    pub limit: Option<Spanned<String>>,
    /// Open connections of the whole zone.
    pub zone_connections: Option<Spanned<i64>>,
    /// New connections of the whole zone, `"125/second"`.
    pub zone_limit: Option<Spanned<String>>,
}

/// How an interface is identified or created.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct InterfaceTable {
    /// The name to give it.
    pub name: Option<Spanned<String>>,
    /// Identified by its hardware address.
    pub mac: Option<Spanned<String>>,
    /// Identified by its device's path below /sys/devices.
    pub path: Option<Spanned<String>>,
    /// Created: a VLAN with this ID.
    pub vlan: Option<Spanned<i64>>,
    /// The interface that carries the VLAN.
    pub on: Option<Spanned<String>>,
    /// Created: a bridge of these interfaces.
    pub bridge: Option<Spanned<Vec<Spanned<String>>>>,
    /// Those of the bridge's ports that reach every other one.
    pub not_isolated: Option<Spanned<Vec<Spanned<String>>>>,
}

/// `[[cameras]]`: a camera with a known address.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraEntry {
    /// The camera's name.
    pub name: Spanned<String>,
    /// Its address, in a zone's network; in a list its IPv6 addresses may stand beside it.
    pub address: Spanned<Strings>,
    /// Its hardware address; if given, no other host on its network can use its address.
    pub mac: Option<Spanned<String>>,
    /// The port of its zone's bridge that it is on; its hardware address passes no other.
    pub port: Option<Spanned<String>>,
    /// What it may open in addition to what its zone may.
    #[serde(default)]
    pub allow: Vec<Spanned<CameraAllowEntry>>,
}

/// An entry of a camera's own `allow`: an `[[allow]]` with the camera as `from`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CameraAllowEntry {
    /// To whom: a zone, a camera or `router`.
    pub to: Spanned<Strings>,
    /// The services.
    pub service: Spanned<Services>,
    /// Only to these addresses or networks.
    pub address: Option<Spanned<Strings>>,
    /// But not to these.
    pub except: Option<Spanned<Strings>>,
    /// Only to hosts with these names.
    pub host: Option<Spanned<Strings>>,
    /// New connections per source address, `"6/minute"`.
    pub limit: Option<Spanned<String>>,
    /// Open connections per source address.
    pub connections: Option<Spanned<i64>>,
    /// Blocks a source that tries too often.
    pub block_after: Option<Spanned<BlockAfterEntry>>,
    /// Only at these times.
    pub when: Option<Spanned<WhenEntry>>,
}

/// `[[routes]]`: a static route.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteEntry {
    /// The destination, `10.1.0.0/16` or `fd00:1::/48`.
    pub to: Spanned<String>,
    /// The next router, in a zone's network.
    pub via: Option<Spanned<String>>,
    /// Whether packets to the destination are discarded.
    #[serde(default)]
    pub blackhole: bool,
    /// The metric; the route with the lowest one is used.
    #[serde(default)]
    pub metric: u32,
    /// The routing table; by default the main one.
    pub table: Option<Spanned<i64>>,
}

/// `[[marks]]`: a routing rule for marked packets.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarkEntry {
    /// Packets with this mark
    pub fwmark: Spanned<i64>,
    /// use this routing table.
    pub table: Spanned<i64>,
}

/// The role of a zone, which determines its guarantees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The way out; the default route is here.
    External,
    /// Untrusted cameras: they never open a connection to external or private.
    Camera,
    /// The owner's own network.
    Private,
}

/// What becomes of a packet that no line allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDeny {
    /// It is dropped.
    Drop,
    /// It is dropped, and its sender gets an answer.
    Reject,
}

/// `[services.NAME]`, or a service written in place in an `[[allow]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceTable {
    /// TCP destination ports.
    pub tcp: Option<Spanned<PortList>>,
    /// UDP destination ports.
    pub udp: Option<Spanned<PortList>>,
    /// ICMP types by name.
    pub icmp: Option<Spanned<Strings>>,
    /// Other IP protocols, by name or number.
    pub protocol: Option<Spanned<PortList>>,
    /// The source ports that TCP and UDP come from.
    #[serde(rename = "source-port")]
    pub source_port: Option<Spanned<PortList>>,
    /// The TCP ports of passive data connections.
    pub passive: Option<Spanned<Ports>>,
    /// Whether conntrack's FTP helper follows the control connection and lets its data
    /// connections through, in place of `passive`.
    #[serde(default)]
    pub helper: bool,
}

/// `[[allow]]`: who may open which connections.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AllowEntry {
    /// Who opens the connection: a zone, a camera, `router` or `any`.
    pub from: Spanned<Strings>,
    /// To whom: a zone, a camera or `router`.
    pub to: Spanned<Strings>,
    /// The services.
    pub service: Spanned<Services>,
    /// Only from these addresses or networks.
    pub source: Option<Spanned<Strings>>,
    /// Only to these addresses or networks.
    pub address: Option<Spanned<Strings>>,
    /// But not to these.
    pub except: Option<Spanned<Strings>>,
    /// Only to hosts with these names.
    pub host: Option<Spanned<Strings>>,
    /// New connections per source address, `"6/minute"`.
    pub limit: Option<Spanned<String>>,
    /// Open connections per source address.
    pub connections: Option<Spanned<i64>>,
    /// Blocks a source that tries too often.
    pub block_after: Option<Spanned<BlockAfterEntry>>,
    /// Only at these times.
    pub when: Option<Spanned<WhenEntry>>,
}

/// `block-after`: blocks a source that opens connections too often.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockAfterEntry {
    /// The number of new connections that are accepted
    pub attempts: Spanned<i64>,
    /// within this time, `"10 minutes"`.
    pub within: Spanned<String>,
}

/// `when`: a time of day and days of the week.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhenEntry {
    /// `"08:00"`, in UTC or the router's `timezone`
    pub from: Option<Spanned<String>>,
    /// `"18:00"`, in the same
    pub to: Option<Spanned<String>>,
    /// `"mon-fri"` or `["mon-fri", "sun"]`
    pub days: Option<Spanned<Strings>>,
}

/// `[[exceptions]]`: a service that a zone may reach despite its role.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExceptionEntry {
    /// A zone whose role brings the guarantee, or a camera in it.
    pub from: Spanned<Strings>,
    /// The zone that it may reach nevertheless.
    pub to: Spanned<Strings>,
    /// The services that it may reach there, by name.
    pub service: Spanned<Services>,
}

/// `[[deny]]`: what no allow line lets through, whatever it says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenyEntry {
    /// Who opens the connection: a zone or `any`.
    pub from: Spanned<Strings>,
    /// To whom: a zone, `router` or `any`.
    pub to: Spanned<Strings>,
    /// From these addresses or networks
    pub source: Option<Spanned<Strings>>,
    /// or to these.
    pub address: Option<Spanned<Strings>>,
}

/// `[[guarantees]]`: has either `never` or `always`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuaranteeEntry {
    /// What is never let through.
    pub never: Option<Spanned<GuaranteedFlow>>,
    /// What is always let through.
    pub always: Option<Spanned<GuaranteedFlow>>,
}

/// The connections that a guarantee covers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuaranteedFlow {
    /// Who opens the connection: a zone, `router` or `any`.
    pub from: Spanned<Strings>,
    /// To whom: a zone, `router` or `any`.
    pub to: Spanned<Strings>,
    /// The services; all if absent.
    pub service: Option<Spanned<Services>>,
}

/// `[router]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouterTable {
    /// What the router itself may send.
    #[serde(default)]
    pub egress: Egress,
    /// Seconds that `boot` waits for missing interfaces.
    pub wait: Option<Spanned<i64>>,
    /// Whether the last good policy is kept over a reboot.
    pub keep: Option<bool>,
    /// The time zone in whose local time `when` is written, `"Europe/Berlin"`.
    pub timezone: Option<Spanned<String>>,
}

/// What the router itself may send.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Egress {
    /// Anything.
    #[default]
    Open,
    /// Only what an `allow` from the router lists, and answers.
    Listed,
}

/// `[watch]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WatchTable {
    /// Seconds between two checks.
    pub interval: Option<Spanned<i64>>,
    /// What to do about rules that differ from the policy.
    #[serde(default)]
    pub on_drift: OnDrift,
    /// The file that metrics are written to.
    pub metrics: Option<Spanned<String>>,
    /// After how long without a packet a camera is silent, `"1 hour"`.
    pub silent_after: Option<Spanned<String>>,
}

/// `[names]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamesTable {
    /// How long connections may be opened to an address after a name last resolved to it,
    /// `"1 hour"`.
    pub keep: Option<Spanned<String>>,
    /// The addresses of the servers that the router's own asks for what it does not know.
    pub servers: Option<Spanned<Strings>>,
}

/// What to do about rules that differ from the policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDrift {
    /// Logs the difference.
    #[default]
    Log,
    /// Logs the difference and restores the rules.
    Restore,
}

/// `[ipv6]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ipv6Table {
    /// How IPv6 is filtered.
    #[serde(default)]
    pub mode: Ipv6Mode,
}

/// How IPv6 is filtered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ipv6Mode {
    /// Everything except the loopback is dropped.
    #[default]
    Drop,
    /// By the same policy as IPv4.
    Same,
}

/// `[log]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogTable {
    /// The most lines per LOG rule, `"10/minute"`.
    pub rate: Option<Spanned<String>>,
    /// The start of each line.
    pub prefix: Option<Spanned<String>>,
    /// Whether to log also what no allow line lets through.
    #[serde(default)]
    pub dropped: bool,
}
