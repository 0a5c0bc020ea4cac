"""iptables-restore accepts every golden file, and iptables-save prints it back word for
word: camfw compares the kernel with text in the kernel's own form."""

from __future__ import annotations

import re
import socket
import unittest
from pathlib import Path
from typing import ClassVar

from lab.namespace import Namespace
from netns.case import both_backends
from netns.program import ROOT, multi
from netns.tables import Tables

GOLDENS = sorted((ROOT / "tests/golden").iterdir())
# If a rule names only days, iptables 1.8.9 prints the end of the extension's time range
# as if the rule had set it (date_stop in extensions/libxt_time.c).
END_OF_TIME = " --datestop 2038-01-19T03:14:07"
# A box has a name for each protocol in its /etc/protocols, or none; camfw writes these four.
ALWAYS_NAMED = ("tcp", "udp", "icmp", "ipv6-icmp")
FILES = {"iptables": "v4.rules", "ip6tables": "v6.rules"}


@both_backends
class Goldens(unittest.TestCase):
    backend: ClassVar[str]

    def restore(self, namespace: Namespace, family: str, text: str, *options: str) -> None:
        command: list[str | Path] = [multi(self.backend), f"{family}-restore", *options]
        namespace.run(command, check=True, input=text)

    def test_every_golden_is_taken_and_printed_back(self) -> None:
        self.assertGreaterEqual(len(GOLDENS), 25)
        for golden in GOLDENS:
            for family, name in FILES.items():
                with self.subTest(golden=golden.name, family=family), Namespace("golden") as namespace:
                    text = (golden / name).read_text()
                    self.restore(namespace, family, text, "--test")
                    self.restore(namespace, family, text)
                    self.assertEqual(self.printed(namespace, family), blocks(text))

    def printed(self, namespace: Namespace, family: str) -> dict[str, list[str]]:
        """The output of iptables-save, without tables that contain nothing."""
        tables = blocks(as_written(Tables(namespace, self.backend).save(family)))
        return {
            name: lines for name, lines in tables.items()
            if any(line.startswith("-A ") or line.endswith(" DROP") for line in lines)
        }


def as_written(saved: str) -> str:
    """What iptables-save prints, in camfw's words where it has others."""
    return re.sub(r" -p (\S+)", numbered, saved.replace(END_OF_TIME, ""))


def numbered(condition: re.Match[str]) -> str:
    """A condition on the protocol as camfw writes it."""
    name = condition[1]
    if name in ALWAYS_NAMED or name.isdecimal():
        return condition[0]
    return f" -p {socket.getprotobyname(name)}"


def blocks(text: str) -> dict[str, list[str]]:
    """The tables of a dump: chains in any order, then the rules of each chain in order."""
    tables: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("*"):
            name = line
            tables[name] = []
        elif line.startswith(":"):
            tables[name].append(" ".join(line.split()[:2]))
        elif line.startswith("-A "):
            tables[name].append(line)
    # Order matters only within a chain.
    return {name: sorted(lines, key=lambda line: line.split()[:2]) for name, lines in tables.items()}
