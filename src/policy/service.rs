//! Services: the ports and ICMP types that connections are opened to.

use std::fmt;

use crate::field::{IcmpType, PortRange};
use crate::name::ServiceName;
use crate::registry::{protocol, service};

/// A service; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The name; None for a service written in place.
    pub name: Option<ServiceName>,
    /// TCP destination ports, including those of passive data connections.
    pub tcp: Vec<PortRange>,
    /// UDP destination ports.
    pub udp: Vec<PortRange>,
    /// ICMP types.
    pub icmp: Vec<IcmpType>,
    /// Other IP protocols, by their numbers.
    pub protocols: Vec<u8>,
    /// The source ports that TCP and UDP come from; any if none are listed.
    pub source_ports: Vec<PortRange>,
    /// Whether it is every protocol: all that is not TCP, besides `tcp`, which then has all
    /// ports, as `udp` has.
    pub everything: bool,
    /// The port range of passive FTP, which is also in `tcp`.
    pub passive: Option<PortRange>,
    /// Whether conntrack's FTP helper lets its data connections through.
    pub helper: bool,
}

impl Service {
    /// The built-in service of this name.
    pub(crate) fn well_known(name: &ServiceName) -> Option<Service> {
        let entry = service::find(name.as_str())?;
        let ranges = |ports: &[(u16, u16)]| {
            let ports = ports.iter();
            ports
                .filter_map(|(first, last)| PortRange::new(*first, *last))
                .collect()
        };
        Some(Service {
            name: Some(name.clone()),
            tcp: ranges(entry.tcp),
            udp: ranges(entry.udp),
            icmp: entry.icmp.to_vec(),
            protocols: entry.protocols.to_vec(),
            source_ports: Vec::new(),
            everything: entry.name == service::ALL,
            passive: entry
                .passive
                .and_then(|(first, last)| PortRange::new(first, last)),
            helper: false,
        })
    }

    /// Whether destination ports of TCP and UDP are all that it is.
    pub(crate) fn is_of_ports_alone(&self) -> bool {
        let others = self.everything || !self.icmp.is_empty() || !self.protocols.is_empty();
        !others && self.source_ports.is_empty()
    }

    /// Every built-in service.
    pub(crate) fn catalogue() -> impl Iterator<Item = Service> {
        let names = service::names().filter_map(|name| ServiceName::try_from(name).ok());
        names.filter_map(|name| Service::well_known(&name))
    }

    /// Whether it contains everything in `other`.
    pub(crate) fn contains(&self, other: &Service) -> bool {
        let ports = |mine: &[PortRange], others: &[PortRange]| {
            others
                .iter()
                .all(|other| mine.iter().any(|range| range.contains(*other)))
        };
        let from = self.source_ports.is_empty()
            || !other.source_ports.is_empty() && ports(&self.source_ports, &other.source_ports);
        let of_ports = ports(&self.tcp, &other.tcp) && ports(&self.udp, &other.udp);
        let others = other.icmp.iter().all(|icmp| self.icmp.contains(icmp))
            && other.protocols.iter().all(|it| self.protocols.contains(it));
        from && of_ports && (self.everything || others && !other.everything)
    }
}

impl fmt::Display for Service {
    /// The name or, without one, the ports.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            return write!(f, "{name}");
        }
        let list = |protocol: &str, values: Vec<String>| match values.len() {
            0 => None,
            _ => Some(format!("{protocol} {}", values.join(","))),
        };
        let parts = [
            list("tcp", self.tcp.iter().map(ToString::to_string).collect()),
            list("udp", self.udp.iter().map(ToString::to_string).collect()),
            list("icmp", self.icmp.iter().map(ToString::to_string).collect()),
            list(
                "protocol",
                self.protocols
                    .iter()
                    .map(|it| protocol::shown(*it))
                    .collect(),
            ),
            list(
                "from port",
                self.source_ports.iter().map(ToString::to_string).collect(),
            ),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
    }
}
