//! The networks that a script's interfaces are: what it says of them, and what the command line adds.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::ScriptError;
use super::commands::{ScriptedAddress, ScriptedBox, ScriptedRoute};
use super::rule::{InterfaceCondition, RuleTarget};
use super::spans::Spans;

/// The highest metric that a zone's default route can have in a configuration.
const MOST_METRIC: u32 = 9999;

/// A zone's role, which opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptedRole {
    /// The way out.
    External,
    /// Cameras.
    Camera,
    /// The owner's own network.
    Private,
}

impl ScriptedRole {
    /// The word of the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::Camera => "camera",
            Self::Private => "private",
        }
    }
}

/// What the command line says of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneHint {
    /// Its name in the script.
    pub interface: String,
    /// The zone's role.
    pub role: Option<ScriptedRole>,
    /// The router's own addresses on it.
    pub addresses: Vec<Ipv4Net>,
    /// `dhcp`, `given` or `none`, in place of addresses.
    pub brought: Option<&'static str>,
    /// The next router, or `device`.
    pub gateway: Option<String>,
    /// Of its default route.
    pub metric: Option<u32>,
    /// The zone's name.
    pub name: Option<String>,
}

impl ZoneHint {
    /// Reads `eth1=camera,192.168.8.1/24`; the parts are told apart by what they are.
    ///
    /// # Errors
    /// Returns what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shape = "write it as eth1=camera,192.168.8.1/24: a role, the router's own address, the next router, its metric, a name";
        let (interface, parts) = text.split_once('=').ok_or(shape)?;
        if !is_interface(interface) {
            return Err(format!("{interface:?} is no interface; {shape}"));
        }
        let mut hint = Self {
            interface: interface.to_owned(),
            ..Self::default()
        };
        for part in parts.split(',') {
            match part {
                "external" => hint.role = Some(ScriptedRole::External),
                "camera" => hint.role = Some(ScriptedRole::Camera),
                "private" => hint.role = Some(ScriptedRole::Private),
                "dhcp" => hint.brought = Some("dhcp"),
                "given" => hint.brought = Some("given"),
                "none" => hint.brought = Some("none"),
                "device" => hint.gateway = Some("device".to_owned()),
                _ => match (part.parse(), part.parse::<Ipv4Addr>()) {
                    (Ok(network), _) => hint.addresses.push(network),
                    (_, Ok(router)) => hint.gateway = Some(router.to_string()),
                    _ if part.bytes().all(|byte| byte.is_ascii_digit()) => {
                        let metric = part.parse().ok().filter(|metric| *metric <= MOST_METRIC);
                        let what =
                            || format!("{part} is no metric of a zone; write 0 to {MOST_METRIC}");
                        hint.metric = Some(metric.ok_or_else(what)?);
                    }
                    _ if is_zone_name(part) => hint.name = Some(part.to_owned()),
                    _ => return Err(format!("{part:?} is none of what a zone has; {shape}")),
                },
            }
        }
        match hint.brought.is_some() && !hint.addresses.is_empty() {
            true => Err(format!(
                "{interface} has addresses, or has them brought; {shape}"
            )),
            false => Ok(hint),
        }
    }
}

/// One zone.
#[derive(Debug)]
pub struct ScriptedZone {
    pub name: String,
    pub interface: String,
    pub role: ScriptedRole,
    pub addresses: Vec<Ipv4Net>,
    pub brought: Option<&'static str>,
    pub gateway: Option<String>,
    /// Of its default route.
    pub metric: Option<u32>,
    /// Networks behind other routers there.
    pub routes: Vec<ScriptedRoute>,
    /// Who may be there.
    pub hosts: Spans,
    /// Those of them whose new connections camfw lets in: the internet has no hosts with reserved addresses.
    pub senders: Spans,
    /// The router's own addresses there.
    pub own: Spans,
}

impl ScriptedZone {
    fn networks(&self) -> Spans {
        let routed = self.routes.iter().map(|route| route.to);
        let networks = self.addresses.iter().map(Ipv4Net::trunc).chain(routed);
        networks.fold(Spans::default(), |all, network| {
            all.or(&Spans::network(network))
        })
    }
}

