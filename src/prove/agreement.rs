//! Tests that `reach` (sets of packets) and `judge` (one packet) agree, on random rules and
//! random packets: what `reach` puts in `must` the judge accepts, what is outside `may` it
//! drops, and for what lies between it answers `Depends`.

use super::compare::{as_they_came, differing, programs};
use super::hook_path::HookPath;
use super::judge::{Verdict, judge};
use super::packet::{Field, Interfaces, NO_INTERFACE, Packet, State};
use super::program::{Program, interface_patterns};
use super::reach::Reach;
use super::space::Space;
use crate::family::IpFamily;
use crate::netfilter::read;
use camfw_diagrams::Set;

/// Pseudo-random numbers (xorshift, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

const CONDITIONS: &[&str] = &[
    "-s 10.0.0.0/8",
    "! -s 10.1.0.0/16",
    "-s 10.0.0.4/30",
    "-s 10.0.0.5/32",
    "! -s 10.0.0.5/32",
    "-d 10.0.0.0/8",
    "-d 10.1.2.3/32",
    "! -d 10.0.0.0/9",
    "-i eth0",
    "! -i eth+",
    "-p tcp -m tcp --dport 22:80",
    "-p tcp -m tcp ! --sport 1024:",
    "-p tcp -m tcp --tcp-flags SYN,ACK SYN",
    "-p udp -m multiport --ports 53,67:68",
    "! -p icmp",
    "-p icmp -m icmp ! --icmp-type 3/1",
    "-m conntrack --ctstate NEW,UNTRACKED",
    "-m conntrack --ctstate DNAT",
    "-m conntrack ! --ctstate SNAT,DNAT",
    "-m state ! --state INVALID",
    "-m mac --mac-source 02:00:00:00:00:01",
    "-m mac ! --mac-source 02:00:00:00:00:02",
    "-m bpf --bytecode \"5,48 0 0 4292870155,84 0 0 3,21 0 1 2,6 0 0 65535,6 0 0 0\"",
    "-m mark --mark 0x1/0x3",
    "-m mark ! --mark 0x0",
    "-m iprange --src-range 10.0.0.5-10.1.0.0",
    "-m limit --limit 1/sec",
    "-m set --match-set bad src",
    "-f",
    "",
];

/// Those of packets; 0 is none.
const MACS: &[u128] = &[0, 0x0200_0000_0001, 0x0200_0000_0002, 0x0200_0000_0003];

const SOURCE_TARGETS: &[&str] = &[
    "-j SNAT --to-source 10.0.0.1",
    "-j ACCEPT",
    "-j RETURN",
    "-j ODD",
];

fn condition(random: &mut Random) -> String {
    let first = random.of(CONDITIONS);
    let second = random.of(CONDITIONS);
    // A rule has at most one protocol.
    if first.contains("-p ") && second.contains("-p ") {
        return first.to_owned();
    }
    format!("{first} {second}")
}

fn rules(random: &mut Random) -> String {
    let mut text = String::new();
    for (table, hooks, targets) in [
        (
            "raw",
            &["PREROUTING"][..],
            &["-j DROP", "-j CT --notrack", "-j a", "-g b", ""][..],
        ),
        (
            "mangle",
            &["PREROUTING", "FORWARD"],
            &[
                "-j MARK --set-xmark 0x1/0xffffffff",
                "-j MARK --set-xmark 0x2/0xf",
                "-j TEE --gateway 10.0.0.9",
                "-j a",
                "-j DROP",
            ],
        ),
        (
            "filter",
            &["INPUT", "FORWARD"],
            &[
                "-j ACCEPT",
                "-j DROP",
                "-j RETURN",
                "-j a",
                "-g a",
                "-j b",
                "-j REJECT",
                "-j ODD",
                "-j LOG",
                "-j TEE --gateway 10.0.0.9",
            ],
        ),
        (
            "nat",
            &["PREROUTING", "INPUT", "POSTROUTING"],
            &[
                "-j DNAT --to-destination 10.1.2.3:80",
                "-j DNAT --to-destination 10.1.2.3",
                "-j ACCEPT",
                "-j REDIRECT --to-ports 80",
                "-j RETURN",
            ],
        ),
    ] {
        text += &format!("*{table}\n");
        for hook in hooks {
            text += &format!(":{hook} {} [0:0]\n", random.of(&["ACCEPT", "DROP"]));
        }
        text += ":a - [0:0]\n:b - [0:0]\n";
        let chains = hooks.iter().chain(&["a", "b"]);
        for chain in chains {
            // DNAT and REDIRECT are of nat's chains before routing alone.
            let targets = match (table, *chain) {
                ("nat", "INPUT" | "POSTROUTING") => SOURCE_TARGETS,
                _ => targets,
            };
            // Chains only call later chains, so that there is no loop.
            let targets: Vec<&str> = targets
                .iter()
                .copied()
                .filter(|target| match *chain {
                    "a" => !target.ends_with(" a"),
                    "b" => !target.ends_with(" a") && !target.ends_with(" b"),
                    _ => true,
                })
                .collect();
            for _ in 0..random.below(5) {
                text += &format!("-A {chain} {} {}\n", condition(random), random.of(&targets));
            }
        }
        text += "COMMIT\n";
    }
    text
}

