//! `camfw trace`: follows one packet through the rules.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv6Addr};

use super::dump::{LIVE, NETWORKS, RULES, dump, networks, plan};
use super::json::{JSON, print_json};
use super::show::service_named;
use super::value::{Address, Hops, Mark, Port};
use super::{CliError, Command, ExitCode, Flag, Given, UsageError, print};
use crate::family::IpFamily;
use crate::field::PortRange;
use crate::host::text_file;
use crate::netfilter::Protocol;
use crate::policy::{Camera, Service};
use crate::prove::{DescribedPacket, PacketAddress, Tracer};
use crate::registry::icmpv6;

const PACKETS: Flag = Flag::valued("packets", "FILE", "packets, one a line, in the flags below");

const SRC: Flag = Flag::valued("src", "A", "source address, or a camera's name");
const DST: Flag = Flag::valued("dst", "A", "destination address, likewise");
const FROM: Flag = Flag::valued("from", "ZONE", "whence: a zone, an interface or router");
const TO: Flag = Flag::valued("to", "ZONE", "where to, likewise");
const PROTO: Flag = Flag::valued("proto", "P", "tcp unless given; udp, icmp or a number");
const SPORT: Flag = Flag::valued("sport", "N", "source port; 40000 unless given");
const DPORT: Flag = Flag::valued("dport", "N", "destination port, or a service's name");
const ICMP_TYPE: Flag = Flag::valued("icmp-type", "TYPE/CODE", "8 or 3/1; as ping unless given");
const FLAGS: Flag = Flag::valued("flags", "LIST", "SYN,ACK or NONE; SYN unless given");
const STATE: Flag = Flag::valued(
    "state",
    "STATE",
    "NEW (unless given), ESTABLISHED, RELATED, INVALID or\nUNTRACKED",
);
const MAC: Flag = Flag::valued("mac", "M", "source hardware address");
const MARK: Flag = Flag::valued("mark", "N", "mark");
const TTL: Flag = Flag::valued("ttl", "N", "time to live, hop limit; 64 unless given");
const FRAGMENT: Flag = Flag::switch("fragment", "a fragment, and not the first");
const DNAT: Flag = Flag::switch("dnat", "its connection's destination is rewritten");
const SNAT: Flag = Flag::switch("snat", "its connection's source is rewritten");
const CTDIR: Flag = Flag::valued("ctdir", "WAY", "ORIGINAL (unless given) or REPLY");
const CTORIGSRC: Flag = Flag::valued("ctorigsrc", "A", "who opened its connection");
const CTORIGDST: Flag = Flag::valued("ctorigdst", "A", "whom it was opened to");
const CTREPLSRC: Flag = Flag::valued("ctreplsrc", "A", "who answers");
const CTREPLDST: Flag = Flag::valued("ctrepldst", "A", "whom the answers go to");
const ORIG_PORT: Flag = Flag::valued("ctorigsrcport", "N", "the port that it was opened from");
const REPL_PORT: Flag = Flag::valued("ctreplsrcport", "N", "the port that is answered from");
const EXPECTED: Flag = Flag::switch("expected", "a helper expected its connection");
const HELPER: Flag = Flag::valued("helper", "NAME", "which one: ftp, or another");
const ELSEWHERE: Flag = Flag::switch("elsewhere", "to none of the router's addresses");
const OWN: Flag = Flag::switch(
    "own",
    "to the router's address on another interface,\nwhich the file does not know",
);

pub(super) const COMMAND: Command =
    Command::new("trace", "what becomes of one packet, rule by rule", run)
        .about(
            "The packet's addresses are needed; all else has a default. Where it comes from
and goes to is told by its addresses if the policy or --networks has them. The
ends of its connection are those of iptables-extensions(8), conntrack.",
        )
        .flags(&[
            LIVE, RULES, NETWORKS, PACKETS, JSON, SRC, DST, FROM, TO, PROTO, SPORT, DPORT,
            ICMP_TYPE, FLAGS, STATE, MAC, MARK, TTL, FRAGMENT, DNAT, SNAT, CTDIR, CTORIGSRC,
            CTORIGDST, CTREPLSRC, CTREPLDST, ORIG_PORT, REPL_PORT, EXPECTED, HELPER, ELSEWHERE,
            OWN,
        ]);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let mut named = PacketNames::default();
    let tracer = match given.file(&RULES) {
        Some(file) => {
            let read = dump(&file)?;
            let behind = networks(given)?;
            if let Some(behind) = &behind {
                read.strays(&given.file(&NETWORKS).unwrap_or_default(), behind)?;
            }
            // Where the rules do not tell, the packet does.
            let source = given.file(&SRC).and_then(|it| it.parse::<IpAddr>().ok());
            let family = match source {
                Some(IpAddr::V6(_)) if !read.tells => IpFamily::V6,
                _ => read.family,
            };
            Tracer::of_rules(read.rules, family, behind.unwrap_or_default())
        }
        None => {
            let plan = plan(given)?;
            named.cameras.clone_from(&plan.policy.cameras);
            named.services.clone_from(&plan.policy.services);
            Tracer::of_policy(plan.policy, plan.rules)
        }
    };
    let Some(file) = given.file(&PACKETS) else {
        let traced = tracer.path(&packet(given, &named)?)?;
        return Ok(match given.has(&JSON) {
            true => print_json(&traced),
            false => print(&traced.to_string()),
        });
    };
    let text = text_file::read(&file)?;
    let at = |line: usize, error: CliError| CliError::PacketLine {
        file: file.clone(),
        line: line + 1,
        source: Box::new(error),
    };
    let (mut lines, mut packets) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        if !line.trim().is_empty() {
            lines.push(number);
            let packet = words(line).and_then(|given| packet(&given, &named));
            packets.push(packet.map_err(|error| at(number, error.into()))?);
        }
    }
    let told = match given.has(&JSON) {
        true => tracer.paths(&packets),
        false => tracer.verdicts(&packets),
    };
    let told = told.map_err(|(index, error)| at(lines[index], error.into()))?;
    Ok(print(&told))
}

