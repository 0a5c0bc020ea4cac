//! The policy: the meaning of the configuration, checked and complete.
//!
//! Owns zones, services, allow lines and guarantees as values that later stages need not
//! check: every name is resolved, and every value is within its limits. Knows nothing of
//! iptables, netlink or sysctl.

mod addresses;
mod allow;
mod bound;
mod camera;
mod closed;
mod dump_guarantee;
mod effect_lint;
mod guarantee;
mod hours;
mod lint;
mod log;
mod mail;
mod names;
mod networks;
mod origin;
mod page;
mod refusal_tag;
mod rewrite;
mod rule_label;
mod service;
mod unreachable;
mod watch;
mod ways_lint;
mod zone;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

pub use crate::config::{Egress, Ipv6Mode, OnDeny, Role};
use crate::family::IpFamily;
use crate::field::PortRange;
use crate::field::PortSet;
use crate::local_time::LocalTime;
use crate::name::{HostName, InterfaceName, MacAddress};
use crate::net::{LOOPBACK, MAIN_TABLE, MarkRule, NextHop, Route};
use crate::registry::port;
use crate::source::Refusal;
pub(crate) use addresses::merged;
pub use addresses::{Addresses, Answers};
pub use allow::{Allow, BlockAfter, Endpoint, Flow, Remainder};
pub use bound::{Bound, LOOK};
pub(crate) use bound::{table_size, told as told_bounds};
pub use camera::Camera;
pub(crate) use closed::ClosedConnections;
pub use closed::{RESET_STAYS, RESET_STAYS_KEY};
pub use dump_guarantee::{DumpEnd, DumpGuarantee};
pub(crate) use guarantee::{Exception, broken, is_denied_first, never};
pub use guarantee::{Guarantee, GuaranteeKind};
pub(crate) use hours::{hours_trouble, told_hours};
pub use lint::{Warning, warnings};
pub use log::{Log, LogPrefixes, ZonePrefixes};
pub use mail::Mail;
pub(crate) use names::has_dns;
pub use origin::Origin;
pub use page::Page;
pub use refusal_tag::{Recordable, RefusalReason, RefusalTag};
pub use rewrite::{Forward, ForwardedPorts, Masquerade, Proxy, ProxyWay, RedirectToRouter, Snat};
pub use rule_label::{RuleLabel, RulePurpose};
pub use service::Service;
pub use unreachable::broadcast_settings;
pub use watch::Watch;
use zone::distinct;
pub use zone::{Gateway, Zone, ZoneIndex};

