//! Refuses lines from zone to zone for what no router passes on: searches for devices, which
//! ask a multicast group; groups of one link; broadcasts.
//!
//! Other groups pass by a multicast routing daemon, and stay.

use ipnet::IpNet;

use super::Resolver;
use super::allow::WrittenAllow;
use crate::config::{Config, Spanned};
use crate::policy::{Addresses, Allow, Endpoint, Flow, SENDS_BROADCASTS_ON, ZoneIndex};
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
            (Endpoint::Zone(_), Endpoint::Zone(to)) => Some(to),
            _ => None,
        };
        let Some(to) = allow.flows.iter().find_map(target) else {
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
        let sends_on = config
            .sysctls
            .iter()
            .any(|(key, value)| key.get_ref() == SENDS_BROADCASTS_ON && value.get_ref().0 == "1");
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
                    return Err(self.source.refuse(
                        address.span(),
                        format_args!(
                            "{group} is a multicast group of one link, and no router passes on what is sent to it; give the addresses of hosts"
                        ),
                    ));
                }
            } else if !sends_on && self.is_broadcast(to, *network) {
                return Err(self.source.refuse(
                    address.span(),
                    format_args!(
                        "{group} is a broadcast address of {}, and the router passes nothing on to it; give the addresses of hosts, or send from the router (for Wake-on-LAN, etherwake there)",
                        self.zones[to.0].name
                    ),
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
