"""Guarantees are exact: what `camfw prove --guarantees` says of generated rules is what
trying every packet says, by a reading of the rules of its own.

CAMFW_GUARANTEED is how many rulesets are held to guarantees.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import unittest
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from netns.program import BINARY

RULESETS = int(os.environ.get("CAMFW_GUARANTEED", "6"))
SEED = int(os.environ.get("CAMFW_SEED", "1"))

NETWORKS = "eth0 any !10.0.0.0/8\neth1 10.1.0.0/29\neth2 10.2.0.0/24\nlo 10.1.0.6 10.2.0.1\n"
INTERFACES = ("eth0", "eth1", "eth2")
# One of each kind that the rules below tell apart.
ADDRESSES = [int(ipaddress.ip_address(it)) for it in (
    "10.1.0.0", "10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.6", "10.1.0.9", "10.2.0.1", "10.2.0.4",
    "10.2.0.5", "10.2.0.9", "10.9.9.9", "192.0.2.1", "198.51.100.7")]
PREFIXES = ("10.1.0.0/30", "10.1.0.1/32", "10.1.0.2/31", "10.2.0.0/24", "10.2.0.5/32", "10.2.0.4/30", "10.0.0.0/8",
            "192.0.2.0/24", "10.1.0.0/255.255.0.1")
RANGES = ("10.1.0.1-10.1.0.2", "10.1.0.3-10.2.0.4")
PORTS, SOURCE_PORTS = (22, 53, 80, 1010, 1500, 3000), (53, 40000)
SYN, ACK = 2, 16
TCP, UDP, ICMP, GRE = 6, 17, 1, 47


@dataclass(frozen=True)
class Packet:
    """A packet as a rule sees it; the mark is what rules before have set."""

    source: int
    destination: int
    protocol: int
    state: str
    sport: int = 0
    dport: int = 0
    flags: int = 0
    icmp: tuple[int, int] = (0, 0)
    mark: int = 0
    into: str = ""
    out: str = ""


Test = Callable[[Packet], "bool | None"]


def within(prefix: str, address: int) -> bool:
    """Whether an address is in a prefix, whose mask may have holes."""
    network, _, mask = prefix.partition("/")
    bits = int(ipaddress.ip_address(mask)) if "." in mask else (1 << 32) - (1 << (32 - int(mask)))
    return address & bits == int(ipaddress.ip_address(network)) & bits


def behind(interface: str, address: int) -> bool:
    """As NETWORKS has it."""
    return {
        "eth0": not within("10.0.0.0/8", address), "eth1": within("10.1.0.0/29", address),
        "eth2": within("10.2.0.0/24", address),
        "": address in (int(ipaddress.ip_address("10.1.0.6")), int(ipaddress.ip_address("10.2.0.1"))),
    }[interface]


def named(pattern: str, interface: str) -> bool:
    """Whether a rule's pattern is the interface's name."""
    return interface.startswith(pattern[:-1]) if pattern.endswith("+") else interface == pattern


class Rule:
    """A rule with its words and its own reading of them."""

    def __init__(self, random: Random, chain: str, targets: tuple[str, ...]) -> None:
        self.words: list[str] = []
        self.tests: list[Test] = []
        self._random = random
        for kind in random.sample(("source", "destination", "in", "out", "protocol", "state", "range", "limit", "mark"),
                                  random.choice((0, 1, 1, 2, 2, 3))):
            getattr(self, f"_{kind}")(chain)
        self.target = random.choice(targets)
        self.goes = self.target.startswith("U") and random.random() < 0.3

    def text(self, chain: str) -> str:
        """In the words of iptables-save."""
        target = {"": "", "REJECT": "-j REJECT --reject-with icmp-port-unreachable"}.get(
            self.target, f"-{'g' if self.goes else 'j'} {self.target}")
        return " ".join((f"-A {chain}", *self.words, target)).rstrip()

    def meets(self, packet: Packet) -> bool | None:
        """None where that depends on more than the packet."""
        met: bool | None = True
        for test in self.tests:
            holds = test(packet)
            if holds is False:
                return False
            met = met and holds
        return met

    def _not(self) -> tuple[bool, str]:
        no = self._random.random() < 0.25
        return no, "! " if no else ""

    def _add(self, words: str, test: Test) -> None:
        self.words.append(words)
        self.tests.append(test)

    def _source(self, _: str) -> None:
        (no, bang), prefix = self._not(), self._random.choice(PREFIXES)
        self._add(f"{bang}-s {prefix}", lambda it: within(prefix, it.source) != no)

    def _destination(self, _: str) -> None:
        (no, bang), prefix = self._not(), self._random.choice(PREFIXES)
        self._add(f"{bang}-d {prefix}", lambda it: within(prefix, it.destination) != no)

    def _in(self, chain: str) -> None:
        if chain in ("INPUT", "FORWARD", "PREROUTING"):
            (no, bang), name = self._not(), self._random.choice((*INTERFACES, "eth+", "et+", "lo"))
            self._add(f"{bang}-i {name}", lambda it: named(name, it.into) != no)

    def _out(self, chain: str) -> None:
        if chain in ("OUTPUT", "FORWARD"):
            (no, bang), name = self._not(), self._random.choice((*INTERFACES, "eth+"))
            self._add(f"{bang}-o {name}", lambda it: named(name, it.out) != no)

    def _state(self, _: str) -> None:
        no, bang = self._not()
        states = self._random.sample(("NEW", "ESTABLISHED", "RELATED", "INVALID"), self._random.choice((1, 2)))
        option = self._random.choice(("-m conntrack {}--ctstate", "-m state {}--state")).format(bang)
        self._add(f"{option} {','.join(states)}", lambda it: (it.state in states) != no)

    def _range(self, _: str) -> None:
        (no, bang), text, way = self._not(), self._random.choice(RANGES), self._random.choice(("src", "dst"))
        first, last = (int(ipaddress.ip_address(it)) for it in text.split("-"))
        self._add(f"-m iprange {bang}--{way}-range {text}",
                  lambda it: (first <= (it.source if way == "src" else it.destination) <= last) != no)

    def _limit(self, _: str) -> None:
        if self._random.random() < 0.3:
            self._add("-m limit --limit 10/sec", lambda _: None)

    def _mark(self, _: str) -> None:
        (no, bang), (value, mask) = self._not(), self._random.choice(((1, 255), (1, 1), (0, 2), (2, 3)))
        self._add(f"-m mark {bang}--mark {value:#x}/{mask:#x}", lambda it: (it.mark & mask == value) != no)

    def _protocol(self, _: str) -> None:
        name, number = self._random.choice((("tcp", TCP), ("tcp", TCP), ("udp", UDP), ("udp", UDP), ("icmp", ICMP), ("47", GRE)))
        if self._random.random() < 0.25:
            self._add(f"! -p {name}", lambda it: it.protocol != number)
            return
        self._add(f"-p {name}", lambda it: it.protocol == number)
        no, bang = self._not()
        kind = self._random.choice(("to", "from", "several", "either", "flags", "none"))
        if number == ICMP and kind != "none":
            text, wanted = self._random.choice((("8", (8, None)), ("3/1", (3, 1)), ("3", (3, None))))
            self._add(f"-m icmp {bang}--icmp-type {text}",
                      lambda it: (it.icmp[0] == wanted[0] and wanted[1] in (None, it.icmp[1])) != no)
        elif number == GRE:
            return
        elif kind == "to":
            first, last = self._random.choice(((22, 22), (80, 80), (1000, 2000), (0, 1023), (53, 80)))
            self._add(f"-m {name} {bang}--dport {first}:{last}", lambda it: (first <= it.dport <= last) != no)
        elif kind == "from":
            first, last = self._random.choice(((53, 53), (1024, 65535)))
            self._add(f"-m {name} {bang}--sport {first}:{last}", lambda it: (first <= it.sport <= last) != no)
        elif kind == "several":
            self._add(f"-m multiport {bang}--dports 22,80,1000:2000",
                      lambda it: (it.dport in (22, 80) or 1000 <= it.dport <= 2000) != no)
        elif kind == "either":
            self._add(f"-m multiport {bang}--ports 53,80", lambda it: bool({53, 80} & {it.dport, it.sport}) != no)
        elif number == TCP and kind == "flags":
            mask, value, text = self._random.choice(((23, SYN, "FIN,SYN,RST,ACK SYN"), (ACK, ACK, "ACK ACK")))
            self._add(f"-m tcp {bang}--tcp-flags {text}", lambda it: (it.flags & mask == value) != no)


USERS = ("U1", "U2", "U3")
TARGETS = {
    "raw": (("DROP", "ACCEPT", "", "U1"), ("DROP", "ACCEPT", "RETURN")),
    "mangle": (("MARK --set-xmark 0x1/0xff", "MARK --set-xmark 0x2/0x2", "DROP", "ACCEPT", "RETURN", "U1"),
               ("MARK --set-xmark 0x1/0xff", "MARK --set-xmark 0x2/0x3", "RETURN")),
    "filter": (("ACCEPT", "DROP", "REJECT", "RETURN", "LOG", "", "U1", "U2"),
               ("ACCEPT", "ACCEPT", "DROP", "RETURN", "RETURN", "LOG")),
}
BUILT_IN = {"raw": ("PREROUTING", "OUTPUT"), "mangle": ("PREROUTING", "OUTPUT"), "filter": ("INPUT", "FORWARD", "OUTPUT")}


class Dump:
    """Generated rules: text, and what they do to a packet."""

    def __init__(self, random: Random) -> None:
        self.chains: dict[tuple[str, str], list[Rule]] = {}
        self.policies: dict[tuple[str, str], str] = {}
        for table, (targets, inner) in TARGETS.items():
            if table != "filter" and random.random() < 0.6:
                continue
            for chain in BUILT_IN[table]:
                closed = table == "filter" and random.random() < 0.7
                self.policies[table, chain] = "DROP" if closed else "ACCEPT"
                count = random.randint(0, 6) if table == "filter" or chain == "PREROUTING" else 0
                self.chains[table, chain] = [Rule(random, chain, targets) for _ in range(count)]
            for number, chain in enumerate(USERS):
                to = (*inner, *USERS[number + 1:])
                self.chains[table, chain] = [Rule(random, chain, to) for _ in range(random.randint(0, 4))]

    def text(self) -> str:
        """As iptables-save prints it."""
        lines = []
        for table in TARGETS:
            chains = [chain for of, chain in self.chains if of == table]
            if chains:
                lines += [f"*{table}", *(f":{chain} {self.policies.get((table, chain), '-')} [0:0]" for chain in chains)]
                lines += [rule.text(chain) for chain in chains for rule in self.chains[table, chain]]
                lines.append("COMMIT")
        return "\n".join(lines) + "\n"

    def fates(self, packet: Packet) -> set[str]:
        """ACCEPT, DROP, or both where that depends on more than the packet."""
        hook = ("INPUT" if packet.into else "OUTPUT") if not (packet.into and packet.out) else "FORWARD"
        ways = [("raw", "PREROUTING"), ("mangle", "PREROUTING")] if packet.into else []
        fates, left = set[str](), [packet]
        for place in (*ways, ("filter", hook)):
            if place not in self.chains:
                continue
            passed = []
            for before in left:
                # It is not yet known where it goes, nor, in raw, what connection it is of.
                seen = before if place[0] == "filter" else replace(before, out="")
                seen = replace(seen, state="INVALID") if place[0] == "raw" else seen
                for fate, after in self._walk(*place, seen):
                    if fate == "RETURN":
                        fate = self.policies[place]
                    if fate == "ACCEPT":
                        passed.append(replace(after, out=packet.out, state=packet.state))
                    else:
                        fates.add(fate)
            left = passed
        return fates | ({"ACCEPT"} if left else set())

    def _walk(self, table: str, chain: str, packet: Packet) -> list[tuple[str, Packet]]:
        left, ends = [packet], []
        for rule in self.chains[table, chain]:
            after = []
            for before in left:
                met = rule.meets(before)
                if not met:
                    after.append(before)
                if met is False:
                    continue
                if rule.target in ("", "LOG"):
                    after += [before] if met else []
                elif rule.target in ("ACCEPT", "RETURN"):
                    ends.append((rule.target, before))
                elif rule.target in ("DROP", "REJECT"):
                    ends.append(("DROP", before))
                elif rule.target.startswith("MARK"):
                    value, mask = (int(it, 16) for it in rule.target.split()[-1].split("/"))
                    after.append(replace(before, mark=before.mark & ~mask | value))
                else:
                    for fate, inner in self._walk(table, rule.target, before):
                        if fate == "RETURN" and not rule.goes:
                            after.append(inner)
                        else:
                            ends.append((fate, inner))
            left = after
        return ends + [("RETURN", it) for it in left]


def every(state: str) -> Iterator[Packet]:
    """A packet of each kind that the rules tell apart."""
    for source, destination in itertools.product(ADDRESSES, ADDRESSES):
        base = Packet(source, destination, GRE, state)
        yield base
        for icmp in ((8, 0), (0, 0), (3, 1), (3, 2)):
            yield replace(base, protocol=ICMP, icmp=icmp)
        for dport, sport in itertools.product(PORTS, SOURCE_PORTS):
            yield replace(base, protocol=UDP, dport=dport, sport=sport)
            for flags in (SYN, ACK, SYN | ACK):
                yield replace(base, protocol=TCP, dport=dport, sport=sport, flags=flags)


SERVICES: dict[str, Callable[[Packet], bool]] = {
    '"ssh"': lambda it: it.protocol == TCP and it.dport == 22,
    '"dns"': lambda it: it.protocol in (TCP, UDP) and it.dport == 53,
    '{ tcp = "1000-2000", source-port = "1024-65535" }':
        lambda it: it.protocol == TCP and 1000 <= it.dport <= 2000 and it.sport >= 1024,
    '{ protocol = "gre" }': lambda it: it.protocol == GRE,
    '"ping"': lambda it: it.protocol == ICMP and it.icmp == (8, 0),
    '"all"': lambda it: True,
}
# Each with its interface and its addresses; the router has none.
ENDS = {"eth0": ("eth0", ""), "eth1": ("eth1", ""), "eth2": ("eth2", ""), "router": ("", ""),
        "10.1.0.2/31": ("eth1", "10.1.0.2/31"), "10.2.0.5": ("eth2", "10.2.0.5/32"), "10.1.0.6": ("", "10.1.0.6/32")}


def expected(dump: Dump, text: str, kind: str, ends: tuple[str, str], service: str) -> str:
    """What every packet says of a guarantee."""
    (into, source), (out, destination) = (ENDS[end] for end in ends)
    asked = SERVICES.get(service, lambda _: True)
    # What the router sends may have any mark.
    marks = range(4) if not into and "--mark" in text else range(1)
    doubt = False
    for packet in itertools.chain.from_iterable(every(state) for state in (("NEW", "INVALID") if kind == "never" else ("NEW",))):
        if not asked(packet) or source and not within(source, packet.source):
            continue
        if destination and not within(destination, packet.destination):
            continue
        if kind == "never":
            if out and not behind(out, packet.destination):
                continue
            # The kernel forwards neither to the router's own addresses nor from them.
            if into and out and (behind("", packet.source) or behind("", packet.destination)):
                continue
        elif packet.protocol == TCP and packet.flags != SYN or not all(
                behind(interface, address) and (not interface or not behind("", address))
                for interface, address in ((into, packet.source), (out, packet.destination))):
            continue
        for mark in marks:
            fates = dump.fates(replace(packet, into=into, out=out, mark=mark))
            if fates == ({"ACCEPT"} if kind == "never" else {"DROP"}):
                return "broken"
            doubt = doubt or len(fates) > 1
    return "perhaps-broken" if doubt else "holds"


class Guarantees(unittest.TestCase):
    def test_what_is_said_is_what_every_packet_says(self) -> None:
        scratch = Path(tempfile.mkdtemp(prefix="camfw-test-"))
        self.addCleanup(shutil.rmtree, scratch)
        (scratch / "networks").write_text(NETWORKS)
        results = Counter[str]()
        for seed in range(SEED, SEED + RULESETS):
            random = Random(f"guarantees-{seed}")
            dump = Dump(random)
            text, asked, file = dump.text(), [], ""
            while len(asked) < 4:
                ends = tuple(random.sample(list(ENDS), 2))
                if ENDS[ends[0]][0] == ENDS[ends[1]][0]:
                    continue
                kind = random.choice(("never", "always"))
                service = random.choice(list(SERVICES)) if kind == "always" or random.random() < 0.4 else ""
                asked.append((kind, (ends[0], ends[1]), service))
                more = f", service = {service}" if service else ""
                file += f'[[guarantees]]\n{kind} = {{ from = "{ends[0]}", to = "{ends[1]}"{more} }}\n'
            (scratch / "rules").write_text(text)
            (scratch / "guarantees.toml").write_text(file)
            said = subprocess.run(
                [BINARY, "prove", "--rules", "rules", "--networks", "networks", "--guarantees", "guarantees.toml", "--json"],
                cwd=scratch, capture_output=True, text=True, check=False)
            self.assertIn(said.returncode, (0, 1), f"{said.stderr}\n{text}")
            for guarantee, claim in zip(asked, json.loads(said.stdout)["claims"], strict=True):
                result = expected(dump, text, *guarantee)
                results[result] += 1
                self.assertEqual(claim["result"], result, f"seed {seed}: {claim}\n{text}")
        # The control: each result, or nothing was compared.
        self.assertGreater(min(results["broken"], results["holds"]), RULESETS // 4, results)
