//! Several ways out: whether each of them is alive, by what the kernel knows, and the routes
//! and rules that follow. Owns no time: how long a way is to be alive again before it is used
//! is for whoever watches it.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::{Current, LAST_METRIC, Link, MAIN_TABLE, NextHop, Route, Wanted};

/// The first of the routing tables of ways out, one for each; no table of the file is above.
pub const WAY_TABLES: u32 = u32::MAX - 255;

/// The highest metric that the file gives to a way out.
pub const MOST_METRIC: u32 = 9999;

/// What is added to the metric of a way that is set aside. Its route stays, behind those of
/// all others: if nothing else is left it is tried.
pub const ASIDE: u32 = 10_000;

/// One of several ways out: an external zone by which an IPv4 default route leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayOut {
    /// The zone.
    pub zone: String,
    /// Its interface.
    pub link: String,
    /// The metric in the file: the lowest is preferred.
    pub preference: u32,
    /// Whether DHCP gives its address and the next router.
    pub by_dhcp: bool,
    /// The next router, if the file says which.
    pub gateway: Option<IpAddr>,
    /// The routing table of what is from the router's address there.
    pub table: u32,
    /// Whether it was found dead.
    pub is_aside: bool,
}

/// A rule for what is from one of the router's own addresses: by the main table, but for its
/// default routes, or by the table of the way out that the address is of. So an answer leaves
/// by the way on which it was asked, whichever the default route prefers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceRule {
    /// The address.
    pub source: Ipv4Addr,
    /// The table.
    pub table: u32,
}

impl fmt::Display for SourceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "rule: from {} looks at table {}",
            self.source, self.table
        )?;
        if self.table == MAIN_TABLE {
            f.write_str(", without its default routes")?;
        }
        Ok(())
    }
}

/// Why a way out is not alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WayTrouble {
    /// Its interface does not exist.
    NoInterface,
    /// It is set down.
    Down,
    /// There is no signal at its other end.
    NoCarrier,
    /// Nobody gave it an address, or a router.
    NoAddress,
    /// The next router does not answer ARP.
    NoAnswer(IpAddr),
}

impl fmt::Display for WayTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WayTrouble::NoInterface => f.write_str("its interface is not there"),
            WayTrouble::Down => f.write_str("its interface is down"),
            WayTrouble::NoCarrier => f.write_str("its interface has no carrier"),
            WayTrouble::NoAddress => f.write_str("nobody gave it an address and a router"),
            WayTrouble::NoAnswer(router) => write!(f, "its router {router} does not answer"),
        }
    }
}

/// What the kernel's neighbour entry says of a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouterAnswer {
    /// It answered lately.
    Answers,
    /// It answered before, or was never asked.
    Unknown,
    /// It is being asked, and has not answered.
    Asked,
    /// It did not answer.
    Silent,
}

impl WayOut {
    /// The metric of its default route.
    pub fn metric(&self) -> u32 {
        match self.is_aside {
            true => self.preference + ASIDE,
            false => self.preference,
        }
    }

    /// Whether this is a default route by it that others than those with its own address use.
    pub fn is_default(&self, route: &Route) -> bool {
        let is_by = matches!(&route.way, NextHop::Link { link, .. } if *link == self.link);
        is_by && route.table == MAIN_TABLE && is_ipv4_default(&route.destination)
    }

    /// What keeps packets from leaving by it, whoever is at its other end.
    pub fn trouble(&self, current: &Current) -> Option<WayTrouble> {
        let Some(link) = self.link_of(current) else {
            return Some(WayTrouble::NoInterface);
        };
        if !link.up {
            return Some(WayTrouble::Down);
        }
        if !link.carrier {
            return Some(WayTrouble::NoCarrier);
        }
        let has_way = !self.by_dhcp || self.router(current).is_some();
        let has_address = own_addresses(link).next().is_some();
        (!has_address || !has_way).then_some(WayTrouble::NoAddress)
    }

