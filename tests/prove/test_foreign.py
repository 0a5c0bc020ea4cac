"""The kernel agrees on what other people's rules hold and ours never do: masks
with holes, hops, marks bit by bit, types of addresses, options that say nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import unittest
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import ClassVar

from netns.case import both_backends
from netns.program import BINARY
from netns.tables import Tables
from prove import generate
from prove.packets import Packet
from prove.wires import NETWORKS, Bench

SEED = int(os.environ.get("CAMFW_SEED", "1"))
RULESETS = 40
BATCH = 200

# At most one of each group is in a rule.
SOURCES = ("-s 10.0.0.11/255.0.255.255", "! -s 10.1.0.8/255.255.0.8", "-s 10.0.0.0/8", "-m addrtype --src-type MULTICAST")
DESTINATIONS = ("-d 10.0.0.2/255.0.255.2", "! -d 0.0.0.1/0.0.0.1", "-d 10.2.0.0/16", "-m addrtype ! --dst-type MULTICAST")
PROTOCOLS = ("-p 50 -m esp", "-p sctp -m sctp --dport 80", "-p tcp", "! -p udp", "-p tcp -m tcp ! --dport 80")
# Packets are sent with 64, and one is gone before FORWARD sees them.
HOPS = (
    "-m ttl --ttl-eq 64", "-m ttl --ttl-eq 63", "-m ttl ! --ttl-eq 63", "-m ttl --ttl-lt 64", "-m ttl --ttl-gt 63",
)
# Not `! -i +`, which no packet meets: legacy iptables-save 1.8.9 prints nothing for it.
ASKED = ("-m mark --mark 0x4/0x4", "-m mark ! --mark 0x2/0x6", "-m mark --mark 0x30/0xf0", "-i +", "-i eth1")
GROUPS = (SOURCES, DESTINATIONS, PROTOCOLS, HOPS, ASKED)
MARKS = (
    "--set-xmark 0x4/0x4", "--set-xmark 0x2/0xff", "--set-mark 0x34/0xf0", "--and-mark 0xfd",
    "--or-mark 0x30", "--set-xmark 0x0/0x6",
)


# What must be met by packets, or it was not tried, in iptables-save's words.
SAID = {
    "-s 10.0.0.11/255.0.255.255", "! -s 10.1.0.8/255.255.0.8", "-d 10.0.0.2/255.0.255.2", "! -d 0.0.0.1/0.0.0.1",
    "-m addrtype ! --dst-type MULTICAST", "-p esp -m esp", *HOPS, *ASKED[:3], "--set-xmark 0x4/0x4", "--set-xmark 0x2/0xff",
    "--set-xmark 0x34/0xf4", "--set-xmark 0x0/0xffffff02", "--set-xmark 0x30/0x30", "--set-xmark 0x0/0x6",
    "-j TTL --ttl-set 64", "-j TTL --ttl-set 10",
}


class Rules:
    """A ruleset as iptables-restore reads it, of a random seed."""

    rewriting = False

    def __init__(self, random: Random, *, tracking: bool) -> None:
        self._random = random
        self.tracking = tracking

    def text(self) -> str:
        """All tables."""
        tracking = "-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT\n" if self.tracking else ""
        return (
            f"*raw\n:PREROUTING ACCEPT [0:0]\n{self._rules('PREROUTING', ('-j DROP', '-j RETURN', ''), 2)}COMMIT\n"
            f"*mangle\n:PREROUTING ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n"
            f"{self._rules('PREROUTING', self._marks(), 6)}{self._rules('FORWARD', self._marks(), 4)}COMMIT\n"
            f"*filter\n:INPUT {self._policy()} [0:0]\n:FORWARD {self._policy()} [0:0]\n{tracking}"
            f"{self._rules('INPUT', ('-j ACCEPT', '-j DROP', ''), 6)}"
            f"{self._rules('FORWARD', ('-j ACCEPT', '-j DROP', ''), 9)}COMMIT\n"
        )

    def _policy(self) -> str:
        return self._random.choice(("ACCEPT", "DROP"))

    def _marks(self) -> tuple[str, ...]:
        return (*(f"-j MARK {mark}" for mark in MARKS), "-j TTL --ttl-set 64", "-j TTL --ttl-set 10", "-j RETURN")

    def _rules(self, chain: str, targets: tuple[str, ...], most: int) -> str:
        random, lines = self._random, []
        for _ in range(random.randint(1, most)):
            groups = random.sample(GROUPS, random.randint(1, 2))
            conditions = " ".join(random.choice(group) for group in groups)
            lines.append(f"-A {chain} {conditions} {random.choice(targets)}".rstrip() + "\n")
        return "".join(lines)


@both_backends
class OthersRules(unittest.TestCase):
    backend: ClassVar[str]

    def setUp(self) -> None:
        self.scratch = Path(tempfile.mkdtemp(prefix="camfw-test-"))
        self.addCleanup(shutil.rmtree, self.scratch)
        (self.scratch / "networks").write_text(NETWORKS)

    def verdicts(self, tables: Tables, packets: list[Packet]) -> list[str]:
        """Of each packet, by the rules as the kernel prints them."""
        (self.scratch / "rules").write_text(tables.save("iptables"))
        (self.scratch / "packets").write_text("".join(f"{packet.line()}\n" for packet in packets))
        done = subprocess.run(
            [BINARY, "trace", "--rules", "rules", "--networks", "networks", "--packets", "packets"],
            cwd=self.scratch, capture_output=True, text=True, check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return [line.split("\t")[0] for line in done.stdout.splitlines()]

    def test_what_only_others_write_is_judged_as_the_kernel_does(self) -> None:
        judged, met = Counter[str](), Counter[str]()
        for seed in range(SEED, SEED + RULESETS):
            random = Random(f"foreign-{seed}-{self.backend}")
            rules = Rules(random, tracking=seed % 2 == 0)
            text = rules.text()
            with self.subTest(seed=seed), Bench() as bench:
                tables = Tables(bench.router, self.backend)
                bench.router.run([tables.multi, "iptables-restore"], check=True, input=text)
                packets = [
                    replace(packet, fragment=False) for packet in generate.packets(random, rules, 1, BATCH)
                ]
                verdicts = self.verdicts(tables, packets)
                pairs = list(zip(packets, verdicts, strict=True))
                found = bench.send(packets, {packet.number: "" for packet, it in pairs if it == "ACCEPT"})
                wrong = [
                    f"{packet.line()}: judged {verdict}, came out at {found.get(packet.number)}"
                    for packet, verdict in pairs
                    if verdict == "DEPENDS" or (verdict == "ACCEPT") != (packet.number in found)
                ]
                self.assertEqual(wrong, [], f"{len(wrong)} packets; the rules:\n{text}")
                judged.update(verdicts)
                counted = tables.save("iptables", counters=True).splitlines()
                meeting = [line for line in counted if line.startswith("[") and not line.startswith("[0:")]
                met.update(said for said in SAID if any(said in line for line in meeting))
        # The controls: both verdicts came up, and most of what is tried was met.
        self.assertGreater(judged["ACCEPT"], sum(judged.values()) / 10)
        self.assertGreater(judged["DROP"], sum(judged.values()) / 10)
        self.assertEqual(SAID - met.keys(), set(), "never met")

    def test_the_policy_of_nat_falls_on_first_packets_where_conntrack_is_on(self) -> None:
        for chain in ("PREROUTING", "POSTROUTING"):
            for tracking in (False, True):
                random = Random(f"nat-{self.backend}")
                rules = Rules(random, tracking=tracking)
                policies = "".join(
                    f":{it} {'DROP' if it == chain else 'ACCEPT'} [0:0]\n" for it in ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")
                )
                asks = "-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT\n" if tracking else ""
                text = f"*nat\n{policies}COMMIT\n*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n{asks}COMMIT\n"
                with self.subTest(chain=chain, tracking=tracking), Bench() as bench:
                    tables = Tables(bench.router, self.backend)
                    bench.router.run([tables.multi, "iptables-restore"], check=True, input=text)
                    packets = [
                        replace(packet, fragment=False) for packet in generate.packets(random, rules, 1, BATCH)
                    ]
                    pairs = list(zip(packets, self.verdicts(tables, packets), strict=True))
                    found = bench.send(packets, {packet.number: "" for packet, it in pairs if it != "DROP"})
                    # Where no rule asks for conntrack, something else may have it on: it depends, and here it is off.
                    self.assertEqual(set(found), {packet.number for packet, it in pairs if it != "DROP"}, text)
                    self.assertEqual("DEPENDS" in {it for _, it in pairs}, not tracking, text)
                    self.assertGreater(len(pairs) - len(found), BATCH / 10, "the control: some are stopped")
