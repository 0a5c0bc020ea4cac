//! Compiles one allow line into rules, each with the prefix that it is for.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};

use super::bound::unanswered;
use super::related::opening;
use super::service_match::service_matches;
use super::tree::{self, ChainNames, FEW, Placed};
use super::{Compiler, chain, host};
use crate::family::IpFamily;
use crate::field::{PortRange, TimeWindow};
use crate::name::ChainName;
use crate::netfilter::{
    CountedTogether, CtStates, Match, Negatable, RecentCheck, Rule, Table, Target,
};
use crate::policy::{Addresses, Allow, Endpoint, Flow, RulePurpose, Service};
use crate::registry::{group, port};

/// A part of what an allow line opens.
struct Way {
    destinations: Vec<Option<IpNet>>,
    service: Service,
    /// Further conditions of its rules.
    asks: Vec<Match>,
}

impl Compiler<'_> {
    /// The rules of an allow line on one of its flows. Chains that they need are added to
    /// the table.
    pub(super) fn line(
        &self,
        table: &mut Table,
        names: &mut ChainNames,
        accepting: &mut Vec<(Endpoint, Target)>,
        flow: Flow,
        allow: &Allow,
    ) -> Vec<Placed> {
        let times = self.times(allow);
        if times.is_empty() {
            return Vec::new();
        }
        let target = match self.counting_chain(table, allow) {
            Some(chain) => Target::Jump(chain),
            None => self.accepting_as_known(table, accepting, flow.from),
        };
        let mut placed = Vec::new();
        for way in self.ways(flow, allow) {
            for (protocol, extensions) in service_matches(&way.service, self.family) {
                let mut rule = Rule::new(target.clone());
                rule.protocol = Some(protocol);
                rule.matches = extensions;
                let opens = match protocol.negated {
                    true => Match::Conntrack(Negatable::is(CtStates::NEW)),
                    false => opening(flow.from, protocol.value),
                };
                rule.matches.push(opens);
                rule.matches.extend(way.asks.clone());
                let what = match allow.by_forward {
                    true => format!("loopback {}", way.service),
                    false => way.service.to_string(),
                };
                let comment = comment(allow, &what);
                for time in &times {
                    let mut rule = rule.clone();
                    rule.matches.extend(time.map(Match::Time));
                    rule.matches.extend(comment.clone());
                    placed.extend(way.destinations.iter().map(|destination| Placed {
                        source: None,
                        destination: *destination,
                        rule: rule.clone(),
                    }));
                }
            }
        }
        let sources = self.prefixes(&allow.sources);
        let mut placed = from_sources(table, names, &allow.list_name, sources, placed);
        // Any host may send from 0.0.0.0. The hardware address shows whose line it is, so
        // that no other host uses up the line's limits.
        if let Some(mac) = self.policy.mac_without_address(allow) {
            let unspecified = Some(host(Ipv4Addr::UNSPECIFIED));
            for placed in placed.iter_mut().filter(|it| it.source == unspecified) {
                // It goes before a limit, which counts every packet that satisfies the
                // matches before it.
                let matches = &mut placed.rule.matches;
                matches.insert(0, Match::Mac(Negatable::is(mac)));
            }
        }
        placed
    }

    /// The times of a line in UTC, one for each season of its local time; None is any time.
    /// Past the last season there is none.
    fn times(&self, allow: &Allow) -> Vec<Option<TimeWindow>> {
        let (Some(when), Some(local)) = (allow.when, &self.policy.local_time) else {
            return vec![allow.when];
        };
        let seasons = local.seasons.iter().filter_map(|season| {
            let last = season.until.checked_sub(1)?;
            let dates = (season.from.try_into().ok()?, last.try_into().ok()?);
            Some(Some(when.in_utc(season.ahead, dates)))
        });
        seasons.collect()
    }

    /// What an allow line opens on a flow, by destination.
    fn ways(&self, flow: Flow, allow: &Allow) -> Vec<Way> {
        let mut ways = Vec::new();
        let to_router = flow.to == Endpoint::Router && allow.destinations == Addresses::Any;
        let own_address = to_router.then_some(Match::OwnAddress);
        for (destinations, redirected) in self.by_redirected(flow, allow) {
            let direct = redirected.left_of(&allow.services).into_iter();
            ways.extend(direct.map(|service| Way {
                destinations: destinations.clone(),
                service,
                asks: own_address.iter().cloned().collect(),
            }));
            let sent_on = Match::Conntrack(Negatable::is(CtStates::DNAT));
            let by_redirect = redirected.part_of(&allow.services).into_iter();
            ways.extend(by_redirect.map(|service| {
                Way {
                    destinations: destinations.clone(),
                    service,
                    asks: own_address
                        .iter()
                        .cloned()
                        .chain([sent_on.clone()])
                        .collect(),
                }
            }));
        }
        if to_router {
            ways.extend(self.at_groups(allow));
        }
        ways
    }

    /// For a line to the router: the multicast or broadcast addresses at which its service
    /// is asked for.
    fn at_groups(&self, allow: &Allow) -> Vec<Way> {
        let mut ways = Vec::new();
        for service in allow.services.iter() {
            for group in group::services() {
                let port = PortRange::port(group.port);
                if !service.udp.iter().any(|ports| ports.contains(port)) {
                    continue;
                }
                let groups = group.groups.iter().copied().map(IpNet::from);
                let groups: Vec<Option<IpNet>> = groups
                    .filter(|group| self.is_ours(group))
                    .map(Some)
                    .collect();
                ways.push(Way {
                    destinations: groups,
                    service: Service {
                        tcp: Vec::new(),
                        udp: vec![port],
                        icmp: Vec::new(),
                        protocols: Vec::new(),
                        ..service.clone()
                    },
                    asks: Vec::new(),
                });
            }
        }
        ways
    }

    /// The networks that are of this family; None among them means any address.
    pub(super) fn prefixes(&self, addresses: &Addresses) -> Vec<Option<IpNet>> {
        match addresses {
            Addresses::Any => vec![None],
            Addresses::Only(networks) => {
                let ours = networks.iter().filter(|network| self.is_ours(network));
                ours.map(|network| Some(*network)).collect()
            }
        }
    }

    /// The line's limits on open and on new connections, per source. The rate comes last,
    /// so that only packets that satisfy everything else use it up.
    fn limits(&self, allow: &Allow) -> Vec<Match> {
        let mut limits = Vec::new();
        limits.extend(allow.connections.map(|most| Match::OpenConnections {
            most,
            of: CountedTogether::Source(self.family),
        }));
        limits.extend(allow.limit.map(|rate| {
            // The kernel finds a hashlimit table by its name alone and then keeps its old
            // settings (htable_find_get in net/netfilter/xt_hashlimit.c), so a new rate
            // needs a new name.
            Match::HashlimitPerSource {
                rate,
                name: chain(format_args!("line-{}-{}", allow.list_name, rate.short())),
            }
        }));
        limits
    }

    /// The chain that counts each source's attempts, new and open connections. All rules of
    /// the line share it, since connlimit counts separately for each rule
    /// (net/netfilter/xt_connlimit.c). Sources over the limit return, because another line
    /// may still allow them. Packets of a connection that nobody has answered yet are NEW,
    /// and only the first of them is counted, as in the chain of a zone's bound. So is the
    /// SYN of a connection that was answered.
    fn counting_chain(&self, table: &mut Table, allow: &Allow) -> Option<ChainName> {
        let what = match (allow.block_after, self.family) {
            (None, _) if self.limits(allow).is_empty() => return None,
            (None, _) => "count",
            // The lists of both families share one namespace, and the mask of the list that
            // is made first (recent_mt_check in net/netfilter/xt_recent.c).
            (Some(_), IpFamily::V4) => "block",
            (Some(_), IpFamily::V6) => "block6",
        };
        let name = chain(format_args!("{what}-{}", allow.list_name));
        if table.chain(name.as_str()).is_some() {
            return Some(name);
        }
        let accepted = self.accepting_from_any(table, allow);
        let mut open = unanswered(Rule::new(accepted.clone()));
        if self.family == IpFamily::V4 && opens_dhcp(allow) {
            // Hosts without an address share one entry, so that each packet counts.
            let unspecified = Ipv4Net::from(Ipv4Addr::UNSPECIFIED);
            open.source = Some(Negatable::not(unspecified.into()));
        }
        open.matches
            .extend(limit_comment(allow, RulePurpose::OpenAlready));
        let mut rules = vec![open];
        if let Some(block) = allow.block_after {
            let recent = |check| Match::Recent {
                check,
                name: name.clone(),
            };
            rules.push(Rule::untargeted().matching(recent(RecentCheck::Set(self.family))));
            let again = recent(RecentCheck::Update {
                seconds: block.within,
                hits: block.attempts + 1,
                family: self.family,
            });
            let mut blocked = Rule::new(Target::Return).matching(again);
            blocked
                .matches
                .extend(limit_comment(allow, RulePurpose::TriedTooOften));
            rules.push(blocked);
        }
        let mut within = Rule::new(accepted);
        within.matches = self.limits(allow);
        within
            .matches
            .extend(limit_comment(allow, RulePurpose::NotTooOften));
        rules.push(within);
        *table.rules_mut(&name) = rules;
        Some(name)
    }
}

