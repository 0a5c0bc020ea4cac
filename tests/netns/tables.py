"""Owns how a test sees and changes the kernel's tables: with iptables itself.

Knows what the backend's own commands say, nothing of the program under test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lab.namespace import Namespace
from netns.program import multi

FAMILIES = ("iptables", "ip6tables")


@dataclass(frozen=True)
class Counted:
    """A rule as iptables-save prints it, with what it counted."""

    packets: int
    rule: str


class Tables:
    """The tables of a namespace, through one backend."""

    def __init__(self, namespace: Namespace, backend: str) -> None:
        self._namespace = namespace
        self.multi = str(multi(backend))

    def run(self, command: str, *arguments: str) -> str:
        """`iptables ARGUMENTS` or any of its relatives; it must succeed."""
        return self._namespace.run([self.multi, command, *arguments], check=True).stdout

    def save(self, command: str, *, counters: bool = False) -> str:
        """iptables-save without its dates, and without counters unless they are asked for."""
        text = self.run(f"{command}-save", *(["-c"] if counters else []))
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        if not counters:
            lines = [re.sub(r" \[\d+:\d+\]$", "", line) for line in lines]
        return "\n".join(lines)

    def snapshot(self, *, counters: bool = False) -> str:
        """Both families, to be compared whole."""
        return "\n".join(f"== {family}\n{self.save(family, counters=counters)}" for family in FAMILIES)

    def policy(self, command: str, chain: str) -> str:
        """DROP or ACCEPT, of a chain of the filter table."""
        return self.run(command, "-S", chain).split()[2]

    def rules(self, command: str, table: str = "filter") -> list[Counted]:
        """The table's rules in order, with their counters."""
        saved = self.run(f"{command}-save", "-c", "-t", table)
        found = (re.match(r"\[(\d+):\d+\] (-A .*)", line) for line in saved.splitlines())
        return [Counted(int(match[1]), match[2]) for match in found if match]

    def packets(self, table: str, chain: str, target: str, command: str = "iptables") -> int:
        """How many packets the rules of a chain with this target counted."""
        counted = [
            rule.packets for rule in self.rules(command, table)
            if rule.rule.startswith(f"-A {chain} ") and re.search(rf"-j {target}\b", rule.rule)
        ]
        if not counted:
            raise AssertionError(f"no rule with target {target} in chain {chain} of table {table}")
        return sum(counted)


def meant(snapshot: str) -> list[str]:
    """A snapshot without the tables that do nothing: a table that was used once
    stays, and holds neither rules nor chains, with policy ACCEPT."""
    tables = re.split(r"^(?=\*|== )", snapshot, flags=re.MULTILINE)
    does_something = re.compile(r"^-A |^:\S+ (DROP|-)|^== ", re.MULTILINE)
    return [table.strip() for table in tables if does_something.search(table)]
