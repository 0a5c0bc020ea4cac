//! The flags that describe a packet, and the packet that they describe.

use std::ffi::OsString;

use super::args::Given;
use super::error::UsageError;
use super::flag::Flag;
use super::value::{Address, Hops, Mark, Port};
use crate::prove::{DescribedPacket, PacketAddress};

pub(super) const SRC: Flag = Flag::valued("src", "A", "source address");
pub(super) const DST: Flag = Flag::valued("dst", "A", "destination address");
pub(super) const FROM: Flag = Flag::valued(
    "from",
    "ZONE",
    "where it comes from: a zone, an interface or router",
);
pub(super) const TO: Flag = Flag::valued("to", "ZONE", "where it goes to, likewise");
pub(super) const PROTO: Flag = Flag::valued(
    "proto",
    "P",
    "tcp (unless given), udp, icmp, icmpv6 or a number",
);
pub(super) const SPORT: Flag = Flag::valued("sport", "N", "source port; 40000 unless given");
pub(super) const DPORT: Flag = Flag::valued("dport", "N", "destination port");
pub(super) const ICMP_TYPE: Flag = Flag::valued(
    "icmp-type",
    "TYPE/CODE",
    "as 8 or 3/1; an echo request unless given",
);
pub(super) const FLAGS: Flag = Flag::valued(
    "flags",
    "LIST",
    "TCP flags that are set: SYN,ACK or NONE; SYN unless given",
);
pub(super) const STATE: Flag = Flag::valued(
    "state",
    "STATE",
    "NEW (unless given), ESTABLISHED, RELATED, INVALID or\nUNTRACKED",
);
pub(super) const MAC: Flag = Flag::valued("mac", "M", "source hardware address");
pub(super) const MARK: Flag = Flag::valued("mark", "N", "mark");
pub(super) const TTL: Flag = Flag::valued("ttl", "N", "time to live, hop limit; 64 unless given");
pub(super) const FRAGMENT: Flag = Flag::switch("fragment", "a fragment, and not the first");
pub(super) const DNAT: Flag = Flag::switch("dnat", "its connection's destination is rewritten");
pub(super) const SNAT: Flag = Flag::switch("snat", "its connection's source is rewritten");
pub(super) const CTDIR: Flag = Flag::valued("ctdir", "WAY", "ORIGINAL (unless given) or REPLY");
pub(super) const CTORIGSRC: Flag = Flag::valued("ctorigsrc", "A", "who opened its connection");
pub(super) const CTORIGDST: Flag = Flag::valued("ctorigdst", "A", "whom it was opened to");
pub(super) const CTREPLSRC: Flag = Flag::valued("ctreplsrc", "A", "who answers");
pub(super) const CTREPLDST: Flag = Flag::valued("ctrepldst", "A", "whom the answers go to");
pub(super) const CTORIGSRCPORT: Flag =
    Flag::valued("ctorigsrcport", "N", "the port that it was opened from");
pub(super) const CTREPLSRCPORT: Flag =
    Flag::valued("ctreplsrcport", "N", "the port that is answered from");
pub(super) const EXPECTED: Flag = Flag::switch("expected", "a helper expected its connection");
pub(super) const HELPER: Flag = Flag::valued("helper", "NAME", "which one: ftp, or another");
pub(super) const ELSEWHERE: Flag = Flag::switch(
    "elsewhere",
    "to the router, and to none of its addresses there",
);

/// A packet in the flags of `camfw trace`, with or without the command before them.
///
/// # Errors
/// The flag that is none, or the value that is none of it.
pub(super) fn of_line(line: &str) -> Result<DescribedPacket, UsageError> {
    given(&Given::read(line.split_whitespace().map(OsString::from))?)
}

/// The packet that the flags describe.
pub(super) fn given(given: &Given) -> Result<DescribedPacket, UsageError> {
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
        original_source_port: given.value(&CTORIGSRCPORT)?.map(|Port(port)| port),
        reply_source_port: given.value(&CTREPLSRCPORT)?.map(|Port(port)| port),
        direction: given.value(&CTDIR)?,
        expected: given.has(&EXPECTED),
        helper: given.value(&HELPER)?,
        elsewhere: given.has(&ELSEWHERE),
    })
}