fn packet(random: &mut Random, space: &Space, way: HookPath) -> Packet {
    let mut packet = Packet::ZERO;
    let interface = |random: &mut Random| 2 + random.below(space.interfaces.len() - 2) as u128;
    packet.set(Field::In, interface(random));
    let out = interface(random);
    packet.set(
        Field::Out,
        if way == HookPath::Forward {
            out
        } else {
            NO_INTERFACE
        },
    );
    for (field, values) in [
        (
            Field::Source,
            &[0x0a00_0005u128, 0x0a01_0001, 0x0808_0808][..],
        ),
        (Field::Destination, &[0x0a01_0203, 0x0a00_0001, 0x0a80_0001]),
        (Field::Protocol, &[6, 6, 17, 1, 50]),
        (Field::SourcePort, &[22, 53, 1024, 40_000]),
        (Field::DestinationPort, &[22, 67, 80, 443]),
        (Field::Flags, &[2, 16, 18, 0]),
        (Field::IcmpType, &[3, 5, 8]),
        (Field::IcmpCode, &[0, 1]),
        (Field::Mac, MACS),
        (Field::Fragment, &[0, 0, 0, 1]),
        (
            Field::State,
            &[
                State::New as u128,
                State::New as u128,
                State::Invalid as u128,
                State::Established as u128,
                State::Related as u128,
            ],
        ),
    ] {
        packet.set(field, random.of(values));
    }
    if is_part(&packet) {
        for (field, values) in [
            (Field::Dnat, &[0u128, 1][..]),
            (Field::Snat, &[0, 1]),
            (Field::CtDirection, &[0, 1]),
            // 0 stands for "unknown".
            (Field::CtOriginalSource, &[0, 0x0a00_0005, 0x0808_0808]),
            (Field::CtReplySource, &[0, 0x0a01_0203, 0x0a80_0001]),
            (Field::CtOriginalSourcePort, &[0, 1024, 40_000]),
            (Field::CtReplySourcePort, &[0, 22, 80]),
        ] {
            packet.set(field, random.of(values));
        }
    }
    packet
}

