//! Addresses, ports, protocols and ICMP types as people write them for iptables.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::spans::Spans;
use crate::host_name::is_host_name;

/// Whom a rule is about.
#[derive(Debug, PartialEq, Eq)]
pub enum WrittenAddress {
    Spans(Spans),
    /// A host's name, which iptables asks DNS for.
    Name(String),
}

/// `192.168.8.0/24`, `192.168.8.0/255.255.255.0`, `10.0.0.1,10.0.0.2`, or a name.
pub fn addresses(text: &str) -> Result<WrittenAddress, String> {
    if text.contains(':') {
        return Err(format!(
            "{text} is an address of IPv6, which iptables does not take"
        ));
    }
    let mut all = Spans::default();
    for one in text.split(',') {
        match network(one) {
            Some(network) => all = all.or(&Spans::network(network)),
            None if is_host_name(text) => {
                return Ok(WrittenAddress::Name(text.to_ascii_lowercase()));
            }
            None => return Err(format!("{one:?} is neither an address nor a network")),
        }
    }
    Ok(WrittenAddress::Spans(all))
}

/// An address, or a network with the length of its prefix or its mask.
pub fn network(text: &str) -> Option<Ipv4Net> {
    match text.split_once('/') {
        None => text.parse::<Ipv4Addr>().ok().map(Ipv4Net::from),
        Some((address, mask)) => {
            let address: Ipv4Addr = address.parse().ok()?;
            match mask.parse::<u8>() {
                Ok(length) => Ipv4Net::new(address, length).ok(),
                Err(_) => Ipv4Net::with_netmask(address, mask.parse().ok()?).ok(),
            }
        }
    }
}

/// `192.168.8.10-192.168.8.20`.
pub fn range(text: &str) -> Option<Spans> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (Ipv4Addr, Ipv4Addr) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then(|| Spans::one(first.into(), last.into()))
}

/// `8443`, `https`, `50000:50100`, `80,443`, `:1023`.
pub fn ports(text: &str) -> Option<Spans> {
    let mut all = Spans::default();
    for one in text.split(',') {
        let (first, last) = match one.split_once([':', '-']).filter(|_| port(one).is_none()) {
            Some(("", last)) => (0, port(last)?),
            Some((first, "")) => (port(first)?, u16::MAX),
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(one)?, port(one)?),
        };
        if first > last {
            return None;
        }
        all = all.or(&Spans::one(first.into(), last.into()));
    }
    Some(all)
}

/// A port by its number, or by the name that /etc/services has.
fn port(text: &str) -> Option<u16> {
    const NAMES: &[(&str, u16)] = &[
        ("bootpc", 68),
        ("bootps", 67),
        ("domain", 53),
        ("ftp", 21),
        ("ftp-data", 20),
        ("http", 80),
        ("http-alt", 8080),
        ("https", 443),
        ("imap", 143),
        ("imap2", 143),
        ("imaps", 993),
        ("ipp", 631),
        ("mdns", 5353),
        ("microsoft-ds", 445),
        ("mysql", 3306),
        ("netbios-dgm", 138),
        ("netbios-ns", 137),
        ("netbios-ssn", 139),
        ("nfs", 2049),
        ("ntp", 123),
        ("openvpn", 1194),
        ("pop3", 110),
        ("pop3s", 995),
        ("rtsp", 554),
        ("sip", 5060),
        ("smtp", 25),
        ("snmp", 161),
        ("snmp-trap", 162),
        ("ssh", 22),
        ("submission", 587),
        ("submissions", 465),
        ("sunrpc", 111),
        ("syslog", 514),
        ("telnet", 23),
        ("tftp", 69),
        ("webcache", 8080),
        ("www", 80),
    ];
    match text.parse() {
        Ok(number) => Some(number),
        Err(_) => NAMES
            .iter()
            .find(|known| known.0 == text)
            .map(|known| known.1),
    }
}

