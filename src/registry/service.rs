//! The built-in services. A configuration file may replace any of them.
//!
//! Owns their port numbers, which are from IANA's registry of service names and port
//! numbers unless a comment says otherwise.

use super::port;
use crate::field::IcmpType;

/// A built-in service; each port range has its first and last port.
pub(crate) struct WellKnownService {
    pub(crate) name: &'static str,
    pub(crate) tcp: &'static [(u16, u16)],
    pub(crate) udp: &'static [(u16, u16)],
    pub(crate) icmp: &'static [IcmpType],
    /// The range within `tcp` that passive FTP uses for data connections.
    pub(crate) passive: Option<(u16, u16)>,
}

const fn tcp(name: &'static str, tcp: &'static [(u16, u16)]) -> WellKnownService {
    WellKnownService {
        name,
        tcp,
        udp: &[],
        icmp: &[],
        passive: None,
    }
}

const fn udp(name: &'static str, udp: &'static [(u16, u16)]) -> WellKnownService {
    WellKnownService {
        name,
        tcp: &[],
        udp,
        icmp: &[],
        passive: None,
    }
}

const fn both(name: &'static str, ports: &'static [(u16, u16)]) -> WellKnownService {
    WellKnownService {
        name,
        tcp: ports,
        udp: ports,
        icmp: &[],
        passive: None,
    }
}

const CATALOGUE: &[WellKnownService] = &[
    udp("dhcp", &[(port::DHCP_SERVER, port::DHCP_SERVER)]),
    both("dns", &[(53, 53)]),
    WellKnownService {
        passive: Some((50000, 50100)),
        ..tcp("ftp", &[(port::FTP, port::FTP), (50000, 50100)])
    },
    tcp("http", &[(80, 80)]),
    tcp("https", &[(443, 443)]),
    tcp("mqtt", &[(1883, 1883)]),
    tcp("mqtts", &[(8883, 8883)]),
    udp("ntp", &[(port::NTP, port::NTP)]),
    // WS-Discovery, used to discover ONVIF devices.
    udp("onvif-discovery", &[(3702, 3702)]),
    WellKnownService {
        name: "ping",
        tcp: &[],
        udp: &[],
        icmp: &[IcmpType::ECHO_REQUEST],
        passive: None,
    },
    // The control connection; with RTP interleaved in it no further port is needed.
    both("rtsp", &[(554, 554)]),
    tcp("smtp", &[(25, 25)]),
    udp("snmp", &[(161, 161)]),
    udp("snmp-trap", &[(162, 162)]),
    tcp("ssh", &[(22, 22)]),
    tcp("submission", &[(587, 587)]),
    tcp("submissions", &[(465, 465)]),
    // RFC 5426 over UDP, RFC 6587 over TCP.
    both("syslog", &[(514, 514)]),
    // The range that traceroute(8) counts up from; its probes are UDP.
    udp("traceroute", &[(33434, 33534)]),
];

/// The built-in service of this name.
pub(crate) fn find(name: &str) -> Option<&'static WellKnownService> {
    CATALOGUE.iter().find(|service| service.name == name)
}

/// Every built-in name, for use in messages.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    CATALOGUE.iter().map(|entry| entry.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_so_unique() {
        assert!(names().zip(names().skip(1)).all(|(a, b)| a < b));
    }
}
