//! The configuration as it is written: shapes and places, no meaning.
//!
//! Owns the keys and their TOML types; an unknown key is refused. Decides
//! nothing about what they say: that is `resolve`.

mod merge;
mod parse;
mod value;

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

pub use parse::VERSION;
pub use value::{BoundValue, InterfaceValue, Ports, Services, Strings, SysctlValue};

/// The whole file, or all of them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `version`: of the configuration's format; 1 where a file does not say.
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
    /// `[[exceptions]]`: what is lifted of a role's guarantee
    #[serde(default)]
    pub exceptions: Vec<ExceptionEntry>,
    /// `[[guarantees]]`: what is proven before every apply
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
    /// `[[cameras]]`
    #[serde(default)]
    pub cameras: Vec<CameraEntry>,
    /// `[[routes]]`
    #[serde(default)]
    pub routes: Vec<Spanned<RouteEntry>>,
    /// `[[marks]]`
    #[serde(default)]
    pub marks: Vec<MarkEntry>,
    /// `[sysctls]`: kernel settings in place of camfw's own values
    #[serde(default)]
    pub sysctls: BTreeMap<Spanned<String>, Spanned<SysctlValue>>,
    /// `[router]`
    pub router: Option<Spanned<RouterTable>>,
    /// `[ipv6]`
    pub ipv6: Option<Spanned<Ipv6Table>>,
    /// `[log]`
    pub log: Option<Spanned<LogTable>>,
    /// `[watch]`
    pub watch: Option<Spanned<WatchTable>>,
    /// `[names]`
    pub names: Option<Spanned<NamesTable>>,
}

/// `[zones.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ZoneTable {
    /// The network interface.
    pub interface: Spanned<InterfaceValue>,
    /// The router's own address and the network's prefix, `192.168.8.1/24`, or
    /// several; IPv6 ones beside it.
    pub address: Spanned<Strings>,
    /// Bytes.
    pub mtu: Option<Spanned<i64>>,
    /// The next router, on an external zone; one of each family at most.
    pub gateway: Option<Spanned<Strings>>,
    /// What the zone is.
    pub role: Role,
    /// Whether only the cameras that are listed may send from it.
    pub known_only: Option<Spanned<bool>>,
    /// Whether its interface may be absent.
    #[serde(default)]
    pub optional: bool,
    /// How much of the kernel's table of connections is for those that it opens.
    pub bound: Option<Spanned<BoundValue>>,
    /// Networks whose sources an external zone may have although no host on
    /// the internet has them.
    pub accept_bogons: Option<Spanned<Strings>>,
}

/// The numbers of `bound`; each has a default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BoundTable {
    /// Connections that one source address may have open.
    pub connections: Option<Spanned<i64>>,
    /// New connections of one source address, `"20/second"`.
    pub limit: Option<Spanned<String>>,
    /// Connections that all of the zone together may have open.
    pub zone_connections: Option<Spanned<i64>>,
    /// New connections of all of the zone together, `"125/second"`.
    pub zone_limit: Option<Spanned<String>>,
}

/// How an interface is found or made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterfaceTable {
    /// The name it is given.
    pub name: Option<Spanned<String>>,
    /// Found by its hardware address.
    pub mac: Option<Spanned<String>>,
    /// Found by its device's path below /sys/devices.
    pub path: Option<Spanned<String>>,
    /// Made: a VLAN with this id.
    pub vlan: Option<Spanned<i64>>,
    /// The interface that the VLAN is on.
    pub on: Option<Spanned<String>>,
    /// Made: a bridge of these interfaces.
    pub bridge: Option<Spanned<Vec<Spanned<String>>>>,
}

/// `[[cameras]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraEntry {
    /// Its name.
    pub name: Spanned<String>,
    /// Its address, in a zone's network.
    pub address: Spanned<String>,
    /// Its hardware address; with it nobody else on its wire takes its address.
    pub mac: Option<Spanned<String>>,
    /// What it may open, besides what its zone may.
    #[serde(default)]
    pub allow: Vec<Spanned<CameraAllowEntry>>,
}

/// A line of a camera's own `allow`: an `[[allow]]` whose `from` is the camera.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CameraAllowEntry {
    /// To whom: a zone, a camera or `router`.
    pub to: Spanned<String>,
    /// What.
    pub service: Spanned<Services>,
    /// Only to these addresses or networks.
    pub address: Option<Spanned<Strings>>,
    /// Only to the hosts of these names.
    pub host: Option<Spanned<Strings>>,
    /// New connections per source address, `"6/minute"`.
    pub limit: Option<Spanned<String>>,
    /// Connections that one source address may have open.
    pub connections: Option<Spanned<i64>>,
    /// A source that tries too often is turned away.
    pub block_after: Option<Spanned<BlockAfterEntry>>,
    /// Only at these times.
    pub when: Option<Spanned<WhenEntry>>,
}

/// `[[routes]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteEntry {
    /// Where to, `10.1.0.0/16` or `fd00:1::/48`.
    pub to: Spanned<String>,
    /// By which router, in a zone's network.
    pub via: Option<Spanned<String>>,
    /// To nowhere.
    #[serde(default)]
    pub blackhole: bool,
    /// Lower is taken first.
    #[serde(default)]
    pub metric: u32,
    /// In which table, the main one unless said.
    pub table: Option<Spanned<i64>>,
}

/// `[[marks]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarkEntry {
    /// Packets with this mark
    pub fwmark: Spanned<i64>,
    /// look at this table.
    pub table: Spanned<i64>,
}

/// What a zone is, and so which guarantees it brings.
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

