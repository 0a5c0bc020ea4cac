"""Owns how rules and packets are held against the kernel: what `camfw trace` says of
each packet is what becomes of it, packet by packet and rule by rule.

CAMFW_VERDICTS is how many packets are judged, of both backends together.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from netns.program import BINARY
from netns.tables import Tables
from prove.packets import Packet
from prove.wires import NETWORKS, Bench

VERDICTS = int(os.environ.get("CAMFW_VERDICTS", "5000"))
SEED = int(os.environ.get("CAMFW_SEED", "1"))
BATCH = 250


class Predicted:
    """What the program says of a packet."""

    def __init__(self, line: str) -> None:
        verdict, self.by, path = line.split("\t")
        self.verdict = verdict
        self.path = path.split(", ") if path else []


class Held(unittest.TestCase):
    """Rules and packets that are held against the kernel."""

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
        met it at least, and those that perhaps did at most. Where sources are rewritten
        the router's own resets come by too, which nobody predicts."""
        surely = Counter(place for it in predicted for place in it.path if not place.startswith("perhaps "))
        perhaps = Counter(place.removeprefix("perhaps ") for it in predicted for place in it.path)
        for place, (count, rule) in places(tables.save("iptables", counters=True)).items():
            self.assertGreaterEqual(count, surely[place], f"{place}: {rule}; the rules:\n{text}")
            if not place.startswith("nat POSTROUTING "):
                self.assertLessEqual(count, perhaps[place], f"{place}: {rule}; the rules:\n{text}")

    def tell(self, judged: Mapping[str, int]) -> None:
        """How many verdicts agreed, of each kind."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(judged.items()))
        print(f"{self.id().rsplit('.', 1)[-1]}, {self.backend}: {sum(judged.values())} verdicts: {kinds}",
              file=sys.stderr)


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