/// Makes the zones.
pub fn zones(
    found: &mut ScriptedBox,
    variables: &[(String, String)],
    hints: &[ZoneHint],
) -> Result<Vec<ScriptedZone>, ScriptError> {
    let mut interfaces = found.interfaces();
    let more = hints.iter().map(|hint| hint.interface.clone());
    for name in more {
        if !interfaces.contains(&name) {
            interfaces.push(name);
        }
    }
    if interfaces.is_empty() {
        return Err(ScriptError::NoInterface);
    }
    if let Some(bad) = interfaces.iter().find(|name| !is_interface(name)) {
        return Err(ScriptError::Interface(bad.clone()));
    }
    let mut zones: Vec<ScriptedZone> = Vec::new();
    let mut unknown = Vec::new();
    for interface in interfaces {
        let hint = hints
            .iter()
            .find(|hint| hint.interface == interface)
            .cloned()
            .unwrap_or_default();
        let (mut addresses, mut brought) = (hint.addresses, hint.brought);
        if addresses.is_empty() && brought.is_none() {
            for (_, address) in found.addresses.iter().filter(|it| it.0 == interface) {
                match address {
                    ScriptedAddress::Static(address) if !addresses.contains(address) => {
                        addresses.push(*address)
                    }
                    ScriptedAddress::Static(_) => {}
                    ScriptedAddress::Dhcp => brought = Some("dhcp"),
                }
            }
            if brought.is_some() {
                addresses.clear();
            }
        }
        if addresses.is_empty() && brought.is_none() {
            unknown.push(interface);
            continue;
        }
        let variable = variables
            .iter()
            .find(|(_, value)| *value == interface)
            .map(|(name, _)| name.as_str());
        let named = variable.map(Called::of);
        let role = hint
            .role
            .or_else(|| role_by_rules(found, &interface, &addresses));
        let role = role.or_else(|| named.as_ref().and_then(|named| named.role));
        zones.push(ScriptedZone {
            name: unique(
                hint.name.or(named.map(|named| named.name)),
                &interface,
                &zones,
            ),
            interface,
            role: role.unwrap_or(ScriptedRole::Private),
            addresses,
            brought,
            gateway: hint.gateway,
            metric: hint.metric,
            routes: Vec::new(),
            hosts: Spans::default(),
            senders: Spans::default(),
            own: Spans::default(),
        });
    }
    if !unknown.is_empty() {
        return Err(ScriptError::NoAddress(unknown));
    }
    take_routes(found, &mut zones);
    take_hosts(&mut zones);
    Ok(zones)
}

/// Whether sources are rewritten on the way out by it, or the default route leads there.
fn role_by_rules(
    found: &ScriptedBox,
    interface: &str,
    addresses: &[Ipv4Net],
) -> Option<ScriptedRole> {
    let rewrites = found.chain("nat", "POSTROUTING").is_some_and(|chain| {
        chain.rules.iter().any(|rule| {
            let leaves = rule.output.as_ref().and_then(InterfaceCondition::one) == Some(interface);
            leaves && matches!(rule.target, RuleTarget::Masquerade | RuleTarget::Snat(_))
        })
    });
    let default = found.routes.iter().any(|route| {
        route.to.prefix_len() == 0
            && (route.interface.as_deref() == Some(interface)
                || route
                    .via
                    .is_some_and(|via| addresses.iter().any(|network| network.contains(&via))))
    });
    (rewrites || default).then_some(ScriptedRole::External)
}

fn take_routes(found: &mut ScriptedBox, zones: &mut [ScriptedZone]) {
    for route in std::mem::take(&mut found.routes) {
        let (to, via) = (route.to, route.via);
        let zone = zones.iter_mut().find(|zone| match (via, &route.interface) {
            (Some(via), _) => zone.addresses.iter().any(|network| network.contains(&via)),
            (None, Some(by)) => zone.interface == *by,
            (None, None) => false,
        });
        let why = match (zone, to.prefix_len()) {
            (Some(zone), 0) if zone.role == ScriptedRole::External && via.is_some() => {
                zone.gateway = zone.gateway.take().or(via.map(|via| via.to_string()));
                let told = route.metric.is_none_or(|metric| metric <= MOST_METRIC);
                zone.metric = zone.metric.or(route.metric.filter(|_| told));
                if told {
                    continue;
                }
                "the metric of a zone's default route is 9999 at most; write metric into the zone, the lowest for the way out that is preferred"
            }
            (Some(zone), 1..) if !zone.addresses.iter().any(|own| own.trunc() == to) => {
                zone.routes.push(route);
                continue;
            }
            (Some(_), 1..) => continue,
            (Some(_), _) => "the default route is an external zone's, by its gateway",
            (None, _) => "no zone has its router",
        };
        found.left_out.push(super::commands::LeftOut {
            line: route.line,
            text: format!("route to {to}"),
            why: why.to_owned(),
        });
    }
}

