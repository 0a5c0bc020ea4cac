//! Resolves allow lines, both the file's `[[allow]]` and the cameras' own.

use std::net::Ipv4Addr;
use std::ops::Range;

use ipnet::Ipv4Net;

use super::address;
use super::deny;
use super::instead_of_name::{FROM, TO};
use super::kernel_list_name::name_kernel_lists;
use super::limit;
use super::{A_CAMERA, Resolver, each_name, each_pair};
use crate::config::{self, Config, Services, Spanned, Strings};
use crate::field::PortRange;
use crate::netfilter::MULTIPORT_MAX;
use crate::policy::{
    self, Addresses, Allow, Camera, Egress, Endpoint, Exception, Flow, Origin, Service, ZoneIndex,
};
use crate::registry::port;
use crate::source::{Refusal, Refused, Source};

/// The most rules of one family that allow lines, and what is denied before them, may make:
/// compiling and proving these takes some hundred megabytes.
pub(super) const MOST_RULES: usize = 1 << 18;

/// An allow line, wherever it is written.
pub(super) struct WrittenAllow<'a> {
    from: From<'a>,
    pub(super) to: Spanned<String>,
    pub(super) service: &'a Spanned<Services>,
    pub(super) source: Option<&'a Spanned<Strings>>,
    pub(super) address: Option<&'a Spanned<Strings>>,
    pub(super) except: Option<&'a Spanned<Strings>>,
    pub(super) host: Option<&'a Spanned<Strings>>,
    limit: Option<&'a Spanned<String>>,
    connections: Option<&'a Spanned<i64>>,
    block_after: Option<&'a Spanned<config::BlockAfterEntry>>,
    when: Option<&'a Spanned<config::WhenEntry>>,
    start: usize,
}

enum From<'a> {
    /// As the line says.
    Written(Spanned<String>),
    /// The camera that the line belongs to.
    Camera(&'a Camera),
}

impl<'a> WrittenAllow<'a> {
    /// A line for each pair of a list in `from` and one in `to`.
    fn of_file(
        written: &'a Spanned<config::AllowEntry>,
        source: &Source,
    ) -> Result<Vec<WrittenAllow<'a>>, Refusal> {
        let allow = written.get_ref();
        let pairs = each_pair(&allow.from, &allow.to, source)?.into_iter();
        let lines = pairs.map(|(from, to)| WrittenAllow {
            from: From::Written(from),
            to,
            service: &allow.service,
            source: allow.source.as_ref(),
            address: allow.address.as_ref(),
            except: allow.except.as_ref(),
            host: allow.host.as_ref(),
            limit: allow.limit.as_ref(),
            connections: allow.connections.as_ref(),
            block_after: allow.block_after.as_ref(),
            when: allow.when.as_ref(),
            start: written.span().start,
        });
        Ok(lines.collect())
    }

    fn of_camera(
        camera: &'a Camera,
        written: &'a Spanned<config::CameraAllowEntry>,
        source: &Source,
    ) -> Result<Vec<WrittenAllow<'a>>, Refusal> {
        let allow = written.get_ref();
        let targets = each_name(&allow.to, source)?.into_iter();
        let lines = targets.map(|to| WrittenAllow {
            from: From::Camera(camera),
            to,
            service: &allow.service,
            source: None,
            address: allow.address.as_ref(),
            except: allow.except.as_ref(),
            host: allow.host.as_ref(),
            limit: allow.limit.as_ref(),
            connections: allow.connections.as_ref(),
            block_after: allow.block_after.as_ref(),
            when: allow.when.as_ref(),
            start: written.span().start,
        });
        Ok(lines.collect())
    }

    /// The position for a refusal about the line's source.
    fn where_from(&self) -> Range<usize> {
        match &self.from {
            From::Written(from) => from.span(),
            From::Camera(_) => self.start..self.start,
        }
    }
}

