"""Every golden is taken by iptables-restore, and iptables-save prints it back
word for word: what camfw compares with the kernel is in the kernel's own form."""

from __future__ import annotations

import unittest
from pathlib import Path
from typing import ClassVar

from lab.namespace import Namespace
from netns.case import both_backends
from netns.program import ROOT, multi
from netns.tables import Tables

GOLDENS = sorted((ROOT / "tests/golden").iterdir())
# Where a rule names days alone, iptables 1.8.9 prints the end of the extension's
# clock as if the rule had said so (date_stop in extensions/libxt_time.c).
END_OF_TIME = " --datestop 2038-01-19T03:14:07"
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
        """What iptables-save prints, without tables that hold nothing."""
        tables = blocks(Tables(namespace, self.backend).save(family).replace(END_OF_TIME, ""))
        return {
            name: lines for name, lines in tables.items()
            if any(line.startswith("-A ") or line.endswith(" DROP") for line in lines)
        }


def blocks(text: str) -> dict[str, list[str]]:
    """The tables of a dump: chains in any order, then the rules of each in theirs."""
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
    # Only the order within a chain means anything.
    return {name: sorted(lines, key=lambda line: line.split()[:2]) for name, lines in tables.items()}
