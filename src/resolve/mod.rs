//! Resolves a configuration into a policy. Every refusal of a file that is valid TOML is
//! made here.
//!
//! A refusal is one line with the position, what is wrong and what to do. Each entry of a
//! file is looked at although others are refused.

mod address;
mod allow;
mod allow_addresses;
mod bound;
mod camera;
mod deny;
mod dump_guarantee;
mod forward;
mod guarantee;
mod instead_of_name;
mod interface;
mod kernel_list_name;
mod limit;
mod list;
mod log;
mod loopback;
mod mail;
mod mark;
mod mistyped_address;
mod name_server;
mod names;
mod not_forwarded;
mod own_address;
mod page;
mod proxy;
mod redirect;
mod rewrite;
mod route;
mod service;
mod sysctl_override;
mod timezone;
mod watch;
mod zone;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

pub(crate) use dump_guarantee::dump_guarantees;
use ipnet::Ipv4Net;
use kernel_list_name::name_kernel_lists;
use list::Lists;

use crate::config::{Config, Spanned, Strings};
use crate::field::PortSet;
use crate::field::Rate;
use crate::local_time::{LocalTime, LocalTimes, UTC};
use crate::name::{HostName, NameError, ServiceName};
use crate::nearest::did_you_mean;
use crate::net::{MarkRule, NextHop, Route};
use crate::plan;
use crate::policy::{
    Answers, Camera, Egress, Ipv6Mode, Origin, Policy, ProxyWay, Service, Zone, ZoneIndex,
};
use crate::source::{Refusal, Refused, Source};