/// One end of a line: a zone or the router, and the addresses there.
pub(super) struct AllowEnd<'a> {
    pub(super) endpoint: Endpoint,
    pub(super) camera: Option<&'a Camera>,
}

/// An upper bound for the number of rules of a line, without those that the tree adds: some
/// for each destination, and one for each source; each of them for each season.
fn at_most_rules(allow: &Allow, seasons: usize) -> usize {
    // A multiport match takes 15 ports, and a range counts as two.
    let groups = |ports: &[PortRange]| ports.len().div_ceil(MULTIPORT_MAX / 2);
    let each = allow.services.iter().map(|service| {
        let ports = groups(&service.tcp) + groups(&service.udp);
        let ports = ports * groups(&service.source_ports).max(1);
        ports + service.icmp.len() + service.protocols.len() + usize::from(service.everything)
    });
    let each: usize = each.sum();
    let [sources, destinations] = [&allow.sources, &allow.destinations].map(Addresses::count);
    let everywhere = destinations.saturating_mul(each);
    // A few sources are multiplied, if that makes no more rules than a separate chain.
    let everywhere = everywhere.saturating_mul(sources.clamp(1, 4));
    let one = everywhere.saturating_add(sources.saturating_mul(each.clamp(1, 4)));
    let seasons = allow.when.map_or(1, |_| seasons.max(1));
    one.saturating_mul(allow.flows.len())
        .saturating_mul(seasons)
}

