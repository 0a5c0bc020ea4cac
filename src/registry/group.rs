//! UDP services that are asked by multicast or broadcast, and how they answer.
//!
//! Conntrack assigns an answer to a connection only if it comes from the address that was
//! asked, and no host has a multicast address as its own: so the answers of these services
//! are new connections to it. So are the requests of a server that asks others from its own
//! port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

use super::multicast::DISCOVERY;
use super::port::{DHCP_CLIENT, DHCP_SERVER, DHCPV6_SERVER, NTP};
use super::special_purpose::LINK_LOCAL;
use crate::family::IpFamily;

/// DHCPv6's port of clients (RFC 8415, 7.2).
const DHCPV6_CLIENT: u16 = 546;

/// A UDP service that is asked by multicast or broadcast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupService {
    /// Its port.
    pub(crate) port: u16,
    /// The multicast groups and broadcast addresses at which it is asked.
    pub(crate) groups: Vec<IpAddr>,
    /// The port that it answers to; None means any.
    pub(crate) answers_to: Option<u16>,
}

/// All of them: DHCP servers, and hosts that discover each other.
pub(crate) fn services() -> impl Iterator<Item = GroupService> {
    // RFC 2131, 4.1
    let dhcp = GroupService {
        port: DHCP_SERVER,
        groups: vec![Ipv4Addr::BROADCAST.into()],
        answers_to: Some(DHCP_CLIENT),
    };
    // RFC 8415, 7.1 and 7.2
    let dhcpv6 = GroupService {
        port: DHCPV6_SERVER,
        groups: vec![
            Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2).into(),
            Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 1, 3).into(),
        ],
        answers_to: Some(DHCPV6_CLIENT),
    };
    let discovery = DISCOVERY.iter().map(|it| GroupService {
        port: it.port,
        groups: vec![it.ipv4.into(), it.ipv6.into()],
        answers_to: None,
    });
    [dhcp, dhcpv6].into_iter().chain(discovery)
}

/// How a DHCP server answers a host that has no address which it could be asked from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeaseAnswer {
    /// The server's port.
    pub(crate) from: u16,
    /// The client's port.
    pub(crate) to: u16,
    /// The destinations.
    pub(crate) at: IpNet,
}

/// How it answers by IPv4 (RFC 2131, 4.1: by broadcast) and by IPv6 (RFC 8415, 18.3: to
/// the link-local address of who asked a group).
pub(crate) fn lease_answer(family: IpFamily) -> LeaseAnswer {
    match family {
        IpFamily::V4 => LeaseAnswer {
            from: DHCP_SERVER,
            to: DHCP_CLIENT,
            at: IpNet::V4(Ipv4Net::from(Ipv4Addr::BROADCAST)),
        },
        IpFamily::V6 => LeaseAnswer {
            from: DHCPV6_SERVER,
            to: DHCPV6_CLIENT,
            at: IpNet::V6(LINK_LOCAL),
        },
    }
}

/// Datagrams that a server sends to hosts that did not ask it directly: from this port, to
/// this port or any. Those that are answers are sent only if the service is offered.
pub(crate) fn sent_unasked(
    is_offered: impl Fn(u16) -> bool,
) -> impl Iterator<Item = (u16, Option<u16>)> {
    let answers = services().filter(move |it| is_offered(it.port));
    let answers = answers.map(|it| (it.port, it.answers_to));
    // A time server asks others from the port at which it answers (RFC 5905, 7.3).
    answers.chain([(NTP, Some(NTP))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_asked_at_what_is_no_hosts_address() {
        for service in services() {
            assert!(!service.groups.is_empty(), "{}", service.port);
            for group in service.groups {
                let broadcast = group == IpAddr::V4(Ipv4Addr::BROADCAST);
                assert!(group.is_multicast() || broadcast, "{group}");
            }
        }
    }
}