#[test]
fn sets_and_the_judge_agree() -> Result<(), crate::netfilter::ParseError> {
    let (mut seen, mut parts) = ([0; 3], [0; 3]);
    for seed in 1..=2000u64 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15u64.wrapping_mul(seed));
        let text = rules(&mut random);
        let ruleset = read(&text)?;
        let mut space = Space::new(IpFamily::V4, Interfaces::new(&interface_patterns(&ruleset)));
        // What bits an address has that no rule names, only the judge knows.
        space.one_of(Field::Mac, &MACS[1..]);
        let program = Program::new(&ruleset, &mut space);
        for way in [HookPath::Input, HookPath::Forward] {
            let mut reach = Reach::new(&program);
            let all = reach.everything(&mut space, way);
            let all = as_they_came(&mut space, &program, all);
            let accepted = reach.accepted(&mut space, way);
            let may = as_they_came(&mut space, &program, accepted.may);
            let must = as_they_came(&mut space, &program, accepted.must);
            for _ in 0..100 {
                let packet = packet(&mut random, &space, way);
                if !space.holds(all, &packet) {
                    continue;
                }
                let judgement = judge(&program, &space, way, packet);
                let judged = judgement.verdict;
                seen[judged as usize] += 1;
                if is_part(&packet) {
                    // The sets do not say what the connection is rewritten to, so the
                    // packet is looked up as it is at the end.
                    let end = judgement.packet;
                    if text.contains("TEE") || !is_whole(&end) {
                        continue;
                    }
                    let perhaps = space.holds(accepted.may, &end);
                    let surely = space.holds(accepted.must, &end);
                    let agree = match judged {
                        Verdict::Accept => perhaps,
                        Verdict::Drop => !surely,
                        Verdict::Depends => true,
                    };
                    assert!(
                        agree,
                        "{judged}, perhaps {perhaps}, surely {surely}:\n{text}\n{packet:?}"
                    );
                    parts[judged as usize] += 1;
                    continue;
                }
                let (perhaps, surely) = (space.holds(may, &packet), space.holds(must, &packet));
                let agree = match judged {
                    Verdict::Accept => perhaps,
                    Verdict::Drop => !surely,
                    Verdict::Depends => true,
                };
                // Neither may be certain of the opposite of what the other says.
                assert!(
                    agree,
                    "{judged}, perhaps {perhaps}, surely {surely}:\n{text}\n{packet:?}"
                );
                if !text.contains("--set-xmark 0x2/0xf") && !text.contains("notrack") {
                    assert!(
                        judged != Verdict::Accept || surely || !exact(&text),
                        "surely accepted, and not in the set:\n{text}\n{packet:?}"
                    );
                }
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
    // `Depends` means that something in the packet or the rules is unknown.
    assert!(parts[0] > 20 && parts[1] > 100, "{parts:?}");
    Ok(())
}

/// What rewriting changes of a packet; nat also rewrites the first one of a connection that a helper expected.
const NAME: [Field; 5] = [
    Field::Destination,
    Field::DestinationPort,
    Field::Local,
    Field::Dnat,
    Field::Snat,
];

/// What is said to differ surely does so for the judge, and what differs for the judge
/// is said: of rules with and without one first of all.
#[test]
fn what_surely_differs_does_for_the_judge() -> Result<(), crate::netfilter::ParseError> {
    let (mut sure, mut sure_parts) = (0, 0);
    for seed in 1..=1000u64 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15u64.wrapping_mul(seed));
        // So that much of it gets to where they differ.
        let text = rules(&mut random)
            .replace("-j TEE --gateway 10.0.0.9", "-j LOG")
            .replace(":PREROUTING DROP", ":PREROUTING ACCEPT");
        let (condition, target) = (condition(&mut random), random.of(&["ACCEPT", "DROP"]));
        let mut with = text.clone();
        for hook in ["INPUT", "FORWARD"] {
            let filter = with.find("*filter").unwrap_or_default();
            let first = with[filter..].find("-A ").unwrap_or_default() + filter;
            with.insert_str(first, &format!("-A {hook} {condition} -j {target}\n"));
        }
        if seed % 4 == 0 {
            // Raw's chains are the first: what the one tracks the other does not.
            let end = ":b - [0:0]\n";
            let rule = format!("{end}-A PREROUTING {condition} -j CT --notrack\n");
            with = with.replacen(end, &rule, 1);
        }
        let (before, after) = (read(&text)?, read(&with)?);
        let mut patterns = interface_patterns(&before);
        patterns.extend(interface_patterns(&after));
        let mut space = Space::new(IpFamily::V4, Interfaces::new(&patterns));
        space.one_of(Field::Mac, &MACS[1..]);
        let programs = programs(&before, &after, &mut space);
        for way in [HookPath::Input, HookPath::Forward] {
            let all = Reach::new(&programs[0]).everything(&mut space, way);
            let all = as_they_came(&mut space, &programs[0], all);
            let differing = differing(&mut space, &programs, way, false);
            for _ in 0..60 {
                let packet = packet(&mut random, &space, way);
                if !space.holds(all, &packet) {
                    continue;
                }
                let [was, is] =
                    [&programs[0], &programs[1]].map(|program| judge(program, &space, way, packet));
                if is_part(&packet) && !(is_whole(&was.packet) && is_whole(&is.packet)) {
                    continue;
                }
                // Sets have where a connection's packets go once that is rewritten, and a packet that only one of the
                // programs tracks goes to two places.
                let names = [&was, &is].map(|judged| {
                    let mut name = packet;
                    for field in NAME.iter().filter(|_| is_part(&judged.packet)) {
                        name.set(*field, judged.packet.value(*field));
                    }
                    name
                });
                for it in &differing {
                    let [from, to] = match it.accepted {
                        true => [was.verdict, is.verdict],
                        false => [is.verdict, was.verdict],
                    };
                    let any = |set| names.iter().any(|name| space.holds(set, name));
                    let (surely, perhaps) = (any(it.surely), any(it.perhaps));
                    // Where some packets are not tracked, the name of a rewritten one can be that of another.
                    let own = !with.contains("notrack") || names == [packet; 2];
                    let contradicts = own && (from == Verdict::Accept || to == Verdict::Drop);
                    let differs = from == Verdict::Drop && to == Verdict::Accept;
                    assert!(
                        !(surely && contradicts) && (surely || perhaps || !differs),
                        "{from} to {to}, surely {surely}, perhaps {perhaps}:\n{text}\n{with}\n{packet:?}"
                    );
                    sure += usize::from(surely);
                    sure_parts += usize::from(surely && is_part(&packet));
                }
            }
        }
    }
    assert!(sure > 50 && sure_parts > 10, "{sure}, {sure_parts}");
    Ok(())
}

