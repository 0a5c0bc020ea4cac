//! Accepts packets that belong to a connection without being part of it: ICMP errors about
//! it, the router's own answers, and what a helper expects.
//!
//! ESTABLISHED is accepted before everything else, so that a running stream costs the same
//! whatever the size of the policy. This is sound because table raw checks each packet's
//! source against its interface, because a new policy ends the connections that it forbids,
//! and because traffic of an interface that went away has no other route to follow.
//!
//! A TCP segment that opens a connection is not accepted there. Conntrack lets the SYN of a
//! known connection pass as a part of it, and follows the server if that takes it for a new
//! one (nf_conntrack_tcp_packet in net/netfilter/nf_conntrack_proto_tcp.c): a host that
//! makes the server forget a connection which conntrack still has, by a reset that only one
//! of the two believes, would open it as often as it likes. So lines judge and count it, as
//! if it were NEW. After a reset it is dropped instead, until the kernel has forgotten the
//! connection: connlimit takes such a connection for closed and does not count it again
//! (already_closed and __nf_conncount_add in net/netfilter/nf_conncount.c). After a FIN, and
//! after a reset by the same host, the kernel itself makes the SYN NEW.
//!
//! RELATED needs more. An ICMP error carries bytes that its sender chose, and the kernel
//! checks that it goes to the sender of the packet that it quotes, but not who sends it
//! (nf_conntrack_inet_error in net/netfilter/nf_conntrack_proto_icmp.c): anyone who can
//! name a connection could send data through it. So an error may pass only from where the
//! packets of its direction come from: in the original direction the source of the original
//! tuple must be behind the interface that the error came in by, in the reply direction the
//! source of the reply tuple. These are the addresses on the wire outside the router,
//! whatever NAT does in between: the conntrack match reads the tuples, which NAT does not
//! change. Several addresses in one match are ANDed (conntrack_mt in
//! net/netfilter/xt_conntrack.c), so each end and network has a rule of its own, in a chain
//! for each zone.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::line::from_sources;
use super::service_match::tcp;
use super::tree::{self, Placed};
use super::{Compiler, Direction, chain, entering, interface, purpose, zone_comment};
use crate::family::IpFamily;
use crate::field::{IcmpType, Rate, Unit};
use crate::name::{ChainName, ServiceName};
use crate::netfilter::{
    Connection, CtDirection, CtStates, Match, Negatable, Protocol, Rule, Table, Target, TcpFlags,
    TupleAddress,
};
use crate::policy::{Addresses, Allow, Endpoint, Flow, Role, Zone, ZoneIndex};
use crate::registry::icmp_error::errors;
use crate::registry::special_purpose::LINK_LOCAL;

/// The most errors and resets that the router itself sends into a zone, in addition to the
/// kernel's own limits (icmp_ratelimit, icmp_msgs_per_sec).
const OWN_ERRORS: Option<Rate> = Rate::new(100, Unit::Second);

/// The addresses that an interface leads to.
enum Reached {
    /// These networks, without the router's own addresses.
    Networks {
        networks: Vec<IpNet>,
        own: Vec<IpNet>,
    },
    /// All but these networks: the interface has the default route.
    AllBut(Vec<IpNet>),
}

