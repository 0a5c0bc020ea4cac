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
    /// Other IP protocols.
    pub(crate) protocols: &'static [u8],
    /// The range within `tcp` that passive FTP uses for data connections.
    pub(crate) passive: Option<(u16, u16)>,
}

const fn tcp(name: &'static str, tcp: &'static [(u16, u16)]) -> WellKnownService {
    WellKnownService {
        name,
        tcp,
        udp: &[],
        icmp: &[],
        protocols: &[],
        passive: None,
    }
}

const fn udp(name: &'static str, udp: &'static [(u16, u16)]) -> WellKnownService {
    WellKnownService {
        name,
        tcp: &[],
        udp,
        icmp: &[],
        protocols: &[],
        passive: None,
    }
}

const fn both(name: &'static str, ports: &'static [(u16, u16)]) -> WellKnownService {
    WellKnownService {
        name,
        tcp: ports,
        udp: ports,
        icmp: &[],
        protocols: &[],
        passive: None,
    }
}

const fn protocol(name: &'static str, protocols: &'static [u8]) -> WellKnownService {
    WellKnownService {
        protocols,
        ..tcp(name, &[])
    }
}

/// The name of all that there is.
pub(crate) const ALL: &str = "all";

const CATALOGUE: &[WellKnownService] = &[
    // With every other protocol, see `Service::everything`.
    both(ALL, &[(1, u16::MAX)]),
    // The client protocol of Dahua's cameras and recorders (Dahua's NetSDK; DVRIP in other
    // programs).
    tcp("dahua-sdk", &[(37777, 37777)]),
    udp("dhcp", &[(port::DHCP_SERVER, port::DHCP_SERVER)]),
    udp("dhcpv6", &[(port::DHCPV6_SERVER, port::DHCPV6_SERVER)]),
    both("dns", &[(53, 53)]),
    // RFC 7858.
    tcp("dns-over-tls", &[(853, 853)]),
    protocol("esp", &[50]),
    WellKnownService {
        passive: Some((50000, 50100)),
        ..tcp("ftp", &[(port::FTP, port::FTP), (50000, 50100)])
    },
    // Without ports; PPTP needs its control connection, tcp 1723, as well.
    protocol("gre", &[47]),
    // The server port of Hikvision's cameras and recorders, 8000 unless changed (Hikvision's
    // Device Network SDK, NET_DVR_Login_V40).
    tcp("hikvision-sdk", &[(8000, 8000)]),
    tcp("http", &[(80, 80)]),
    tcp("http-alt", &[(8080, 8080)]),
    tcp("https", &[(443, 443)]),
    // Membership of multicast groups on a link, to groups or to 224.0.0.x.
    protocol("igmp", &[2]),
    // IKE, and ESP within UDP (RFC 7296, RFC 3948). ESP by itself has no ports.
    udp("ipsec", &[(500, 500), (4500, 4500)]),
    udp("mdns", &[(5353, 5353)]),
    tcp("mqtt", &[(1883, 1883)]),
    tcp("mqtts", &[(8883, 8883)]),
    // NFSv4 needs no other port (RFC 7530, section 3.1).
    tcp("nfs", &[(2049, 2049)]),
    udp("ntp", &[(port::NTP, port::NTP)]),
    // Device and media services of ONVIF are web services over HTTP or HTTPS (ONVIF Core
    // Specification, "Transport"); some makers have them at another port.
    tcp("onvif", &[(80, 80), (443, 443)]),
    // WS-Discovery, used to discover ONVIF devices.
    udp("onvif-discovery", &[(3702, 3702)]),
    both("openvpn", &[(1194, 1194)]),
    WellKnownService {
        name: "ping",
        tcp: &[],
        udp: &[],
        icmp: &[IcmpType::ECHO_REQUEST],
        protocols: &[],
        passive: None,
    },
    // The "basic service port" of Reolink's cameras, which its programs log in at (Reolink's
    // list of default ports).
    tcp("reolink", &[(9000, 9000)]),
    // IANA's macromedia-fcs; Adobe's RTMP specification, section 5.
    tcp("rtmp", &[(1935, 1935)]),
    // RTP and RTCP by the registry (avt-profile-1 and -2). Streams that RTSP sets up over
    // UDP go to ports of the viewer's choice instead: write those of the recorder.
    udp("rtp", &[(5004, 5005)]),
    // The control connection; with RTP interleaved in it no further port is needed.
    both("rtsp", &[(554, 554)]),
    both("rtsp-alt", &[(8554, 8554)]),
    tcp("rtsps", &[(322, 322)]),
    both("sip", &[(5060, 5060)]),
    tcp("sips", &[(5061, 5061)]),
    // IANA's microsoft-ds; SMB over TCP alone, without NetBIOS.
    tcp("smb", &[(445, 445)]),
    tcp("smtp", &[(25, 25)]),
    udp("snmp", &[(161, 161)]),
    udp("snmp-trap", &[(162, 162)]),
    udp("ssdp", &[(1900, 1900)]),
    tcp("ssh", &[(22, 22)]),
    // RFC 8489.
    both("stun", &[(3478, 3478)]),
    tcp("submission", &[(587, 587)]),
    tcp("submissions", &[(465, 465)]),
    // RFC 5426 over UDP, RFC 6587 over TCP.
    both("syslog", &[(514, 514)]),
    // The range that traceroute(8) counts up from; its probes are UDP.
    udp("traceroute", &[(33434, 33534)]),
    // A TURN server's own ports, without and with TLS (RFC 8656, section 3.1).
    both("turn", &[(3478, 3478), (5349, 5349)]),
    // To 224.0.0.18 (RFC 9568).
    protocol("vrrp", &[112]),
    // The port of wg(8)'s and wireguard.com's examples; there is none by registry.
    udp("wireguard", &[(51820, 51820)]),
    // SOAP over UDP (OASIS WS-Discovery 1.1, section 2.4).
    udp("ws-discovery", &[(3702, 3702)]),
    // DVR-IP of Xiongmai's boards, which many brands sell (sofiactl, go2rtc).
    tcp("xiongmai", &[(34567, 34567)]),
];

/// The built-in service of this name.
pub(crate) fn find(name: &str) -> Option<&'static WellKnownService> {
    CATALOGUE.iter().find(|service| service.name == name)
}

/// Every built-in service, in the order of their names.
pub(crate) fn all() -> impl Iterator<Item = &'static WellKnownService> {
    CATALOGUE.iter()
}

/// The built-in service whose first port, or ICMP type, of this protocol it is.
pub(crate) fn of(protocol: u8, port: u16) -> Option<&'static str> {
    let ports = |service: &'static WellKnownService| match protocol {
        6 => service.tcp,
        17 => service.udp,
        _ => &[],
    };
    if matches!((protocol, port), (1, 8) | (58, 128)) {
        return Some("ping");
    }
    let mut services = CATALOGUE.iter();
    let found = services.find(|service| ports(service).first() == Some(&(port, port)));
    found.map(|service| service.name)
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