impl Resolver<'_> {
    /// Every allow line: first the file's, then each camera's.
    pub(super) fn allows(&self, config: &Config) -> Result<Vec<Allow>, Refusal> {
        let mut refused = Refused::default();
        let exceptions = refused.note(self.exceptions(config));
        let mut lines: Vec<WrittenAllow<'_>> = Vec::new();
        for written in &config.allow {
            let read = refused.note(WrittenAllow::of_file(written, self.source));
            lines.extend(read.into_iter().flatten());
        }
        for (camera, written) in self.cameras.iter().zip(&config.cameras) {
            for allow in &written.allow {
                let read = refused.note(WrittenAllow::of_camera(camera, allow, self.source));
                lines.extend(read.into_iter().flatten());
            }
        }
        let mut allows = Vec::new();
        let mut rules: usize = 0;
        let seasons = self.local_time.as_ref().map_or(1, |it| it.seasons.len());
        let denials = refused.note(self.denials(config)).unwrap_or_default();
        for line in &lines {
            let Some(allow) = refused.note(self.allow(line, exceptions.as_deref())) else {
                continue;
            };
            refused.note(self.insist_on_forwarded(line, &allow, config));
            for allow in without_address(allow) {
                for mut allow in deny::not_denied(allow, &denials, self.ipv6) {
                    rules = rules.saturating_add(at_most_rules(&allow, seasons));
                    if rules > MOST_RULES {
                        return Err(self.too_many_rules(line, &allow));
                    }
                    share_services(&mut allow, &allows);
                    allows.push(allow);
                }
            }
        }
        refused.or(())?;
        self.insist_on_room(&denials, &allows, rules)?;
        allows.shrink_to_fit();
        name_kernel_lists(&mut allows, &self.zones);
        Ok(allows)
    }

    fn too_many_rules(&self, line: &WrittenAllow<'_>, allow: &Allow) -> Refusal {
        self.source.refuse(
            line.start..line.start,
            format_args!(
                "with this line, of {} sources and {} destinations, the allow lines make more than {MOST_RULES} rules; write networks and ranges of ports in place of lists, and leave many addresses out with [[deny]]",
                allow.sources.count(),
                allow.destinations.count()
            ),
        )
    }

    pub(super) fn find_camera(&self, name: &str) -> Option<&Camera> {
        let place = self.camera_places.get(name)?;
        self.cameras.get(*place)
    }

    /// Resolves a line; without the exceptions, which are refused, roles are not looked at.
    fn allow(
        &self,
        line: &WrittenAllow<'_>,
        exceptions: Option<&[Exception]>,
    ) -> Result<Allow, Refusal> {
        let mut refused = Refused::default();
        let services = refused.note(self.services_of(line.service));
        let hosts = refused.note(address::hosts(line.host, self.source));
        let limit = line.limit.map(|limit| self.rate(limit)).transpose();
        let limit = refused.note(limit);
        let connections = line.connections;
        let connections = connections.map(|most| limit::connections(most, self.source));
        let connections = refused.note(connections.transpose());
        let block_after = line.block_after;
        let block_after = block_after.map(|block| self.block_after(block.get_ref()));
        let block_after = refused.note(block_after.transpose());
        let when = refused.note(line.when.map(|when| self.when(when)).transpose());
        let to = refused.note(self.to(line));
        let flows = match &to {
            Some(to) => refused.note(self.flows(line, to)),
            None => {
                refused.note(self.is_known(line));
                None
            }
        };
        let sources = match &flows {
            Some((flows, camera)) => refused.note(self.sources(line, flows, *camera)),
            None => None,
        };
        let destinations = match (&to, &hosts) {
            (Some(to), Some(hosts)) => refused.note(self.destinations(line, to, hosts)),
            _ => None,
        };
        refused.or(())?;
        let (Some(services), Some(hosts), Some((flows, camera))) = (services, hosts, flows) else {
            return Err(Refusal::consequence());
        };
        let (Some(sources), Some(destinations)) = (sources, destinations) else {
            return Err(Refusal::consequence());
        };
        let all = services.iter().any(|service| service.everything);
        if all && flows.iter().any(|flow| flow.to == Endpoint::Router) {
            return Err(self.source.refuse(
                line.service.span(),
                "the router has services of its own, and what it may send depends on them; name those that it offers",
            ));
        }
        let origin = Origin::new(self.source, line.start);
        let mut allow = Allow {
            flows,
            camera: camera.map(|camera| camera.name.clone()),
            sources,
            destinations,
            ranges: address::of_ranges(line.address, &self.lists, self.source),
            sources_of: None,
            destinations_of: None,
            hosts,
            services: services.into(),
            by_forward: false,
            limit: limit.flatten(),
            connections: connections.flatten(),
            block_after: block_after.flatten(),
            when: when.flatten().filter(|when| !when.is_always()),
            list_name: String::new(),
            origin,
        };
        self.leave_out(line, &mut allow)?;
        let broken =
            exceptions.and_then(|exceptions| policy::broken(&allow, &self.zones, exceptions));
        match broken {
            None => Ok(allow),
            Some(broken) => Err(self.against_role(line.where_from(), &allow, broken)),
        }
    }

    /// Refuses what a role promises will never be.
    pub(super) fn against_role(
        &self,
        at: Range<usize>,
        allow: &Allow,
        (camera, target, service): (ZoneIndex, ZoneIndex, &Service),
    ) -> Refusal {
        self.source.refuse(
            at,
            format_args!(
                "zone {camera} has role camera, which never opens a connection to {target}; \
                 to let it after all, add [[exceptions]] from = \"{from}\", to = \"{target}\" with service {service}",
                camera = self.zones[camera.0].name,
                from = match &allow.camera {
                    Some(name) => name.as_str(),
                    None => self.zones[camera.0].name.as_str(),
                },
                target = self.zones[target.0].name,
            ),
        )
    }

    /// Refuses who the line is from if there is nobody of this name, whatever it is to.
    fn is_known(&self, line: &WrittenAllow<'_>) -> Result<(), Refusal> {
        let From::Written(from) = &line.from else {
            return Ok(());
        };
        let name = from.get_ref().as_str();
        if name == "any" || name == "router" || self.find_camera(name).is_some() {
            return Ok(());
        }
        let zone = self.find_end(from, &[A_CAMERA, "router", "any"], FROM);
        zone.map(|_| ())
    }

    fn to(&self, line: &WrittenAllow<'_>) -> Result<AllowEnd<'_>, Refusal> {
        let camera = self.find_camera(line.to.get_ref());
        let endpoint = match (line.to.get_ref().as_str(), camera) {
            (_, Some(camera)) => Endpoint::Zone(camera.zone),
            ("router", _) => Endpoint::Router,
            ("any", _) => {
                return Err(self.source.refuse(
                    line.to.span(),
                    "\"any\" is for from alone, so that each target is named; write an allow line for each",
                ));
            }
            _ => Endpoint::Zone(self.find_end(&line.to, &[A_CAMERA, "router"], TO)?),
        };
        Ok(AllowEnd { endpoint, camera })
    }

    /// The flows of a line, and the camera that it is from.
    fn flows(
        &self,
        line: &WrittenAllow<'_>,
        to: &AllowEnd<'_>,
    ) -> Result<(Vec<Flow>, Option<&Camera>), Refusal> {
        let target = to.endpoint;
        let flow = |from| Flow { from, to: target };
        let same_zone = || {
            self.source.refuse(
                line.to.span(),
                "from and to are the same zone, whose hosts reach each other without the router; remove the line",
            )
        };
        let of_camera = |zone: ZoneIndex| match flow(Endpoint::Zone(zone)) {
            flow if flow.from == flow.to => Err(same_zone()),
            flow => Ok(vec![flow]),
        };
        let from = match &line.from {
            From::Written(from) => from,
            From::Camera(own) => {
                let camera = self.find_camera(own.name.as_str());
                return Ok((of_camera(own.zone)?, camera));
            }
        };
        if let Some(camera) = self.find_camera(from.get_ref()) {
            return Ok((of_camera(camera.zone)?, Some(camera)));
        }
        let flows = match from.get_ref().as_str() {
            "any" => {
                let zones = (0..self.zones.len()).map(ZoneIndex);
                let zones = zones.filter(|zone| !self.zones[zone.0].is_carrier());
                let flows: Vec<Flow> = zones
                    .map(|zone| flow(Endpoint::Zone(zone)))
                    .filter(|flow| flow.from != flow.to)
                    .collect();
                if flows.is_empty() {
                    return Err(self.source.refuse(
                        from.span(),
                        "there is no other zone than the one in to; remove the line or add a zone",
                    ));
                }
                flows
            }
            "router" if target == Endpoint::Router => {
                return Err(self.source.refuse(
                    from.span(),
                    "the router always reaches itself by the loopback; remove the line",
                ));
            }
            "router" if self.egress == Egress::Open => {
                return Err(self.source.refuse(
                    from.span(),
                    "the router may send anything already; remove the line, or set egress = \"listed\" under [router]",
                ));
            }
            "router" => vec![flow(Endpoint::Router)],
            _ => {
                let zone = self.find_end(from, &[A_CAMERA, "router", "any"], FROM)?;
                match flow(Endpoint::Zone(zone)) {
                    flow if flow.from == flow.to => return Err(same_zone()),
                    flow => vec![flow],
                }
            }
        };
        Ok((flows, None))
    }
}

