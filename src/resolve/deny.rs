//! Resolves what a line leaves out, and what no line lets through.
//!
//! Both only make allow lines smaller, before anything is made of these. What is denied is a
//! guarantee, too.

use std::collections::BTreeSet;
use std::ops::Range;

use ipnet::IpNet;

use super::allow::{MOST_RULES, WrittenAllow};
use super::instead_of_name::{FROM, NameKeys, TO};
use super::{Resolver, each_pair};
use crate::config::{self, Config, Ipv6Mode, Spanned};
use crate::policy::{
    self, Addresses, Allow, Egress, Endpoint, Flow, Guarantee, GuaranteeKind, Origin, Remainder,
    ZoneIndex,
};
use crate::source::{Refusal, Refused};

/// Connections that no line lets through.
pub(super) struct Denial {
    /// None means any zone.
    from: Option<Endpoint>,
    /// None means any zone and, of sources, the router.
    to: Option<Endpoint>,
    sources: Vec<IpNet>,
    destinations: Vec<IpNet>,
    origin: Origin,
    at: Range<usize>,
}

impl Denial {
    /// Whether it is not taken away from lines, which are too many networks then.
    fn is_first(&self) -> bool {
        policy::is_denied_first(self.networks())
    }

    fn networks(&self) -> usize {
        self.sources.len().max(self.destinations.len())
    }

    fn is_about(&self, flow: Flow) -> bool {
        let from = match self.from {
            Some(from) => from == flow.from,
            None => flow.from != Endpoint::Router,
        };
        // The router is reached at its own addresses.
        let to = match self.to {
            Some(to) => to == flow.to,
            None => flow.to != Endpoint::Router || self.destinations.is_empty(),
        };
        from && to
    }
}