/// Who may be behind each interface, as camfw keeps the zones apart.
fn take_hosts(zones: &mut [ScriptedZone]) {
    for zone in zones.iter_mut() {
        zone.own = zone.addresses.iter().fold(Spans::default(), |all, own| {
            all.or(&Spans::host(own.addr()))
        });
        zone.hosts = zone.networks();
    }
    let all_of = |texts: &[&str]| {
        let networks = texts
            .iter()
            .filter_map(|text| text.parse().ok())
            .map(Spans::network);
        networks.fold(Spans::default(), |all, more| all.or(&more))
    };
    let own = zones
        .iter()
        .fold(Spans::default(), |all, zone| all.or(&zone.own));
    let nobody = own.or(&all_of(&["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3"]));
    // RFC 6890; the private ones may be behind an interface whose address is not known.
    let private = all_of(&[
        "10.0.0.0/8",
        "100.64.0.0/10",
        "172.16.0.0/12",
        "192.168.0.0/16",
    ]);
    let reserved = all_of(&[
        "169.254.0.0/16",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
    ]);
    let networks: Vec<Spans> = zones.iter().map(ScriptedZone::networks).collect();
    for (at, zone) in zones.iter_mut().enumerate() {
        if zone.role == ScriptedRole::External {
            let others = networks.iter().enumerate().filter(|other| other.0 != at);
            let others = others.fold(nobody.clone(), |all, other| all.or(other.1));
            zone.hosts = others.not();
            let mut bogons = reserved.clone();
            if zone.brought.is_none() {
                bogons = bogons.or(&private).minus(&networks[at]);
            }
            zone.senders = zone.hosts.minus(&bogons);
        } else {
            zone.senders = zone.hosts.clone();
        }
    }
}

/// What a variable that has an interface's name says of it.
struct Called {
    name: String,
    role: Option<ScriptedRole>,
}

impl Called {
    fn of(variable: &str) -> Self {
        let upper = variable.to_ascii_uppercase();
        let has = |parts: &[&str]| parts.iter().any(|part| upper.contains(part));
        let role = if has(&["CAM"]) {
            Some(ScriptedRole::Camera)
        } else if has(&["EXT", "WAN", "INET", "INTERNET", "PPP", "PUBLIC", "UPLINK"]) {
            Some(ScriptedRole::External)
        } else {
            None
        };
        let mut short = upper.as_str();
        for end in ["_INTERFACE", "_IFACE", "_IF", "_DEV", "_NIC", "IFACE", "IF"] {
            if let Some(rest) = short.strip_suffix(end).filter(|rest| !rest.is_empty()) {
                short = rest;
                break;
            }
        }
        let name = match short {
            "EXT" => "external".to_owned(),
            "CAM" => "camera".to_owned(),
            "PRIV" => "private".to_owned(),
            other => other.to_ascii_lowercase(),
        };
        Self { name, role }
    }
}

/// A name that a zone can have, and that none has yet.
fn unique(wanted: Option<String>, interface: &str, zones: &[ScriptedZone]) -> String {
    let clean = |text: &str| -> String {
        let plain = text.chars().map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        });
        let plain: String = plain.take(12).collect();
        plain.trim_matches('-').to_owned()
    };
    let first = clean(wanted.as_deref().unwrap_or(interface));
    let numbered = (2..).map(|number| format!("{}{number}", &first[..first.len().min(9)]));
    let mut names = [first.clone(), clean(interface)]
        .into_iter()
        .chain(numbered);
    let is_free = |name: &String| is_zone_name(name) && zones.iter().all(|zone| zone.name != *name);
    names.find(is_free).unwrap_or(first)
}

fn is_zone_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.bytes()
        .next()
        .is_some_and(|first| first.is_ascii_lowercase())
        && text.len() <= 12
        && text.bytes().all(plain)
        && !["any", "router"].contains(&text)
}

/// What Linux takes, without what would end a string of TOML.
fn is_interface(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=15).contains(&text.len()) && text.bytes().all(plain)
}
