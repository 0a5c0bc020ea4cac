//! Table raw: the sources that each zone can have.
//!
//! A camera with a hardware address owns its address: packets with its address and another
//! hardware address are dropped, and so are packets with its hardware address and another
//! address.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::dhcp::{DHCP_CLIENT, DHCP_SERVER};
use super::hardware;
use super::service_match::{port_groups, several};
use super::tree::{self, ChainNames, Placed};
use super::{Compiler, Direction, chain, entering, from, interface, purpose, zone_comment};
use crate::family::IpFamily;
use crate::field::IcmpType;
use crate::name::ChainName;
use crate::netfilter::{
    CtStates, Interface, Match, Negatable, PortSide, Protocol, Rule, Table, TableName, Target,
};
use crate::policy::{Camera, ProxyWay, RefusalReason, Role, RulePurpose, Zone, ZoneIndex};
use crate::registry::icmpv6::NEIGHBOUR_ADVERTISEMENT;
use crate::registry::port;
use crate::registry::special_purpose::{GROUPS, LINK_LOCAL};

impl Compiler<'_> {
    pub(super) fn raw(&self) -> Table {
        let mut table = Table::untouched(TableName::Raw);
        let mut names = self.names.of_another_table();
        let prerouting = chain("PREROUTING");
        // Placed first, since a camera's own packets leave raw below. A packet that is
        // dropped there has no connection for a helper.
        self.helpers(&mut table, &mut names);
        for (index, zone) in self.policy.indexed_zones() {
            let checks = chain(format_args!("source-{}", zone.name));
            table
                .rules_mut(&prerouting)
                .push(entering(zone, Target::Jump(checks.clone())).matching(zone_comment(zone)));
            let link = self
                .link_of_its_own(index)
                .filter(|_| !zone.known_only || self.lists_by_family(index));
            table.rules_mut(&checks).extend(
                link.map(|target| from(LINK_LOCAL, target).matching(purpose("link-local"))),
            );
            match zone.role {
                Role::External => {
                    let rules = self.outside(index, zone);
                    table.rules_mut(&checks).extend(rules);
                }
                Role::Camera | Role::Private => {
                    self.inside(&mut table, &mut names, index, zone, &checks);
                }
            }
        }
        if self.family == IpFamily::V6 {
            let rules = self.by_no_other_interface();
            table.rules_mut(&prerouting).extend(rules);
        }
        for (index, zone) in self.policy.indexed_zones() {
            let Some(target) = self.link_of_its_own(index) else {
                continue;
            };
            let mut rule = Rule::new(target).matching(purpose("link-local"));
            rule.out_interface = interface(&zone.interface);
            rule.destination = Some(Negatable::is(LINK_LOCAL.into()));
            table.rules_mut(&Direction::Output.chain()).push(rule);
        }
        table
            .rules_mut(&Direction::Output.chain())
            .extend(self.with_itself());
        table
    }

    /// Keeps the router's connections with itself apart where its address is not known:
    /// whoever sends from that address, by another interface, is no part of them. A packet on
    /// the loopback keeps its connection (nf_conntrack_in in
    /// net/netfilter/nf_conntrack_core.c).
    fn with_itself(&self) -> Option<Rule> {
        let mut zones = self.policy.zones.iter();
        let is_unknown = self.family == IpFamily::V6 && zones.any(|zone| zone.slaac);
        is_unknown.then(|| {
            let mut rule = Rule::new(Target::Conntrack {
                helper: None,
                zone: Some(self.policy.loopback_conntrack_zone()),
            });
            rule.out_interface = Some(Negatable::is(Interface::Loopback).into());
            rule.matching(purpose("loopback"))
        })
    }

    /// The same link-local address is another host on another link, and interfaces with one
    /// hardware address, such as VLANs, give the router the same link-local address on
    /// each. So conntrack must keep the links' connections apart.
    fn link_of_its_own(&self, index: ZoneIndex) -> Option<Target> {
        (self.family == IpFamily::V6).then(|| Target::Conntrack {
            helper: None,
            zone: Some(self.policy.conntrack_zone(index)),
        })
    }

    /// Drops packets with a zone's sources that arrive by an interface that the file does
    /// not name, and all that arrive by one that only carries others: they would pass as part
    /// of connections. A bridge hands its port what is for a group of IEEE 802.1Q's table 8-1,
    /// whatever protocol it is of (br_handle_frame in net/bridge/br_input.c). For IPv4
    /// rp_filter does this.
    fn by_no_other_interface(&self) -> Vec<Rule> {
        let mut loopback = Rule::new(Target::Return).matching(purpose("loopback"));
        loopback.in_interface = Some(Negatable::is(Interface::Loopback).into());
        let mut rules = vec![loopback];
        for carrier in self.policy.carriers() {
            let mut rule = Rule::new(Target::Drop).matching(purpose("spoofed source"));
            rule.in_interface = interface(carrier);
            rules.push(rule);
        }
        for zone in &self.policy.zones {
            for network in self.networks_of(zone) {
                let mut rule = from(network, Target::Drop).matching(purpose("spoofed source"));
                let here = Interface::Named(zone.interface.clone());
                rule.in_interface = Some(Negatable::not(here).into());
                rules.push(rule);
            }
        }
        rules
    }

    /// Any source may come from outside, except for the router's own addresses and other
    /// zones' networks.
    fn outside(&self, index: ZoneIndex, zone: &Zone) -> Vec<Rule> {
        let own = zone.own().map(|own| IpNet::from(own.addr()));
        let others = self
            .policy
            .zones
            .iter()
            .filter(|other| other.name != zone.name);
        let others = others.flat_map(|other| self.networks_of(other));
        let mut rules = Vec::new();
        for network in own.chain(others).filter(|network| self.is_ours(network)) {
            rules.extend(self.refusal(index, RefusalReason::Spoofed, Some(network)));
        }
        if self.family == IpFamily::V6 {
            rules.extend(on_its_link(zone));
            rules.push(asks_for_an_address());
            for network in [LINK_LOCAL, Ipv6Net::from(Ipv6Addr::UNSPECIFIED)] {
                rules.extend(self.refusal(index, RefusalReason::Spoofed, Some(network.into())));
            }
        }
        rules
    }

    /// Lets only the sources that a zone can have go on to conntrack and filter.
    fn inside(
        &self,
        table: &mut Table,
        names: &mut ChainNames,
        index: ZoneIndex,
        zone: &Zone,
        checks: &ChainName,
    ) {
        let cameras: Vec<&Camera> = self.policy.listed(index, self.family).collect();
        if zone.known_only && self.family == IpFamily::V6 {
            if !cameras.is_empty() {
                self.listed_by_ipv6(table, names, zone, checks, &cameras);
                let refusal = self.refusal(index, RefusalReason::Spoofed, None);
                let spoofed = chain(format_args!("spoofed-{}", zone.name));
                table.rules_mut(&spoofed).extend(refusal);
            }
            let refusal = self.refusal(index, RefusalReason::Unknown, None);
            let refusal = refusal.into_iter().map(|rule| match rule.target {
                Some(Target::Nflog(_)) => {
                    let name = chain(format_args!("refused-{}", zone.name));
                    self.listed_by_hardware(table, name, index, rule)
                }
                _ => rule,
            });
            let refusal: Vec<Rule> = refusal.collect();
            table.rules_mut(checks).extend(refusal);
            return;
        }
        if self.family == IpFamily::V6 {
            // IPv4 drops packets from the router's own address by itself
            // (fib_validate_source in net/ipv4/fib_frontend.c); IPv6 does not.
            for own in zone.own().filter(|own| self.is_ours(own)) {
                let own = IpNet::from(own.addr());
                let refusal = self.refusal(index, RefusalReason::Spoofed, Some(own));
                let rules = table.rules_mut(checks);
                rules.push(claims_an_address(own));
                rules.extend(refusal);
            }
        }
        table.rules_mut(checks).extend(self.without_address(index));
        let spoofed = chain(format_args!("spoofed-{}", zone.name));
        let bound = cameras.iter().any(|camera| camera.mac.is_some());
        let (with_mac, without): (Vec<&Camera>, Vec<&Camera>) =
            cameras.iter().partition(|camera| camera.mac.is_some());
        let mut place = |table: &mut Table, cameras: &[&Camera]| {
            let own = cameras.iter();
            let own: Vec<Placed> = own
                .flat_map(|camera| self.camera_checks(camera, &spoofed))
                .collect();
            tree::place(table, names, checks, own);
        };
        place(table, &with_mac);
        let answers = self.proxy_answers(index);
        if !zone.known_only || !without.is_empty() || !answers.is_empty() {
            // A camera's hardware address came with an address that is not its own: an
            // unused one, that of a camera without a hardware address in the file, or that
            // of a server for which a proxy answers.
            let macs = with_mac.iter().filter_map(|camera| camera.mac);
            let refused = Rule::new(Target::Jump(spoofed.clone()));
            let of_cameras = macs.map(|mac| (mac, vec![refused.clone()]));
            let root = chain(format_args!("hardware-{}", zone.name));
            hardware::place_within(table, checks, &root, of_cameras.collect());
        }
        place(table, &without);
        for network in self.networks_of(zone) {
            if zone.known_only {
                let refusal = self.refusal(index, RefusalReason::Unknown, Some(network));
                table.rules_mut(checks).extend(refusal);
            } else {
                let rule = from(network, Target::Return).matching(purpose("own network"));
                table.rules_mut(checks).push(rule);
            }
        }
        table.rules_mut(checks).extend(answers);
        let refusal = self.refusal(index, RefusalReason::Spoofed, None);
        if bound {
            table
                .rules_mut(checks)
                .push(Rule::new(Target::Jump(spoofed.clone())));
            table.rules_mut(&spoofed).extend(refusal);
        } else {
            table.rules_mut(checks).extend(refusal);
        }
    }

    /// Whether the file lists cameras of a zone by addresses of this family.
    fn lists_by_family(&self, index: ZoneIndex) -> bool {
        self.policy.listed(index, self.family).next().is_some()
    }

    /// Lets listed cameras alone in by IPv6, each by its addresses and hardware address. Any
    /// host can make a link-local address, so these pass by hardware address too, for what
    /// the neighbours on a link tell each other.
    fn listed_by_ipv6(
        &self,
        table: &mut Table,
        names: &mut ChainNames,
        zone: &Zone,
        checks: &ChainName,
        cameras: &[&Camera],
    ) {
        let neighbours = chain(format_args!("neighbours-{}", zone.name));
        let mut on_link = on_its_link(zone);
        on_link.push(asks_for_an_address());
        for rule in &mut on_link {
            rule.target = Some(Target::Jump(neighbours.clone()));
            rule.protocol = Some(Negatable::is(Protocol::Icmpv6));
        }
        table.rules_mut(checks).extend(on_link);
        let macs = cameras.iter().filter_map(|camera| camera.mac);
        let macs = macs.map(|mac| {
            Rule::new(Target::Accept)
                .matching(Match::Mac(Negatable::is(mac)))
                .matching(purpose("link-local"))
        });
        table.rules_mut(&neighbours).extend(macs);
        let spoofed = chain(format_args!("spoofed-{}", zone.name));
        let own = cameras.iter();
        let own = own.flat_map(|camera| self.camera_checks(camera, &spoofed));
        tree::place(table, names, checks, own.collect());
    }

    /// Accepts a camera's addresses with its own hardware address, and drops them with any
    /// other.
    fn camera_checks(&self, camera: &Camera, spoofed: &ChainName) -> Vec<Placed> {
        // RETURN would only leave a chain of the tree.
        let mut passes = Rule::new(Target::Accept);
        passes
            .matches
            .extend(camera.mac.map(|mac| Match::Mac(Negatable::is(mac))));
        let comment = camera
            .origin
            .comment(RulePurpose::Camera(camera.name.to_string()));
        passes.matches.extend(comment.map(Match::Comment));
        let mut rules = vec![passes];
        if camera.mac.is_some() {
            rules.push(Rule::new(Target::Jump(spoofed.clone())));
        }
        let mut placed = Vec::new();
        for own in camera.addresses_of(self.family) {
            placed.extend(rules.iter().map(|rule| Placed {
                source: Some(own.into()),
                destination: None,
                rule: rule.clone(),
            }));
        }
        placed
    }

    /// Packets that hosts send before they have an address.
    fn without_address(&self, zone: ZoneIndex) -> Vec<Rule> {
        match self.family {
            IpFamily::V4
                if self
                    .policy
                    .offers_udp(zone, port::DHCP_SERVER)
                    .next()
                    .is_some() =>
            {
                // A client without an address asks from 0.0.0.0 (RFC 2131, 4.1).
                let mut rule = from(Ipv4Net::from(Ipv4Addr::UNSPECIFIED), Target::Return);
                rule.destination =
                    Some(Negatable::is(IpNet::V4(Ipv4Net::from(Ipv4Addr::BROADCAST))));
                let rule = rule.of(Protocol::Udp).matching(Match::Udp {
                    sport: Some(Negatable::is(DHCP_CLIENT)),
                    dport: Some(Negatable::is(DHCP_SERVER)),
                });
                let asks = purpose("asks for an address");
                match self.policy.macs_without_address(zone) {
                    Some(macs) => macs
                        .into_iter()
                        .map(|mac| {
                            let rule = rule.clone().matching(Match::Mac(Negatable::is(mac)));
                            rule.matching(asks.clone())
                        })
                        .collect(),
                    None => vec![rule.matching(asks)],
                }
            }
            IpFamily::V4 => Vec::new(),
            IpFamily::V6 => {
                let mut rules = on_its_link(self.policy.zone(zone));
                rules.push(asks_for_an_address());
                rules
            }
        }
    }

    /// A transparent proxy answers with the addresses of the servers that it stands in for.
    /// Whether a packet is an answer is checked in filter, after conntrack:
    /// [`Compiler::sources_of_new_connections`].
    pub(super) fn proxy_answers(&self, zone: ZoneIndex) -> Vec<Rule> {
        let mut rules = Vec::new();
        for proxy in &self.policy.proxies {
            let here = matches!(proxy.way, ProxyWay::Host { zone: theirs, .. } if theirs == zone);
            if !here || self.family == IpFamily::V6 {
                continue;
            }
            for ports in port_groups(&proxy.ports) {
                let rule = Rule::new(Target::Return).of(Protocol::Tcp);
                let rule = rule.matching(several(ports, PortSide::Source));
                rules.push(rule.matching(purpose("the proxy answers")));
            }
        }
        rules
    }

    /// Drops new connections with a source outside the zone, which raw lets through for a
    /// proxy's answers.
    pub(super) fn sources_of_new_connections(&self, table: &mut Table) {
        for (index, zone) in self.policy.indexed_zones() {
            if self.proxy_answers(index).is_empty() {
                continue;
            }
            let checks = chain(format_args!("source-{}", zone.name));
            for direction in [Direction::Input, Direction::Forward] {
                let jump = entering(zone, Target::Jump(checks.clone()));
                let opens = CtStates::NEW.with(CtStates::ESTABLISHED);
                let jump = jump.matching(Match::Conntrack(Negatable::is(opens)));
                table.rules_mut(&direction.chain()).push(jump);
            }
            let own = self.networks_of(zone).into_iter();
            let own = own.map(|own| from(own, Target::Return).matching(purpose("own network")));
            let without = self.without_address(index);
            table
                .rules_mut(&checks)
                .extend(without.into_iter().chain(own));
            let refusal = self.refusal(index, RefusalReason::Spoofed, None);
            table.rules_mut(&checks).extend(refusal);
        }
    }
}