/// Shares the services of a line with one before it: thousands of cameras have the same few
/// lines each.
fn share_services(allow: &mut Allow, before: &[Allow]) {
    let mut near = before.iter().rev().take(8);
    if let Some(same) = near.find(|other| other.services == allow.services) {
        allow.services = same.services.clone();
    }
}

/// Splits off the DHCP part of a line with source addresses, and adds 0.0.0.0 to its
/// sources: a host that asks the router for an address has none yet (RFC 2131, 4.1). Table
/// raw lets 0.0.0.0 in only for DHCP.
fn without_address(mut allow: Allow) -> Vec<Allow> {
    let to_router = |flow: &Flow| flow.to == Endpoint::Router;
    let Addresses::Only(sources) = &allow.sources else {
        return vec![allow];
    };
    let (dhcp, others): (Vec<Service>, Vec<Service>) = allow
        .services
        .iter()
        .cloned()
        .partition(asks_for_an_address);
    if dhcp.is_empty() || !allow.flows.iter().all(to_router) {
        return vec![allow];
    }
    let mut sources = sources.clone();
    sources.push(Ipv4Net::from(Ipv4Addr::UNSPECIFIED).into());
    let asks = Allow {
        sources: Addresses::Only(sources),
        services: dhcp.into(),
        ..allow.clone()
    };
    allow.services = others.into();
    let rest = (!allow.services.is_empty()).then_some(allow);
    rest.into_iter().chain([asks]).collect()
}