/// `[services.NAME]`, or a service written inside an `[[allow]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceTable {
    /// TCP destination ports.
    #[serde(default)]
    pub tcp: Vec<Spanned<Ports>>,
    /// UDP destination ports.
    #[serde(default)]
    pub udp: Vec<Spanned<Ports>>,
    /// ICMP types by name.
    #[serde(default)]
    pub icmp: Vec<Spanned<String>>,
    /// The TCP ports of passive data connections.
    pub passive: Option<Spanned<Ports>>,
    /// Whether conntrack's FTP helper follows the control connection and lets
    /// its data connections through, in place of `passive`.
    #[serde(default)]
    pub helper: bool,
}

/// `[[allow]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AllowEntry {
    /// Who opens the connection: a zone, a camera, `router` or `any`.
    pub from: Spanned<String>,
    /// To whom: a zone, a camera or `router`.
    pub to: Spanned<String>,
    /// What.
    pub service: Spanned<Services>,
    /// Only from these addresses or networks.
    pub source: Option<Spanned<Strings>>,
    /// Only to these addresses or networks.
    pub address: Option<Spanned<Strings>>,
    /// Only to the hosts of these names.
    pub host: Option<Spanned<Strings>>,
    /// New connections per source address, `"6/minute"`.
    pub limit: Option<Spanned<String>>,
    /// Connections that one source address may have open.
    pub connections: Option<Spanned<i64>>,
    /// A source that tries too often is turned away.
    pub block_after: Option<Spanned<BlockAfterEntry>>,
    /// Only at these times.
    pub when: Option<Spanned<WhenEntry>>,
}

/// `block-after`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockAfterEntry {
    /// New connections that are let through
    pub attempts: Spanned<i64>,
    /// in this time, `"10 minutes"`.
    pub within: Spanned<String>,
}

/// `when`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhenEntry {
    /// `"08:00"`, UTC
    pub from: Option<Spanned<String>>,
    /// `"18:00"`, UTC
    pub to: Option<Spanned<String>>,
    /// `"mon-fri"`
    pub days: Option<Spanned<String>>,
}

/// `[[exceptions]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExceptionEntry {
    /// A zone whose role brings the guarantee, or a camera in it.
    pub from: Spanned<String>,
    /// The zone that it may reach after all.
    pub to: Spanned<String>,
    /// The services it may reach there, by name.
    pub service: Spanned<Services>,
}

/// `[[guarantees]]`: one of the two
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuaranteeEntry {
    /// What is never let through.
    pub never: Option<Spanned<GuaranteedFlow>>,
    /// What always is.
    pub always: Option<Spanned<GuaranteedFlow>>,
}

/// What a guarantee is about.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuaranteedFlow {
    /// Who opens the connection: a zone, `router` or `any`.
    pub from: Spanned<String>,
    /// To whom: a zone, `router` or `any`.
    pub to: Spanned<String>,
    /// For what; anything where it is not said.
    pub service: Option<Spanned<Services>>,
}

/// `[[masquerade]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MasqueradeEntry {
    /// Whose source addresses are rewritten.
    pub from: Spanned<String>,
    /// On the way to which zone.
    pub to: Spanned<String>,
    /// `false` keeps the line and turns it off.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// `[[snat]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnatEntry {
    /// Whose source addresses are rewritten.
    pub from: Spanned<String>,
    /// On the way to which zone.
    pub to: Spanned<String>,
    /// To this one.
    pub address: Spanned<String>,
}

/// `[[forwards]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ForwardEntry {
    /// Whose connections to the router's own address are sent on.
    pub from: Spanned<String>,
    /// This TCP port's
    pub tcp: Option<Spanned<i64>>,
    /// or this UDP port's.
    pub udp: Option<Spanned<i64>>,
    /// To this camera or zone.
    pub to: Spanned<String>,
    /// To this host of the zone.
    pub address: Option<Spanned<String>>,
    /// To this port, the same unless said.
    pub to_port: Option<Spanned<i64>>,
    /// Whether the host's own port is reached without the forward too.
    #[serde(default)]
    pub direct: bool,
}

/// `[[proxy]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyEntry {
    /// Whose connections are taken to the proxy.
    pub from: Spanned<String>,
    /// Those to this zone.
    pub to: Spanned<String>,
    /// Of this service; its TCP ports.
    pub service: Spanned<Services>,
    /// The proxy's port on the router itself.
    pub port: Option<Spanned<i64>>,
    /// The proxy's address in another zone.
    pub via: Option<Spanned<String>>,
    /// The mark and the routing table by which packets get there.
    pub table: Option<Spanned<i64>>,
    /// Whether the proxy's port on the router is reached without it too.
    pub direct: Option<Spanned<bool>>,
}

fn yes() -> bool {
    true
}

/// `[router]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouterTable {
    /// What the router itself may send.
    #[serde(default)]
    pub egress: Egress,
    /// Seconds that `boot` waits for interfaces that are not there yet.
    pub wait: Option<Spanned<i64>>,
    /// Whether the last good policy is kept over a reboot.
    pub keep: Option<bool>,
}

/// What the router itself may send.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Egress {
    /// Anything.
    #[default]
    Open,
    /// What an `allow` from the router lists, and answers.
    Listed,
}

/// `[watch]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WatchTable {
    /// Seconds between two looks.
    pub interval: Option<Spanned<i64>>,
    /// What is done about rules that are not the policy's.
    #[serde(default)]
    pub on_drift: OnDrift,
}

/// `[names]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamesTable {
    /// For how long connections may be opened to an address that a name had, `"1 hour"`.
    pub keep: Option<Spanned<String>>,
}

/// What is done about drift.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDrift {
    /// It is logged.
    #[default]
    Log,
    /// It is logged and mended.
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
    /// Everything is dropped but the loopback.
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
    /// What each line begins with.
    pub prefix: Option<Spanned<String>>,
    /// Also log what no allow line lets through.
    #[serde(default)]
    pub dropped: bool,
}