/// Parses a packet given as the flags of `camfw trace`, with or without the command
/// before them.
///
/// # Errors
/// Returns the unknown flag or invalid value.
pub(super) fn packet_of_line(line: &str) -> Result<DescribedPacket, UsageError> {
    packet(&words(line)?, &PacketNames::default())
}

fn words(line: &str) -> Result<Given, UsageError> {
    Given::read(line.split_whitespace().map(OsString::from))
}

/// What a packet may be described by in place of numbers.
#[derive(Default)]
struct PacketNames {
    cameras: Vec<Camera>,
    services: Vec<Service>,
}

impl PacketNames {
    /// An address, or that of a camera by its name, of this family if it has one.
    fn address(
        &self,
        given: &Given,
        flag: &Flag,
        family: IpFamily,
    ) -> Result<Option<IpAddr>, UsageError> {
        let written = given.file(flag);
        let mut cameras = self.cameras.iter();
        let camera = cameras.find(|camera| written.as_deref() == Some(camera.name.as_str()));
        Ok(match camera {
            Some(camera) => camera.addresses_of(family).chain(camera.addresses()).next(),
            None => given.value(flag)?.map(|Address(address)| address),
        })
    }

    /// What `--dport` says: a port, or by the name of a service a packet that it lets
    /// through, of the protocol that is asked for if it has that.
    fn service(
        &self,
        given: &Given,
        protocol: Option<Protocol>,
        ipv6: bool,
    ) -> Result<DescribedPacket, UsageError> {
        let mut packet = DescribedPacket::default();
        let written = given.file(&DPORT).unwrap_or_default();
        if !written.starts_with(|first: char| first.is_ascii_lowercase()) {
            packet.destination_port = given.value(&DPORT)?.map(|Port(port)| port);
            return Ok(packet);
        }
        let service = service_named(&written, &self.services)?;
        let first = |ports: &[PortRange]| Some(ports.first()?.first());
        let icmp = service.icmp.first().copied();
        let icmp = match ipv6 {
            true => icmp
                .and_then(icmpv6::counterpart)
                .map(|it| (Protocol::Icmpv6, it)),
            false => icmp.map(|it| (Protocol::Icmp, it)),
        };
        let mut ways = vec![
            (Protocol::Tcp, first(&service.tcp)),
            (Protocol::Udp, first(&service.udp)),
        ];
        ways.retain(|(_, port)| port.is_some());
        ways.extend(icmp.map(|(of, _)| (of, None)));
        let others = service.protocols.iter();
        ways.extend(others.map(|number| (Protocol::Number(*number), None)));
        let asked = |way: &&(Protocol, _)| protocol.is_some_and(|it| it.number() == way.0.number());
        if let Some((of, port)) = ways.iter().find(asked).or(ways.first()) {
            packet.protocol = Some(*of);
            packet.destination_port = *port;
            packet.source_port = port.and_then(|_| first(&service.source_ports));
            packet.icmp_type = icmp.map(|(_, kind)| kind);
        }
        Ok(packet)
    }
}

/// The packet that the flags describe.
fn packet(given: &Given, named: &PacketNames) -> Result<DescribedPacket, UsageError> {
    let mut addresses = Vec::new();
    let mut ends = [SRC, DST].into_iter().filter_map(|end| given.file(&end));
    let is_ipv6 = |end: String| end.parse::<Ipv6Addr>().is_ok();
    let family = match ends.any(is_ipv6) {
        true => IpFamily::V6,
        false => IpFamily::V4,
    };
    for (which, flag) in [
        (PacketAddress::Source, SRC),
        (PacketAddress::Destination, DST),
        (PacketAddress::OriginalSource, CTORIGSRC),
        (PacketAddress::OriginalDestination, CTORIGDST),
        (PacketAddress::ReplySource, CTREPLSRC),
        (PacketAddress::ReplyDestination, CTREPLDST),
    ] {
        let address = named.address(given, &flag, family)?;
        addresses.extend(address.map(|address| (which, address)));
    }
    let protocol = given.value(&PROTO)?;
    let ipv6 = addresses.iter().any(|(_, address)| address.is_ipv6());
    let service = named.service(given, protocol, ipv6)?;
    Ok(DescribedPacket {
        from: given.value(&FROM)?,
        to: given.value(&TO)?,
        addresses,
        protocol: protocol.or(service.protocol),
        source_port: given
            .value(&SPORT)?
            .map(|Port(port)| port)
            .or(service.source_port),
        destination_port: service.destination_port,
        icmp_type: given.value(&ICMP_TYPE)?.or(service.icmp_type),
        flags: given.value(&FLAGS)?,
        state: given.value(&STATE)?,
        mac: given.value(&MAC)?,
        mark: given.value(&MARK)?.map(|Mark(mark)| mark),
        hops: given.value(&TTL)?.map(|Hops(hops)| hops),
        fragment: given.has(&FRAGMENT),
        dnat: given.has(&DNAT),
        snat: given.has(&SNAT),
        original_source_port: given.value(&ORIG_PORT)?.map(|Port(port)| port),
        reply_source_port: given.value(&REPL_PORT)?.map(|Port(port)| port),
        direction: given.value(&CTDIR)?,
        expected: given.has(&EXPECTED),
        helper: given.value(&HELPER)?,
        elsewhere: given.has(&ELSEWHERE),
        own: given.has(&OWN),
    })
}
