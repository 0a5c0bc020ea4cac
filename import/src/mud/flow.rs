//! Entries as connections: who opens them, with whom, for which service; or why one cannot be said.
//!
//! An access list is about packets, a configuration about connections, whose answers pass. So an entry about
//! answers belongs to the one about the connection; alone it says nothing.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::NamesHere;
use super::access_list::{AccessEntry, Description, DevicePolicy};
use super::port::PortSpan;
use crate::host_name::is_host_name;

/// Who opens a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Opener {
    /// The camera.
    Camera,
    /// The other end.
    Peer,
}

/// The other end, as a configuration names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// A host on the internet, by its name.
    Host(String),
    /// Addresses on the internet.
    Network(IpNet),
    /// The zone that `--local` named.
    Local,
    /// The router itself.
    Router,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DescribedService {
    /// TCP or UDP to these ports, from those if it is told.
    Transport {
        tcp: bool,
        to: PortSpan,
        from: Option<PortSpan>,
    },
    /// An echo request.
    Ping,
    /// Another protocol, by its number.
    Protocol(u8),
}

/// A connection that an entry allows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DescribedFlow {
    /// Who opens it.
    pub opener: Opener,
    /// What it is for.
    pub service: DescribedService,
    /// With whom.
    pub peer: Peer,
}

/// Why an entry has no line.
#[derive(Debug, PartialEq, Eq)]
pub enum Why {
    /// It keeps packets out.
    Refuses,
    /// One above it does.
    AfterRefusal,
    /// It has a condition that a line cannot have.
    Condition(String),
    /// It is about every host there is.
    Anybody,
    /// It is about hosts of a kind that nobody here knows.
    Unknown(String),
    /// It has answers of connections that no entry opens.
    AnswersAlone,
    /// It lets the internet connect to the camera.
    Inbound,
    /// It is about hosts of the house, and no zone was named.
    NoLocalZone,
    /// It is about frames, which no line is about.
    Frames,
    /// No router passes it on.
    Unrouted(IpAddr),
    /// An address that is nobody's on the internet.
    Private(IpNet),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refuses => f.write_str("it refuses packets; what no line allows is dropped anyway"),
            Self::AfterRefusal => f.write_str("an entry above it refuses packets that it may be about; write its line yourself"),
            Self::Condition(what) => write!(f, "no line can say {what}"),
            Self::Anybody => f.write_str("it is about every host there is; write a line with the hosts that you mean"),
            Self::Unknown(what) => write!(f, "{what} is for you to name; write a line with its address"),
            Self::AnswersAlone => f.write_str("it has the answers of connections that no entry opens"),
            Self::Inbound => f.write_str("it lets hosts on the internet connect to the camera; write a [[forwards]] and its [[allow]] if you mean it"),
            Self::NoLocalZone => f.write_str("it is about the local networks; name their zone with --local"),
            Self::Frames => f.write_str("it is about frames on the camera's own wire, which no router passes on"),
            Self::Unrouted(group) => write!(f, "{group} is a multicast group or a broadcast, which no router passes on"),
            Self::Private(network) => write!(f, "{network} is nobody's address on the internet; write a line with the host of yours that is meant"),
        }
    }
}

/// What a file's entries come to.
#[derive(Debug, Default)]
pub struct DescribedFlows {
    /// Each connection once.
    pub allowed: BTreeSet<DescribedFlow>,
    /// The entries that have no line, in the file's order.
    pub left: Vec<(String, Why)>,
    /// How many entries have one, or belong to one as its answers.
    pub carried: usize,
}

impl DescribedFlows {
    /// Sorts a file's entries.
    pub fn of(description: &Description, names: &NamesHere) -> Self {
        let mut flows = Self::default();
        let mut answers = Vec::new();
        for entry in &description.entries {
            match read(entry, names) {
                Ok((flow, false)) => {
                    flows.allowed.insert(flow);
                    flows.carried += 1;
                }
                Ok((flow, true)) => answers.push((entry, flow)),
                Err(why) => flows.left.push((entry.name.clone(), why)),
            }
        }
        for (entry, flow) in answers {
            match flows.allowed.contains(&flow) {
                true => flows.carried += 1,
                false => flows.left.push((entry.name.clone(), Why::AnswersAlone)),
            }
        }
        flows
    }
}