/// Restricts rules for destinations to each of the line's sources. If there are many of
/// both, the sources share one chain with the rules, so that the number of rules is the sum
/// of sources and destinations and never their product.
pub(super) fn from_sources(
    table: &mut Table,
    names: &mut ChainNames,
    label: &str,
    sources: Vec<Option<IpNet>>,
    rules: Vec<Placed>,
) -> Vec<Placed> {
    let rules = match sources.len() > FEW && rules.len() > FEW {
        true => {
            let shared = names.of_line(label);
            tree::place(table, names, &shared, rules);
            vec![Placed {
                source: None,
                destination: None,
                rule: Rule::new(Target::Jump(shared)),
            }]
        }
        false => rules,
    };
    let mut placed = Vec::new();
    for source in sources {
        placed.extend(rules.iter().map(|rule| Placed {
            source,
            ..rule.clone()
        }));
    }
    placed
}

/// The rule's comment: the line's place, the camera that it is for, and what the rule does.
pub(super) fn comment(allow: &Allow, what: &str) -> Option<Match> {
    let what = match &allow.camera {
        Some(camera) => format!("{camera} {what}"),
        None => what.to_owned(),
    };
    let comment = allow.origin.comment(RulePurpose::Part(what));
    comment.map(Match::Comment)
}

/// Whether hosts without an address may ask the router for one by this line.
fn opens_dhcp(allow: &Allow) -> bool {
    let mut ports = allow.services.iter().flat_map(|service| &service.udp);
    ports.any(|ports| ports.contains(PortRange::port(port::DHCP_SERVER)))
}

fn limit_comment(allow: &Allow, purpose: fn(Option<String>) -> RulePurpose) -> Option<Match> {
    let camera = allow.camera.as_ref().map(ToString::to_string);
    let comment = allow.origin.comment(purpose(camera));
    comment.map(Match::Comment)
}