impl Resolver<'_> {
    /// Every entry, for each pair of its ends.
    pub(super) fn denials(&self, config: &Config) -> Result<Vec<Denial>, Refusal> {
        let each = Refused::each(&config.deny, |written| {
            let pairs = each_pair(&written.get_ref().from, &written.get_ref().to, self.source)?;
            Refused::each(pairs, |(from, to)| self.denial(written, &from, &to))
        })?;
        Ok(each.into_iter().flatten().collect())
    }

    fn denial(
        &self,
        written: &Spanned<config::DenyEntry>,
        from: &Spanned<String>,
        to: &Spanned<String>,
    ) -> Result<Denial, Refusal> {
        let config::DenyEntry {
            source, address, ..
        } = written.get_ref();
        let from = match from.get_ref().as_str() {
            "any" => None,
            "router" if self.egress == Egress::Open => {
                return Err(self.source.refuse(
                    from.span(),
                    "the router may send anything, whatever is denied; set egress = \"listed\" under [router]",
                ));
            }
            "router" => Some(Endpoint::Router),
            _ => {
                let also = ["router", "any"];
                let zone = self.find_end(from, &also, FROM)?;
                Some(Endpoint::Zone(zone))
            }
        };
        let end = match to.get_ref().as_str() {
            "any" => None,
            "router" => Some(Endpoint::Router),
            _ => {
                let zone = self.find_end(to, &["router", "any"], TO)?;
                Some(Endpoint::Zone(zone))
            }
        };
        if from.is_some() && from == end {
            return Err(self.source.refuse(
                to.span(),
                "from and to are the same, whose hosts reach each other without the router; name two",
            ));
        }
        if source.is_some() == address.is_some() {
            return Err(self.source.refuse(
                written.span(),
                "a deny line is of sources or of addresses, source = [\"198.51.100.0/24\"] or address = [\"203.0.113.7\"]; write one of the two",
            ));
        }
        if let (Some(address), Some(Endpoint::Router)) = (address, end) {
            return Err(self.source.refuse(
                address.span(),
                "the router is reached at its own address; give source",
            ));
        }
        let networks = |list: &Option<Spanned<config::Strings>>, key| {
            let keys = NameKeys {
                zone: Some(key),
                ..NameKeys::default()
            };
            Ok(self.networks(list.as_ref(), keys)?.unwrap_or_default())
        };
        let (sources, destinations) = (networks(source, "from")?, networks(address, "to")?);
        for (networks, written, end) in [(&sources, source, from), (&destinations, address, end)] {
            if let (Some(written), Some(end)) = (written, end) {
                self.in_zone(end, networks, written)?;
            }
        }
        let own = self.zones.iter().flat_map(|zone| zone.own());
        let own: Vec<IpNet> = own.map(|own| IpNet::from(own.addr())).collect();
        if let (Some(address), Some(own)) = (
            address,
            destinations.iter().find(|network| own.contains(network)),
        ) {
            return Err(self.refuse_network(
                address,
                own,
                format_args!(
                    "{} is the router's own address, and address is of hosts in zones; give the source of what may not reach the router",
                    own.addr()
                ),
            ));
        }
        Ok(Denial {
            from,
            to: end,
            sources,
            destinations,
            origin: Origin::new(self.source, written.span().start),
            at: written.span(),
        })
    }

    /// Refuses long lists that would make too many rules beside those of the lines. A list is
    /// asked for on each way that it is about and that has lines.
    pub(super) fn insist_on_room(
        &self,
        denials: &[Denial],
        allows: &[Allow],
        rules: usize,
    ) -> Result<(), Refusal> {
        let flows: BTreeSet<Flow> = allows.iter().flat_map(|it| it.flows.clone()).collect();
        let mut all = rules;
        for denial in denials.iter().filter(|denial| denial.is_first()) {
            let networks = denial.networks();
            let ways = flows.iter().filter(|flow| denial.is_about(**flow)).count();
            // A rule for each, and about as many again for every two chains.
            all = all.saturating_add((networks + networks / 2).saturating_mul(ways));
            if all > MOST_RULES {
                return Err(self.source.refuse(
                    denial.at.clone(),
                    format_args!(
                        "with this list, of {networks} networks on {ways} of the ways that lines open, there are more than {MOST_RULES} rules; write wider networks, or name fewer zones in from and to"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// What the proof shows of an entry: that none of it is opened, between any ends.
    /// Within a zone only what a forward turns back comes by the router.
    pub(super) fn of_denial(&self, denial: &Denial, looped: &[Endpoint]) -> Vec<Guarantee> {
        let zones = (0..self.zones.len()).map(|zone| Endpoint::Zone(ZoneIndex(zone)));
        let ends: Vec<Endpoint> = zones.chain([Endpoint::Router]).collect();
        let pairs = ends.iter().flat_map(|from| {
            let to = ends.iter();
            to.map(|to| Flow {
                from: *from,
                to: *to,
            })
        });
        let addresses = |networks: &[IpNet]| match networks.is_empty() {
            true => Addresses::Any,
            false => Addresses::Only(networks.to_vec()),
        };
        let promised = pairs.filter(|flow| {
            let by_router = flow.from != flow.to || looped.contains(&flow.to);
            by_router && denial.is_about(*flow)
        });
        let promised = promised.map(|flow| Guarantee {
            kind: GuaranteeKind::Never,
            flow,
            sources: addresses(&denial.sources),
            destinations: addresses(&denial.destinations),
            services: None,
            except: Vec::new(),
            is_denial: true,
            origin: denial.origin.clone(),
        });
        promised.collect()
    }

    /// Takes away what the line itself leaves out.
    pub(super) fn leave_out(
        &self,
        line: &WrittenAllow<'_>,
        allow: &mut Allow,
    ) -> Result<(), Refusal> {
        let Some(written) = line.except else {
            return Ok(());
        };
        let one_address = allow.flows.iter().any(|flow| flow.to == Endpoint::Router)
            || self.find_camera(line.to.get_ref()).is_some();
        if one_address {
            return Err(self.source.refuse(
                written.span(),
                "the line is to one address, of which nothing can be left out; remove except",
            ));
        }
        let others = self.networks(Some(written), NameKeys::default())?;
        let others = others.unwrap_or_default();
        for flow in &allow.flows {
            self.in_zone(flow.to, &others, written)?;
        }
        to_others(allow, &others, self.ipv6);
        match &allow.destinations {
            Addresses::Only(left) if left.is_empty() && allow.hosts.is_empty() => {
                Err(self.source.refuse(
                    written.span(),
                    "this leaves nothing of the line; leave out less, or remove the line",
                ))
            }
            _ => Ok(()),
        }
    }
}

/// What a line still allows: with different denials for its flows, a line for each kind.
pub(super) fn not_denied(allow: Allow, denials: &[Denial], ipv6: Ipv6Mode) -> Vec<Allow> {
    if denials.is_empty() {
        return vec![allow];
    }
    let mut kinds: Vec<(Vec<usize>, Vec<Flow>)> = Vec::new();
    for flow in &allow.flows {
        let about = denials.iter().enumerate();
        let about = about.filter(|(_, denial)| !denial.is_first() && denial.is_about(*flow));
        let about: Vec<usize> = about.map(|(number, _)| number).collect();
        match kinds.iter_mut().find(|(known, _)| *known == about) {
            Some((_, flows)) => flows.push(*flow),
            None => kinds.push((about, vec![*flow])),
        }
    }
    let of_kind = |(about, flows): (Vec<usize>, Vec<Flow>)| {
        let mut allow = allow.clone();
        allow.flows = flows;
        for denial in about.into_iter().filter_map(|number| denials.get(number)) {
            to_others(&mut allow, &denial.destinations, ipv6);
            take_away(
                &mut allow.sources,
                &mut allow.sources_of,
                &denial.sources,
                ipv6,
            );
        }
        allow
    };
    kinds.into_iter().map(of_kind).collect()
}

/// Takes destinations away from a line. What is left of a network names no host.
fn to_others(allow: &mut Allow, others: &[IpNet], ipv6: Ipv6Mode) {
    let before = allow.destinations.clone();
    let (destinations, of) = (&mut allow.destinations, &mut allow.destinations_of);
    take_away(destinations, of, others, ipv6);
    if let Addresses::Only(left) = destinations {
        let before: BTreeSet<IpNet> = match before {
            Addresses::Only(before) => before.into_iter().collect(),
            Addresses::Any => BTreeSet::new(),
        };
        let pieces = left.iter().filter(|network| !before.contains(network));
        allow.ranges.extend(pieces);
    }
}

/// Takes addresses away, and keeps what they were. Without effect where they have none of
/// these, so that most lines stay as they are written.
fn take_away(
    addresses: &mut Addresses,
    of: &mut Option<Box<Remainder>>,
    others: &[IpNet],
    ipv6: Ipv6Mode,
) {
    if others.is_empty() {
        return;
    }
    let left = addresses.without(others, ipv6);
    if left == *addresses {
        return;
    }
    let written = std::mem::replace(addresses, left);
    let of = of.get_or_insert_with(|| {
        Box::new(Remainder {
            written,
            without: Vec::new(),
        })
    });
    of.without.extend(others);
}