/// The connection that an entry is about, and whether the entry is about its answers.
fn read(entry: &AccessEntry, names: &NamesHere) -> Result<(DescribedFlow, bool), Why> {
    if !entry.accepts {
        return Err(Why::Refuses);
    }
    if entry.after_refusal {
        return Err(Why::AfterRefusal);
    }
    let mut matches = Matches::read(entry)?;
    let sender = match entry.policy {
        DevicePolicy::FromDevice => Opener::Camera,
        DevicePolicy::ToDevice => Opener::Peer,
    };
    // A stated direction decides; else ports do: a service's port is where its packets go to, and where
    // its answers come from.
    let about_answers = match matches.initiated {
        Some(opener) => opener != sender,
        None => matches.from.is_some() && matches.to.is_none(),
    };
    let opener = match (about_answers, sender) {
        (false, opener) => opener,
        (true, Opener::Camera) => Opener::Peer,
        (true, Opener::Peer) => Opener::Camera,
    };
    if about_answers {
        std::mem::swap(&mut matches.from, &mut matches.to);
    }
    // Without ports or a direction the packets that are sent to the camera may be answers, and then they are.
    let undirected = matches.initiated.is_none() && matches.from.is_none() && matches.to.is_none();
    let (about_answers, opener) = match undirected && sender == Opener::Peer {
        true => (true, Opener::Camera),
        false => (about_answers, opener),
    };
    let peer = matches.peer(opener, names)?;
    let service = matches.service()?;
    if let (Peer::Local, Some(group)) = (&peer, search(service)) {
        return Err(Why::Unrouted(group));
    }
    Ok((
        DescribedFlow {
            opener,
            service,
            peer,
        },
        about_answers,
    ))
}

/// The conditions of an entry that are understood.
#[derive(Debug, Default)]
struct Matches {
    initiated: Option<Opener>,
    from: Option<PortSpan>,
    to: Option<PortSpan>,
    protocol: Option<u8>,
    echo: bool,
    host: Option<String>,
    network: Option<IpNet>,
    kind: Option<(String, Value)>,
}

impl Matches {
    /// Every condition has to be understood: an entry without one of its conditions would allow more.
    fn read(entry: &AccessEntry) -> Result<Self, Why> {
        let mut read = Self::default();
        for (layer, conditions) in &entry.matches {
            let Value::Object(conditions) = conditions else {
                return Err(Why::Condition(layer.clone()));
            };
            match layer.as_str() {
                "ipv4" | "ipv6" => read.network_layer(conditions, entry.policy)?,
                "tcp" => read.transport(conditions, 6)?,
                "udp" => read.transport(conditions, 17)?,
                "icmp" => read.icmp(conditions)?,
                "eth" => return Err(Why::Frames),
                "ietf-mud:mud" => {
                    let mut kinds = conditions.iter();
                    match (kinds.next(), kinds.next()) {
                        (Some((kind, value)), None) => {
                            read.kind = Some((kind.clone(), value.clone()))
                        }
                        _ => {
                            return Err(Why::Condition(
                                "several kinds of hosts at once".to_owned(),
                            ));
                        }
                    }
                }
                _ => return Err(Why::Condition(layer.clone())),
            }
        }
        Ok(read)
    }

    fn network_layer(
        &mut self,
        conditions: &Map<String, Value>,
        policy: DevicePolicy,
    ) -> Result<(), Why> {
        let (host, network) = match policy {
            DevicePolicy::FromDevice => (
                "ietf-acldns:dst-dnsname",
                ["destination-ipv4-network", "destination-ipv6-network"],
            ),
            DevicePolicy::ToDevice => (
                "ietf-acldns:src-dnsname",
                ["source-ipv4-network", "source-ipv6-network"],
            ),
        };
        for (key, value) in conditions {
            let refused = || Why::Condition(format!("{key} {value}"));
            if key == "protocol" {
                self.is_protocol(
                    value
                        .as_u64()
                        .and_then(|number| u8::try_from(number).ok())
                        .ok_or_else(refused)?,
                )?;
            } else if key == host {
                let name = value
                    .as_str()
                    .filter(|name| is_host_name(name.strip_suffix('.').unwrap_or(name)))
                    .ok_or_else(refused)?;
                self.host = Some(name.trim_end_matches('.').to_ascii_lowercase());
            } else if network.contains(&key.as_str()) {
                self.network = Some(value.as_str().and_then(network_of).ok_or_else(refused)?);
            } else {
                return Err(refused());
            }
        }
        Ok(())
    }

    fn transport(&mut self, conditions: &Map<String, Value>, protocol: u8) -> Result<(), Why> {
        self.is_protocol(protocol)?;
        for (key, value) in conditions {
            let refused = || Why::Condition(format!("{key} {value}"));
            match key.as_str() {
                "source-port" => self.from = Some(PortSpan::read(value).ok_or_else(refused)?),
                "destination-port" => self.to = Some(PortSpan::read(value).ok_or_else(refused)?),
                "ietf-mud:direction-initiated" => {
                    self.initiated = Some(match value.as_str() {
                        Some("from-device") => Opener::Camera,
                        Some("to-device") => Opener::Peer,
                        _ => return Err(refused()),
                    });
                }
                _ => return Err(refused()),
            }
        }
        Ok(())
    }