/// Who may talk to whom, and everything else that the configuration says.
#[derive(Debug, Clone)]
pub struct Policy {
    /// In the order of the file.
    pub zones: Vec<Zone>,
    /// In the order of the file.
    pub allows: Vec<Allow>,
    /// The local time in which the hours of lines are; None if they are in UTC.
    pub local_time: Option<LocalTime>,
    /// The guarantees of roles, and those of the file.
    pub guarantees: Vec<Guarantee>,
    /// The enabled ones, in the order of the file.
    pub masquerades: Vec<Masquerade>,
    /// From which zone to which the file says that source addresses stay as they are.
    pub unmasqueraded: Vec<(ZoneIndex, ZoneIndex)>,
    /// In the order of the file.
    pub snats: Vec<Snat>,
    /// In the order of the file.
    pub forwards: Vec<Forward>,
    /// In the order of the file.
    pub proxies: Vec<Proxy>,
    /// In the order of the file.
    pub redirects: Vec<RedirectToRouter>,
    /// What the router itself may send.
    pub egress: Egress,
    /// The router's UDP ports that earlier policies offered, or whose connections were
    /// ended, since the kernel started. Not from the file.
    pub udp_once_offered: PortSet,
    /// Whether this kernel can pass refused packets to a program. Not from the file.
    pub can_record: bool,
    /// How IPv6 is filtered. Unless it is [`Ipv6Mode::Same`], nothing else in the policy is
    /// about IPv6.
    pub ipv6: Ipv6Mode,
    /// The host names in allow lines, each once.
    pub hosts: Vec<HostName>,
    /// How long connections may be opened to an address after a name last resolved to it.
    pub names_keep: Duration,
    /// Whom the router's server asks for what it does not know; none if the file does not say.
    pub name_servers: Vec<IpAddr>,
    /// Where the file says so.
    pub name_servers_at: Option<Origin>,
    /// How dropped packets are logged.
    pub log: Log,
    /// In the order of the file.
    pub cameras: Vec<Camera>,
    /// The services that the file names, in the order of their names.
    pub services: Vec<Service>,
    /// Routes other than the default route and those of the zones' own networks.
    pub routes: Vec<Route>,
    /// The routing tables of marked packets.
    pub mark_rules: Vec<MarkRule>,
    /// Kernel settings that override camfw's own values.
    pub sysctls: BTreeMap<String, String>,
    /// How long `boot` waits for missing interfaces.
    pub wait: Duration,
    /// Whether the last good policy is kept over a reboot.
    pub keep: bool,
    /// The page that the router shows; None unless the file has `[page]`.
    pub page: Option<Page>,
    /// How the running router is watched.
    pub watch: Watch,
    /// How uploads become mail; None without `[mail]`. A refusal of it alone keeps no rule
    /// from being loaded: `check` and `apply` refuse the file, a boot says so and goes on.
    pub mail: Result<Option<Mail>, Refusal>,
}

