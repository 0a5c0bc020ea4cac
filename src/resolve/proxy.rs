//! Resolves the transparent proxy, and checks it against the allow lines.

use super::Resolver;
use super::address::ipv4;
use super::mark::table_number;
use super::rewrite::{Nat, between};
use crate::config;
use crate::config::Spanned;
use crate::field::PortRange;
use crate::netfilter::Protocol;
use crate::policy::{Addresses, Allow, Forward, Origin, Proxy, ProxyWay, Role, ZoneIndex};
use crate::source::Refusal;

impl Resolver<'_> {
    pub(super) fn proxy(
        &self,
        written: &Spanned<config::ProxyEntry>,
        nat: &Nat,
        allows: &[Allow],
        taken: &[u32],
    ) -> Result<Proxy, Refusal> {
        let proxy = written.get_ref();
        let (from, to) = (
            self.find_zone(&proxy.from, &[])?,
            self.find_zone(&proxy.to, &[])?,
        );
        self.own_is_known(from, &proxy.from)?;
        if from == to {
            return Err(self.source.refuse(
                proxy.to.span(),
                "from and to are the same zone, whose hosts reach each other without the router; remove the proxy",
            ));
        }
        if self.zones[from.0].role == Role::External {
            return Err(self.source.refuse(
                proxy.from.span(),
                "a proxy is for what leaves the networks here; give a zone that is not external",
            ));
        }
        let services = self.services_of(&proxy.service)?;
        let ports: Vec<PortRange> = services
            .iter()
            .flat_map(|service| service.tcp.clone())
            .collect();
        if ports.is_empty()
            || services
                .iter()
                .any(|service| !service.udp.is_empty() || !service.is_of_ports_alone())
        {
            return Err(self.source.refuse(
                proxy.service.span(),
                "a proxy takes TCP connections; give a service that is TCP alone, such as http, or write [[redirects]] for what the router itself answers, such as dns and ntp",
            ));
        }
        let proxied = |other: &&Proxy| {
            let overlaps = |own: &PortRange| {
                let theirs = other.ports.iter();
                let apart =
                    |theirs: &PortRange| theirs.last() < own.first() || own.last() < theirs.first();
                !theirs.copied().all(|theirs| apart(&theirs))
            };
            other.from == from && other.to == to && ports.iter().any(overlaps)
        };
        if let Some(other) = nat.proxies.iter().find(proxied) {
            return Err(self.source.refuse(
                proxy.service.span(),
                format_args!(
                    "these connections go to a proxy already ({}); keep one of the two",
                    other.origin
                ),
            ));
        }
        // Which of them are for the router's address outside is not known.
        let forwarded = |other: &&Forward| {
            let outside = &self.zones[other.at.0];
            let mut ports = ports.iter();
            other.from == from
                && other.is_loopback()
                && outside.address_source.is_unknown()
                && ports.any(|own| other.takes(Protocol::Tcp, *own))
        };
        if let Some(other) = nat.forwards.iter().find(forwarded) {
            return Err(self.source.refuse(
                proxy.service.span(),
                format_args!(
                    "some of these connections are forwarded from this zone already ({}), to an address that is not known here; keep one of the two",
                    other.origin
                ),
            ));
        }
        let way = match (&proxy.port, &proxy.via) {
            (Some(port), None) => ProxyWay::Here(self.proxy_port(port, from, allows)?),
            (None, Some(via)) => self.proxy_host(proxy, via, from, &ports, allows, taken, nat)?,
            _ => {
                return Err(self.source.refuse(
                    written.span(),
                    "a proxy is on the router, port = 3128, or a host, via = \"192.168.9.5\"; write one of the two",
                ));
            }
        };
        let direct = match (&proxy.direct, &way) {
            (Some(direct), ProxyWay::Host { .. }) => {
                return Err(self.source.refuse(
                    direct.span(),
                    "packets get to a proxy on a host unchanged, by the allow line to its zone; remove direct",
                ));
            }
            (direct, _) => direct.as_ref().is_some_and(|direct| *direct.get_ref()),
        };
        Ok(Proxy {
            from,
            to,
            ports,
            way,
            direct,
            origin: Origin::new(self.source, written.span().start),
        })
    }

    fn proxy_port(
        &self,
        written: &Spanned<i64>,
        from: ZoneIndex,
        allows: &[Allow],
    ) -> Result<u16, Refusal> {
        let port = self.port(written)?;
        match self.closed_here(allows, from, Protocol::Tcp, PortRange::port(port)) {
            None => Ok(port),
            Some(closed) => Err(self.source.refuse(
                written.span(),
                format_args!(
                    "no allow line lets {from} reach {closed}, so nothing gets to the proxy; add [[allow]] from = \"{from}\", to = \"router\", service = {{ tcp = [{port}] }}",
                    from = self.zones[from.0].name
                ),
            )),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn proxy_host(
        &self,
        proxy: &config::ProxyEntry,
        via: &Spanned<String>,
        from: ZoneIndex,
        ports: &[PortRange],
        allows: &[Allow],
        taken: &[u32],
        nat: &Nat,
    ) -> Result<ProxyWay, Refusal> {
        let address = ipv4(via, self.source)?;
        let holds = |index: &ZoneIndex| {
            let own = self.zones[index.0].networks();
            own.iter().any(|own| own.contains(&address))
        };
        let zone = (0..self.zones.len()).map(ZoneIndex).find(holds);
        let zone = match zone {
            Some(zone) if zone != from => zone,
            Some(_) => {
                return Err(self.source.refuse(
                    via.span(),
                    "the proxy is in the zone whose connections it takes, so that its own would come to it again; put it into a zone of its own",
                ));
            }
            None => {
                return Err(self.source.refuse(
                    via.span(),
                    format_args!("{address} is in no zone's network; give a host's in one"),
                ));
            }
        };
        self.held(zone, address, via)?;
        let zone_name = &self.zones[zone.0].name;
        let reaches = |ports: &PortRange| {
            let flow = between(from, zone);
            let open = |allow: &&Allow| allow.destinations == Addresses::Any;
            let lines = allows.iter().filter(|allow| allow.flows.contains(&flow));
            lines
                .filter(open)
                .flat_map(|allow| allow.services.iter())
                .any(|service| service.tcp.iter().any(|own| own.contains(*ports)))
        };
        if !ports.iter().all(reaches) {
            return Err(self.source.refuse(
                via.span(),
                format_args!(
                    "no allow line lets {from} reach {zone_name} with this service at any address, so nothing gets to the proxy; add [[allow]] from = \"{from}\", to = \"{zone_name}\" with it",
                    from = self.zones[from.0].name
                ),
            ));
        }
        let table = match &proxy.table {
            Some(table) => table_number(table, self.source)?,
            // Above the table numbers that people usually choose, from 1 up.
            None => 1000 + u32::try_from(nat.proxies.len()).unwrap_or(0),
        };
        let used = taken.contains(&table);
        let proxied = nat.proxies.iter().any(
            |other| matches!(other.way, ProxyWay::Host { table: theirs, .. } if theirs == table),
        );
        if used || proxied {
            let span = proxy.table.as_ref().map_or(via.span(), Spanned::span);
            return Err(self.source.refuse(
                span,
                format_args!("table {table} is in use already; give the proxy a table of its own"),
            ));
        }
        Ok(ProxyWay::Host {
            address,
            zone,
            table,
        })
    }
}