    /// The next router: the file's, or that of the lease. None if the other end of the
    /// interface takes what is for everybody.
    pub fn router(&self, current: &Current) -> Option<IpAddr> {
        let mut leased = current
            .routes
            .iter()
            .filter(|held| self.is_default(&held.value));
        self.gateway
            .or_else(|| leased.find_map(|held| held.value.gateway()))
    }

    /// The router's own addresses on it, whoever set them.
    pub fn own_addresses(&self, current: &Current) -> Vec<Ipv4Addr> {
        let link = self.link_of(current);
        link.into_iter().flat_map(own_addresses).collect()
    }

    fn link_of<'c>(&self, current: &'c Current) -> Option<&'c Link> {
        current.links.iter().find(|link| link.name == self.link)
    }
}

fn own_addresses(link: &Link) -> impl Iterator<Item = Ipv4Addr> {
    link.addresses.iter().filter_map(|held| match held.value {
        IpNet::V4(own) => Some(own.addr()),
        IpNet::V6(_) => None,
    })
}

fn is_ipv4_default(destination: &IpNet) -> bool {
    matches!(destination, IpNet::V4(_)) && destination.prefix_len() == 0
}

/// The last route of a way's table: what is from an address of the way leaves by no other.
pub fn unreachable_behind(way: &WayOut) -> Route {
    Route {
        destination: Ipv4Net::default().into(),
        way: NextHop::Unreachable,
        metric: LAST_METRIC,
        table: way.table,
    }
}

impl Wanted {
    /// Adds the route and the rules for what is from the router's addresses on a way.
    pub(crate) fn add_way(
        &mut self,
        way: &WayOut,
        router: Option<IpAddr>,
        own: impl Iterator<Item = Ipv4Addr>,
    ) {
        self.routes.push(Route {
            destination: Ipv4Net::default().into(),
            way: NextHop::Link {
                link: way.link.clone(),
                gateway: router,
            },
            metric: 0,
            table: way.table,
        });
        for source in own {
            let rule = |table| SourceRule { source, table };
            self.source_rules
                .extend([rule(MAIN_TABLE), rule(way.table)]);
        }
    }

    /// The same, with what follows from addresses that the file does not say.
    pub(super) fn with_ways_of(&self, current: &Current) -> Cow<'_, Wanted> {
        let mut all = Cow::Borrowed(self);
        for way in self.ways.iter().filter(|way| way.gateway.is_none()) {
            let router = way.router(current);
            let own = way.own_addresses(current);
            if !own.is_empty() && (router.is_some() || !way.by_dhcp) {
                all.to_mut().add_way(way, router, own.into_iter());
            }
        }
        all
    }

    /// Sets aside the ways of these zones, and no others: their default routes come behind
    /// those of all others.
    pub fn set_aside(&mut self, is_dead: impl Fn(&str) -> bool) {
        for way in &mut self.ways {
            let before = way.clone();
            way.is_aside = is_dead(&way.zone);
            let routes = self.routes.iter_mut();
            for route in routes.filter(|route| before.is_default(route)) {
                if route.metric == before.metric() {
                    route.metric = way.metric();
                }
            }
        }
    }

    /// The metric of the default route that a lease gives a link.
    pub fn leased_route_metric(&self, link: &str) -> u32 {
        let mut links = self.links.iter();
        let metric = links
            .find(|it| it.name.as_str() == link)
            .map(|it| it.metric);
        let mut ways = self.ways.iter();
        let way = ways.find(|way| way.link == link).map(WayOut::metric);
        way.or(metric).unwrap_or(0)
    }
}

impl Route {
    /// The next router, if it leads to one.
    fn gateway(&self) -> Option<IpAddr> {
        match &self.way {
            NextHop::Link { gateway, .. } => *gateway,
            NextHop::Blackhole | NextHop::Unreachable => None,
        }
    }
}