/// Whether the packet belongs to a connection.
fn is_part(packet: &Packet) -> bool {
    let state = packet.value(Field::State);
    state == State::Established as u128 || state == State::Related as u128
}

/// Whether every field of the packet is known.
fn is_whole(packet: &Packet) -> bool {
    Field::ALL.iter().all(|field| packet.get(*field).is_some())
}

/// Equal sets have equal diagrams, so a set built in one step equals the same set built
/// range by range.
#[test]
fn many_ranges_at_once_are_the_union_of_each() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut space = Space::new(IpFamily::V4, Interfaces::new(&Default::default()));
    for count in (0..40).cycle().take(400) {
        let mut ranges = Vec::new();
        for _ in 0..count {
            let first = random.below(1 << 8) << random.below(24);
            let size = 1 << random.below(8);
            let last = first + random.below(size);
            ranges.push((first as u128, last as u128));
        }
        let at_once = space.in_ranges(Field::Source, ranges.clone());
        let each: Vec<_> = ranges
            .iter()
            .map(|(first, last)| space.range(Field::Source, *first, *last))
            .collect();
        assert_eq!(at_once, space.diagrams.union(&each), "{ranges:?}");
        // The same with a different set for each range.
        let macs: Vec<_> = (0..ranges.len() as u128)
            .map(|mac| space.equal(Field::Mac, mac % 7))
            .collect();
        let with = ranges.iter().zip(&macs);
        let with = with.map(|((first, last), mac)| (*first, *last, *mac));
        let at_once = space.by_value(Field::Source, with.collect());
        let each: Vec<_> = each
            .into_iter()
            .zip(macs)
            .map(|(range, mac)| space.diagrams.and(range, mac))
            .collect();
        assert_eq!(at_once, space.diagrams.union(&each), "{ranges:?}");
    }
    // An empty range, and the full range.
    assert!(space.in_ranges(Field::Source, [(5, 4)]).is_empty());
    let all = space.in_ranges(Field::Source, [(7, 7), (0, u32::MAX.into())]);
    assert_eq!(all, Set::FULL);
}

/// Whether `reach` is exact for these rules: `may` equals `must`.
fn exact(text: &str) -> bool {
    let doubts = [
        "limit",
        "set ",
        "ODD",
        "REDIRECT",
        "-f",
        "--dport",
        "--sport",
        "--ports",
        "--tcp-flags",
        "--icmp-type",
    ];
    !doubts.iter().any(|doubt| text.contains(doubt))
}
