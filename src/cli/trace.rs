//! `camfw trace`: follows one packet through the rules.

use std::ffi::OsString;

use super::dump::{LIVE, NETWORKS, RULES, dump, networks, plan};
use super::json::{JSON, print_json};
use super::value::{Address, Hops, Mark, Port};
use super::{CliError, Command, ExitCode, Flag, Given, UsageError, print};
use crate::host::text_file;
use crate::prove::{DescribedPacket, PacketAddress, Tracer};

const PACKETS: Flag = Flag::valued("packets", "FILE", "packets, one a line, in the flags below");

const SRC: Flag = Flag::valued("src", "A", "source address");
const DST: Flag = Flag::valued("dst", "A", "destination address");
const FROM: Flag = Flag::valued("from", "ZONE", "whence: a zone, an interface or router");
const TO: Flag = Flag::valued("to", "ZONE", "where to, likewise");
const PROTO: Flag = Flag::valued("proto", "P", "tcp unless given; udp, icmp or a number");
const SPORT: Flag = Flag::valued("sport", "N", "source port; 40000 unless given");
const DPORT: Flag = Flag::valued("dport", "N", "destination port");
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
        ]);

fn run(given: &Given) -> Result<ExitCode, CliError> {
    let tracer = match given.file(&RULES) {
        Some(file) => {
            let (rules, family) = dump(&file)?;
            Tracer::of_rules(rules, family, networks(given)?.unwrap_or_default())
        }
        None => {
            let plan = plan(given)?;
            Tracer::of_policy(plan.policy, plan.rules)
        }
    };
    let Some(file) = given.file(&PACKETS) else {
        let traced = tracer.path(&packet(given)?)?;
        return Ok(match given.has(&JSON) {
            true => print_json(&traced),
            false => print(&traced.to_string()),
        });
    };
    if given.has(&JSON) {
        let why = "--packets prints a line for each; leave out --json";
        return Err(UsageError::Together(why).into());
    }
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
            packets.push(packet_of_line(line).map_err(|error| at(number, error.into()))?);
        }
    }
    let verdicts = tracer.verdicts(&packets);
    let verdicts = verdicts.map_err(|(index, error)| at(lines[index], error.into()))?;
    Ok(print(&verdicts))
}

/// Parses a packet given as the flags of `camfw trace`, with or without the command
/// before them.
///
/// # Errors
/// Returns the unknown flag or invalid value.
pub(super) fn packet_of_line(line: &str) -> Result<DescribedPacket, UsageError> {
    packet(&Given::read(line.split_whitespace().map(OsString::from))?)
}

/// The packet that the flags describe.
fn packet(given: &Given) -> Result<DescribedPacket, UsageError> {
    let mut addresses = Vec::new();
    for (which, flag) in [
        (PacketAddress::Source, SRC),
        (PacketAddress::Destination, DST),
        (PacketAddress::OriginalSource, CTORIGSRC),
        (PacketAddress::OriginalDestination, CTORIGDST),
        (PacketAddress::ReplySource, CTREPLSRC),
        (PacketAddress::ReplyDestination, CTREPLDST),
    ] {
        let address = given.value(&flag)?;
        addresses.extend(address.map(|Address(address)| (which, address)));
    }
    Ok(DescribedPacket {
        from: given.value(&FROM)?,
        to: given.value(&TO)?,
        addresses,
        protocol: given.value(&PROTO)?,
        source_port: given.value(&SPORT)?.map(|Port(port)| port),
        destination_port: given.value(&DPORT)?.map(|Port(port)| port),
        icmp_type: given.value(&ICMP_TYPE)?,
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
    })
}