impl Policy {
    /// The families in which lines of the file let anything through.
    pub fn families(&self) -> &'static [IpFamily] {
        match self.ipv6 {
            Ipv6Mode::Same => &IpFamily::ALL,
            Ipv6Mode::Drop => &[IpFamily::V4],
        }
    }

    /// The zone with this index; only the resolver makes indices.
    pub fn zone(&self, index: ZoneIndex) -> &Zone {
        &self.zones[index.0]
    }

    /// Whether packets with a source that a zone cannot have are recorded in every zone: they
    /// tell that a listed camera is on another zone's wire.
    pub fn records_strays(&self) -> bool {
        let mut cameras = self.cameras.iter();
        self.can_record && cameras.any(|camera| self.zone(camera.zone).record)
    }

    /// Whether what the router itself tries and may not is recorded: where it may send only
    /// what lines allow.
    pub fn records_router(&self) -> bool {
        self.egress == Egress::Listed
    }

    /// Whether anything that is refused is recorded.
    pub fn recordable(&self) -> Recordable {
        let wanted = self.egress == Egress::Listed || self.zones.iter().any(|zone| zone.record);
        match (wanted, self.can_record) {
            (false, _) => Recordable::Nothing,
            (true, false) => Recordable::NotByThisKernel,
            (true, true) => Recordable::Some,
        }
    }

    /// The log prefixes of a zone.
    pub fn prefixes_of(&self, index: ZoneIndex) -> &ZonePrefixes {
        &self.log.prefixes.zones[index.0]
    }

    /// The zones by which IPv4 default routes lead, if there are several, in the order of the
    /// file.
    pub fn ways_out(&self) -> Vec<&Zone> {
        let mut ways: Vec<&Zone> = self.zones.iter().collect();
        ways.retain(|zone| zone.gateway.is_some());
        if ways.len() < 2 {
            ways.clear();
        }
        ways
    }

    /// Whether the default route of a family goes through this zone.
    pub fn has_default_route(&self, zone: &Zone, ipv6: bool) -> bool {
        let by_gateway = match ipv6 {
            false => zone.gateway.is_some(),
            true => zone.has_gateway6(),
        };
        let routed = |route: &Route| {
            let by = matches!(&route.way, NextHop::Link { link, .. } if *link == zone.interface.as_str());
            by && route.table == MAIN_TABLE
                && route.destination.prefix_len() == 0
                && route.destination.addr().is_ipv6() == ipv6
        };
        by_gateway || self.routes.iter().any(routed)
    }

    /// The lines that let hosts of a zone use this UDP port of the router.
    pub fn offers_udp(&self, zone: ZoneIndex, port: u16) -> impl Iterator<Item = &Allow> {
        let port = PortRange::port(port);
        let flow = Flow {
            from: Endpoint::Zone(zone),
            to: Endpoint::Router,
        };
        self.allows_of(flow).filter(move |allow| {
            let ports = allow.services.iter().flat_map(|service| &service.udp);
            ports.into_iter().any(|ports| ports.contains(port))
        })
    }

    /// Whether the router advertises the zone's IPv6 networks there: a line lets hosts ask it
    /// for addresses, and they may have some.
    pub fn advertises(&self, index: ZoneIndex) -> bool {
        let zone = self.zone(index);
        let has_hosts = zone.role != Role::External && !zone.known_only;
        let may_ask = self.offers_udp(index, port::DHCPV6_SERVER).next().is_some();
        has_hosts && may_ask && !zone.addresses6.is_empty()
    }

    /// Whether a line lets hosts of a zone use this TCP port of the router.
    pub fn offers_tcp(&self, zone: ZoneIndex, port: u16) -> bool {
        let port = PortRange::port(port);
        let flow = Flow {
            from: Endpoint::Zone(zone),
            to: Endpoint::Router,
        };
        self.allows_of(flow).any(|allow| {
            let mut ports = allow.services.iter().flat_map(|service| &service.tcp);
            ports.any(|ports| ports.contains(port))
        })
    }

    /// The router's UDP ports that an allow line opens.
    pub fn udp_offered(&self) -> PortSet {
        let to_router = self.allows.iter().filter(|allow| {
            let mut flows = allow.flows.iter();
            flows.any(|flow| flow.to == Endpoint::Router)
        });
        let services = to_router.flat_map(|allow| allow.services.iter());
        services.flat_map(|service| service.udp.clone()).collect()
    }

    /// The hardware address that identifies the camera of this line when it asks for an
    /// address and thus has none yet. None if the line is not for one camera alone, does
    /// not allow such requests, or the file has no hardware address for it.
    pub(crate) fn mac_without_address(&self, allow: &Allow) -> Option<MacAddress> {
        let name = allow.camera.as_ref()?;
        let Addresses::Only(sources) = &allow.sources else {
            return None;
        };
        let unspecified = IpNet::from(Ipv4Net::from(Ipv4Addr::UNSPECIFIED));
        if !sources.contains(&unspecified) {
            return None;
        }
        let camera = self.cameras.iter().find(|camera| camera.name == *name)?;
        camera.mac
    }

    /// The hardware addresses of every host that may ask for an address in a zone; None if
    /// they are not all known.
    pub(crate) fn macs_without_address(&self, index: ZoneIndex) -> Option<Vec<MacAddress>> {
        if !self.zone(index).known_only {
            return None;
        }
        self.cameras_of(index).map(|camera| camera.mac).collect()
    }

    /// The interfaces by which nobody sends: those that only carry the interfaces of zones, such as
    /// a bridge's ports and a VLAN's trunk, and those of zones where nobody is.
    pub fn carriers(&self) -> BTreeSet<&InterfaceName> {
        let lower = self.zones.iter().flat_map(|zone| zone.device.lower());
        let mut carriers: BTreeSet<_> = lower.collect();
        for zone in &self.zones {
            match zone.is_carrier() && !zone.has_ipv6() {
                true => carriers.insert(&zone.interface),
                false => carriers.remove(&zone.interface),
            };
        }
        carriers
    }

    /// The number of the conntrack zone for link-local connections in a zone: never 0,
    /// which is for all other connections, and unique. It is made from the interface's
    /// name, so that connections survive a change of the file.
    pub(crate) fn conntrack_zone(&self, index: ZoneIndex) -> u16 {
        let mut taken: Vec<u16> = Vec::new();
        for zone in self.zones.iter().take(index.0 + 1) {
            let mut number = hash_of(zone.interface.as_str()).max(1);
            while taken.contains(&number) {
                number = number.checked_add(1).unwrap_or(1);
            }
            taken.push(number);
        }
        taken.pop().unwrap_or(1)
    }

    /// The same for connections of the router with itself, where others may have its address
    /// as their source.
    pub(crate) fn loopback_conntrack_zone(&self) -> u16 {
        let zones = self.indexed_zones();
        let taken: Vec<u16> = zones.map(|(index, _)| self.conntrack_zone(index)).collect();
        let mut number = hash_of(LOOPBACK).max(1);
        while taken.contains(&number) {
            number = number.checked_add(1).unwrap_or(1);
        }
        number
    }

    /// The networks to which a packet from a zone is for several hosts at once, and so no
    /// connection that could be redirected: groups, reserved addresses and broadcasts.
    pub(crate) fn not_for_one_host(&self, zone: &Zone) -> Vec<Ipv4Net> {
        let networks = self.networks_of(zone).into_iter();
        let broadcasts = networks.filter(|network| network.prefix_len() < 31);
        let broadcasts = broadcasts.map(|network| Ipv4Net::from(network.broadcast()));
        distinct(broadcasts.chain([GROUPS_AND_RESERVED]))
    }

    /// Every zone, with its index.
    pub fn indexed_zones(&self) -> impl Iterator<Item = (ZoneIndex, &Zone)> {
        self.zones
            .iter()
            .enumerate()
            .map(|(index, zone)| (ZoneIndex(index), zone))
    }

    /// The router's own IPv4 addresses that the file names.
    pub(crate) fn own_addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        let own = self.zones.iter().flat_map(|zone| &zone.addresses);
        own.map(Ipv4Net::addr)
    }

    /// What is denied on this flow before any of its lines is looked at.
    pub(crate) fn denied_first(&self, flow: Flow) -> impl Iterator<Item = &Guarantee> {
        let denials = self.guarantees.iter();
        denials.filter(move |it| it.flow == flow && it.is_denied_first())
    }

    /// The allow lines for this flow, in the order of the file.
    pub fn allows_of(&self, flow: Flow) -> impl Iterator<Item = &Allow> {
        self.allows
            .iter()
            .filter(move |allow| allow.flows.contains(&flow))
    }
}

