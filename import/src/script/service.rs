//! Protocols and ports as the services of a configuration.

use super::spans::{PacketBox, ServiceSpans, Spans};

/// A protocol list longer than this is no list that anybody meant.
const MOST_PROTOCOLS: u32 = 16;

/// The services that camfw's catalogue has with exactly these ports.
const TCP: &[(u32, &str)] = &[
    (22, "ssh"),
    (25, "smtp"),
    (80, "http"),
    (443, "https"),
    (445, "smb"),
    (465, "submissions"),
    (587, "submission"),
    (1883, "mqtt"),
    (8080, "http-alt"),
    (8883, "mqtts"),
];
const UDP: &[(u32, &str)] = &[
    (67, "dhcp"),
    (123, "ntp"),
    (161, "snmp"),
    (5353, "mdns"),
    (51820, "wireguard"),
];

/// Whether it has more protocols without ports than a line lists.
pub fn has_more_protocols(packets: &PacketBox, to_router: bool) -> bool {
    let others = &packets.service.other;
    let count: u32 = others.iter().map(|(first, last)| last - first + 1).sum();
    count > MOST_PROTOCOLS && (to_router || packets.service != ServiceSpans::all())
}

/// The value of `service`; `None` where nothing of it begins a connection that a line can be about.
pub fn in_toml(packets: &PacketBox, to_router: bool) -> Option<String> {
    let service = &packets.service;
    let any_source = packets.source_ports == Spans::ports();
    if any_source && !to_router && *service == ServiceSpans::all() {
        return Some("\"all\"".to_owned());
    }
    if any_source && let Some(name) = name(service) {
        return Some(format!("\"{name}\""));
    }
    let mut keys = Vec::new();
    for (key, ports) in [("tcp", &service.tcp), ("udp", &service.udp)] {
        keys.extend(ports_in_toml(ports).map(|ports| format!("{key} = {ports}")));
    }
    if !any_source && !keys.is_empty() {
        keys.extend(
            ports_in_toml(&packets.source_ports).map(|ports| format!("source-port = {ports}")),
        );
    }
    // ICMP's other types are answers and errors, which begin no connection.
    let kinds = [(8, "\"echo-request\""), (13, "\"timestamp-request\"")];
    let kinds: Vec<&str> = kinds
        .iter()
        .filter(|(number, _)| service.icmp.covers(&Spans::one(*number, *number)))
        .map(|kind| kind.1)
        .collect();
    if !kinds.is_empty() {
        keys.push(format!("icmp = [{}]", kinds.join(", ")));
    }
    // Of these IPv6 and the network itself are made.
    let others = service
        .other
        .minus(&Spans::one(0, 0))
        .minus(&Spans::one(58, 58));
    let numbers: Vec<String> = others
        .iter()
        .flat_map(|(first, last)| first..=last)
        .map(|number| number.to_string())
        .collect();
    if !numbers.is_empty() && !has_more_protocols(packets, to_router) {
        keys.push(format!("protocol = [{}]", numbers.join(", ")));
    }
    (!keys.is_empty()).then(|| format!("{{ {} }}", keys.join(", ")))
}

fn name(service: &ServiceSpans) -> Option<&'static str> {
    let only = |of: ServiceSpans| of == *service;
    let nothing = ServiceSpans::default;
    let one = |port: u32| Spans::one(port, port);
    let tcp = service.tcp.single().filter(|port| {
        only(ServiceSpans {
            tcp: one(*port),
            ..nothing()
        })
    });
    let udp = service.udp.single().filter(|port| {
        only(ServiceSpans {
            udp: one(*port),
            ..nothing()
        })
    });
    let known = |list: &'static [(u32, &'static str)], port| {
        list.iter().find(|it| it.0 == port).map(|it| it.1)
    };
    match (tcp, udp) {
        (Some(port), _) => known(TCP, port),
        (_, Some(port)) => known(UDP, port),
        _ if only(ServiceSpans {
            icmp: one(8),
            ..nothing()
        }) =>
        {
            Some("ping")
        }
        _ => None,
    }
}

/// A port, or a list of ports and ranges. Port 0 is nobody's.
pub fn ports_in_toml(ports: &Spans) -> Option<String> {
    let written = ports.and(&Spans::one(1, u16::MAX.into()));
    let written: Vec<String> = written
        .iter()
        .map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("\"{first}-{last}\""),
        })
        .collect();
    match &written[..] {
        [] => None,
        [one] => Some(one.clone()),
        several => Some(format!("[{}]", several.join(", "))),
    }
}