/// Duplicate address detection is sent from :: (RFC 4862, 5.4.2), always to a multicast
/// group.
fn asks_for_an_address() -> Rule {
    let unspecified = Ipv6Net::from(Ipv6Addr::UNSPECIFIED);
    let mut asks = from(unspecified, Target::Return)
        .of(Protocol::Icmpv6)
        .matching(purpose("has no address yet"));
    asks.destination = Some(Negatable::is(GROUPS.into()));
    asks
}

/// A host that has the router's address says so when the kernel asks (RFC 4862, 5.4.4), and
/// `status` reports it.
fn claims_an_address(own: IpNet) -> Rule {
    let advertisement = IcmpType::by_number(NEIGHBOUR_ADVERTISEMENT);
    let mut claims = from(own, Target::Return)
        .of(Protocol::Icmpv6)
        .matching(Match::Icmpv6(Negatable::is(advertisement)))
        .matching(purpose("has the same address"));
    claims.destination = Some(Negatable::is(GROUPS.into()));
    claims
}

/// From a link-local address a host may send only on its link (RFC 4291, 2.5.6), where the
/// router is. Packets to other destinations are taken for spoofed. Their source may even be
/// the router's own link-local address, and the kernel would answer over the loopback.
fn on_its_link(zone: &Zone) -> Vec<Rule> {
    let own = zone.own().map(|own| IpNet::from(own.addr()));
    let own = own.filter(|own| matches!(own, IpNet::V6(_)));
    let reached = [LINK_LOCAL.into(), GROUPS.into()].into_iter().chain(own);
    let link_local = from(LINK_LOCAL, Target::Return);
    let rules = reached.map(|reached| {
        let mut rule = link_local.clone().matching(purpose("link-local"));
        rule.destination = Some(Negatable::is(reached));
        rule
    });
    // Neighbours ask an address itself whether it is still there (RFC 4861, 7.3.3).
    let own = link_local.clone().matching(Match::OwnAddress);
    let own = own.matching(purpose("link-local"));
    rules.chain(zone.slaac.then_some(own)).collect()
}
