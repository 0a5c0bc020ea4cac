"""The kernel agrees: what `camfw trace` says of generated packets under generated
rules is what becomes of them, packet by packet and rule by rule.

CAMFW_VERDICTS is how many packets are judged, of both backends together.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import ClassVar

from netns.case import both_backends
from netns.program import BINARY
from netns.tables import Tables
from prove import generate
from prove.wires import NETWORKS, WIRES, Bench
from prove.packets import ICMP, TCP, UDP, Packet

VERDICTS = int(os.environ.get("CAMFW_VERDICTS", "5000"))
SEED = int(os.environ.get("CAMFW_SEED", "1"))
BATCH = 250


class Predicted:
    """What the program says of a packet."""

    def __init__(self, line: str) -> None:
        verdict, self.by, path = line.split("\t")
        self.verdict = verdict
        self.path = path.split(", ") if path else []


@both_backends
class Agreement(unittest.TestCase):
    backend: ClassVar[str]

    def setUp(self) -> None:
        self.scratch = Path(tempfile.mkdtemp(prefix="camfw-test-"))
        self.addCleanup(shutil.rmtree, self.scratch)
        (self.scratch / "networks").write_text(NETWORKS)

    def load(self, bench: Bench, text: str) -> Tables:
        tables = Tables(bench.router, self.backend)
        bench.router.run([tables.multi, "iptables-restore"], check=True, input=text)
        (self.scratch / "rules").write_text(tables.save("iptables"))
        return tables

    def predict(self, packets: Sequence[Packet]) -> list[Predicted]:
        """The verdict on each, by the rules as the kernel prints them."""
        listed = self.scratch / "packets"
        listed.write_text("".join(f"{packet.line()}\n" for packet in packets))
        done = subprocess.run(
            [
                BINARY, "trace", "--rules", self.scratch / "rules",
                "--networks", self.scratch / "networks", "--packets", listed,
            ],
            capture_output=True, text=True, check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        predicted = [Predicted(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(predicted), len(packets))
        return predicted

    def agree(self, bench: Bench, packets: Sequence[Packet], text: str) -> list[Predicted]:
        """Each packet must get through, or not, as predicted."""
        predicted = self.predict(packets)
        pairs = list(zip(packets, predicted, strict=True))
        expected = {packet.number: "" for packet, it in pairs if it.verdict == "ACCEPT"}
        found = bench.send(packets, expected)
        wrong = [
            f"{packet.line()}: predicted {it.verdict} by {it.by}, came out at {found.get(packet.number)}"
            for packet, it in pairs
            # What a later fragment's ports are depends on the backend, and it is said so.
            if not (packet.fragment and it.verdict == "DEPENDS")
            and (it.verdict == "ACCEPT") != (packet.number in found)
        ]
        # It goes where the routes say, if no rule sends it elsewhere.
        wrong += [
            f"{packet.line()}: came out at {found[packet.number]}"
            for packet in packets
            if packet.out and found.get(packet.number, packet.out) != packet.out
        ]
        self.assertEqual(wrong, [], f"{len(wrong)} packets; the rules:\n{text}")
        return predicted

    def counted(self, tables: Tables, predicted: Sequence[Predicted], text: str) -> None:
        """Each rule must have met as many packets as predicted: those that surely
        met it at least, and those that perhaps did at most."""
        surely = Counter(place for it in predicted for place in it.path if not place.startswith("perhaps "))
        perhaps = Counter(place.removeprefix("perhaps ") for it in predicted for place in it.path)
        for place, (count, rule) in places(tables.save("iptables", counters=True)).items():
            self.assertGreaterEqual(count, surely[place], f"{place}: {rule}; the rules:\n{text}")
            self.assertLessEqual(count, perhaps[place], f"{place}: {rule}; the rules:\n{text}")

    def test_generated_packets_under_generated_rules(self) -> None:
        judged = Counter[str]()
        seed = SEED
        while sum(judged.values()) < VERDICTS // 2:
            seed += 1
            random = Random(f"{seed}-{self.backend}")
            rules = generate.Rules(random, tracking=seed % 3 != 0, rewriting=seed % 5 == 0)
            text = rules.text()
            with self.subTest(seed=seed), Bench() as bench:
                tables = self.load(bench, text)
                predicted = self.agree(bench, generate.packets(random, rules, 1, BATCH), text)
                self.counted(tables, predicted, text)
                judged.update(it.verdict for it in predicted)
        # The controls: both verdicts, often, or nothing was compared.
        self.assertGreater(judged["ACCEPT"], sum(judged.values()) / 10)
        self.assertGreater(judged["DROP"], sum(judged.values()) / 10)

    def test_packets_of_connections(self) -> None:
        states, verdicts = Counter[str](), Counter[str]()
        for seed in range(SEED, SEED + max(30, VERDICTS // 500)):
            random = Random(f"connections-{seed}-{self.backend}")
            rules = generate.Rules(random, tracking=True)
            text = rules.text()
            if "--notrack" in text:
                continue
            with self.subTest(seed=seed), Bench() as bench:
                self.load(bench, text)
                opening = [
                    replace(packet, flags=frozenset({"SYN"}), icmp=(8, 0))
                    for packet in generate.packets(random, rules, 1, BATCH)
                    if packet.out != "router" and packet.protocol in (TCP, UDP, ICMP)
                    # So that the answer has a way back.
                    and packet.source.startswith(f"10.{packet.into[-1]}.0.") and packet.into != packet.out
                ]
                first = self.agree(bench, opening, text)
                answers = [
                    answer(packet, it.verdict == "ACCEPT", BATCH + packet.number, random)
                    for packet, it in zip(opening, first, strict=True)
                ]
                states.update(packet.state for packet in answers)
                found = self.agree(bench, answers, text)
                errors = [it for packet, it in zip(answers, found, strict=True) if packet.about]
                verdicts.update(it.verdict for it in errors)
        # The control: so many rulesets that each state comes up, and both verdicts on errors.
        for verdict in ("ACCEPT", "DROP"):
            self.assertGreater(verdicts[verdict], 0, verdict)
        for state in ("ESTABLISHED", "RELATED", "INVALID", "NEW"):
            self.assertGreater(states[state], 0, state)


def answer(packet: Packet, accepted: bool, number: int, random: Random) -> Packet:
    """What comes back, or an error about the packet or about the answer to it: from
    either end, or from anybody. If the packet got through it belongs to its
    connection; else it is as if from nowhere."""
    back = replace(
        packet, number=number, into=packet.out, out=packet.into, source=packet.destination,
        destination=packet.source, sport=packet.dport, dport=packet.sport, icmp=(0, 0),
        flags=frozenset({"SYN", "ACK"}), fragment=False,
    )
    if packet.protocol == ICMP:
        # The identifier stays, whichever way it goes.
        back = replace(back, sport=packet.sport)
    if random.random() < 0.5:
        return error(packet, back, accepted, random)
    return replace(back, state="ESTABLISHED" if accepted else back.opening())


def error(packet: Packet, back: Packet, accepted: bool, random: Random) -> Packet:
    """To who sent the packet, or to who answers it."""
    told, quoted = random.choice(((back, packet), (packet, back)))
    sender = random.choice((told.source, *generate.SOURCES))
    ends = (packet.source, packet.destination, "REPLY" if told is back else "ORIGINAL")
    return replace(
        told, number=back.number, protocol=ICMP, icmp=random.choice(generate.ERRORS), source=sender,
        into=told.into if sender == told.source else random.choice(WIRES), fragment=False,
        quoted=quoted.datagram()[:28], state="RELATED" if accepted else "INVALID",
        about=ends if accepted else None,
    )


def places(dump: str) -> dict[str, tuple[int, str]]:
    """What each rule of a dump counted, by table, chain and number."""
    found: dict[str, tuple[int, str]] = {}
    table, numbers = "", Counter[str]()
    for line in dump.splitlines():
        if line.startswith("*"):
            table, numbers = line[1:], Counter()
        elif match := re.match(r"\[(\d+):\d+\] -A (\S+) ?(.*)", line):
            chain = match[2]
            numbers[chain] += 1
            found[f"{table} {chain} {numbers[chain]}"] = (int(match[1]), match[3])
    return found
