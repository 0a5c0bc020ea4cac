//! Refuses lines from zone to zone for what no router passes on: searches for devices, which
//! ask a multicast group; groups of one link; broadcasts.
//!
//! Other groups pass by a multicast routing daemon, and stay.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::Resolver;
use super::allow::WrittenAllow;
use crate::config::{Config, Spanned};
use crate::policy::{Addresses, Allow, Endpoint, Flow, ZoneIndex, broadcast_settings};
use crate::registry::multicast::{DISCOVERY, Discovery, is_of_one_link};
use crate::source::Refusal;

impl Resolver<'_> {
    pub(super) fn insist_on_forwarded(
        &self,
        line: &WrittenAllow<'_>,
        allow: &Allow,
        config: &Config,
    ) -> Result<(), Refusal> {
        let target = |flow: &Flow| match (flow.from, flow.to) {
            (Endpoint::Zone(from), Endpoint::Zone(to)) => Some((from, to)),
            _ => None,
        };
        let across: Vec<_> = allow.flows.iter().filter_map(target).collect();
        let Some((_, to)) = across.first().copied() else {
            return Ok(());
        };
        let udp = allow.services.iter().flat_map(|service| &service.udp);
        let single = udp.filter(|ports| !ports.is_range());
        let ports: Vec<u16> = single.map(|ports| ports.first()).collect();
        let search = DISCOVERY.iter().find(|it| ports.contains(&it.port));
        let written = allow.destinations_of.as_ref().map(|of| &of.written);
        let Addresses::Only(networks) = written.unwrap_or(&allow.destinations) else {
            let refuse = |search| Err(self.no_search(line.service, search, to));
            return search.map_or(Ok(()), refuse);
        };
        let Some(address) = line.address else {
            return Ok(());
        };
        for network in networks {
            let group = network.network();
            if group.is_multicast() {
                let asked = DISCOVERY
                    .iter()
                    .find(|it| group == it.ipv4 || group == it.ipv6);
                if let Some(search) = search.or(asked) {
                    return Err(self.no_search(address, search, to));
                }
                if is_of_one_link(*network) {
                    return Err(self.refuse_network(
                        address,
                        network,
                        format_args!(
                            "{group} is a multicast group of one link, and no router passes on what is sent to it; give the addresses of hosts"
                        ),
                    ));
                }
            } else if self.is_broadcast(to, *network) {
                let mut from = across.iter().map(|(from, _)| *from);
                let missing = match group == IpAddr::V4(Ipv4Addr::BROADCAST) {
                    // Of one link whatever the settings.
                    true => Some(None),
                    false => from.find_map(|from| self.keeps_broadcasts(config, from)),
                };
                let Some(missing) = missing else { continue };
                let zone = &self.zones[to.0].name;
                return Err(self.source.refuse(
                    address.span(),
                    match missing {
                        Some(key) => format!(
                            "{group} is a broadcast address of {zone}, and the kernel passes nothing on to it unless all and the interface that it comes in by say so; add {key:?} = 1 under [sysctls]"
                        ),
                        None => format!(
                            "{group} is a broadcast address of {zone}, and the router passes nothing on to it; give the addresses of hosts, or send from the router (for Wake-on-LAN, etherwake there)"
                        ),
                    },
                ));
            }
        }
        Ok(())
    }

    fn no_search<T>(&self, at: &Spanned<T>, search: &Discovery, to: ZoneIndex) -> Refusal {
        let (group, port, zone) = (search.ipv4, search.port, &self.zones[to.0].name);
        self.source.refuse(
            at.span(),
            format_args!(
                "devices are found at udp {port} by asking {group}, a multicast group, which no router passes on; put who searches, such as a recorder, on the network of {zone}, or name the devices, by to = \"porch\" or by address"
            ),
        )
    }

    /// Whether the router keeps the broadcasts of a zone to itself, and the setting that is
    /// missing where the file has the other one.
    fn keeps_broadcasts(&self, config: &Config, from: ZoneIndex) -> Option<Option<String>> {
        let settings = broadcast_settings(self.zones[from.0].interface.as_str());
        let is_set = |wanted: &String| {
            let mut all = config.sysctls.iter();
            all.any(|(key, value)| key.get_ref() == wanted && value.get_ref().0 != "0")
        };
        let (set, missing): (Vec<_>, Vec<_>) = settings.into_iter().partition(is_set);
        let one = missing.into_iter().next()?;
        Some((!set.is_empty()).then_some(one))
    }

    /// Whether it is the broadcast address of a zone's network, or the limited one.
    fn is_broadcast(&self, to: ZoneIndex, network: IpNet) -> bool {
        let IpNet::V4(network) = network else {
            return false;
        };
        let address = network.addr();
        let own = &self.zones[to.0].addresses;
        let mut wide = own.iter().filter(|own| own.prefix_len() < 31);
        let ends = wide.any(|own| own.broadcast() == address);
        network.prefix_len() == 32 && (ends || address.is_broadcast())
    }
}