fn asks_for_an_address(service: &Service) -> bool {
    service
        .udp
        .iter()
        .any(|ports| ports.contains(PortRange::port(port::DHCP_SERVER)))
}

#[cfg(test)]
mod bound_tests {
    use std::error::Error;

    use crate::policy::Answers;
    use crate::source::Source;

    #[test]
    fn more_denied_networks_than_there_is_room_for_are_refused() -> Result<(), Box<dyn Error>> {
        let denied = |count: usize| {
            let networks = (0..count).map(|it| {
                format!(
                    "\"11.{}.{}.{}\",",
                    it >> 15,
                    (it >> 7) & 255,
                    (it * 2) & 255
                )
            });
            let text = format!(
                "[zones.external]\nrole = \"external\"\ninterface = \"eth0\"\naddress = \"10.1.1.2/24\"\n\
                 [[allow]]\nfrom = \"external\"\nto = \"router\"\nservice = \"ssh\"\n\
                 [[deny]]\nfrom = \"external\"\nto = \"router\"\nsource = [{}]\n",
                networks.collect::<String>()
            );
            let source = Source::new("camfw.toml", text);
            crate::policy(&source, &Answers::new())
                .err()
                .map(|refusal| refusal.to_string())
        };
        assert_eq!(denied(170_000), None);
        let why = denied(180_000).unwrap_or_default();
        let start = "camfw.toml:9:1: with this list, of 180000 networks on 1 of the ways";
        assert!(why.starts_with(start), "{why}");
        Ok(())
    }

    /// The refusal, if any, of a line with this many addresses and ports at each.
    fn refusal(addresses: usize, ports: usize) -> Result<Option<String>, Box<dyn Error>> {
        let mut destinations = Vec::new();
        for number in 0..addresses {
            destinations.push(format!("\"203.0.{}.{}\"", number / 256, number % 256));
        }
        let ports: Vec<String> = (0..ports)
            .map(|number| (number * 3 + 1).to_string())
            .collect();
        let text = format!(
            "[zones.private]\nrole = \"private\"\ninterface = \"eth1\"\naddress = \"192.168.5.1/24\"\n\
             [zones.external]\nrole = \"external\"\ninterface = \"eth0\"\naddress = \"10.1.1.2/24\"\n\
             [services.many]\ntcp = [{}]\n\
             [[allow]]\nfrom = \"private\"\nto = \"external\"\nservice = \"many\"\naddress = [{}]\n",
            ports.join(", "),
            destinations.join(", "),
        );
        let source = Source::new("camfw.toml", text);
        let plan = crate::plan(&source, &Answers::new());
        Ok(plan.err().map(|refusal| refusal.to_string()))
    }

    #[test]
    fn more_rules_than_there_is_room_for_are_refused_at_their_line() -> Result<(), Box<dyn Error>> {
        assert_eq!(refusal(100, 100)?, None);
        let why = refusal(3000, 1000)?.unwrap_or_default();
        let place = "camfw.toml:11:1: with this line, of 1 sources and 3000 destinations";
        assert!(why.starts_with(place), "{why}");
        Ok(())
    }
}