impl Compiler<'_> {
    /// Adds one direction's rules, up to INVALID.
    pub(super) fn established(&self, table: &mut Table, direction: Direction) {
        let state = |states| Match::Conntrack(Negatable::is(states));
        let rules = table.rules_mut(&direction.chain());
        let established = |rule: Rule| {
            rule.matching(state(CtStates::ESTABLISHED))
                .matching(purpose("established"))
        };
        let mut by_protocol = vec![Rule::new(Target::Accept)];
        // What the router itself opens anew is counted by no line.
        if direction != Direction::Output {
            let opens = tcp(None, Some(Negatable::not(TcpFlags::OPENING)));
            let stream = by_protocol[0].clone().of(Protocol::Tcp).matching(opens);
            by_protocol[0].protocol = Some(Negatable::not(Protocol::Tcp));
            by_protocol.insert(0, stream);
        }
        rules.extend(by_protocol.into_iter().map(established));
        if direction != Direction::Output {
            let reset = Rule::new(Target::Drop)
                .of(Protocol::Tcp)
                .matching(state(CtStates::ESTABLISHED))
                .matching(Match::ExpiresWithin(self.policy.reset_stays()));
            rules.push(reset.matching(purpose("of a connection that was reset")));
        }
        self.misplaced(table, direction);
        let rules = table.rules_mut(&direction.chain());
        let expected = expected_chain(direction);
        if self.any_expected(direction) {
            rules.push(helped(Rule::new(Target::Jump(expected))));
        }
        let related = chain(match direction {
            Direction::Input | Direction::Forward => "related",
            // The kernel's errors belong to the connection of the packet that they answer,
            // even if that packet was dropped (icmp_glue_bits in net/ipv4/icmp.c,
            // nf_send_reset in net/ipv4/netfilter/nf_reject_ipv4.c).
            Direction::Output => "own-errors",
        });
        rules.push(Rule::new(Target::Jump(related)).matching(state(CtStates::RELATED)));
    }

    /// Adds the chains that these rules jump to.
    pub(super) fn related(&mut self, table: &mut Table) {
        self.expected(table);
        let related = chain("related");
        let by_zone = chain("errors");
        table
            .rules_mut(&related)
            .extend(self.of_error_types(&by_zone));
        table.rules_mut(&by_zone);
        for (index, zone) in self.policy.indexed_zones() {
            let name = chain(format_args!("errors-{}", zone.name));
            let jump = entering(zone, Target::Jump(name.clone())).matching(zone_comment(zone));
            match zone.role {
                Role::Camera => {
                    let placed = self.errors_of_cameras(index, zone);
                    if placed.is_empty() {
                        continue;
                    }
                    table.rules_mut(&by_zone).push(jump);
                    table.rules_mut(&name);
                    tree::place(table, &mut self.names, &name, placed);
                }
                Role::Private | Role::External => {
                    table.rules_mut(&by_zone).push(jump);
                    let rules = self.errors_by(zone);
                    *table.rules_mut(&name) = rules;
                }
            }
        }
        self.own_errors(table);
    }

    /// A jump for each type of error that may pass.
    fn of_error_types(&self, to: &ChainName) -> Vec<Rule> {
        let rules = errors(self.family).iter().map(|error| {
            let kind = Negatable::is(IcmpType::by_number(error.number));
            let rule = Rule::new(Target::Jump(to.clone()));
            let rule = match self.family {
                IpFamily::V4 => rule.of(Protocol::Icmp).matching(Match::Icmp(kind)),
                IpFamily::V6 => rule.of(Protocol::Icmpv6).matching(Match::Icmpv6(kind)),
            };
            rule.matching(purpose(error.name))
        });
        rules.collect()
    }

    fn reached_by(&self, zone: &Zone) -> Reached {
        let own = zone.own().map(|own| IpNet::from(own.addr()));
        let own: Vec<IpNet> = own.filter(|own| self.is_ours(own)).collect();
        let ipv6 = self.family == IpFamily::V6;
        if !self.policy.has_default_route(zone, ipv6) {
            let networks = self.networks_of(zone);
            return Reached::Networks { networks, own };
        }
        let others = self.policy.zones.iter();
        let others = others.filter(|other| other.name != zone.name);
        let others = others.flat_map(|other| self.networks_of(other));
        let mut elsewhere: Vec<IpNet> = own.into_iter().chain(others).collect();
        // The link-local network is on every link, and behind no interface in particular.
        elsewhere.extend(ipv6.then_some(IpNet::V6(LINK_LOCAL)));
        Reached::AllBut(elsewhere)
    }

    /// Errors about connections with an end behind this zone's interface; any router on the
    /// path may send them.
    fn errors_by(&self, zone: &Zone) -> Vec<Rule> {
        let both = |target: &Target, network: IpNet, what: &str| {
            [CtDirection::Original, CtDirection::Reply].map(|direction| {
                Rule::new(target.clone())
                    .matching(about(direction, Some(network)))
                    .matching(purpose(what))
            })
        };
        let mut rules = Vec::new();
        match self.reached_by(zone) {
            Reached::Networks { networks, own } => {
                for own in own {
                    rules.extend(both(&Target::Return, own, "own address"));
                }
                for network in networks {
                    rules.extend(both(&Target::Accept, network, "reached by this zone"));
                }
            }
            Reached::AllBut(elsewhere) => {
                for network in elsewhere {
                    rules.extend(both(&Target::Return, network, "not reached by this zone"));
                }
                rules.push(
                    Rule::new(Target::Accept)
                        .matching(Match::Conntrack(Negatable::is(CtStates::RELATED)))
                        .matching(purpose("reached by this zone")),
                );
            }
        }
        rules
    }

    /// Errors from cameras, only about their own connections: those of each host that a
    /// line names, and of each listed camera that a line is for, in the direction of that
    /// line. No match can ask in general whether a packet's source is an end of its
    /// connection, so errors from other hosts of a camera zone do not pass.
    fn errors_of_cameras(&self, index: ZoneIndex, zone: &Zone) -> Vec<Placed> {
        let own: Vec<IpNet> = zone.own().map(|own| IpNet::from(own.addr())).collect();
        let mut placed = Vec::new();
        let why = purpose("its own connection");
        for direction in [CtDirection::Original, CtDirection::Reply] {
            for host in self.hosts_with_lines(index, direction) {
                if own.contains(&host) || !self.is_ours(&host) {
                    continue;
                }
                placed.push(Placed {
                    source: Some(host),
                    destination: None,
                    rule: Rule::new(Target::Accept)
                        .matching(about(direction, Some(host)))
                        .matching(why.clone()),
                });
            }
        }
        placed
    }

    fn hosts_with_lines(&self, index: ZoneIndex, direction: CtDirection) -> BTreeSet<IpNet> {
        let end = Endpoint::Zone(index);
        let here = |flow: &Flow| match direction {
            CtDirection::Original => flow.from == end,
            CtDirection::Reply => flow.to == end,
        };
        let mut hosts: BTreeSet<IpNet> = BTreeSet::new();
        let (mut any, mut networks): (bool, Vec<&IpNet>) = (false, Vec::new());
        let lines = self.policy.allows.iter();
        for allow in lines.filter(|allow| allow.flows.iter().any(here)) {
            let addresses = match direction {
                CtDirection::Original => &allow.sources,
                CtDirection::Reply => &allow.destinations,
            };
            match addresses {
                Addresses::Any => any = true,
                Addresses::Only(listed) => {
                    let is_host = |it: &&IpNet| it.prefix_len() == it.max_prefix_len();
                    let (single, wider): (Vec<&IpNet>, Vec<&IpNet>) =
                        listed.iter().partition(is_host);
                    hosts.extend(single);
                    networks.extend(wider);
                }
            }
        }
        for camera in self.policy.cameras_of(index) {
            for at in camera.addresses().map(IpNet::from) {
                if any || networks.iter().any(|network| network.contains(&at)) {
                    hosts.insert(at);
                }
            }
        }
        hosts
    }

    /// The kernel's own errors, and what REJECT sends, may go back into the zone that the
    /// packet which they answer came from. They go to its sender, since the kernel
    /// addresses them to the source of that packet (icmp_send, nf_send_reset), and table
    /// raw let no other source in. No other RELATED packet leaves the router.
    fn own_errors(&mut self, table: &mut Table) {
        let own = chain("own-errors");
        let back = chain("own-errors-to");
        let mut rules = self.of_error_types(&back);
        let reset = Negatable::is(TcpFlags::RESET);
        rules.push(
            Rule::new(Target::Jump(back.clone()))
                .of(Protocol::Tcp)
                .matching(tcp(None, Some(reset)))
                .matching(Match::Conntrack(Negatable::is(CtStates::RELATED)))
                .matching(purpose("reset")),
        );
        rules.push(
            Rule::new(Target::Drop)
                .matching(Match::Conntrack(Negatable::is(CtStates::RELATED)))
                .matching(purpose("answers nobody")),
        );
        *table.rules_mut(&own) = rules;
        table.rules_mut(&back);
        for zone in &self.policy.zones {
            let mut rules = Vec::new();
            let to = |network: Option<IpNet>, target: Target| {
                let mut rule = Rule::new(target);
                rule.destination = network.map(Negatable::is);
                rule
            };
            let limited = |rule: Rule| Rule {
                matches: OWN_ERRORS.map(Match::Limit).into_iter().collect(),
                ..rule
            };
            match self.reached_by(zone) {
                Reached::Networks { networks, .. } => {
                    let networks = networks.into_iter();
                    rules.extend(networks.map(|it| limited(to(Some(it), Target::Accept))));
                }
                Reached::AllBut(elsewhere) => {
                    let elsewhere = elsewhere.into_iter();
                    rules.extend(elsewhere.map(|it| to(Some(it), Target::Return)));
                    rules.push(limited(to(None, Target::Accept)));
                }
            }
            let name = chain(format_args!("own-errors-{}", zone.name));
            let mut jump = Rule::new(Target::Jump(name.clone())).matching(zone_comment(zone));
            jump.out_interface = interface(&zone.interface);
            table.rules_mut(&back).push(jump);
            *table.rules_mut(&name) = rules;
        }
    }

    /// The flows with lines that use the FTP helper, and the direction of the data
    /// connections: from the host that opened the control connection (passive FTP) or to it
    /// (active).
    fn helped_flows(&self) -> Vec<(Flow, &Allow, CtDirection)> {
        let mut all = Vec::new();
        for flow in super::flows(self.policy) {
            for allow in self.policy.allows_of(flow) {
                if allow.services.iter().any(|service| service.helper) {
                    all.push((flow, allow, CtDirection::Original));
                    all.push((flow, allow, CtDirection::Reply));
                }
            }
        }
        all
    }

    fn any_expected(&self, direction: Direction) -> bool {
        let flows = self.helped_flows();
        let mut ways = flows.iter().map(|(flow, _, way)| hook(*flow, *way));
        ways.any(|way| way == Some(direction))
    }

    /// Accepts what a helper expects between the two ends of the line that uses it.
    fn expected(&mut self, table: &mut Table) {
        let mut placed: Vec<(Direction, Placed)> = Vec::new();
        let mut names = std::mem::take(&mut self.names);
        let mut accepting = Vec::new();
        for (flow, allow, way) in self.helped_flows() {
            let Some(direction) = hook(flow, way) else {
                continue;
            };
            let ends = [
                (flow.from, self.prefixes(&allow.sources)),
                (flow.to, self.prefixes(&allow.destinations)),
            ];
            let [(from, sources), (to, destinations)] = match way {
                CtDirection::Original => ends,
                CtDirection::Reply => {
                    let [client, server] = ends;
                    [server, client]
                }
            };
            let mut rule = Rule::new(self.accepting_as_known(table, &mut accepting, from));
            rule.matches.extend(super::line::comment(allow, "ftp data"));
            let by = |end: Endpoint| match end {
                Endpoint::Zone(zone) => interface(&self.policy.zone(zone).interface),
                Endpoint::Router => None,
            };
            (rule.in_interface, rule.out_interface) = (by(from), by(to));
            let rules = destinations.into_iter().map(|destination| Placed {
                source: None,
                destination,
                rule: rule.clone(),
            });
            let rules = rules.collect();
            let rules = from_sources(table, &mut names, &allow.list_name, sources, rules);
            placed.extend(rules.into_iter().map(|rule| (direction, rule)));
        }
        self.names = names;
        for direction in Direction::ALL {
            if !self.any_expected(direction) {
                continue;
            }
            let name = expected_chain(direction);
            table.rules_mut(&name);
            let here: Vec<Placed>;
            (here, placed) = {
                let (here, rest): (Vec<_>, Vec<_>) =
                    placed.into_iter().partition(|(of, _)| *of == direction);
                (here.into_iter().map(|(_, placed)| placed).collect(), rest)
            };
            tree::place(table, &mut self.names, &name, here);
        }
    }
}