/// Checks a configuration and makes a policy of it. `answers` has the addresses that its
/// host names resolved to, `times` the local times of zones.
///
/// # Errors
/// Everything that is wrong, in the order of the files; of what depends on something that
/// is refused, nothing.
pub fn resolve(
    config: &Config,
    answers: &Answers,
    times: LocalTimes<'_>,
    source: &Source,
) -> Result<Policy, Refusal> {
    let router = config.router.as_ref().map(Spanned::get_ref);
    let ipv6 = config.ipv6.as_ref().map(|ipv6| ipv6.get_ref().mode);
    let ipv6 = ipv6.unwrap_or_default();
    let mut refused = Refused::default();
    let lists = Lists::new(ipv6, source, &mut refused);
    let zones = refused.note(zone::zones(config, ipv6, source));
    let has_zones = zones.is_some();
    let zone = router.and_then(|router| router.timezone.as_ref());
    let local_time = refused.note(timezone::local_time(zone, times, source));
    let mut resolver = Resolver {
        source,
        answers,
        ipv6,
        lists,
        egress: router.map(|router| router.egress).unwrap_or_default(),
        has_timezone: zone.is_some(),
        local_time,
        cameras: Vec::new(),
        camera_places: BTreeMap::new(),
        zones: zones.unwrap_or_default(),
        services: BTreeMap::new(),
        refused_names: BTreeSet::new(),
    };
    if has_zones {
        match refused.note(camera::cameras(config, &resolver.zones, ipv6, source)) {
            Some(cameras) => resolver.cameras = cameras,
            None => resolver.refuse_names(config.cameras.iter().map(|it| it.name.get_ref())),
        }
    }
    let places = resolver.cameras.iter().enumerate();
    resolver.camera_places = places
        .map(|(place, camera)| (camera.name.to_string(), place))
        .collect();
    match refused.note(resolver.services(config)) {
        Some(services) => resolver.services = services,
        None => resolver.refuse_names(config.services.keys().map(Spanned::get_ref)),
    }
    let watch = watch::watch(config.watch.as_ref().map(Spanned::get_ref), source);
    let watch = refused.note(watch);
    let wait = refused.note(wait(router.and_then(|router| router.wait.as_ref()), source));
    let names_keep = names::keep(config.names.as_ref().map(Spanned::get_ref), source);
    let names_keep = refused.note(names_keep);
    let mark_rules = refused.note(mark::mark_rules(config, ipv6, source));
    // All else names zones.
    if !has_zones {
        return refused.or(()).and(Err(Refusal::consequence()));
    }
    let allows = refused.note(resolver.allows(config));
    let routes = refused.note(route::routes(config, &resolver.zones, ipv6, source));
    let guarantees = refused.note(resolver.guarantees(config));
    let log = refused.note(resolver.log(config.log.as_ref().map(Spanned::get_ref)));
    let known = plan::sysctl::keys(resolver.zones.iter().map(|zone| &zone.interface), ipv6);
    let sysctls = refused.note(sysctl_override::sysctls(config, &known, source));
    // Forwards and proxies are held against the allow lines.
    let nat = match (&allows, &routes, &mark_rules) {
        (Some(allows), Some(routes), Some(mark_rules)) => {
            let marked = mark_rules.iter().flat_map(|rule| [rule.mark, rule.table]);
            let taken: Vec<u32> = marked
                .chain(routes.iter().map(|route| route.table))
                .collect();
            refused.note(resolver.nat(config, allows, &taken))
        }
        _ => None,
    };
    let servers = config.names.as_ref();
    let servers = servers.and_then(|names| names.get_ref().servers.as_ref());
    let name_servers = match &allows {
        Some(allows) => refused.note(resolver.name_servers(servers, allows)),
        None => None,
    };
    let page = match &allows {
        Some(allows) => refused.note(resolver.page(config.page.as_ref(), allows)),
        None => None,
    };
    let mail = resolver.mail(config.mail.as_ref(), allows.as_deref());
    if refused.any() {
        refused.note(mail.clone());
    }
    refused.or(())?;
    let (Some(mut allows), Some(mut routes), Some(mut mark_rules), Some(nat)) =
        (allows, routes, mark_rules, nat)
    else {
        return Err(Refusal::consequence());
    };
    let (Some(guarantees), Some(log), Some(sysctls)) = (guarantees, log, sysctls) else {
        return Err(Refusal::consequence());
    };
    let (Some(watch), Some(wait), Some(names_keep), Some(page)) = (watch, wait, names_keep, page)
    else {
        return Err(Refusal::consequence());
    };
    if !nat.lines.is_empty() {
        allows.extend(nat.lines);
        name_kernel_lists(&mut allows, &resolver.zones);
    }
    for proxy in &nat.proxies {
        if let ProxyWay::Host {
            address,
            zone,
            table,
        } = &proxy.way
        {
            routes.push(Route {
                destination: Ipv4Net::default().into(),
                way: NextHop::Link {
                    link: resolver.zones[zone.0].interface.to_string(),
                    gateway: Some((*address).into()),
                },
                metric: 0,
                table: *table,
            });
            mark_rules.push(MarkRule {
                mark: *table,
                table: *table,
                ipv6: false,
            });
        }
    }
    let has_hours = allows.iter().any(|allow| allow.when.is_some());
    let mut hosts: Vec<HostName> = Vec::new();
    for host in allows.iter().flat_map(|allow| &allow.hosts) {
        if !hosts.contains(host) {
            hosts.push(host.clone());
        }
    }
    Ok(Policy {
        routes,
        mark_rules,
        sysctls,
        page,
        watch,
        wait,
        keep: router.and_then(|router| router.keep).unwrap_or(true),
        log,
        cameras: resolver.cameras,
        services: resolver.services.into_values().collect(),
        guarantees,
        zones: resolver.zones,
        local_time: resolver.local_time.filter(|it| has_hours || it.zone != UTC),
        allows,
        masquerades: nat.masquerades,
        unmasqueraded: nat.unmasqueraded,
        snats: nat.snats,
        forwards: nat.forwards,
        proxies: nat.proxies,
        redirects: nat.redirects,
        egress: resolver.egress,
        udp_once_offered: PortSet::default(),
        can_record: true,
        ipv6,
        hosts,
        names_keep,
        name_servers: name_servers.unwrap_or_default(),
        name_servers_at: servers.map(|it| Origin::new(source, it.span().start)),
        mail,
    })
}

/// How long `boot` waits for interfaces if the file does not say.
const DEFAULT_WAIT: Duration = Duration::from_secs(10);

fn wait(written: Option<&Spanned<i64>>, source: &Source) -> Result<Duration, Refusal> {
    let Some(written) = written else {
        return Ok(DEFAULT_WAIT);
    };
    match u64::try_from(*written.get_ref()) {
        Ok(seconds @ 0..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err(source.refuse(
            written.span(),
            format_args!(
                "{} is not a time to wait; use 0 to 3600 seconds",
                written.get_ref()
            ),
        )),
    }
}

/// Stands for every camera's name in a list of what may be written.
const A_CAMERA: &str = "a camera";

/// What is already resolved while the rest is being resolved.
pub(super) struct Resolver<'a> {
    pub source: &'a Source,
    pub answers: &'a Answers,
    pub ipv6: Ipv6Mode,
    lists: Lists,
    pub egress: Egress,
    /// Whether the file names one, good or not.
    pub has_timezone: bool,
    pub local_time: Option<LocalTime>,
    pub zones: Vec<Zone>,
    pub cameras: Vec<Camera>,
    /// The index in `cameras` of each name, since there may be thousands.
    pub camera_places: BTreeMap<String, usize>,
    pub services: BTreeMap<ServiceName, Service>,
    /// The names of cameras and services that are refused themselves.
    pub refused_names: BTreeSet<String>,
}

