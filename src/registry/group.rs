//! UDP services that are asked by multicast or broadcast, and how they answer.
//!
//! Conntrack assigns an answer to a connection only if it comes from the address that was
//! asked, and no host has a multicast address as its own: so the answers of these services
//! are new connections to it. So are the requests of a server that asks others from its own
//! port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::multicast::DISCOVERY;
use super::port::{DHCP_CLIENT, DHCP_SERVER, NTP};

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
        port: 547,
        groups: vec![
            Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2).into(),
            Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 1, 3).into(),
        ],
        answers_to: Some(546),
    };
    let discovery = DISCOVERY.iter().map(|it| GroupService {
        port: it.port,
        groups: vec![it.ipv4.into(), it.ipv6.into()],
        answers_to: None,
    });
    [dhcp, dhcpv6].into_iter().chain(discovery)
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