/// Matches the packets by which this endpoint may open a connection: in state NEW or, of
/// TCP and unless the router sends it, a SYN of a known connection, which is not accepted as
/// ESTABLISHED.
pub(super) fn opening(from: Endpoint, protocol: Protocol) -> Match {
    Match::Conntrack(Negatable::is(match (from, protocol) {
        (Endpoint::Zone(_), Protocol::Tcp) => CtStates::NEW.with(CtStates::ESTABLISHED),
        _ => CtStates::NEW,
    }))
}

/// Matches packets of a connection in this direction whose sender, as a connection's end,
/// is in a network.
fn about(direction: CtDirection, network: Option<IpNet>) -> Match {
    let end = match direction {
        CtDirection::Original => TupleAddress::OriginalSource,
        CtDirection::Reply => TupleAddress::ReplySource,
    };
    Match::Connection(Connection {
        states: CtStates::RELATED,
        end: network.map(|network| (end, network)),
        expected: false,
        direction: Some(direction),
    })
}

/// Matches the first packet of a connection that the FTP helper expected: only TCP, and
/// only that helper (helper_mt in net/netfilter/xt_helper.c looks at the connection that
/// expected it).
fn helped(rule: Rule) -> Rule {
    let rule = rule
        .of(Protocol::Tcp)
        .matching(Match::Connection(Connection {
            states: CtStates::RELATED,
            end: None,
            expected: true,
            direction: None,
        }));
    match ServiceName::try_from("ftp") {
        Ok(ftp) => rule.matching(Match::ExpectedBy(ftp)),
        Err(_) => rule,
    }
}

fn expected_chain(direction: Direction) -> ChainName {
    chain(match direction {
        Direction::Input => "expected-input",
        Direction::Forward => "expected-forward",
        Direction::Output => "expected-output",
    })
}

/// The chain that decides about a flow's packets in a direction.
fn hook(flow: Flow, way: CtDirection) -> Option<Direction> {
    let (from, to) = match way {
        CtDirection::Original => (flow.from, flow.to),
        CtDirection::Reply => (flow.to, flow.from),
    };
    match (from, to) {
        (Endpoint::Zone(_), Endpoint::Zone(_)) => Some(Direction::Forward),
        (Endpoint::Zone(_), Endpoint::Router) => Some(Direction::Input),
        (Endpoint::Router, Endpoint::Zone(_)) => Some(Direction::Output),
        (Endpoint::Router, Endpoint::Router) => None,
    }
}