impl Resolver<'_> {
    fn refuse_names<'n>(&mut self, names: impl Iterator<Item = &'n String>) {
        self.refused_names.extend(names.cloned());
    }

    /// The zone of a name. `also` is what else may stand there, for the refusal: a camera's
    /// name, or words.
    pub(super) fn find_zone(
        &self,
        written: &Spanned<String>,
        also: &[&str],
    ) -> Result<ZoneIndex, Refusal> {
        let zones = self.zones.iter().map(|zone| zone.name.as_str());
        if let Some(place) = zones.clone().position(|name| name == written.get_ref()) {
            let zone = &self.zones[place];
            if zone.is_carrier() {
                return Err(self.source.refuse(
                    written.span(),
                    format_args!(
                        "zone {} has no address, so nobody is there ({}); name the zone that its interface carries",
                        zone.name, zone.origin
                    ),
                ));
            }
            return Ok(ZoneIndex(place));
        }
        if self.refused_names.contains(written.get_ref()) {
            return Err(Refusal::consequence());
        }
        let cameras = self.camera_places.keys().map(String::as_str);
        let cameras = cameras.filter(|_| also.contains(&A_CAMERA));
        let name = written.get_ref();
        let words = also.iter().copied().filter(|word| *word != A_CAMERA);
        let names = zones.clone().chain(words.clone()).chain(cameras.clone());
        let meant = self.instead_of_zone(name);
        let what = meant
            .or_else(|| did_you_mean(name, names))
            .unwrap_or_else(|| {
                let mut all: Vec<&str> = zones.collect();
                all.sort_unstable();
                all.extend(words);
                let mut what = format!("use one of {}", all.join(", "));
                // Enough to show which names are meant.
                for (place, camera) in cameras.take(3).enumerate() {
                    let before = if place == 0 { ", or a camera: " } else { ", " };
                    what = what + before + camera;
                }
                what
            });
        Err(self.source.refuse(
            written.span(),
            format_args!("no zone is called {name:?}; {what}"),
        ))
    }

    pub(super) fn rate(&self, written: &Spanned<String>) -> Result<Rate, Refusal> {
        Rate::parse(written.get_ref()).ok_or_else(|| {
            self.source.refuse(
                written.span(),
                format_args!(
                    "{:?} is not a rate; write it as {:?}: 1 to {} per second, minute, hour or day",
                    written.get_ref(),
                    Rate::meant(written.get_ref())
                        .as_deref()
                        .unwrap_or("6/minute"),
                    Rate::COUNT_MAX
                ),
            )
        })
    }
}

/// The position of a value in a list. One written without a list has the position of the
/// whole (see `OneOrMore` in config/value.rs).
pub(super) fn span_in<T>(string: &Spanned<T>, whole: Range<usize>) -> Range<usize> {
    if string.span().is_empty() {
        whole
    } else {
        string.span()
    }
}

/// The names of a list, or the one that stands alone, each with its position. A list stands
/// for an entry of each of its names.
pub(super) fn each_name(
    written: &Spanned<Strings>,
    source: &Source,
) -> Result<Vec<Spanned<String>>, Refusal> {
    let mut names: Vec<Spanned<String>> = Vec::new();
    for name in &written.get_ref().0 {
        let span = span_in(name, written.span());
        if names.iter().any(|other| other.get_ref() == name.get_ref()) {
            return Err(source.refuse(
                span,
                format_args!("{:?} is in this list already; keep one", name.get_ref()),
            ));
        }
        names.push(Spanned::new(span, name.get_ref().clone()));
    }
    if names.is_empty() {
        return Err(source.refuse(
            written.span(),
            "the list is empty, which would mean nobody; name a zone or a camera",
        ));
    }
    Ok(names)
}

/// Who and to whom.
type FromTo = (Spanned<String>, Spanned<String>);

/// Every pair of a name in `from` and one in `to`.
pub(super) fn each_pair(
    from: &Spanned<Strings>,
    to: &Spanned<Strings>,
    source: &Source,
) -> Result<Vec<FromTo>, Refusal> {
    let (from, to) = (each_name(from, source)?, each_name(to, source)?);
    let pairs = from
        .iter()
        .flat_map(|from| to.iter().map(|to| (from.clone(), to.clone())));
    Ok(pairs.collect())
}

pub(super) fn named<'t, N>(text: &'t str, span: Range<usize>, source: &Source) -> Result<N, Refusal>
where
    N: TryFrom<&'t str, Error = NameError>,
{
    N::try_from(text).map_err(|error| source.refuse(span, error))
}

/// What to write instead of several values in one text; None if it is not that.
fn as_list(text: &str) -> Option<String> {
    let parts = text.split(',').map(|part| format!("{:?}", part.trim()));
    let parts: Vec<String> = parts.collect();
    (parts.len() > 1).then(|| format!("write a list: [{}]", parts.join(", ")))
}
