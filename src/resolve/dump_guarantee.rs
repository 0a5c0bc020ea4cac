//! Resolves guarantees about anyone's rules. Their ends are interfaces and addresses in
//! place of zones and cameras; all else is as in the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::guarantee::SAME_ENDS;
use super::list::Lists;
use super::{Resolver, each_name};
use crate::config::{Config, Spanned, Strings};
use crate::nearest::instead;
use crate::net::LOOPBACK;
use crate::policy::{Answers, DumpEnd, DumpGuarantee, Egress, Ipv6Mode, Origin};
use crate::source::{Refusal, Refused, Source};

const ROUTER: &str = "router";
const ANY: &str = "any";

/// Reads a file of guarantees about rules with these interfaces. `place` tells which of
/// them all addresses of a network are behind, and is wrong if there is none.
///
/// # Errors
/// Everything that is wrong, in the order of the file.
pub(crate) fn dump_guarantees(
    source: &Source,
    interfaces: &[&str],
    place: impl Fn(IpNet) -> Result<usize, &'static str>,
) -> Result<Vec<DumpGuarantee>, Refusal> {
    let config = Config::parse_guarantees(source)?;
    let answers = Answers::new();
    let mut resolver = Resolver {
        source,
        answers: &answers,
        ipv6: Ipv6Mode::default(),
        lists: Lists::default(),
        egress: Egress::default(),
        has_timezone: false,
        local_time: None,
        zones: Vec::new(),
        cameras: Vec::new(),
        camera_places: BTreeMap::new(),
        services: BTreeMap::new(),
        refused_names: BTreeSet::new(),
    };
    let mut refused = Refused::default();
    match refused.note(resolver.services(&config)) {
        Some(services) => resolver.services = services,
        None => {
            let names = config.services.keys();
            let names = names.map(|name| name.get_ref().clone());
            resolver.refused_names = names.collect();
        }
    }
    let ends = Ends {
        source,
        interfaces,
        place: &place,
    };
    let all = Refused::each(&config.guarantees, |written| {
        let (kind, promise, services) = resolver.promised(written)?;
        let (from, to) = (&promise.get_ref().from, &promise.get_ref().to);
        let (from, to) = (ends.of(from)?, ends.of(to)?);
        let mut promises = Vec::new();
        for from in &from {
            for to in to.iter().filter(|to| to.interface != from.interface) {
                promises.push(DumpGuarantee {
                    kind,
                    from: from.clone(),
                    to: to.clone(),
                    services: services.clone(),
                    origin: Origin::new(source, written.span().start),
                });
            }
        }
        match promises.is_empty() {
            true => Err(source.refuse(promise.span(), SAME_ENDS)),
            false => Ok(promises),
        }
    });
    let all = refused.note(all).unwrap_or_default();
    refused.or(all.into_iter().flatten().collect())
}

struct Ends<'a> {
    source: &'a Source,
    interfaces: &'a [&'a str],
    place: &'a dyn Fn(IpNet) -> Result<usize, &'static str>,
}

impl Ends<'_> {
    /// The ends that words stand for.
    fn of(&self, written: &Spanned<Strings>) -> Result<Vec<DumpEnd>, Refusal> {
        let mut ends = Vec::new();
        for word in each_name(written, self.source)? {
            match word.get_ref().as_str() {
                ANY => {
                    let names = self.interfaces.iter().filter(|name| **name != LOOPBACK);
                    for name in names {
                        ends.push(self.end(&word, name)?);
                    }
                }
                name => ends.push(self.end(&word, name)?),
            }
        }
        Ok(ends)
    }

    fn end(&self, written: &Spanned<String>, name: &str) -> Result<DumpEnd, Refusal> {
        let end = |interface, network| DumpEnd {
            interface,
            network,
            name: name.to_owned(),
        };
        let mut known = self.interfaces.iter();
        if name == ROUTER || name == LOOPBACK {
            return Ok(end(None, None));
        }
        if let Some(place) = known.position(|known| *known == name) {
            return Ok(end(Some(place), None));
        }
        let refuse = |what: String| Err(self.source.refuse(written.span(), what));
        let Some(network) = network(name) else {
            let words = self.interfaces.iter().copied().chain([ROUTER, ANY]);
            return refuse(format!(
                "no interface of the networks is called {name:?}, and it is no address; {}",
                instead(name, words)
            ));
        };
        if network != network.trunc() {
            return refuse(format!(
                "{name} has bits beyond its prefix; write {}",
                network.trunc()
            ));
        }
        match (self.place)(network) {
            Ok(place) if self.interfaces.get(place) == Some(&LOOPBACK) => {
                Ok(end(None, Some(network)))
            }
            Ok(place) => Ok(end(Some(place), Some(network))),
            Err(why) => refuse(format!("{name} {why}")),
        }
    }
}

fn network(text: &str) -> Option<IpNet> {
    let address = text.parse::<IpAddr>().ok().map(IpNet::from);
    address.or_else(|| text.parse().ok())
}