/// 224.0.0.0/4, 240.0.0.0/4 and the limited broadcast.
const GROUPS_AND_RESERVED: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 3);

/// FNV-1a with 32 bits, folded to 16.
fn hash_of(text: &str) -> u16 {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    ((hash >> 16) ^ (hash & 0xffff)) as u16
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::source::Source;

    #[test]
    fn each_zone_has_a_number_of_conntracks_own() -> Result<(), Box<dyn std::error::Error>> {
        let mut known: BTreeMap<u16, String> = BTreeMap::new();
        let mut alike = None;
        for number in 0..10_000 {
            let name = format!("cam{number}");
            alike = known
                .insert(hash_of(&name), name.clone())
                .map(|it| [it, name]);
            if alike.is_some() {
                break;
            }
        }
        let alike = alike.ok_or("two names have the same hash")?;
        let zones = alike.iter().enumerate().map(|(place, name)| {
            format!("[zones.z{place}]\ninterface = \"{name}\"\naddress = \"10.{place}.0.1/24\"\nrole = \"private\"\n")
        });
        let source = Source::new("c.toml", zones.collect::<String>());
        let policy = crate::policy(&source, &Answers::new())?;
        let numbers = policy
            .indexed_zones()
            .map(|(index, _)| policy.conntrack_zone(index));
        let numbers: Vec<u16> = numbers.collect();
        assert_ne!(numbers[0], numbers[1]);
        assert!(!numbers.contains(&0));
        Ok(())
    }
}