    fn icmp(&mut self, conditions: &Map<String, Value>) -> Result<(), Why> {
        self.is_protocol(1)?;
        for (key, value) in conditions {
            match (key.as_str(), value.as_u64()) {
                ("type", Some(8)) => self.echo = true,
                ("code", Some(0)) => {}
                _ => return Err(Why::Condition(format!("ICMP with {key} {value}"))),
            }
        }
        Ok(())
    }

    /// The number in the header and the layer above it have to agree.
    fn is_protocol(&mut self, number: u8) -> Result<(), Why> {
        match self.protocol.replace(number) {
            Some(before) if before != number => Err(Why::Condition(format!(
                "protocol {before} and {number} at once"
            ))),
            _ => Ok(()),
        }
    }

    fn service(&self) -> Result<DescribedService, Why> {
        match self.protocol {
            Some(protocol @ (6 | 17)) => Ok(DescribedService::Transport {
                tcp: protocol == 6,
                to: self.to.unwrap_or(PortSpan::ALL),
                from: self.from,
            }),
            Some(1) if self.echo => Ok(DescribedService::Ping),
            Some(1) => Err(Why::Condition("every kind of ICMP".to_owned())),
            // By these IPv6 asks for its neighbors, and hop by hop: neither crosses a router.
            Some(number @ (0 | 58)) => Err(Why::Condition(format!("protocol {number}"))),
            Some(number) => Ok(DescribedService::Protocol(number)),
            None => Err(Why::Condition("every protocol".to_owned())),
        }
    }

    fn peer(&self, opener: Opener, names: &NamesHere) -> Result<Peer, Why> {
        let peer = match (&self.host, self.network, &self.kind) {
            (Some(name), None, None) => Peer::Host(name.clone()),
            (None, Some(network), None) => on_the_internet(network)?,
            (None, None, Some((kind, value))) => of_kind(kind, value, names)?,
            (None, None, None) => return Err(Why::Anybody),
            _ => return Err(Why::Condition("a host in two ways".to_owned())),
        };
        match (opener, &peer) {
            (Opener::Peer, Peer::Host(_) | Peer::Network(_)) => Err(Why::Inbound),
            (Opener::Peer, Peer::Router) => {
                Err(Why::Unknown("what the router itself opens".to_owned()))
            }
            _ => Ok(peer),
        }
    }
}

/// The multicast group at which devices are found by this service.
fn search(service: DescribedService) -> Option<IpAddr> {
    let DescribedService::Transport { tcp: false, to, .. } = service else {
        return None;
    };
    let group = match to.single()? {
        1900 | 3702 => Ipv4Addr::new(239, 255, 255, 250),
        5353 => Ipv4Addr::new(224, 0, 0, 251),
        5355 => Ipv4Addr::new(224, 0, 0, 252),
        _ => return None,
    };
    Some(group.into())
}

fn network_of(text: &str) -> Option<IpNet> {
    let network = text
        .parse()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    network.map(|network: IpNet| network.trunc())
}

fn on_the_internet(network: IpNet) -> Result<Peer, Why> {
    let IpNet::V4(v4) = network else {
        return Err(Why::Condition(format!("{network} in a file for IPv4")));
    };
    let address = v4.addr();
    if address.is_multicast() || address.is_broadcast() {
        return Err(Why::Unrouted(address.into()));
    }
    if v4.prefix_len() == 0 {
        return Err(Why::Anybody);
    }
    if address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_unspecified()
    {
        return Err(Why::Private(network));
    }
    Ok(Peer::Network(network))
}

/// The kinds of RFC 8520, 8.; of the controllers two are known by name.
fn of_kind(kind: &str, value: &Value, names: &NamesHere) -> Result<Peer, Why> {
    let unknown = |who: &str| Err(Why::Unknown(format!("{who} {value}")));
    match (kind, value.as_str()) {
        ("local-networks", _) => match names.local {
            Some(_) => Ok(Peer::Local),
            None => Err(Why::NoLocalZone),
        },
        ("controller", Some("urn:ietf:params:mud:dns" | "urn:ietf:params:mud:ntp")) => {
            Ok(Peer::Router)
        }
        ("controller", _) => unknown("the controller"),
        ("manufacturer", _) => unknown("a device of the maker"),
        ("model", _) => unknown("a device of the model"),
        ("my-controller", _) => Err(Why::Unknown("the device's controller".to_owned())),
        ("same-manufacturer", _) => Err(Why::Unknown("a device of the same maker".to_owned())),
        _ => Err(Why::Condition(kind.to_owned())),
    }
}