/// A protocol's number, or all of them.
pub fn protocol(text: &str) -> Option<Spans> {
    const NAMES: &[(&str, u32)] = &[
        ("ah", 51),
        ("esp", 50),
        ("gre", 47),
        ("icmp", 1),
        ("igmp", 2),
        ("ipv6", 41),
        ("ospf", 89),
        ("sctp", 132),
        ("tcp", 6),
        ("udp", 17),
        ("udplite", 136),
        ("vrrp", 112),
    ];
    let name = text.to_ascii_lowercase();
    if name == "all" || name == "0" {
        return Some(Spans::one(0, 255));
    }
    let number = match name.parse::<u8>() {
        Ok(number) => u32::from(number),
        Err(_) => NAMES.iter().find(|known| known.0 == name)?.1,
    };
    Some(Spans::one(number, number))
}

/// ICMP types, whatever their code.
pub fn icmp(text: &str) -> Option<Spans> {
    const NAMES: &[(&str, u8)] = &[
        ("address-mask-reply", 18),
        ("address-mask-request", 17),
        ("destination-unreachable", 3),
        ("echo-reply", 0),
        ("echo-request", 8),
        ("fragmentation-needed", 3),
        ("host-unreachable", 3),
        ("network-unreachable", 3),
        ("parameter-problem", 12),
        ("ping", 8),
        ("pong", 0),
        ("port-unreachable", 3),
        ("redirect", 5),
        ("router-advertisement", 9),
        ("router-solicitation", 10),
        ("source-quench", 4),
        ("time-exceeded", 11),
        ("timestamp-reply", 14),
        ("timestamp-request", 13),
        ("ttl-exceeded", 11),
        ("ttl-zero-during-transit", 11),
    ];
    if text == "any" || text == "255" {
        return Some(Spans::one(0, 255));
    }
    let number = match NAMES.iter().find(|known| known.0 == text) {
        Some(known) => known.1,
        None => text.split('/').next()?.parse().ok()?,
    };
    Some(Spans::one(number.into(), number.into()))
}

/// A hardware address, as the configuration has it.
pub fn hardware(text: &str) -> Option<String> {
    let bytes: Vec<&str> = text.split([':', '-']).collect();
    let is_byte = |byte: &&str| byte.len() == 2 && byte.bytes().all(|it| it.is_ascii_hexdigit());
    (bytes.len() == 6 && bytes.iter().all(is_byte)).then(|| bytes.join(":").to_ascii_lowercase())
}

/// `192.168.8.110:80`, `192.168.8.110:6000-6010`, or the address alone.
pub fn host_and_ports(text: &str) -> Option<(Ipv4Addr, Option<(u16, u16)>)> {
    let Some((address, ports)) = text.split_once(':') else {
        return Some((text.parse().ok()?, None));
    };
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    let is_range = first > 0 && first <= last;
    is_range.then_some(())?;
    Some((address.parse().ok()?, Some((first, last))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_ports_are_read_as_iptables_reads_them() {
        let net = |text: &str| network(text).map(|net| net.to_string());
        assert_eq!(
            net("192.168.8.0/255.255.255.0").as_deref(),
            Some("192.168.8.0/24")
        );
        assert_eq!(net("192.168.8.9").as_deref(), Some("192.168.8.9/32"));
        assert_eq!(net("192.168.8.0/255.0.255.0"), None);
        assert_eq!(ports("ftp-data"), Some(Spans::one(20, 20)));
        assert_eq!(ports("ssh:23"), Some(Spans::one(22, 23)));
        assert_eq!(ports(":1023"), Some(Spans::one(0, 1023)));
        assert_eq!(ports("9:1"), None);
        assert_eq!(icmp("8/0"), Some(Spans::one(8, 8)));
        assert_eq!(host_and_ports("10.0.0.1:0"), None);
        assert_eq!(
            addresses("cams.example.org"),
            Ok(WrittenAddress::Name("cams.example.org".to_owned()))
        );
        assert!(addresses("fd00::1").is_err() && addresses("10.0.0.1/40").is_err());
    }
}
