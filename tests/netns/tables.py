"""Owns how a test reads and changes the kernel's tables: with iptables itself.

Relies on the output of the backend's own commands, and on nothing of the program under
test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lab.namespace import Namespace
from netns.program import multi

FAMILIES = ("iptables", "ip6tables")


@dataclass(frozen=True)
class Counted:
    """A rule as iptables-save prints it, with its counters."""

    packets: int
    rule: str


class Tables:
    """The tables of a namespace, through one backend."""

    def __init__(self, namespace: Namespace, backend: str) -> None:
        self._namespace = namespace
        self.multi = str(multi(backend))

    def run(self, command: str, *arguments: str) -> str:
        """Runs `iptables ARGUMENTS` or a related command, which must succeed."""
        return self._namespace.run([self.multi, command, *arguments], check=True).stdout

    def save(self, command: str, *, counters: bool = False) -> str:
        """The output of iptables-save without its dates, and without counters unless
        requested."""
        text = self.run(f"{command}-save", *(["-c"] if counters else []))
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        if not counters:
            lines = [re.sub(r" \[\d+:\d+\]$", "", line) for line in lines]
        return "\n".join(lines)

    def snapshot(self, *, counters: bool = False) -> str:
        """The rules of both families, to be compared as a whole."""
        return "\n".join(f"== {family}\n{self.save(family, counters=counters)}" for family in FAMILIES)

    def policy(self, command: str, chain: str) -> str:
        """The policy of a chain of the filter table: DROP or ACCEPT."""
        return self.run(command, "-S", chain).split()[2]

    def rules(self, command: str, table: str = "filter") -> list[Counted]:
        """The rules of the table in order, with their counters."""
        saved = self.run(f"{command}-save", "-c", "-t", table)
        found = (re.match(r"\[(\d+):\d+\] (-A .*)", line) for line in saved.splitlines())
        return [Counted(int(match[1]), match[2]) for match in found if match]

    def packets(self, table: str, chain: str, target: str, command: str = "iptables") -> int:
        """The number of packets counted by the rules of a chain with this target."""
        counted = [
            rule.packets for rule in self.rules(command, table)
            if rule.rule.startswith(f"-A {chain} ") and re.search(rf"-j {target}\b", rule.rule)
        ]
        if not counted:
            raise AssertionError(f"no rule with target {target} in chain {chain} of table {table}")
        return sum(counted)


def meant(snapshot: str) -> list[str]:
    """A snapshot without tables that have no effect: a table remains after its first
    use, with no rules or chains and policy ACCEPT."""
    tables = re.split(r"^(?=\*|== )", snapshot, flags=re.MULTILINE)
    does_something = re.compile(r"^-A |^:\S+ (DROP|-)|^== ", re.MULTILINE)
    return [table.strip() for table in tables if does_something.search(table)]
